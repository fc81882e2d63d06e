"""One house as its readers see it: the `House` of `surfaces`, answered from the stores, the journal and the lake."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tickhouse.core.adjusting import NONE
from tickhouse.core.asking import explain
from tickhouse.core.batches import Output, Record, TickBatch
from tickhouse.core.errors import BadQuery, NoData
from tickhouse.core.model import BAR, TICK, Query
from tickhouse.core.times import microseconds
from tickhouse.core.values import Values
from tickhouse.steps import condition
from tickhouse.steps.adjusted import Adjusted
from tickhouse.steps.beside import ALL as EVERY
from tickhouse.steps.beside import Beside
from tickhouse.steps.notes import notes
from tickhouse.steps.past import FOREVER, Past
from tickhouse.steps.preferred import Preferred, orders
from tickhouse.steps.tracing import Tracing
from tickhouse.surfaces import MISSED, Columns, Listener
from tickhouse.surfaces import sql as statements


class Reader:
    """Reads one house. It writes nothing and may run beside, or in, the process that does."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.past = Past(pipeline.journal, pipeline.lake, pipeline.shown)
        self._beside = Beside(self.past, pipeline.settings.process.indicators)
        self._listeners: list[Listener] = []
        self.preferred = Preferred(orders(pipeline.settings), pipeline.shown)
        self._tracing = Tracing(self.past, self.preferred, self.symbols, self.coverage)

    @property
    def simulated(self) -> bool:
        """Whether the data came from a simulated exchange."""
        return bool(notes(self.pipeline.settings.data).get("simulated"))

    def bars(self, query: Query) -> pa.Table:
        """Stored bars, and the forming ones where the query reaches the present; of a symbol of a group one a window; adjusted
        where the query says so."""
        return Adjusted(self.pipeline, query.adjust).of(self._bars(query), query.as_of)

    def _bars(self, query: Query) -> pa.Table:
        stored = self.preferred.rows(self.past.bars, query)
        if query.as_of is not None or query.versions:
            return stored
        forming = [row for row in self.pipeline.hot.forming(query.symbols, query.interval) if _asked(row, query)]
        forming = _still(forming, stored)
        if query.source is None:
            stored, forming = self.preferred.forming(stored, forming)
        if not forming or query.limit is not None or query.after is not None:
            return stored
        times = [{**row, "start": row["start"], "known_at": row["known_at"]} for row in forming]
        extra = pa.Table.from_pylist(times, schema=BAR)
        whole = pa.concat_tables([stored.cast(BAR), extra]).sort_by([(name, "ascending") for name in ORDER])
        if query.last and self.preferred.concerns(query):
            return self.preferred.newest(whole, query.last)
        return _newest(whole, query.last) if query.last else whole

    def ticks(self, query: Query) -> pa.Table:
        """Ticks of one symbol, from the lake and the journal, ordered by event time."""
        if len(query.symbols) != 1:
            raise BadQuery("ticks are asked for one symbol at a time")
        symbol, end = query.symbols[0], query.end if query.end is not None else FOREVER
        start = query.start if query.start is not None else 0
        sources = [query.source] if query.source else self._sources(symbol)
        parts = [b.to_arrow().cast(TICK) for s in sources for b in self.past.ticks(s, symbol, start, end, query.before)]
        if not parts:
            return TICK.empty_table()
        table = pa.concat_tables(parts)
        table = self.preferred.ticks(table, query)
        if query.as_of is not None:
            table = table.filter(
                pc.less_equal(table["received_at"], pa.scalar(query.as_of, TICK.field("received_at").type))
            )
        table = table.sort_by([("event_time", "ascending"), ("last_id", "ascending"), ("raw", "ascending")])
        if query.last is not None:
            return table.slice(max(0, table.num_rows - query.last))
        return table.slice(0, query.limit) if query.limit is not None else table

    def _sources(self, symbol: str) -> list[str]:
        """The sources that have bars of a symbol; all there are where it has none yet."""
        known = [row["source"] for row in self.symbols() if row["symbol"] == symbol]
        return known or sorted({source for source, _ in self.pipeline.journal.ledger()})

    def indicators(self, query: Query) -> pa.Table:
        """Stored indicator rows."""
        return self.preferred.rows(self.past.indicators, query)

    def beside(self, bars: pa.Table, wanted: Sequence[str], as_of: int | None = None, adjust: str = NONE) -> Values:
        """Indicators beside bars, stored or computed; see `steps.beside`. Beside adjusted bars all are computed."""
        if adjust == NONE:
            return self._beside.values(bars, wanted, as_of)
        configured = self.pipeline.settings.process.indicators
        names = [name for text in wanted for name in (configured if text == EVERY else (text,))]
        return Beside(Adjusted(self.pipeline, adjust), configured).values(bars, names, as_of)

    def picked(self, rows: pa.Table, wanted: Sequence[str]) -> Values:
        """The values in indicator rows."""
        return self._beside.picked(rows, wanted)

    def anomalies(self, query: Query) -> pa.Table:
        """Stored anomalies."""
        return self.preferred.rows(self.past.anomalies, query)

    def findings(self, query: Query) -> pa.Table:
        """Stored findings."""
        return self.pipeline.shown.findings(query)

    def coverage(self, query: Query) -> pa.Table:
        """Stored coverage."""
        return self.pipeline.shown.coverage(query)

    def observations(self, query: Query) -> pa.Table:
        """Stored values of economic series."""
        return self.pipeline.shown.observations(query)

    def actions(self, query: Query) -> pa.Table:
        """Stored splits and dividends."""
        return self.pipeline.shown.actions(query)

    def metrics(self, query: Query) -> pa.Table:
        """Quality metrics over time."""
        return self.pipeline.shown.metrics(query)

    def latest(self, symbols: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """The newest price of each symbol: from the hot store, or the last close of those asked for that it has not."""
        rows = list(self.pipeline.hot.latest(symbols))
        lacking = set(symbols) - {row["symbol"] for row in rows}
        if rows and not lacking:
            return self.preferred.latest(rows)
        known = [row for row in self.symbols() if not symbols or row["symbol"] in lacking]
        closes = [row for one in known for row in self._last_close(one["symbol"], one["source"])]
        return self.preferred.latest([*rows, *closes])

    def _last_close(self, symbol: str, source: str) -> list[dict[str, Any]]:
        table = self.past.bars(Query((symbol,), source=source, last=1))
        rows = sorted(table.to_pylist(), key=lambda row: row["start"])[-1:]
        return [
            {"symbol": symbol, "source": source, "price": r["close"], "size": None, "event_time": microseconds(r["start"]),
             "received_at": microseconds(r["known_at"])} for r in rows
        ]  # fmt: skip

    def symbols(self) -> list[dict[str, Any]]:
        """Every symbol with its source, intervals, first and last bar."""
        return list(self.pipeline.shown.symbols())

    def in_use(self, symbols: Sequence[str]) -> dict[str, str]:
        """The source in use now, of each symbol that is in a group."""
        return self.preferred.active(symbols)

    def told(self, ask: Callable[[Query], pa.Table], query: Query) -> pa.Table:
        """The answer of one of the methods above. Raises `UnknownSymbol` or `NoData` when it is empty because a symbol or the
        interval is not here.
        """
        table = ask(query)
        if not table.num_rows:
            self._explain(query)
        return table

    def _explain(self, query: Query) -> None:
        rows = self.symbols() if query.symbols else ()
        for symbol in query.symbols:
            explain(rows, symbol, query.interval)

    def sql(self, statement: str) -> statements.Answer:
        """The answer to one SELECT over the stores and the lake. Raises `BadQuery`."""
        warm, lake = getattr(self.pipeline.shown, "url", self.pipeline.settings.warm_url), self.pipeline.lake
        globs = {kind: lake.url(kind) for kind in ("ticks", "bronze")}
        if any("://" in glob for glob in globs.values()):  # a server is asked about what is wanted only
            globs = {k: g for k, g in globs.items() if k in statement.lower() and next(lake.objects(k), None)}
        reach = lake.reach() if globs else {}
        place = statements.Place(warm, globs.get("ticks"), globs.get("bronze"), self.preferred.order, reach)
        return statements.query(place, statement)

    def trace(
        self, symbol: str, start: int, interval: str, source: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """A bar with its versions, its coverage and the raw messages behind it; see `steps.tracing`."""
        query = Query((symbol,), interval, source, start)
        found = self._tracing.trace(query, limit)
        if found is None:
            self._explain(query)
            raise NoData(f"there is no {interval} bar of {symbol} at that time")
        return found

    def reconcile(self, query: Query, a: str, b: str, worst: int = 10) -> dict[str, Any]:
        """How two sources differ on the same bars; see `steps.reconcile`. Raises `UnknownSymbol`, `NoData` or `BadQuery`."""
        from tickhouse.steps.reconcile import reconcile  # polars takes its time to load, and a role hardly needs it

        try:
            return reconcile(self.past, query, a, b, worst)
        except NoData:
            self._explain(query)
            raise

    def status(self) -> dict[str, Any]:
        """What is going on in the house."""
        return {"simulated": self.simulated, "symbols": len(self.symbols()), **condition.status(self.pipeline)}

    def health(self) -> Mapping[str, Any]:
        """Whether the house can answer, part by part."""
        return condition.health(self.pipeline)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for every change from now on."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def published(self, records: Sequence[Record], output: Output) -> None:
        """Tell the listeners what changed; called by the process step."""
        if not self._listeners:
            return
        if output.switches is not None:
            self.preferred.learn(output.switches)
        for batch in (*output.bars, *output.forming):
            self._tell("bars", self.preferred.shown(batch.columns()))
        if output.anomalies is not None:
            self._tell("anomalies", self.preferred.shown(columns(output.anomalies)))
        if output.coverage is not None:
            self._tell("coverage", columns(output.coverage))
        traded = {symbol for record in records if record.ticks is not None for symbol in _named(record.ticks)}
        latest = self.preferred.latest(self.pipeline.hot.own.latest(tuple(traded)), heard=True) if traded else []
        if latest:
            self._tell("ticks", {name: [row[name] for row in latest] for name in latest[0]})

    def missed(self) -> None:
        """Tell the listeners that changes may have gone by unheard."""
        self._tell(MISSED, {"symbol": [""]})

    def _tell(self, topic: str, changed: Columns) -> None:
        for listener in list(self._listeners) if changed["symbol"] else ():
            listener(topic, changed)


ORDER = ("symbol", "interval", "start", "source", "version")


def columns(table: pa.Table) -> dict[str, list[Any]]:
    """The columns as plain values, times as integers (UTC microseconds)."""
    found = {}
    for name in table.column_names:
        column = table[name]
        found[name] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return found


def _named(ticks: TickBatch) -> list[str]:
    """The symbols that occur."""
    return [ticks.symbols[code] for code in set(ticks.symbol.tolist())]


def _asked(row: dict[str, Any], query: Query) -> bool:
    return (
        row["state"] == "forming"
        and (query.source is None or row["source"] == query.source)
        and (query.start is None or row["start"] >= query.start)
        and (query.end is None or row["start"] < query.end)
    )


def _still(forming: list[dict[str, Any]], stored: pa.Table) -> list[dict[str, Any]]:
    """The forming bars whose window is not stored as closed: where the hot store is behind, the warm store is right."""
    if not forming or not stored.num_rows:
        return forming
    since = pa.scalar(min(row["start"] for row in forming), stored["start"].type)
    names = ("symbol", "source", "interval")
    late = stored.filter(pc.greater_equal(stored["start"], since))
    columns = [*(late[name].to_pylist() for name in names), late["start"].cast(pa.int64()).to_pylist()]
    closed = set(zip(*columns, strict=True))
    return [row for row in forming if (*(row[name] for name in names), row["start"]) not in closed]


def _newest(table: pa.Table, last: int) -> pa.Table:
    import polars as pl

    frame = pl.DataFrame(table).group_by("symbol", "interval", "source", maintain_order=True).tail(last)
    return frame.select(BAR.names).to_arrow().cast(BAR)
