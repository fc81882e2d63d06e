"""One series of several sources: for each window of a symbol of a group, the one source whose bar counts. Pure.

Of the feeds up to the one that was in use in the window (where it changed, up to the last of them), the one with the most
complete bar, and the more preferred one of equal ones; where none of these has a bar, of the other feeds likewise, and where
none has, of sources that are no feed of the group, such as files. So a hole of the first choice that was refilled is its own
again, no volume is ever added to another, and the answer follows from what is stored: the order in the settings, the switches,
and the bars. `surfaces/_sql_views.py` has the same rule in SQL.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from tickhouse.core.times import microseconds

WINDOW = ("symbol", "interval", "start")
Order = Mapping[str, Sequence[str]]
"""The feeds of each symbol of a group, the first choice first."""

Switches = Sequence[Mapping[str, Any]]
"""Rows of `model.SWITCH`, oldest first for each symbol."""


def pick(bars: pl.DataFrame, switches: Switches, order: Order, length: int) -> pl.DataFrame:
    """The `symbol`, `interval`, `start` and `source` that count, of bars of several sources whose windows are `length` us."""
    names = pl.col("symbol", "interval", "source").cast(pl.String)
    ranks = [(symbol, feed, rank) for symbol, feeds in order.items() for rank, feed in enumerate(feeds)]
    ranked = bars.with_columns(names).join(
        pl.DataFrame(ranks, schema=["symbol", "source", "rank"], orient="row"), on=["symbol", "source"], how="left"
    )
    windows = ranked.select("symbol", "start").unique()
    pairs = zip(windows["symbol"], windows["start"].dt.epoch("us"), strict=True)
    reach = reaches(list(pairs), length, switches, order)
    ranked = ranked.join(windows.with_columns(reach=pl.Series(reach, dtype=pl.Int64)), on=["symbol", "start"])
    tier = pl.when(pl.col("rank").is_null()).then(2).otherwise((pl.col("rank") > pl.col("reach")).cast(pl.Int32))
    best = ranked.sort(*WINDOW, tier, -pl.col("completeness").fill_null(0.0), "rank", "source")
    return best.unique(WINDOW, keep="first", maintain_order=True).select(*WINDOW, "source")


def reaches(windows: Sequence[tuple[str, int]], length: int, switches: Switches, order: Order) -> list[int]:
    """For each window (symbol, start) the place of the least preferred feed that was in use in it."""
    moments, taken = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for row in switches:
        feeds = order[row["symbol"]]
        moments[row["symbol"]].append(microseconds(row["at"]))
        taken[row["symbol"]].append(feeds.index(row["to_source"]) if row["to_source"] in feeds else 0)
    found = []
    for symbol, start in windows:
        first, end = bisect_right(moments[symbol], start), bisect_left(moments[symbol], start + length)
        found.append(max([*taken[symbol][max(first - 1, 0) : end], *([0] if first == 0 else [])]))
    return found


def ticks_in_use(ticks: pa.Table, switches: Switches, feeds: Sequence[str]) -> pa.Table:
    """The ticks of one symbol that came from the feed in use at their moment."""
    moments = [0, *(microseconds(row["at"]) for row in switches)]
    taken = [feeds[0], *(row["to_source"] for row in switches)]
    at = ticks["event_time"].cast(pa.int64()).to_numpy()
    used = np.array(taken, dtype=object)[np.searchsorted(moments, at, side="right") - 1]
    return ticks.filter(pa.array(used == np.array(ticks["source"].to_pylist(), dtype=object)))


def newest(table: pa.Table, last: int, order: Order) -> pa.Table:
    """The newest rows of each symbol and interval; of symbols that are in no group also of each source."""
    series = (
        pl.when(pl.col("symbol").cast(pl.String).is_in(list(order)))
        .then(pl.lit(""))
        .otherwise(pl.col("source").cast(pl.String))
    )
    frame = pl.DataFrame(table).group_by("symbol", "interval", series.alias("series"), maintain_order=True).tail(last)
    return frame.select(table.column_names).to_arrow().cast(table.schema)
