"""The history of the warm store's tables, one step a file in `versions/`, run by Alembic."""
