"""tickhouse."""
