"""Runs the migrations on the connection, and in the transaction, of whoever asks for them."""

from alembic import context

from tickhouse.stores._tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
