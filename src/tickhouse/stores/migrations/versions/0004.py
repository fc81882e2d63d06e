"""PostgreSQL alone: indexes by time, and the schema `gold` for other tools. SQLite needs neither, as only tickhouse reads its file.

`bars` has no partitions by month. Its key begins with symbol and interval, and every question of tickhouse walks along it, one
series at a time. With partitions by time it would look into the index of every month for each series, `before` and `last`
included, because what is asked for has no bound in time; retention is of an interval, not of a month, so no partition could
be dropped; and a load of old years would have to make partitions in the middle of its transaction. Ticks, which are many and
go by age, are in the journal and in the lake, not here. A row of a bar is found by time with BRIN, which takes some kilobytes.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

BY_TIME = {
    "bars": "start", "indicators": "start", "anomalies": "start", "coverage": "start", "switches": "at",
}  # fmt: skip
"""Rows come about in the order of these times, so that a block range has a narrow span of them. `findings` and `quality_metrics`
have the time first in their keys."""

TIME = "timestamptz 'epoch' + {0} * interval '1 microsecond' AS {0}"
NEWEST_BARS = f"""
    SELECT DISTINCT ON (symbol, "interval", start, source)
        symbol, source, "interval", {TIME.format("start")}, open, high, low, close, volume, vwap, trades, completeness, state,
        version, {TIME.format("known_at")}
    FROM bars ORDER BY symbol, "interval", start, source, version DESC"""
VIEWS = {
    "bars": NEWEST_BARS,
    "bars_1m": "SELECT * FROM gold.bars WHERE \"interval\" = '1m'",
    "latest_price": """
    SELECT s.symbol, s.source, b.close AS price, b."interval", timestamptz 'epoch' + b.start * interval '1 microsecond' AS start,
        timestamptz 'epoch' + b.known_at * interval '1 microsecond' AS known_at
    FROM (SELECT DISTINCT symbol, source FROM symbols) s
    CROSS JOIN LATERAL (
        SELECT n.* FROM symbols k
        CROSS JOIN LATERAL (
            SELECT close, "interval", start, known_at, version FROM bars
            WHERE symbol = k.symbol AND "interval" = k."interval" AND source = k.source AND start = k.last_start
            ORDER BY version DESC LIMIT 1
        ) n
        WHERE k.symbol = s.symbol AND k.source = s.source
        ORDER BY n.known_at DESC, n.start DESC LIMIT 1
    ) b""",
    "coverage": """
    SELECT source, symbol, channel, timestamptz 'epoch' + start * interval '1 microsecond' AS start,
        timestamptz 'epoch' + "end" * interval '1 microsecond' AS "end", state, missing FROM coverage""",
    "data_quality": """
    WITH series AS (
        SELECT source, count(DISTINCT symbol) AS symbols, max(last_start) AS last_start FROM symbols GROUP BY source
    ),
    ticks AS (
        SELECT source, sum(total) FILTER (WHERE name = 'accepted') AS accepted, sum(total) FILTER (WHERE name = 'duplicate') AS duplicate,
            sum(total) FILTER (WHERE name = 'late') AS late FROM ledger GROUP BY source
    ),
    measured AS (
        SELECT DISTINCT ON (source, name) source, name, value FROM quality_metrics
        WHERE at >= (SELECT max(at) FROM quality_metrics) - 3600 * 1000000::bigint ORDER BY source, name, at DESC
    ),
    messages AS (
        SELECT source, max(value) FILTER (WHERE name = 'received') AS received, max(value) FILTER (WHERE name = 'rejected') AS rejected,
            max(value) FILTER (WHERE name = 'invalid') AS invalid FROM measured GROUP BY source
    ),
    whole AS (
        SELECT s.source, avg(b.completeness) AS completeness FROM symbols s CROSS JOIN LATERAL (
            SELECT DISTINCT ON (start) completeness FROM bars
            WHERE symbol = s.symbol AND "interval" = s."interval" AND source = s.source
                AND start > s.last_start - 3600 * 1000000::bigint
            ORDER BY start, version DESC
        ) b GROUP BY s.source
    )
    SELECT source, s.symbols, m.received::bigint AS messages, m.rejected::bigint AS rejected, m.invalid::bigint AS invalid,
        t.accepted::bigint AS accepted, t.duplicate::bigint AS duplicates, t.late::bigint AS late, w.completeness,
        timestamptz 'epoch' + s.last_start * interval '1 microsecond' AS last_bar
    FROM series s FULL JOIN ticks t USING (source) FULL JOIN messages m USING (source) LEFT JOIN whole w USING (source)""",
}
METRICS = """
CREATE FUNCTION gold.get_data_quality_metrics() RETURNS SETOF gold.data_quality LANGUAGE sql STABLE AS
'SELECT * FROM gold.data_quality ORDER BY source'"""


def upgrade() -> None:
    """Make them."""
    if op.get_context().dialect.name != "postgresql":
        return
    for table, time in BY_TIME.items():
        op.create_index(f"{table}_by_time", table, [time], postgresql_using="brin", postgresql_autosummarize=True)
    op.execute("CREATE SCHEMA IF NOT EXISTS gold")
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW gold.{name} AS {query}")
    op.execute(METRICS)


def downgrade() -> None:
    """Drop them; the schema too, unless others keep something in it."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute("DROP FUNCTION gold.get_data_quality_metrics()")
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW gold.{name}")
    op.execute("DO $$ BEGIN DROP SCHEMA gold; EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END $$")
    for table in BY_TIME:
        op.drop_index(f"{table}_by_time", table)
