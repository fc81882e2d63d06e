"""Runs the migrations on the connection, and in the transaction, of whoever asks for them."""

from alembic import context

from tickhouse.stores._tables import METADATA

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # an index over many rows takes its time

context.configure(
    connection=connection,
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
