"""Indicators beside bars, for every surface: what the house keeps as it is stored, any other computed from the bars.

A name is `all`, a value such as `bollinger(20,2).upper`, a label such as `bollinger(20,2)` for all of its values, or the name of an
indicator: `sma` stands for every `sma(...)` that the house keeps, and for that with the usual parameters where it keeps none.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from tickhouse.core import plugins
from tickhouse.core.batches import F64, I64
from tickhouse.core.errors import BadQuery, BadSetting, UnknownName, nearest
from tickhouse.core.model import Query
from tickhouse.core.values import Values

Kept = dict[str, float]
"""The stored values of one bar by name."""
OBJECT = msgspec.json.Decoder(Kept)
ALL = "all"
NAME = re.compile(r"\s*(?P<label>[a-z_][a-z0-9_]*\s*(\([^()]*\))?)(?:\.(?P<output>[a-z0-9_]+))?\s*")


class Stored(Protocol):
    """Where closed bars and their indicators are read."""

    def bars(self, query: Query) -> pa.Table:
        """Stored bars, schema `model.BAR`."""

    def indicators(self, query: Query) -> pa.Table:
        """Stored indicator rows, schema `model.INDICATOR`."""


@dataclass(frozen=True, slots=True)
class _Series:
    """The closed bars of one series in a table: which rows they are, when they start, what is stored of each."""

    query: Query
    rows: I64
    starts: I64
    kept: list[Kept]


class Beside:
    """Finds the values that were asked for; `configured` are the indicators that the settings name."""

    def __init__(self, stored: Stored, configured: Sequence[str]) -> None:
        self._stored, self._texts = stored, configured

    def values(self, bars: pa.Table, wanted: Sequence[str], as_of: int | None = None) -> Values:
        """The values beside closed bars, as they were believed at `as_of`; beside every version of a bar its newest.

        A value that is not stored is computed from the first bar on that the house has, or that matters. Raises `BadSetting`
        for a name that means nothing.
        """
        series = [self._read(*one, as_of) for one in _series(bars)]
        known = self._newest(series) | _names(one.kept for one in series)
        chosen = self._chosen(wanted, list(known))
        found = {name: np.full(bars.num_rows, np.nan) for name in [*(known if ALL in wanted else ()), *chosen]}
        for one in series:
            for name, column in found.items():
                column[one.rows] = [row.get(name, np.nan) for row in one.kept]
            self._complete(one, {name: found[name] for name in chosen})
        return found

    def picked(self, rows: pa.Table, wanted: Sequence[str]) -> Values:
        """The values in indicator rows. Raises `BadSetting` for a name that means nothing, `BadQuery` for one that is not kept."""
        kept = [_decoded(text) for text in rows["values"].to_pylist()]
        known = _names([kept[-1:], kept])
        chosen = self._chosen(wanted, list(known))
        for name in chosen if kept else ():
            if name not in known and name not in self._configured:
                raise BadQuery(f"this house does not keep {name}; it is computed where bars are asked with it")
        names = dict.fromkeys([*(known if ALL in wanted else ()), *chosen])
        return {name: np.array([row.get(name, np.nan) for row in kept], np.float64) for name in names}

    @cached_property
    def _configured(self) -> list[str]:
        """The values of the indicators that the settings name."""
        from tickhouse.process import catalog

        return catalog.names_of([catalog.indicator(text) for text in self._texts])

    def _read(self, series: Query, rows: I64, starts: I64, as_of: int | None) -> _Series:
        """What is stored of bars of one series."""
        query = replace(series, as_of=as_of)
        table = self._stored.indicators(replace(query, start=int(starts.min()), end=int(starts.max()) + 1))
        texts = dict(zip(_starts(table).tolist(), table["values"].to_pylist(), strict=True))
        return _Series(query, rows, starts, [_decoded(texts.get(start)) for start in starts.tolist()])

    def _newest(self, series: Iterable[_Series]) -> dict[str, None]:
        """The names in the newest row of each series, which has had the longest history."""
        tables = [self._stored.indicators(replace(one.query, last=1)) for one in series]
        return _names([_decoded(text) for text in table["values"].to_pylist()] for table in tables)

    def _chosen(self, wanted: Sequence[str], known: Sequence[str]) -> list[str]:
        """The values that names other than `all` stand for, each once."""
        return list(dict.fromkeys(v for name in wanted if name != ALL for v in self._meant(name, known)))

    def _meant(self, name: str, known: Sequence[str]) -> list[str]:
        """The values that one name stands for: stored ones, those of the settings, or those that can be computed."""
        found = [value for value in known if _stands_for(name, value)]
        return found or [value for value in self._configured if _stands_for(name, value)] or self._other(name, known)

    def _other(self, name: str, known: Sequence[str]) -> list[str]:
        from tickhouse.process import catalog

        parts = NAME.fullmatch(name)
        try:
            values = catalog.names_of([catalog.indicator(parts["label"] if parts else name)])
        except UnknownName as unknown:
            raise BadSetting("indicators", name, _expected(name, [*self._configured, *known])) from unknown
        except BadSetting as bad:
            raise BadSetting("indicators", name, bad.expected) from bad
        output = parts["output"] if parts else None
        found = [value for value in values if output is None or value.endswith(f".{output}")]
        if not found:
            raise BadSetting("indicators", name, " or ".join(values))
        return found

    def _complete(self, series: _Series, columns: Values) -> None:
        """Compute what is not stored and put it into the columns."""
        lacking = {name: np.isnan(column[series.rows]) for name, column in columns.items()}
        lacking = {name: empty for name, empty in lacking.items() if empty.any()}
        if not lacking:
            return
        places = np.flatnonzero(np.logical_or.reduce(list(lacking.values())))
        starts = series.starts[places]
        for name, computed in self._computed(series.query, starts, list(lacking)).items():
            column, rows = columns[name], series.rows[places]
            column[rows] = np.where(np.isnan(column[rows]), computed, column[rows])

    def _computed(self, series: Query, starts: I64, names: Sequence[str]) -> dict[str, F64]:
        """Values of the bars that start at `starts`, as the engine would have kept them."""
        from tickhouse.process import catalog
        from tickhouse.process.analysis import compute

        members = [catalog.indicator(label) for label in dict.fromkeys(_label(name) for name in names)]
        memories = [one.memory for one in members]
        bars = self._bars(series, starts, None if None in memories else max(m for m in memories if m is not None))
        there = _starts(bars)
        at = np.minimum(np.searchsorted(there, starts), max(0, len(there) - 1))
        values = compute(bars, [one.label for one in members])
        found = {name: values[name][at] if len(there) else np.full(len(starts), np.nan) for name in names}
        real = there[at] == starts if len(there) else np.zeros(len(starts), np.bool_)
        return {name: np.where(real & np.isfinite(column), column, np.nan) for name, column in found.items()}

    def _bars(self, series: Query, starts: I64, memory: int | None) -> pa.Table:
        """The bars up to the last of `starts`: all of them, or from `memory` bars before the first."""
        first, end = int(starts.min()), int(starts.max()) + 1
        if memory is None:
            return self._stored.bars(replace(series, end=end))
        before = self._stored.bars(replace(series, end=first, last=memory))
        return pa.concat_tables([before, self._stored.bars(replace(series, start=first, end=end))])


def _series(bars: pa.Table) -> Iterable[tuple[Query, I64, I64]]:
    """Each series of a table with the rows of its closed bars and their starts."""
    starts, groups = _starts(bars), dict[tuple[Any, ...], list[int]]()
    names = (bars[name].to_pylist() for name in ("symbol", "interval", "source", "state"))
    for place, (symbol, interval, source, state) in enumerate(zip(*names, strict=True)):
        if state != "forming":
            groups.setdefault((symbol, interval, source), []).append(place)
    for (symbol, interval, source), places in groups.items():
        rows = np.array(places, np.int64)
        yield Query((symbol,), interval, source), rows, starts[rows]


def _starts(table: pa.Table) -> I64:
    return np.asarray(table["start"].cast(pa.int64()), np.int64)


def _decoded(text: str | None) -> Kept:
    return OBJECT.decode(text) if text else {}


def _names(parts: Iterable[Iterable[Kept]]) -> dict[str, None]:
    return dict.fromkeys(name for kept in parts for row in kept for name in row)


def _stands_for(name: str, value: str) -> bool:
    return value == name or value.startswith((f"{name}.", f"{name}("))


def _label(value: str) -> str:
    """The indicator that a value is of: `bollinger(20,2)` of `bollinger(20,2).upper`."""
    parts = NAME.fullmatch(value)
    return parts["label"] if parts else value


def _expected(name: str, known: Iterable[str]) -> str:
    """What may stand instead of a name that means nothing."""
    kinds = plugins.names("process.indicators")
    near = nearest(name.partition("(")[0], kinds)
    kept = ", ".join(dict.fromkeys(_label(value) for value in known))
    hint = f"; did you mean {near}?" if near else ""
    return f"all, one of {kept}, or {', '.join(kinds)} with other parameters{hint}"
