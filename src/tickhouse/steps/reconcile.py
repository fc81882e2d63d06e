"""How two sources differ on the same bars: column by column, over closed bars that start at the same moment."""

from dataclasses import replace
from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from tickhouse.core.errors import BadQuery, NoData
from tickhouse.core.model import Query

COMPARED = ("close", "high", "low")
PRICES = ("open", *COMPARED)
NEEDED = ("start", *PRICES, "volume", "version", "first_raw", "last_raw")
BASIS_POINTS = 10_000.0


class Stored(Protocol):
    """Where closed bars are read."""

    def bars(self, query: Query) -> pa.Table:
        """Stored bars, schema `model.BAR`."""


def reconcile(stored: Stored, query: Query, a: str, b: str, worst: int = 10) -> dict[str, Any]:
    """What the bars of a symbol say of two sources: how many are `compared`, of one alone, and `equal` in their four prices; by
    close, high and low the largest and the median distance of `b` from `a` in basis points; the volume of `b` over that of `a`;
    and the `worst` bars that are farthest apart, with the positions of the messages that each was made of.

    Raises `BadQuery` for a source with itself, `NoData` where one of them has no bars at all in the range.
    """
    if a == b:
        raise BadQuery(f"{a} is compared with itself; name two sources")
    sides = [_bars(stored, replace(query, source=source)) for source in (a, b)]
    for source, bars in zip((a, b), sides, strict=True):
        if not bars.height:
            raise NoData(f"{source} has no {query.interval} bars of {query.symbols[0]} there")
    joined = sides[0].join(sides[1], on="start", suffix="_b").with_columns(_distance(name) for name in COMPARED)
    joined = joined.with_columns(apart=pl.max_horizontal(f"{name}_bp" for name in COMPARED))
    equal = joined.select(pl.all_horizontal(pl.col(name) == pl.col(f"{name}_b") for name in PRICES).sum()).item()
    return {
        "symbol": query.symbols[0], "interval": query.interval, "a": a, "b": b,
        "bars": {
            "compared": joined.height, "only_a": sides[0].height - joined.height,
            "only_b": sides[1].height - joined.height, "equal": equal,
        },
        "basis_points": {
            name: {"largest": joined[f"{name}_bp"].max(), "median": joined[f"{name}_bp"].median()} for name in COMPARED
        },
        "volume_ratio": _volume_ratio(joined),
        "worst": [_told(row) for row in _farthest(joined, worst).iter_rows(named=True)],
    }  # fmt: skip


def _bars(stored: Stored, query: Query) -> pl.DataFrame:
    """The closed bars of one source."""
    table = stored.bars(query)
    return pl.DataFrame(table.select(list(NEEDED)))


def _distance(name: str) -> pl.Expr:
    """How far `b` is from `a`, in basis points of `a`; null where `a` is 0."""
    a, b = pl.col(name), pl.col(f"{name}_b")
    return pl.when(a != 0).then((b - a).abs() / a.abs() * BASIS_POINTS).alias(f"{name}_bp")


def _volume_ratio(joined: pl.DataFrame) -> float | None:
    """The volume of `b` over that of `a`, of the bars in which both know it."""
    volumes = joined.select("volume", "volume_b").fill_nan(None).drop_nulls().sum()
    a, b = volumes.row(0) if joined.height else (0.0, 0.0)
    return b / a if a else None


def _farthest(joined: pl.DataFrame, count: int) -> pl.DataFrame:
    """The bars that differ most; of equal ones the oldest first."""
    apart = joined.filter(pl.col("apart") > 0)
    return apart.sort("apart", "start", descending=[True, False]).head(count)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A bar with what each source says of it. `raw` are the positions of the first and the last message that it was made of."""
    sides = {
        side: {
            **{name: row[f"{name}{end}"] for name in (*PRICES, "volume", "version")},
            "raw": [row[f"first_raw{end}"], row[f"last_raw{end}"]],
        }
        for side, end in (("a", ""), ("b", "_b"))
    }
    return {"start": row["start"], "basis_points": row["apart"], **sides}
