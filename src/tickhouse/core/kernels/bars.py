"""From closed windows to rows of bars."""

from typing import Any

import numpy as np

from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.tumbling import CLOSED

BARS = np.dtype(
    [
        ("code", "i4"), ("version", "i4"), ("interval", "i8"), ("start", "i8"), ("open", "f8"), ("high", "f8"),
        ("low", "f8"), ("close", "f8"), ("volume", "f8"), ("vwap", "f8"), ("trades", "i8"), ("completeness", "f8"),
        ("first_raw", "i8"), ("last_raw", "i8"), ("known_at", "i8"), ("state", "u1"),
    ],
    align=True,
)  # fmt: skip
"""One bar; `code` is the symbol's place among the symbols of its source."""

ROW, INTERVAL, START, END, TRADES = 0, 1, 2, 3, 4
"""The rows of `pick`: the series, the index of the interval, the window, its trades."""

FINAL, CORRECTED = 1, 2


@kernel
def pick(slots: Any, plan: Any, names: Any, found: Any, chosen: Any, fresh: Any) -> int:
    """The slots among `names` that are closed and have a price; returns how many.

    Fills `chosen` with their names, `found`, of shape (5, n), with what they are, and `fresh` with whether they never were public.
    """
    per_row = slots.shape[1]
    flat = slots.reshape(-1)
    n = 0
    for i in range(names.size):
        name = names[i]
        slot = flat[name]
        if slot.state != CLOSED or slot.priced == 0:
            continue
        place, k = name % per_row, 0
        while k + 1 < plan.shape[0] and place >= plan[k + 1, 1]:
            k += 1
        chosen[n], fresh[n] = name, slot.version < 0
        found[ROW, n], found[INTERVAL, n], found[START, n] = name // per_row, k, slot.start
        found[END, n], found[TRADES, n] = slot.start + plan[k, 0], slot.trades
        n += 1
    return n


@kernel
def write(slot: Any, bar: Any) -> None:
    """What a slot says, but for symbol, interval and state."""
    bar.version, bar.start, bar.trades, bar.completeness = slot.version, slot.start, slot.trades, slot.completeness
    bar.open, bar.high, bar.low, bar.close, bar.volume = slot.open, slot.high, slot.low, slot.close, slot.volume
    bar.vwap = slot.value / slot.volume if slot.volume > 0 else np.nan
    bar.first_raw, bar.last_raw, bar.known_at = slot.first_raw, slot.last_raw, slot.known_at


@kernel
def publish(slots: Any, names: Any, code: Any, length: Any, completeness: Any, told: Any, now: int, bars: Any) -> int:
    """The next version of the bar of each slot, into `bars`; returns how many.

    Those `told` before, of which only the completeness may differ, are left out when it does not; else they are known since `now`.
    """
    flat = slots.reshape(-1)
    n = 0
    for i in range(names.size):
        slot = flat[names[i]]
        if told[i]:
            if slot.completeness == completeness[i]:
                continue
            slot.known_at = max(slot.known_at, now)
        slot.completeness = completeness[i]
        slot.version += 1
        bar = bars[n]
        write(slot, bar)
        bar.code, bar.interval = code[i], length[i]
        bar.state = FINAL if slot.version == 0 else CORRECTED
        n += 1
    return n


@kernel
def newer(bars: Any, interval: int, latest: Any) -> bool:
    """Whether each bar of an interval is a first version that starts after all before it of its symbol; notes it in `latest`."""
    fine = True
    for i in range(bars.size):
        bar = bars[i]
        if bar.interval != interval:
            continue
        if bar.version > 0 or bar.start <= latest[bar.code]:
            fine = False
        latest[bar.code] = max(latest[bar.code], bar.start)
    return fine
