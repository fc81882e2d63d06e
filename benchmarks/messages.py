"""Trades for the benchmarks of the journal and the lake: distinct JSON messages of about 130 bytes with their ticks."""

import numpy as np

from tickhouse.core.batches import LIVE, Entry, RawBatch, TickBatch, every_kind
from tickhouse.core.model import Kind

T0 = 1_767_225_600_000_000
SYMBOLS = [f"SYM{i:03d}USDT" for i in range(100)]


def entries(count: int, each: int, seed: int = 1) -> list[Entry]:
    """`count` entries of `each` messages, prices walking, trade ids rising, times a millisecond apart."""
    rng = np.random.default_rng(seed)
    return [_entry(rng, each, i * each) for i in range(count)]


def _entry(rng: np.random.Generator, n: int, start: int) -> Entry:
    symbol = rng.integers(0, len(SYMBOLS), n).astype(np.int32)
    price = np.round(60_000 + np.cumsum(rng.normal(0, 2, n)), 2)
    size = np.round(rng.exponential(0.2, n), 5)
    ids = np.arange(start, start + n)
    times = T0 + ids * 1000
    payloads = [
        b'{"e":"trade","E":%d,"s":"%s","t":%d,"p":"%.8f","q":"%.8f","T":%d,"m":%s,"M":true}'
        % (t // 1000 + 1, SYMBOLS[s].encode(), i, p, q, t // 1000, b"true" if i % 3 else b"false")
        for t, s, i, p, q in zip(
            times.tolist(), symbol.tolist(), ids.tolist(), price.tolist(), size.tolist(), strict=True
        )
    ]
    received = times + 50_000 + rng.integers(0, 5000, n)
    ticks = TickBatch("binance", LIVE, SYMBOLS, symbol, times, received, price, size, ids, ids, np.arange(n))
    return Entry(RawBatch.of("binance", "trade", payloads, received), every_kind(n, Kind.PARSED), ticks)
