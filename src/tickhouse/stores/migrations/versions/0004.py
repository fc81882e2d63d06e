"""PostgreSQL alone: the schema `gold` for other tools, and what makes it quick. SQLite has none: only tickhouse reads its file.

`bars` has no partitions by month. Its key begins with symbol and interval, and every question of tickhouse walks along it, one
series at a time. With partitions by time it would look into the index of every month for each series, as what is asked for
often has no bound in time (the newest row, all versions); retention is of an interval, not of a month, so no partition could
be dropped; and a load of old years would have to make partitions in the middle of its transaction. Ticks, which are many and
go by age, are in the journal and in the lake, not here. Other tools, which ask for all symbols of a time, are served by BRIN,
which takes some kilobytes.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def _time(name: str) -> str:
    """A column of microseconds as a time; unlike sums of intervals it is immutable, so that there can be an index of it."""
    return f"to_timestamp({name} / 1000000::double precision)"


BARS = f"""
    SELECT b.symbol, b.source, b."interval", {_time("b.start")} AS start, b.open, b.high, b.low, b.close, b.volume, b.vwap,
        b.trades, b.completeness, b.state, b.version, {_time("b.known_at")} AS known_at
    FROM bars b WHERE NOT EXISTS (
        SELECT FROM bars later WHERE later.symbol = b.symbol AND later."interval" = b."interval" AND later.start = b.start
            AND later.source = b.source AND later.version > b.version
    )"""
VIEWS = {
    "bars": BARS,
    "bars_1m": "SELECT * FROM gold.bars WHERE \"interval\" = '1m'",
    "latest_price": f"""
    SELECT s.symbol, s.source, b.close AS price, b."interval", {_time("b.start")} AS start, {_time("b.known_at")} AS known_at
    FROM (SELECT DISTINCT symbol, source FROM symbols) s
    CROSS JOIN LATERAL (
        SELECT n.* FROM symbols k
        CROSS JOIN LATERAL (
            SELECT close, "interval", start, known_at FROM bars
            WHERE symbol = k.symbol AND "interval" = k."interval" AND source = k.source AND start = k.last_start
            ORDER BY version DESC LIMIT 1
        ) n
        WHERE k.symbol = s.symbol AND k.source = s.source
        ORDER BY n.known_at DESC, n.start DESC LIMIT 1
    ) b""",
    "coverage": f"""
    SELECT source, symbol, channel, {_time("start")} AS start, {_time('"end"')} AS "end", state, missing FROM coverage""",
    "data_quality": f"""
    WITH series AS (
        SELECT source, count(DISTINCT symbol) AS symbols, max(last_start) AS last_start FROM symbols GROUP BY source
    ),
    ticks AS (
        SELECT source, sum(total) FILTER (WHERE name = 'accepted') AS accepted,
            sum(total) FILTER (WHERE name = 'duplicate') AS duplicate,
            sum(total) FILTER (WHERE name = 'late') AS late FROM ledger GROUP BY source
    ),
    messages AS (
        SELECT source, max(value) FILTER (WHERE name = 'received') AS received,
            max(value) FILTER (WHERE name = 'rejected') AS rejected,
            max(value) FILTER (WHERE name = 'invalid') AS invalid FROM quality_metrics
        WHERE at = (SELECT max(at) FROM quality_metrics) GROUP BY source
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
        {_time("s.last_start")} AS last_bar
    FROM series s FULL JOIN ticks t USING (source) FULL JOIN messages m USING (source) LEFT JOIN whole w USING (source)""",
}
"""Their columns stay as they are: more may come at the end. `data_quality` counts since the house began; `messages`, `rejected`
and `invalid` are of the newest point of `quality_metrics`, `completeness` is the mean of the last hour of bars of each series."""
METRICS = """
CREATE FUNCTION gold.get_data_quality_metrics() RETURNS SETOF gold.data_quality LANGUAGE sql STABLE AS
'SELECT * FROM gold.data_quality ORDER BY source'"""


def upgrade() -> None:
    """Make them."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute(f"CREATE INDEX bars_by_time ON bars USING brin (({_time('start')})) WITH (autosummarize = on)")
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
    op.drop_index("bars_by_time", "bars")
