"""How a file of ticks or bars is written: which column holds what, and how its times and numbers look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from tickhouse.core.errors import BadSetting, nearest
from tickhouse.core.kernels.moments import NO_DAY
from tickhouse.core.model import interval_us
from tickhouse.core.symbols import canonical

TICK_COLUMNS = ("time", "clock", "symbol", "price", "size", "bid", "ask", "id", "conditions")
BAR_COLUMNS = ("time", "clock", "symbol", "open", "high", "low", "close", "volume", "vwap", "trades")
NUMBERS = frozenset(("price", "size", "bid", "ask", "open", "high", "low", "close", "volume", "vwap"))
PRICES = NUMBERS - {"size", "volume"}
WHOLE = frozenset(("id", "trades"))
TEXTS = frozenset(("symbol", "conditions"))
OPTIONAL = frozenset(("clock", "symbol", "size", "id", "conditions", "volume", "vwap", "trades"))
"""Columns that a file may lack, and fields that may be empty."""
PRICE_OF = ("last", "mid", "bid", "ask")
STAMPS = ("open", "close")
QUOTES, SKIPPED = '"', "-"
SHOWN = 200
"""How much of a header a message shows."""
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Layout:
    """The shape of the lines of one file; what `parse` needs to know besides the lines themselves.

    `columns` gives the place of each named column, `width` how many columns a line has, `header` the text of the header line
    (empty when there is none). `tz` is the zone of times without one: a name such as America/New_York or an offset such as -05:00.
    `date` is the day of times of day, for files that have it only in their name. Prices are divided by `scale`. `price` says
    what the price of a tick is: the column `price` ("last"), or the bid, the ask or the middle of a quote. `stamped` says whether
    bars carry the time of their open or of their close. Raises `BadSetting`.
    """

    kind: str
    columns: Mapping[str, int]
    width: int
    separator: str = ","
    header: str = ""
    tz: str = "UTC"
    day_first: bool = False
    date: str = ""
    symbol: str = ""
    interval: str = ""
    scale: float = 1.0
    price: str = "last"
    stamped: str = "open"
    decimal: str = "."
    comment: str = "#"
    source: str = "csv"

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, ("ticks", "bars"))
        _one_of("price", self.price, PRICE_OF)
        _one_of("stamped", self.stamped, STAMPS)
        _one_of("decimal", self.decimal, (".", ","))
        for key, text in (("separator", self.separator), ("comment", self.comment)):
            if len(text.encode()) != 1 or text in QUOTES:
                raise BadSetting(key, text, "one plain character")
        if not self.scale > 0 or self.scale == float("inf"):
            raise BadSetting("scale", self.scale, "a number above 0, such as 10000")
        zone(self.tz)
        self._check_columns()
        if self.kind == "bars":
            interval_us(self.interval)
        if self.symbol:
            object.__setattr__(self, "symbol", canonical(self.symbol))
        if self.date:
            object.__setattr__(self, "date", _date(self.date).isoformat())

    def _check_columns(self) -> None:
        known = TICK_COLUMNS if self.kind == "ticks" else BAR_COLUMNS
        for name, place in self.columns.items():
            if name not in known:
                near = nearest(name, known)
                hint = f"; did you mean {near!r}?" if near else ""
                raise BadSetting("columns", name, f"one of {', '.join(known)}{hint}")
            if not 0 <= place < self.width:
                raise BadSetting(f"columns.{name}", place, f"a column from 0 to {self.width - 1}")
        missing = [name for name in self.needed if name not in self.columns]
        if missing:
            names = ",".join(placed(self.columns, self.width))
            raise BadSetting("columns", self.header or names, lacking(self.columns, self.width, missing))
        if "symbol" not in self.columns and not self.symbol:
            named = self.header or ",".join(placed(self.columns, self.width))
            raise BadSetting(
                "symbol", "", f"a symbol such as AAPL, since no column of the file names one: {named[:SHOWN]}"
            )

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that every line must fill."""
        if self.kind == "bars":
            return "time", "open", "high", "low", "close"
        quote = {"last": ("price",), "mid": ("bid", "ask"), "bid": ("bid",), "ask": ("ask",)}
        return "time", *quote[self.price]

    @cached_property
    def day_us(self) -> int:
        """The start of `date` in microseconds, NO_DAY without one."""
        return (_date(self.date) - _EPOCH) // timedelta(microseconds=1) if self.date else NO_DAY

    def to_detail(self) -> dict[str, str]:
        """The layout as texts, for the mark that begins a load.

        >>> layout = Layout("ticks", {"time": 0, "price": 2}, 3, symbol="aapl", tz="America/New_York")
        >>> Layout.from_detail(layout.to_detail()) == layout
        True
        """
        names = ["" if name == SKIPPED else name for name in placed(self.columns, self.width)]
        others = [f for f in fields(self) if f.name not in ("columns", "width") and getattr(self, f.name) != f.default]
        return {"columns": ",".join(names), **{f.name: str(getattr(self, f.name)) for f in others}}

    @classmethod
    def from_detail(cls, detail: Mapping[str, str]) -> "Layout":
        """The layout of those texts; other keys are passed over. Raises `BadSetting`."""
        values: dict[str, Any] = {f.name: detail[f.name] for f in fields(cls) if f.name in detail and f.name != "width"}
        columns, width = named_columns(values.pop("columns", ""))
        if "scale" in values:
            values["scale"] = _number("scale", values["scale"])
        if "day_first" in values:
            values["day_first"] = str(values["day_first"]).lower() in ("true", "1", "yes")
        return cls(**{"kind": "", **values}, columns=columns, width=width)


def placed(columns: Mapping[str, int], width: int) -> list[str]:
    """The names of columns in their order, as `named_columns` reads them."""
    names = [SKIPPED] * width
    for name, place in columns.items():
        names[place] = name
    return names


def lacking(columns: Mapping[str, int], width: int, missing: Sequence[str]) -> str:
    """What is expected where columns are missing, with what to write instead.

    >>> lacking({"price": 1}, 3, ["time"])
    'a column for time among them; name all in their order, - for one to pass over, such as time,price,-'
    """
    names, left = placed(columns, width), list(missing)
    filled = [left.pop(0) if name == SKIPPED and left else name for name in names]
    example = "" if left else f", such as {','.join(filled)}"
    return f"a column for {' and '.join(missing)} among them; name all in their order, - for one to pass over{example}"


def named_columns(text: str) -> tuple[dict[str, int], int]:
    """Columns declared in order, the unused ones left empty or as -, and how many there are.

    >>> named_columns("time,price,-,size")
    ({'time': 0, 'price': 1, 'size': 3}, 4)
    """
    names = [name.strip().lower() for name in text.split(",")]
    names = ["" if name == SKIPPED else name for name in names]
    found = {name: place for place, name in enumerate(names) if name}
    if len(found) < sum(map(bool, names)):
        raise BadSetting("columns", text, "each column once")
    return found, len(names)


def zone(text: str) -> timedelta | ZoneInfo:
    """A time zone: a fixed offset, or the rules of a place. Raises `BadSetting`."""
    if text.upper() in ("UTC", "GMT", "Z"):
        return timedelta(0)
    try:
        return datetime.strptime(text, "%z").utcoffset() or timedelta(0)
    except ValueError:
        pass
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise BadSetting("tz", text, "a time zone such as America/New_York, Europe/Berlin or -05:00") from None


def _one_of(key: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise BadSetting(key, given, " or ".join(allowed))


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadSetting("date", text, "a date such as 2013-10-07") from None


def _number(key: str, text: Any) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadSetting(key, text, "a number") from None
