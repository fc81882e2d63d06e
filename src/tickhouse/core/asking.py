"""What a person asks of a house: from texts, dates and names to a `Query`, and why there is no answer."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tickhouse.core.adjusting import NONE, adjustment
from tickhouse.core.errors import BadQuery, NoData, UnknownSymbol, nearest
from tickhouse.core.model import Query, interval_us
from tickhouse.core.symbols import canonical
from tickhouse.core.times import instant, length

SHOWN = 8
"""How many symbols a sentence names."""


def listed(given: str | Iterable[object]) -> list[str]:
    """The parts of one text or several, which are apart by commas or blanks that are not inside brackets.

    >>> listed("sma(20), bollinger(20, 2) vwap"), listed(["sma(20)", "ema(9),rsi(14)"])
    (['sma(20)', 'bollinger(20, 2)', 'vwap'], ['sma(20)', 'ema(9)', 'rsi(14)'])
    """
    texts = [given] if isinstance(given, str) else [str(text) for text in given]
    return [part for text in texts for part in re.split(r"[,\s]+(?![^()]*\))", text) if part]


def question(
    now: int, symbols: str | Sequence[str] | None = None, *, start: Any = None, end: Any = None, as_of: Any = None, **rest: Any
) -> Query:  # fmt: skip
    """The `Query` for symbols in any spelling and times as `times.instant` takes them; `rest` as in `Query`.

    Raises `BadSetting` for a symbol, time or interval that is none, `BadQuery` when start is not before end.

    >>> question(0, "btc/usdt", end="1970-01-02").symbols
    ('BTC-USDT',)
    """
    if rest.get("interval"):
        interval_us(rest["interval"])
    adjustment(rest.get("adjust", NONE))
    given = () if symbols is None else (symbols,) if isinstance(symbols, str) else symbols
    begin, until, believed = (None if time is None else instant(time, now) for time in (start, end, as_of))
    if begin is not None and until is not None and begin >= until:
        raise BadQuery(f"start {start} is not before end {end}")
    return Query(tuple(canonical(one) for one in given), start=begin, end=until, as_of=believed, **rest)


def back(query: Query, text: str, fetch: Callable[[Query], pa.Table]) -> Query:
    """The query for a length of time such as `6h` back from the end of the newest row that `fetch` has.

    Raises `BadSetting` for a text that is none, `BadQuery` when the query has a start.
    """
    reach = length(text)
    if query.start is not None:
        raise BadQuery("last and start exclude each other; last counts back from the newest")
    newest = fetch(replace(query, last=1))
    if not newest.num_rows:
        return query
    end: int = pc.max(newest["start"].cast(pa.int64())).as_py() + interval_us(query.interval or "")
    return replace(query, start=end - reach)


def explain(rows: Iterable[Mapping[str, Any]], symbol: str, interval: str | None = None) -> None:
    """Raise why there is nothing: `UnknownSymbol`, or `NoData` for an interval that is not kept; else return.

    `rows` are the symbols of the house with their `intervals`.
    """
    known: dict[str, list[str]] = {}
    for row in rows:
        known.setdefault(row["symbol"], []).extend(row["intervals"])
    if symbol not in known:
        raise UnknownSymbol(f"this house has no symbol {symbol}{_instead(symbol, sorted(known))}")
    intervals = dict.fromkeys(known[symbol])
    if interval and intervals and interval not in intervals:
        raise NoData(f"{symbol} has no bars of {interval} here; it has {', '.join(intervals)}")


def _instead(symbol: str, known: list[str]) -> str:
    near = nearest(symbol, known)
    if near:
        return f"; did you mean {near}?"
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"; there are {', '.join(known[:SHOWN])}{more}" if known else "; it is empty so far"
