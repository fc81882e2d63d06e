"""Entries for the tests of the journal and the lake, small and plain."""

import numpy as np

from tickhouse.core.batches import LIVE, BarBatch, Entry, RawBatch, TickBatch, every_kind
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import Kind, Reject

T0 = 1_767_225_600_000_000
SECOND = 1_000_000


def message(number: int, size: int = 0) -> bytes:
    text = b'{"e":"trade","t":%d,"p":"%d.25"}' % (number, 100 + number % 7)
    return text + b" " * max(0, size - len(text))


def entry(
    n: int = 3, start: int = 0, *, source: str = "binance", lane: str = LIVE, size: int = 0, **more: object
) -> Entry:
    """n trades, one tick each; number `start + i` is traded at T0 + (start + i) seconds and received half a second later."""
    numbers = range(start, start + n)
    received = np.array([T0 + i * SECOND + SECOND // 2 for i in numbers], np.int64)
    raw = RawBatch.of(source, "trade", [message(i, size) for i in numbers], received, lane)
    rows = [
        {"symbol": f"S{i % 2}", "event_time": T0 + i * SECOND, "received_at": int(received[i - start]), "price": 100 + i % 7 + 0.25,
         "size": 1.5 if i % 3 else None, "last_id": i, "conditions": "odd" if i % 2 else None, "raw": i - start} for i in numbers
    ]  # fmt: skip
    return Entry(raw, every_kind(n, Kind.PARSED), TickBatch.of(source, rows, lane), **more)


def noise(n: int, size: int, seed: int = 0) -> Entry:
    """n messages that do not compress, without ticks."""
    rng = np.random.default_rng(seed)
    payloads = [rng.bytes(size) for _ in range(n)]
    return Entry(RawBatch.of("noise", "bytes", payloads, T0 + seed), every_kind(n, Kind.CONTROL))


def rejected(bad: tuple[int, ...] = (1,), n: int = 3, start: int = 0, **about: str) -> Entry:
    """n messages of which some were not understood."""
    whole = entry(n, start, **about)
    kinds = whole.kinds.copy()
    kinds[list(bad)] = Kind.REJECTED
    rejects = tuple(Reject(i, "malformed", f"message {i} is no JSON") for i in bad)
    keep = ~np.isin(np.arange(n), bad)
    return Entry(whole.raw, kinds, whole.ticks.take(keep), rejects=rejects)


def link(at: int, event: Event = Event.ALIVE) -> Entry:
    mark = Mark(event, at, "line-1", "trade", ("S0", "S1"), {"why": "test"})
    return Entry(RawBatch.of("binance", LINK, [mark.encode()], at), every_kind(1, Kind.CONTROL), marks=(mark,))


def bars(n: int = 2) -> BarBatch:
    ints, floats = np.arange(n, dtype=np.int64), np.arange(n) + 0.5
    return BarBatch(
        source="csv", symbols=["UNUSED", "AAPL"], symbol=np.ones(n, np.int32), interval=ints + 60 * SECOND,
        start=ints * 60 * SECOND + T0,
        open=floats, high=floats + 1, low=floats - 1, close=floats, volume=floats * 10, vwap=floats, trades=ints,
        completeness=np.ones(n), state=np.ones(n, np.uint8), version=np.zeros(n, np.int32), first_raw=ints, last_raw=ints,
        known_at=ints + T0,
    )  # fmt: skip


def same_ticks(a: TickBatch, b: TickBatch) -> bool:
    """Whether two batches hold the same rows, bit for bit, however their symbols are coded."""
    columns = ("event_time", "received_at", "price", "size", "first_id", "last_id", "raw")
    texts = [
        [x.symbols[i] for i in x.symbol.tolist()] + [x.conditions[i] for i in x.condition.tolist()] for x in (a, b)
    ]
    return (
        (a.source, a.lane) == (b.source, b.lane)
        and texts[0] == texts[1]
        and all(
            getattr(a, c).tobytes() == getattr(b, c).tobytes() and getattr(a, c).dtype == getattr(b, c).dtype
            for c in columns
        )
    )
