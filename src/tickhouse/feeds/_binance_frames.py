"""What a socket frame of Binance means: the compiled scanner for trades, the strict decoder for all the rest.

    {"e":"trade","E":1639351062244,"s":"ETHUSDT","t":705291099,"p":"4149.74000000","q":"0.43870000",
     "b":7038593583,"a":7038593613,"T":1639351062243,"m":true,"M":true}                (b and a until June 2024)
    {"e":"aggTrade","E":1617566591315,"s":"BTCUSDT","a":665076760,"p":"58001.03000000","q":"0.08620500",
     "f":745522877,"l":745522877,"T":1617566591314,"m":true,"M":true}
    {"stream":"btcusdt@trade","data":{...}}                                            (any of them in a wrapper)

The decoder is the judge: the scanner takes only what the judge reads the same way. Of a key that stands twice the last
one counts; a key that is not known is passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType

from tickhouse.core.batches import Parsed, RawBatch, TickBatch
from tickhouse.core.kernels.scan import Scan, Scanner, renumber
from tickhouse.core.model import Kind, Reject
from tickhouse.feeds._binance_rows import (
    Candle,
    Names,
    Refused,
    Row,
    bar_batch,
    checked,
    decimal,
    decoded,
    ids,
    microseconds,
    tick_batch,
    undecodable,
)  # fmt: skip

_TRADE = '{"e":"trade","E":<int>,"s":"<symbol>","t":<int:first,last>,"p":"<decimal:price>","q":"<decimal:size>",'
_AGGREGATE = '{"e":"aggTrade","E":<int>,"s":"<symbol>","a":<int>,"p":"<decimal:price>","q":"<decimal:size>",'
_END = '"T":<time:time>,"m":<bool>,"M":<bool>}'
_BARE = (_TRADE + _END, _AGGREGATE + '"f":<int:first>,"l":<int:last>,' + _END, _TRADE + '"b":<int>,"a":<int>,' + _END)
LAYOUTS = (*_BARE, *('{"stream":"<text>","data":' + layout + "}" for layout in _BARE))
"""What the scanner recognises: trades and aggregate trades, bare and in the wrapper of combined streams."""
_INTS, _FLOATS = ("first", "last", "time"), ("price", "size")
_FIRST, _LAST, _TIME = range(3)

T = TypeVar("T")

OTHER_EVENTS = frozenset(
    (
        "kline",
        "depthUpdate",
        "24hrTicker",
        "24hrMiniTicker",
        "1hTicker",
        "4hTicker",
        "1dTicker",
        "avgPrice",
        "serverShutdown",
    )
)
"""Events of other streams, which carry no trades."""


class _Head(Struct):
    """Enough of a frame to see what it is."""

    stream: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    e: str | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET
    code: Raw | UnsetType = UNSET
    msg: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    u: Raw | UnsetType = UNSET
    s: Raw | UnsetType = UNSET
    b: Raw | UnsetType = UNSET
    a: Raw | UnsetType = UNSET
    lastUpdateId: Raw | UnsetType = UNSET
    bids: Raw | UnsetType = UNSET

    def has(self, *names: str) -> bool:
        return all(getattr(self, name) is not UNSET for name in names)


class _Trade(Struct):
    s: str
    t: int
    p: str
    q: str
    T: int


class _Aggregate(Struct):
    s: str
    f: int
    l: int  # noqa: E741
    p: str
    q: str
    T: int


class _Candle(Struct):
    t: int
    i: str
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    v: str
    q: str
    n: int
    x: bool


class _Kline(Struct):
    s: str
    k: _Candle


_head = msgspec.json.Decoder(_Head)
_heads = msgspec.json.Decoder(list[_Head])
_trade = msgspec.json.Decoder(_Trade)
_aggregate = msgspec.json.Decoder(_Aggregate)
_kline = msgspec.json.Decoder(_Kline)


def opened(payload: bytes) -> tuple[str, bytes | Raw]:
    """The event type of a frame, and its text without a wrapper; the type is "" for a frame that is no event.

    Raises `Refused` when it is not understood.
    """
    try:
        checked(payload)
        head = _head.decode(payload)
        if head.has("stream", "data"):
            return _event(head.data, wrapped=True)  # type: ignore[arg-type]
        return _kind_of(head), payload
    except msgspec.ValidationError as error:
        return _event(payload, wrapped=False, first=error)
    except (msgspec.DecodeError, RecursionError) as error:
        raise undecodable(payload, error) from error


def _event(text: bytes | Raw, wrapped: bool, first: Exception | None = None) -> tuple[str, bytes | Raw]:
    """The same of the inner text of a wrapper, or of a list of events, as `!ticker@arr` sends it."""
    try:
        if wrapped and not bytes(text).lstrip().startswith(b"["):
            return _kind_of(_head.decode(text)), text
        for head in _heads.decode(text):
            _kind_of(head, only=OTHER_EVENTS)
        return "", text
    except (msgspec.DecodeError, RecursionError) as error:
        refused = undecodable(bytes(text), (first or error) if isinstance(error, msgspec.ValidationError) else error)
        raise Refused(
            "unknown_type" if refused.reason == "changed_field" else refused.reason, refused.detail
        ) from error


def _kind_of(head: _Head, only: frozenset[str] = OTHER_EVENTS | {"trade", "aggTrade"}) -> str:
    """The event type of a frame without wrapper, "" when it is known and no event. Raises `Refused` for an unknown one."""
    if head.e is not UNSET and head.e in only:
        return str(head.e)
    answer = head.has("id", "result") or head.has("code", "msg") or head.has("error")
    book = head.has("u", "s", "b", "a") or head.has("lastUpdateId", "bids")
    if head.e is UNSET and (answer or book):
        return ""
    shown = "no event type" if head.e is UNSET else f"event type {head.e[:40]!r}"
    raise Refused("unknown_type", f"a frame with {shown} is not known")


def read_tick(payload: bytes, names: Names) -> Row | None:
    """The tick of one frame, None when it carries none: the judge. Raises `Refused` when it is not understood."""
    event, text = opened(payload)
    if event == "trade":
        trade = decoded(_trade, text)
        return _row(trade, trade.t, trade.t, names)
    if event == "aggTrade":
        aggregate = decoded(_aggregate, text)
        return _row(aggregate, aggregate.f, aggregate.l, names)
    return None


def _row(item: _Trade | _Aggregate, first: int, last: int, names: Names) -> Row:
    price, size = decimal(item.p), decimal(item.q, "size")
    return Row(names.of(item.s), microseconds(item.T), price, size, *ids(first, last))


def read_candle(payload: bytes, names: Names) -> Candle | None:
    """The kline of one frame, None when it carries none. Raises `Refused` when it is not understood."""
    event, text = opened(payload)
    if event != "kline":
        return None
    frame: _Kline = decoded(_kline, text)
    k = frame.k
    return Candle(names.of(frame.s), k.i, k.t, (k.o, k.h, k.l, k.c), k.v, k.q, k.n, k.x)


class Frames:
    """Reads batches of socket frames. The symbols seen are kept between calls; what comes out does not depend on them."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._scanner = Scanner(LAYOUTS, _INTS, _FLOATS)
        self._texts: list[str] = []
        self._generation = 0
        self._lock = threading.Lock()

    def renamed(self) -> None:
        """Ask for the names of all symbols anew."""
        with self._lock:
            self._texts.clear()

    def ticks(self, raw: RawBatch) -> Parsed:
        """Trades and aggregate trades as ticks; every other known frame is control."""
        with self._lock:
            scan = self._scanner.scan(raw)
            backwards = scan.ints[_FIRST] > scan.ints[_LAST]
            if scan.recognised == len(raw) and not backwards.any():
                return Parsed(np.zeros(len(raw), np.uint8), self._batch(raw, scan, slice(None)))
            known = (scan.symbol >= 0) & ~backwards
            return self._judged(raw, self._batch(raw, scan, np.flatnonzero(known)), np.flatnonzero(~known))

    def bars(self, raw: RawBatch) -> Parsed:
        """Klines as bars, those still open as forming; every other known frame is control."""

        def read(payload: bytes) -> tuple[Candle, Any] | None:
            candle = read_candle(payload, self._names)
            return (candle, candle.values()) if candle else None

        kinds, indexes, found, rejects = judge(raw, range(len(raw)), read)
        bars = bar_batch(raw, indexes, [c for c, _ in found], [v for _, v in found]) if found else None
        return Parsed(kinds, bars=bars, rejects=rejects)

    def _judged(self, raw: RawBatch, scanned: TickBatch | None, rest: Any) -> Parsed:
        """What was scanned, joined with what the judge says of the other messages."""
        kinds, indexes, rows, rejects = judge(raw, rest.tolist(), self._read)
        if rows:
            judged = tick_batch(raw, indexes, rows)
            scanned = merged(scanned, judged) if scanned is not None else judged
        return Parsed(kinds, scanned, rejects=rejects)

    def _read(self, payload: bytes) -> Row | None:
        return read_tick(payload, self._names)

    def _batch(self, raw: RawBatch, scan: Scan, rows: Any) -> TickBatch | None:
        """The scanned rows as a batch whose symbols are in order of first use."""
        symbol = scan.symbol[rows]
        if not len(symbol):
            return None
        used = np.empty(len(self._scanner.table), np.int32)
        count = renumber(symbol, self._scanner.table.local, used)
        whole = isinstance(rows, slice)
        return TickBatch(
            source=raw.source, lane=raw.lane, symbols=self._spelled(used[:count].tolist()), symbol=symbol,
            event_time=scan.ints[_TIME, rows], received_at=raw.received_at[rows],
            price=scan.floats[0, rows], size=scan.floats[1, rows],
            first_id=scan.ints[_FIRST, rows], last_id=scan.ints[_LAST, rows],
            raw=np.arange(len(raw)) if whole else rows,
        )  # fmt: skip

    def _spelled(self, codes: list[int]) -> list[str]:
        """The canonical symbols of codes of the table."""
        table = self._scanner.table
        if table.generation != self._generation:
            self._generation = table.generation
            self._texts.clear()
        for code in range(len(self._texts), len(table)):
            self._texts.append(self._names.of(table.text(code).decode()))
        return [self._texts[code] for code in codes]


def judge(
    raw: RawBatch, indexes: Any, read: Callable[[bytes], T | None]
) -> tuple[Any, list[int], list[T], tuple[Reject, ...]]:
    """Read the messages `indexes` one by one: the kinds of all, the indexes and rows of the parsed, the rejects."""
    kinds = np.zeros(len(raw), np.uint8)
    parsed: list[int] = []
    rows: list[T] = []
    rejects: list[Reject] = []
    for index in indexes:
        try:
            row = read(raw.payload(index))
        except Refused as refused:
            kinds[index] = Kind.REJECTED
            rejects.append(refused.at(index))
            continue
        if row is None:
            kinds[index] = Kind.CONTROL
        else:
            parsed.append(index)
            rows.append(row)
    return kinds, parsed, rows, tuple(rejects)


def merged(one: TickBatch, two: TickBatch) -> TickBatch:
    """The ticks of two batches of the same messages, in the order of the messages."""
    order = np.argsort(np.concatenate((one.raw, two.raw)), kind="stable")
    names = [*one.symbols, *two.symbols]
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    known, places = list(place), np.array([place[name] for name in names], np.int32)
    symbol = places[np.concatenate((one.symbol, two.symbol + len(one.symbols)))[order]]
    used = np.empty(len(known), np.int32)
    count = renumber(symbol, np.full(len(known), -1, np.int32), used)
    columns = ("event_time", "received_at", "price", "size", "first_id", "last_id", "raw")
    joined: dict[str, Any] = {name: np.concatenate((getattr(one, name), getattr(two, name)))[order] for name in columns}
    return TickBatch(one.source, one.lane, [known[i] for i in used[:count].tolist()], symbol, **joined)
