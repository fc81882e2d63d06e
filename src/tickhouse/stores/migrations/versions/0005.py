"""PostgreSQL alone: the ticks of the last days for other tools, where a house keeps them (`warm.keep_ticks`).

Times are `timestamptz`, unlike in other tables: a view that turned numbers into times would keep a tool's question about the last
hour from the partitions and the indexes. tickhouse itself reads ticks from the journal and the lake, never from here.

The key is (symbol, event time, message, number in it). A message is known by its position in the journal, so a tick that is
written again after a crash is the same row; and the key is the index by symbol and time that questions need, so there is no other
but BRIN, which takes some kilobytes a day.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLE = """
CREATE TABLE ticks (
    event_time timestamptz NOT NULL, received_at timestamptz NOT NULL, price double precision, size double precision,
    first_id bigint, last_id bigint, raw bigint NOT NULL, number integer NOT NULL,
    symbol text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL, conditions text COLLATE "C",
    PRIMARY KEY (symbol, event_time, raw, number)
) PARTITION BY RANGE (event_time)"""
VIEW = """
CREATE VIEW gold.ticks AS
SELECT symbol, source, event_time, received_at, price, size, first_id, last_id, conditions, raw FROM ticks"""


def upgrade() -> None:
    """Make the table, which has no day yet, and its view."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute(TABLE)
    op.execute("CREATE INDEX ticks_by_time ON ticks USING brin (event_time) WITH (autosummarize = on)")
    op.execute(VIEW)


def downgrade() -> None:
    """Drop them, with every day."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("DROP VIEW gold.ticks")
    op.execute("DROP TABLE ticks")
