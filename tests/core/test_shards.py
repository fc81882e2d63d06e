"""A record cut for shards: nothing is lost, nothing is twice, and each shard knows how time goes on."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.batches import Record, TickBatch
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.shards import Shard, cut, landmarks, partition

SECOND = 1_000_000
times = st.lists(
    st.tuples(st.integers(0, 20 * SECOND), st.integers(-3 * SECOND, 3 * SECOND)), min_size=1, max_size=60
).map(lambda rows: (np.array([t for t, _ in rows]), np.array([t + d for t, d in rows])))


def clock(event_time, received_at, ahead, lateness):
    """Which whole second a watermark reaches at which tick, the oldest and the newest time; as the engine moves it."""
    top, low, reached = -1, 1 << 62, {}
    for number, (t, received) in enumerate(zip(event_time.tolist(), received_at.tolist(), strict=True)):
        if t - received <= ahead:
            top = max(top, t)
            reached.setdefault((top - lateness) // SECOND, number)
        low = min(low, t)
    return reached, low, max(event_time.tolist())


@settings(max_examples=tried(300), deadline=None)
@given(
    times=times, ahead=st.integers(0, 3).map(lambda n: n * SECOND), lateness=st.integers(0, 3).map(lambda n: n * SECOND)
)
def test_landmarks_alone_move_a_watermark_over_whole_seconds_at_the_same_ticks(times, ahead, lateness):
    event_time, received_at = times
    kept = landmarks(event_time, received_at)
    reached, low, top = clock(event_time[kept], received_at[kept], ahead, lateness)
    assert ({second: int(kept[place]) for second, place in reached.items()}, low, top) == clock(
        event_time, received_at, ahead, lateness
    )


def record(symbols, **more):
    rows = [
        {"symbol": s, "event_time": n * SECOND // 3, "price": float(n), "raw": 10 + n} for n, s in enumerate(symbols)
    ]
    return Record(10, len(rows), "binance", "trade", "live", 99, ticks=TickBatch.of("binance", rows), **more)


@settings(max_examples=tried(100), deadline=None)
@given(symbols=st.lists(st.sampled_from("ABCDEFG"), min_size=1, max_size=40), of=st.integers(1, 5))
def test_every_tick_is_in_one_shard_at_its_place(symbols, of):
    whole = record(symbols)
    seen = {}
    for number in range(of):
        part = cut(whole, Shard(number, of))
        assert part.passing.total == len(symbols)
        prices = part.ticks.price.tolist() if part.ticks else []
        for at, price in zip(part.passing.at.tolist(), prices, strict=True):
            assert at not in seen
            seen[at] = price
        near = np.union1d(part.passing.at, part.passing.places)
        assert set(landmarks(whole.ticks.event_time, whole.ticks.received_at).tolist()) <= set(near.tolist())
        assert not set(part.passing.at.tolist()) & set(part.passing.places.tolist())
    assert seen == dict(enumerate(map(float, range(len(symbols)))))


def test_marks_go_to_every_shard_with_its_symbols_and_their_number_stays():
    marks = (Mark(Event.CONNECTED, 5, "one", "trade", ("A", "B", "C")), Mark(Event.ALIVE, 6, "one"))
    whole = Record(0, 2, "binance", LINK, "live", 6, marks=marks)
    parts = [cut(whole, Shard(number, 3)) for number in range(3)]
    assert all([mark.event for mark in part.marks] == [Event.CONNECTED, Event.ALIVE] for part in parts)
    assert sorted(symbol for part in parts for symbol in part.marks[0].symbols) == ["A", "B", "C"]


def test_refused_ticks_go_to_their_shard_and_their_places_to_all():
    refused = tuple(
        Mark(
            Event.REFUSED,
            5,
            symbols=(symbol,),
            detail={"row": str(row), "message": "0", "first_id": "1", "last_id": "1"},
        )
        for row, symbol in ((0, "A"), (3, "B"))
    )
    parts = [cut(record("ABC", marks=refused), Shard(number, 2)) for number in range(2)]
    assert all(part.passing.refused.tolist() == [0, 3] for part in parts)
    for symbol in "AB":
        assert [any(mark.symbols == (symbol,) for mark in part.marks) for part in parts] == [
            partition(symbol, 2) == number for number in range(2)
        ]
