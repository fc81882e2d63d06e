"""Questions that are answered with rows: one page of a table, as JSON, CSV or Arrow. Runs in worker threads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tickhouse.core.asking import back
from tickhouse.core.clock import Clock
from tickhouse.core.errors import BadQuery, UnknownSymbol
from tickhouse.core.model import BAR, Query
from tickhouse.core.symbols import series_names
from tickhouse.core.values import Values, absent, flat, nested
from tickhouse.surfaces import House, cursors
from tickhouse.surfaces.catalog import Catalog
from tickhouse.surfaces.formats import Answer, rows, to_arrow, to_csv
from tickhouse.surfaces.queries import AnomaliesAsk, BarsAsk, IndicatorsAsk, Paged, SeriesAsk, TicksAsk

Fetch = Callable[[Query], pa.Table]

VERSIONED = {"symbol": str, "interval": str, "start": int, "source": str, "version": int}
KEYS: dict[str, dict[str, type]] = {
    "bars": VERSIONED,
    "indicators": VERSIONED,
    "anomalies": {**VERSIONED, "detector": str},
    "coverage": {"symbol": str, "start": int, "source": str, "channel": str},
    "observations": {"series": str, "date": str, "source": str, "vintage": str},
    "findings": {"at": int, "source": str, "symbol": str, "check": str, "severity": str, "raw": int, "message": str},
    "metrics": {"at": int, "source": str, "name": str},
    "ticks": {"event_time": int, "skip": int},
}
"""The key of each table: what a cursor holds, in the order in which rows come."""

NEWEST_METRICS = 500

BAR_COLUMNS = (
    "symbol", "interval", "start", "open", "high", "low", "close", "volume", "vwap", "trades", "source", "completeness",
    "state", "version", "known_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Where:
    """The address of a request: what a cursor is bound to, and where `next` leads. `asked` are its parameters as given."""

    path: str
    asked: tuple[tuple[str, str], ...]

    @property
    def question(self) -> str:
        """What was asked, but for the page and the format."""
        kept = sorted(pair for pair in self.asked if pair[0] not in ("cursor", "limit", "format"))
        return f"{self.path}?{urlencode(kept)}"

    def next(self, cursor: str) -> str:
        """The address of the next page."""
        kept = [pair for pair in self.asked if pair[0] != "cursor"]
        return f"{self.path}?{urlencode([*kept, ('cursor', cursor)], safe='(),')}"


@dataclass(frozen=True, slots=True)
class Page:
    """Rows to be shown: the table, further JSON members, columns that only JSON has nested, and the next address."""

    table: pa.Table
    next: str | None = None
    members: Mapping[str, Any] | None = None
    nested: Mapping[str, list[Any]] | None = None
    flat: pa.Table | None = None

    def beside(self, name: str, values: Values) -> "Page":
        """The page with values of indicators: an object called `name` in JSON, else a column each."""
        members = {**(self.members or {}), "absent": absent(values)}
        objects = {name: nested(values, self.table.num_rows)}
        return replace(self, members=members, nested=objects, flat=flat(self.table, values))


class Tables:
    """Every question to a house that is answered with rows."""

    def __init__(self, house: House, catalog: Catalog, clock: Clock) -> None:
        self.house, self.catalog, self.clock = house, catalog, clock

    def bars(self, symbol: str, ask: BarsAsk, where: Where) -> Page:
        """Bars of one symbol, with the forming one at the end, and indicators when asked for."""
        query = ask.query(self.clock.now(), (symbol,), interval=ask.interval)
        query = self._lasting(query, ask, self.house.bars)
        table, after = self._some(self.house.bars, query, ask, where, "bars")
        if after is None and query.last is None and query.as_of is None and not ask.versions:
            table = self._with_forming(table, query)
        self._explain(table, symbol, ask.interval)
        members = {"symbol": symbol, "interval": ask.interval}
        page = Page(table.select(BAR_COLUMNS), after, members)
        if not ask.indicators:
            return page
        return page.beside("indicators", self.house.beside(table, ask.indicators, query.as_of, query.adjust))

    def indicators(self, symbol: str, ask: IndicatorsAsk, where: Where) -> Page:
        """Indicator rows of one symbol."""
        query = ask.query(self.clock.now(), (symbol,), interval=ask.interval)
        query = self._lasting(query, ask, self.house.indicators)
        table, after = self._some(self.house.indicators, query, ask, where, "indicators")
        self._explain(table, symbol, ask.interval)
        shown = table.select(["symbol", "interval", "start", "source", "version", "known_at"])
        page = Page(shown, after, {"symbol": symbol, "interval": ask.interval})
        return page.beside("values", self.house.picked(table, ask.indicators))

    def ticks(self, symbol: str, ask: TicksAsk, where: Where) -> Page:
        """Ticks of one symbol by event time."""
        query = ask.query(self.clock.now(), (symbol,))
        if ask.last is not None and (ask.start or ask.cursor):
            raise BadQuery("last counts back from the newest tick, or from end; it does not go with start or cursor")
        if ask.last is not None or not (ask.start or ask.end or ask.cursor):
            table, after = self.house.ticks(replace(query, last=ask.last or ask.limit)), None
        else:
            table, after = self._ticks_page(query, ask, where)
        self._explain(table, symbol)
        return Page(table, after, {"symbol": symbol})

    def anomalies(self, ask: AnomaliesAsk, where: Where) -> Page:
        """Anomalies of all or of some symbols."""
        query = ask.query(self.clock.now(), ask.symbols, interval=ask.interval)
        table, after = self._some(self.house.anomalies, query, ask, where, "anomalies")
        if not table.num_rows:
            for symbol in ask.symbols:
                self.catalog.explain(symbol, ask.interval)
        return Page(table, after)

    def series(self, series: str, ask: SeriesAsk, where: Where) -> Page:
        """Values of one economic series."""
        query = ask.query(self.clock.now(), series_names([series]))
        table, after = self._some(self.house.observations, query, ask, where, "observations")
        if not table.num_rows and not self.house.observations(Query(query.symbols, limit=1)).num_rows:
            raise UnknownSymbol(f"this house has no economic series {series}")
        return Page(table, after, {"series": series})

    def coverage(self, symbol: str, ask: Paged, where: Where) -> Page:
        """What is known about the time of one symbol."""
        query = ask.query(self.clock.now(), (symbol,))
        table, after = self._some(self.house.coverage, query, ask, where, "coverage")
        self._explain(table, symbol)
        return Page(table, after, {"symbol": symbol})

    def findings(self, symbols: tuple[str, ...], ask: Paged, where: Where) -> Page:
        """What the quality checks found."""
        query = ask.query(self.clock.now(), symbols)
        table, after = self._some(self.house.findings, query, ask, where, "findings")
        return Page(table, after, {"metrics": self._newest_metrics(ask.source)})

    def metrics(self, ask: Paged, where: Where) -> Page:
        """Quality as a time series."""
        query = ask.query(self.clock.now())
        return Page(*self._some(self.house.metrics, query, ask, where, "metrics"))

    def _newest_metrics(self, source: str | None) -> list[Any]:
        """The newest value of each quality metric."""
        table = self.house.metrics(Query(source=source, last=NEWEST_METRICS))
        names = zip(table["source"].to_pylist(), table["name"].to_pylist(), strict=True)
        newest = {key: index for index, key in enumerate(names)}
        places = pa.array(sorted(newest.values()), pa.int64())
        return rows(table.take(places).select(["at", "source", "name", "value"]))

    def _some(self, fetch: Fetch, query: Query, ask: Paged, where: Where, name: str) -> tuple[pa.Table, str | None]:
        """One page in the order of the key, and the address of the next one if there is more."""
        if query.last is not None:
            return fetch(query), None
        key = KEYS[name]
        after = cursors.decode(ask.cursor, where.question, tuple(key.values())) if ask.cursor else None
        table = fetch(replace(query, after=after, limit=ask.limit + 1))
        if table.num_rows <= ask.limit:
            return table, None
        table = table.slice(0, ask.limit)
        return table, where.next(cursors.encode(_last_key(table, key), where.question))

    def _ticks_page(self, query: Query, ask: TicksAsk, where: Where) -> tuple[pa.Table, str | None]:
        """Ticks have no key of their own: a page goes on at the time of the last one, past those of it already given."""
        skip = 0
        if ask.cursor:
            time, given = cursors.decode(ask.cursor, where.question, (int, int))
            query, skip = replace(query, start=int(time)), int(given)
        table = self.house.ticks(replace(query, limit=skip + ask.limit + 1))
        more = table.num_rows > skip + ask.limit
        table = table.slice(skip, ask.limit)
        if not more:
            return table, None
        times = table["event_time"].cast(pa.int64())
        newest = times[-1].as_py()
        given = pc.sum(pc.equal(times, newest)).as_py() + (skip if newest == query.start else 0)
        return table, where.next(cursors.encode((newest, given), where.question))

    def _lasting(self, query: Query, ask: BarsAsk | IndicatorsAsk, fetch: Fetch) -> Query:
        """The query with its `last`: a number of rows, or a length of time back from the newest row."""
        if ask.last is None:
            return query
        if not ask.last.isdigit():
            return back(query, ask.last, fetch)
        if ask.start is not None:
            raise BadQuery("last and start exclude each other; last counts back from the newest")
        if ask.cursor:
            raise BadQuery("last gives one page; it does not go with cursor")
        return replace(query, last=int(ask.last))

    def _with_forming(self, table: pa.Table, query: Query) -> pa.Table:
        """The last page with the bars that are forming now, which pages do not have."""
        newest = self.house.bars(Query(query.symbols, query.interval, query.source, last=1, adjust=query.adjust))
        keep = pc.equal(newest["state"].cast(pa.string()), "forming")
        starts = newest["start"].cast(pa.int64())
        if query.start is not None:
            keep = pc.and_(keep, pc.greater_equal(starts, query.start))
        if query.end is not None:
            keep = pc.and_(keep, pc.less(starts, query.end))
        forming = newest.filter(keep)
        return pa.concat_tables([table.cast(BAR), forming.cast(BAR)]) if forming.num_rows else table

    def _explain(self, table: pa.Table, symbol: str, interval: str | None = None) -> None:
        if not table.num_rows:
            self.catalog.explain(symbol, interval)


def encode(page: Page, form: str, simulated: bool) -> Answer:
    """A page in a format.

    JSON is one object: `data` with the rows, `next`, `simulated` and what the question was about.
    """
    if form == "csv":
        return Answer(to_csv(page.flat or page.table), form, page.next)
    if form == "arrow":
        table = (page.flat or page.table).replace_schema_metadata({"simulated": str(simulated).lower()})
        return Answer(to_arrow(table), form, page.next)
    found = {**(page.members or {}), "simulated": simulated, "data": rows(page.table, page.nested), "next": page.next}
    return Answer(msgspec.json.encode(found), form, page.next)


def _last_key(table: pa.Table, key: Mapping[str, type]) -> tuple[str | int, ...]:
    last = table.slice(table.num_rows - 1, 1)
    columns = ((last[name].cast(pa.int64() if kind is int else pa.string()), kind) for name, kind in key.items())
    return tuple(kind() if (value := column[0].as_py()) is None else value for column, kind in columns)
