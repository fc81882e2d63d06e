"""Folding and the watermark against plain loops."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.kernels.tumbling import DUE, NEVER, advance_reference, bar_reference
from tickhouse.process.again import bars_of, folded
from tickhouse.process.lane import NOTHING_KNOWN
from tickhouse.process.rules import Rules
from tickhouse.process.windows import Columns, Windows

MINUTE = 60_000_000
prices = st.floats(0.01, 1e5)
sizes = st.decimals(0, 10**6, places=4).map(float) | st.just(math.nan)
rows = st.lists(
    st.tuples(st.integers(0, 10 * MINUTE), st.sampled_from([-1, 3, 4, 5]), prices, sizes, st.integers(0, 3)),
    min_size=1,
    max_size=40,
)


def columns(given_: list[tuple[int, int, float, float, int]]) -> Columns:
    t, id_, price, size, flags = (np.array(column) for column in zip(*given_, strict=True))
    n, i64 = len(t), np.int64
    ids, flags = id_.astype(i64), flags.astype(np.int32)
    return Columns(
        np.zeros(n, np.int32), t.astype(i64), t.astype(i64), price.astype(float), size.astype(float), ids, ids + (ids > 3),
        np.arange(n), flags, np.arange(4, dtype=np.uint8), np.ones(n, np.uint8),
    )  # fmt: skip


@settings(max_examples=tried(200), deadline=None)
@given(given_=rows)
def test_folded_windows_equal_a_plain_loop(given_):
    c = columns(given_)
    slots = folded(c, (MINUTE, 5 * MINUTE), [12, 4])[0]
    found = {}
    for k, (length, part) in enumerate(((MINUTE, slots[:12]), (5 * MINUTE, slots[12:]))):
        for slot in part[part["priced"] == 1]:
            found[k, int(slot["start"])] = bars_of(np.array([slot]), 0, np.array([length]))[0]
    windows: dict[tuple[int, int], list[tuple[int, int, int, float, float, int]]] = {}
    names = ("event_time", "first_id", "last_id", "price", "size", "condition")
    for tick in zip(*(getattr(c, name).tolist() for name in names), strict=True):
        for k, length in enumerate((MINUTE, 5 * MINUTE)):
            windows.setdefault((k, tick[0] - tick[0] % length), []).append(tick)
    expected = {key: bar_reference(ticks) for key, ticks in windows.items()}
    expected = {key: bar for key, bar in expected.items() if "open" in bar}
    assert set(found) == set(expected)
    for key, bar in expected.items():
        for name, value in bar.items():
            assert found[key][name] == value or (math.isnan(value) and math.isnan(found[key][name])), (key, name)


@settings(max_examples=tried(200), deadline=None)
@given(
    times=st.lists(st.integers(10**9, 10**9 + 10 * MINUTE), min_size=1, max_size=40), cuts=st.lists(st.integers(1, 10))
)
def test_the_watermark_stops_at_the_same_ticks_however_they_are_cut(times, cuts):
    rules = Rules(lateness_us=MINUTE // 2)

    def stops(pieces: list[list[int]]) -> list[int]:
        windows, found, seen = Windows(rules), [], 0
        for piece in pieces:
            c, begin = columns([(t, 3, 1.0, 1.0, 0) for t in piece]), 0
            while begin < len(piece):
                stop, _ = windows.advance(c, begin, -1, NOTHING_KNOWN)
                if stop < len(piece):
                    found.append(seen + stop)
                    windows.move(piece[stop] - rules.lateness_us)
                    windows.set_due()
                begin = stop
            seen += len(piece)
        return found

    pieces, at = [], 0
    for step in [*cuts, len(times)]:
        pieces.append(times[at : at + step])
        at += step
    assert stops([piece for piece in pieces if piece]) == stops([times])


@settings(max_examples=tried(100), deadline=None)
@given(times=st.lists(st.integers(0, 10 * MINUTE), min_size=1, max_size=40), due=st.integers(0, 10 * MINUTE))
def test_the_watermark_stops_before_the_tick_that_reaches_what_is_due(times, due):
    windows = Windows(Rules())
    windows.clock[DUE] = due
    stop, _ = windows.advance(columns([(t, 3, 1.0, 1.0, 0) for t in times]), 0, -1, NOTHING_KNOWN)
    assert stop == advance_reference(times, Rules().lateness_us, due)
    assert windows.watermark == max((t - Rules().lateness_us for t in times[:stop]), default=NEVER)
