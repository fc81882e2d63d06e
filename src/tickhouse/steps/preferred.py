"""What a reader is told of a symbol of a group when he names no source: one series, as `picking` says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tickhouse.core.model import Query, interval_us
from tickhouse.core.settings import Settings
from tickhouse.core.times import microseconds
from tickhouse.stores import Warm
from tickhouse.surfaces import Columns

if TYPE_CHECKING:
    import polars as pl

Fetch = Callable[[Query], pa.Table]
Row = dict[str, Any]


def in_use(warm: Warm, symbols: Sequence[str] = ()) -> dict[str, str]:
    """The source that was taken last, by symbol; a symbol that is not there never left its first choice."""
    rows = warm.switches(Query(tuple(symbols))).to_pylist()
    return {row["symbol"]: row["to_source"] for row in rows}


def orders(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The feeds of every symbol of a group, the first choice first."""
    return {symbol: group.feeds for group in settings.groups.values() for symbol in group.symbols}


class Preferred:
    """Chooses rows of one source from rows of several, for the symbols of groups; other rows stay as they are."""

    def __init__(self, order: Mapping[str, Sequence[str]], warm: Warm) -> None:
        self.order, self.warm = order, warm
        self._known: dict[str, str] | None = None

    def concerns(self, query: Query) -> bool:
        """Whether there is anything to choose."""
        return query.source is None and any(s in self.order for s in query.symbols or self.order)

    def active(self, symbols: Sequence[str]) -> dict[str, str]:
        """The source in use now, of each symbol that is in a group."""
        mine = [symbol for symbol in symbols if symbol in self.order]
        last = in_use(self.warm, mine) if mine else {}
        return {symbol: last.get(symbol, self.order[symbol][0]) for symbol in mine}

    def ticks(self, ticks: pa.Table, query: Query) -> pa.Table:
        """The ticks of one symbol; in a group, of each moment those of the feed that was in use."""
        if not self.concerns(query) or not ticks.num_rows:
            return ticks
        from tickhouse.steps.picking import ticks_in_use

        switches = self.warm.switches(Query(query.symbols, as_of=query.as_of)).to_pylist()
        return ticks_in_use(ticks, switches, self.order[query.symbols[0]])

    def latest(self, rows: Sequence[Row], heard: bool = False) -> list[Row]:
        """Newest prices: of a symbol of a group that of the feed in use, or the newest where that has none yet.

        `heard` is for those who hear of every switch (`learn`); others have it looked up.
        """
        if not self.order:
            return list(rows)
        active = self._active() if heard else self.active(tuple({row["symbol"] for row in rows}))
        best = dict[str, Row]()
        for row in rows:
            if (symbol := row["symbol"]) in self.order:
                best[symbol] = max(
                    best.get(symbol, row), row, key=lambda r: (r["source"] == active[r["symbol"]], r["event_time"])
                )
        return [row for row in rows if row["symbol"] not in self.order or best[row["symbol"]] is row]

    def forming(self, stored: pa.Table, forming: Sequence[Row]) -> tuple[pa.Table, list[Row]]:
        """Stored and forming bars with one a window: what forms in the feed in use comes before what others have closed."""
        active = self.active([row["symbol"] for row in forming])
        kept = [row for row in forming if active.get(row["symbol"], row["source"]) == row["source"]]
        open_ = {(row["symbol"], row["interval"], row["start"]) for row in kept if row["symbol"] in active}
        if not open_ or not stored.num_rows:
            return stored, kept
        keys = zip(
            *(stored[n].to_pylist() for n in ("symbol", "interval")),
            stored["start"].cast(pa.int64()).to_pylist(),
            strict=True,
        )
        return stored.filter(pa.array([key not in open_ for key in keys])), kept

    def shown(self, changed: Columns) -> Columns:
        """Changes of bars or anomalies without those that do not count: what forms elsewhere, what another feed has better."""
        if not self.order or not any(symbol in self.order for symbol in changed["symbol"]):
            return changed
        kept = self._shown(changed)
        return {name: [column[row] for row in kept] for name, column in changed.items()}

    def learn(self, switches: pa.Table) -> None:
        """Hear of switches that were just stored."""
        known = self._active()
        known |= {row["symbol"]: row["to_source"] for row in switches.to_pylist() if row["symbol"] in self.order}

    def _active(self) -> dict[str, str]:
        """The source in use of every symbol of a group; kept for those who hear of every switch."""
        if self._known is None:
            self._known = self.active(tuple(self.order))
        return self._known

    def _shown(self, changed: Columns) -> list[int]:
        import polars as pl

        active, kept, unsure = self._active(), [], []
        states = changed.get("state", [""] * len(changed["symbol"]))
        complete = changed.get("completeness", [0.0] * len(states))
        for row, (symbol, source) in enumerate(zip(changed["symbol"], changed["source"], strict=True)):
            feeds = self.order.get(symbol, (source,))
            sure = source == active.get(symbol, source) if states[row] == "forming" else complete[row] == 1.0
            if symbol not in self.order or (sure and (states[row] == "forming" or source == feeds[0])):
                kept.append(row)
            elif states[row] != "forming":
                unsure.append(row)
        if unsure:
            names = ("symbol", "interval", "source", "start")
            windows = pl.DataFrame({n: [changed[n][row] for row in unsure] for n in names} | {"row": unsure})
            windows = windows.with_columns(pl.from_epoch("start", "us").dt.replace_time_zone("UTC"))
            chosen = self.chosen(windows, Query())
            kept += windows.join(chosen, on=["symbol", "interval", "start", "source"], how="semi")["row"].to_list()
        return sorted(kept)

    def rows(self, fetch: Fetch, query: Query) -> pa.Table:
        """The answer of `fetch` (bars, indicators or anomalies) with one source a window. Pages are as full as was asked for."""
        if not self.concerns(query):
            return fetch(query)
        table = fetch(query)
        parts, left = [self._kept(table, query)], query.limit
        while left is not None and table.num_rows == left and sum(map(len, parts)) < left:
            table = fetch(replace(query, after=_key(table)))
            parts.append(self._kept(table, query))
        kept = pa.concat_tables(parts)
        if query.last is not None:
            return self.newest(kept, query.last)
        return kept if left is None else kept.slice(0, left)

    def newest(self, table: pa.Table, last: int) -> pa.Table:
        """So many of the newest rows of each series."""
        from tickhouse.steps.picking import newest

        return newest(table, last, self.order)

    def _kept(self, table: pa.Table, query: Query) -> pa.Table:
        import polars as pl

        frame = pl.DataFrame(table).with_row_index("row_number")
        mine = frame.filter(pl.col("symbol").cast(pl.String).is_in(list(self.order)))
        if mine.is_empty():
            return table
        keys = mine.select(pl.col("symbol", "interval", "source").cast(pl.String), "start", "row_number")
        kept = keys.join(self.chosen(keys, query), on=["symbol", "interval", "start", "source"], how="semi")[
            "row_number"
        ]
        dropped = set(mine["row_number"].to_list()) - set(kept.to_list())
        return table.take(pa.array([row for row in range(table.num_rows) if row not in dropped], pa.int64()))

    def chosen(self, windows: "pl.DataFrame", query: Query) -> "pl.DataFrame":
        """The symbol, interval, start and source that count, of every window in a frame that has these columns."""
        import polars as pl

        from tickhouse.steps.picking import WINDOW, pick

        found = []
        for (interval,), some in windows.group_by("interval"):
            names = tuple(some["symbol"].unique().sort())
            first, last = some["start"].dt.epoch("us").min(), some["start"].dt.epoch("us").max()
            asked = Query(names, str(interval), start=first, end=last + 1, as_of=query.as_of, before=query.before)  # type: ignore[operator,arg-type]
            bars = pl.DataFrame(self.warm.bars(asked).select([*WINDOW, "source", "completeness"]))
            switches = self.warm.switches(Query(names, as_of=query.as_of))
            found.append(pick(bars, switches.to_pylist(), self.order, interval_us(str(interval))))
        return pl.concat(found)


def _key(table: pa.Table) -> tuple[Any, ...]:
    """The key of the last row of a page."""
    row = table.slice(table.num_rows - 1).to_pylist()[0]
    names = ("symbol", "interval", "start", "source", "version", "detector")
    values = {**row, "start": microseconds(row["start"])}
    return tuple(values[name] for name in names if name in values)
