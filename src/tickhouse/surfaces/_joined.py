"""Indicators beside bars: the JSON object of each row, as it is or picked apart into columns."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tickhouse.core.model import Query


class Indicators:
    """One JSON object of values a row, or None; `wanted` are names, or `all`.

    A name stands for every value that begins with it: `bollinger(20,2)` for `bollinger(20,2).upper` and so on, `sma` for
    `sma(20)` and `sma(50)`.
    """

    def __init__(self, texts: Sequence[str | None], wanted: tuple[str, ...]) -> None:
        self._texts, self.wanted = texts, wanted

    @classmethod
    def beside(
        cls, bars: pa.Table, fetch: Callable[[Query], pa.Table], query: Query, wanted: tuple[str, ...]
    ) -> "Indicators":
        """The newest indicators of each bar of a table."""
        if not bars.num_rows:
            return cls([], wanted)
        starts = bars["start"].cast(pa.int64())
        found = pc.min_max(starts).as_py()
        bounds = {"start": found["min"], "end": found["max"] + 1}
        table = fetch(replace(query, **bounds, versions=False, after=None, limit=None, last=None))
        keys = zip(table["source"].to_pylist(), table["start"].cast(pa.int64()).to_pylist(), strict=True)
        by_bar = dict(zip(keys, table["values"].to_pylist(), strict=True))
        mine = zip(bars["source"].to_pylist(), starts.to_pylist(), strict=True)
        return cls([by_bar.get(key) for key in mine], wanted)

    @cached_property
    def _rows(self) -> list[dict[str, float | None]]:
        return [msgspec.json.decode(text) if text else {} for text in self._texts]

    @cached_property
    def names(self) -> list[str]:
        """The values that were asked for and that any row has."""
        known = dict.fromkeys(name for row in self._rows for name in row)
        return [name for name in known if any(_stands_for(wanted, name) for wanted in self.wanted)]

    @property
    def absent(self) -> list[str]:
        """What was asked for and no row has: not computed here, or without enough history."""
        return [w for w in self.wanted if w != "all" and not any(_stands_for(w, name) for name in self.names)]

    def nested(self) -> list[Any]:
        """One object a row."""
        if "all" in self.wanted:
            return [msgspec.Raw(text.encode()) if text else {} for text in self._texts]
        return [{name: row[name] for name in self.names if name in row} for row in self._rows]

    def flat(self, table: pa.Table) -> pa.Table:
        """The table with one more column a value."""
        for name in self.names:
            table = table.append_column(name, pa.array([row.get(name) for row in self._rows], pa.float64()))
        return table


def _stands_for(wanted: str, name: str) -> bool:
    return wanted in ("all", name) or name.startswith((f"{wanted}.", f"{wanted}("))
