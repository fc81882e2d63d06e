"""What changed, as items that can be merged: the newest of what is only shown, every one of what is firm."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from tickhouse.core.clock import SECOND
from tickhouse.core.times import rfc3339
from tickhouse.surfaces import Columns
from tickhouse.surfaces.formats import TIMES, row_type
from tickhouse.surfaces.tables import BAR_COLUMNS

COLUMNS = {
    "bars": BAR_COLUMNS,
    "ticks": ("symbol", "source", "price", "size", "event_time", "received_at"),
    "anomalies": (
        "symbol", "source", "interval", "start", "detector", "version", "value", "threshold", "retracted", "known_at",
    ),
    "coverage": ("source", "symbol", "channel", "start", "end", "state", "missing"),
}  # fmt: skip
"""Every topic, with the columns of its rows."""

_TIMED = {topic: tuple(i for i, name in enumerate(names) if name in TIMES) for topic, names in COLUMNS.items()}
_PLACE = {topic: {name: i for i, name in enumerate(names)} for topic, names in COLUMNS.items()}
_SYMBOL, _SOURCE, _INTERVAL, _START, _STATE = (
    _PLACE["bars"][name] for name in ("symbol", "source", "interval", "start", "state")
)
_second = lru_cache(65_536)(rfc3339)
_encoder = msgspec.json.Encoder()
INTERVALED = ("bars", "anomalies")
Values = tuple[Any, ...]


class Item:
    """One row of a topic. `key` is set where a newer row with the same key replaces it: forming bars, prices, coverage."""

    __slots__ = ("_raw", "_values", "interval", "key", "seq", "start", "symbol", "topic")

    def __init__(self, topic: str, values: Values, seq: int) -> None:
        place = _PLACE[topic]
        self.topic, self.seq, self._values = topic, seq, values
        self.symbol: str = values[place["symbol"]]
        self.interval: str | None = values[place["interval"]] if topic in INTERVALED else None
        self.start: int = values[place["start"]] if "start" in place else 0
        self.key: Values | None = None
        if topic == "bars":
            if values[_STATE] == "forming":
                self.key = _series(values)
        elif topic == "ticks":
            self.key = (topic, self.symbol, values[place["source"]])
        elif topic == "coverage":
            self.key = (topic, self.symbol, values[place["source"]], values[place["channel"]])
        self._raw: bytes | None = None

    @property
    def closes(self) -> Values | None:
        """The key of the forming bar that this firm bar ends."""
        return _series(self._values) if self.topic == "bars" and self.key is None else None

    @property
    def raw(self) -> bytes:
        """The row as JSON, encoded when the first client wants it and then kept."""
        if self._raw is None:
            encode([self])
        assert self._raw is not None
        return self._raw


def encode(items: Sequence[Item]) -> None:
    """Encode the rows of items that are not encoded yet; together they cost half of what they cost one by one."""
    fresh: dict[str, list[Item]] = {}
    for item in items:
        if item._raw is None:
            fresh.setdefault(item.topic, []).append(item)
    for topic, members in fresh.items():
        make, timed = row_type(COLUMNS[topic]), _TIMED[topic]
        rows = []
        for item in members:
            values = list(item._values)
            for place in timed:
                values[place] = _time(values[place])
            rows.append(make(*values))
        for item, line in zip(members, _encoder.encode_lines(rows).splitlines(), strict=True):
            item._raw = line


def items_of(topic: str, columns: Columns, seq: int) -> Iterator[Item]:
    """The rows of columns; a column that is not there is null."""
    absent = [None] * len(columns["symbol"])
    rows = zip(*(columns.get(name, absent) for name in COLUMNS[topic]), strict=True)
    return (Item(topic, values, seq) for values in rows)


def _time(us: int | None) -> str | None:
    """A time as `rfc3339` writes it, from a cache of seconds: most rows of a moment share theirs."""
    if us is None:
        return None
    fraction = us % SECOND
    text = _second(us - fraction)
    return f"{text[:-1]}.{fraction:06}Z" if fraction else text


def _series(values: Values) -> Values:
    return ("bars", values[_SYMBOL], values[_SOURCE], values[_INTERVAL])


class Merged:
    """Items in order, without those that a later one replaced."""

    def __init__(self) -> None:
        self.firm: list[Item] = []
        self.shown: dict[tuple[Any, ...], Item] = {}

    def add(self, items: Iterable[Item]) -> None:
        """Take in later items."""
        for item in items:
            if item.key is None:
                self.firm.append(item)
                _drop_ended(self.shown, item)
                continue
            held = self.shown.get(item.key)
            if held is not None and item.topic == "coverage" and held.start != item.start:
                self.firm.append(held)
            if not _is_past(item, held):
                self.shown[item.key] = item

    def items(self) -> list[Item]:
        """The firm ones first, so that a closed bar comes before the one that forms after it."""
        return [*self.firm, *self.shown.values()]


def _is_past(item: Item, held: Item | None) -> bool:
    """Whether a bar forms that is older than the one that is shown of its series."""
    return item.topic == "bars" and held is not None and item.start < held.start


def _drop_ended(shown: dict[tuple[Any, ...], Item], firm: Item) -> None:
    """A bar that has closed is not forming any more."""
    ended = firm.closes
    if ended is not None and (held := shown.get(ended)) is not None and held.start <= firm.start:
        del shown[ended]


class Recent:
    """What changed lately, for those who were away: all that is shown, and the last `most` firm items."""

    def __init__(self, most: int, floor: int) -> None:
        self._most = most
        self.floor = floor
        self._firm: deque[Item] = deque()
        self._shown: dict[tuple[Any, ...], Item] = {}

    def add(self, items: Iterable[Item]) -> None:
        """Take in later items, and forget the oldest."""
        for item in items:
            if item.key is None:
                _drop_ended(self._shown, item)
                self._keep(item)
                continue
            held = self._shown.get(item.key)
            if held is not None and item.topic == "coverage" and held.start != item.start:
                self._keep(held)
            if not _is_past(item, held):
                self._shown[item.key] = item

    def _keep(self, item: Item) -> None:
        self._firm.append(item)
        if len(self._firm) > self._most:
            self.floor = max(self.floor, self._firm.popleft().seq)

    def clear(self, floor: int) -> None:
        """Forget everything up to a sequence number."""
        self.floor = floor
        self._firm.clear()
        self._shown.clear()

    def covers(self, seq: int, newest: int) -> bool:
        """Whether everything after `seq` is still known."""
        return self.floor <= seq <= newest

    def since(self, seq: int) -> Iterator[Item]:
        """The items after `seq`, firm ones first."""
        yield from (item for item in self._firm if item.seq > seq)
        yield from (item for item in self._shown.values() if item.seq > seq)


Part = tuple[str, frozenset[str] | None, frozenset[str] | None]


@dataclass(frozen=True)
class Filter:
    """What a client listens to: per topic the symbols and the intervals, None for all. Equal filters share their messages."""

    parts: tuple[Part, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[Part]) -> "Filter":
        """A filter in the one order that makes equal ones equal."""
        return cls(tuple(sorted(parts, key=lambda part: part[0])))

    @cached_property
    def topics(self) -> dict[str, tuple[frozenset[str] | None, frozenset[str] | None]]:
        """Symbols and intervals by topic."""
        return {topic: (symbols, intervals) for topic, symbols, intervals in self.parts}

    @cached_property
    def symbols(self) -> frozenset[str] | None:
        """Every symbol that any topic wants; None for all."""
        wanted = [symbols for _, symbols, _ in self.parts]
        return None if None in wanted else frozenset().union(*(s for s in wanted if s is not None))

    def wants(self, item: Item) -> bool:
        """Whether the client listens to this item."""
        found = self.topics.get(item.topic)
        if found is None:
            return False
        symbols, intervals = found
        return (symbols is None or item.symbol in symbols) and (
            intervals is None or item.interval is None or item.interval in intervals
        )

    def choose(self, items: list[Item], by_symbol: dict[str, list[Item]]) -> list[Item]:
        """The items of one moment that the client listens to."""
        if self.symbols is None:
            return [item for item in items if self.wants(item)]
        names = self.symbols if len(self.symbols) < len(by_symbol) else by_symbol.keys() & self.symbols
        return [item for name in names for item in by_symbol.get(name, ()) if self.wants(item)]


class Change:
    """What all clients with one filter are told at one moment; encoded once, however many they are."""

    __slots__ = ("__dict__", "items", "seq")

    def __init__(self, seq: int, items: list[Item]) -> None:
        self.seq, self.items = seq, items

    @cached_property
    def payload(self) -> bytes:
        """The message as JSON."""
        return message("changes", self.seq, self.items)

    @cached_property
    def text(self) -> str:
        """The message as text."""
        return self.payload.decode()

    @cached_property
    def frame(self) -> bytes:
        """The message as a whole WebSocket frame."""
        return frame(self.payload)


def message(kind: str, seq: int, items: Iterable[Item], **members: Any) -> bytes:
    """A message with the rows of each topic.

    >>> message("changes", 7, [])
    b'{"type":"changes","seq":7}'
    """
    rows: dict[str, list[bytes]] = {}
    items = list(items)
    encode(items)
    for item in items:
        rows.setdefault(item.topic, []).append(item.raw)
    head = _encoder.encode({"type": kind, "seq": seq, **members})[:-1]
    topics = [b',"%s":[%s]' % (topic.encode(), b",".join(parts)) for topic, parts in rows.items()]
    return head + b"".join(topics) + b"}"


def frame(payload: bytes) -> bytes:
    """An unfragmented text frame from server to client (RFC 6455, section 5.2).

    >>> frame(b"hi")
    b'\\x81\\x02hi'
    """
    size = len(payload)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
