"""Given bars of a minute make those of five: whole, revised, incomplete, forming, and beside the provider's own."""

import math
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.process.house import MINUTE, SECOND, T0, Feeder, House, Row, given, rows_of, same
from tests.process.test_scenes import disturbed, said
from tickhouse.core.batches import LIVE, BarBatch, Record
from tickhouse.core.marks import Event
from tickhouse.core.model import State
from tickhouse.process import given as ready_made
from tickhouse.process.rolling import Own
from tickhouse.process.rules import Rules

FIVE = 5 * MINUTE
END = 7200.0
"""Seconds after T0 by the clock of which nothing waits any more."""


@pytest.fixture
def house() -> House:
    return House(Rules())


@pytest.fixture
def feeder() -> Feeder:
    return Feeder()


def minutes(
    feeder: Feeder, closes: dict[int, float], at: float = 0.0, lane: str = LIVE, interval: int = MINUTE
) -> Record:
    """A message with bars of A, by the minute in which they start."""
    return feeder.bars(given([("A", 60.0 * n, close) for n, close in closes.items()], at, interval), lane, page=99)


def fives(house: House) -> list[tuple[float, float, int, str]]:
    """Every version of the 5m bars: start in minutes, close, version, state."""
    rows = [row for row in house.made if row["interval"] == "5m"]
    return [((row["start"] - T0) / MINUTE, row["close"], row["version"], row["state"]) for row in rows]


def test_five_minutes_are_one_bar_as_soon_as_the_last_is_there(house, feeder):
    bars = given([("A", 60.0 * n, 10.0) for n in range(5)])
    bars = replace(
        bars, open=np.array([1.0, 2, 3, 4, 5]), high=np.array([6.0, 9, 6, 6, 6]), low=np.array([0.5, 1, 1, 0.25, 1]),
        close=np.array([2.0, 3, 4, 5, 5.5]), volume=np.array([0.1, 0.2, 0.3, 0, 0.1]), vwap=np.array([1.0, 2, 3, np.nan, 5]),
        trades=np.arange(5), known_at=T0 + np.arange(5),
    )  # fmt: skip
    for n in range(5):
        assert not fives(house)
        house.run(feeder.bars(bars.take([n]), LIVE))
    [bar] = house.versions(interval="5m")
    expected = {"open": 1, "high": 9, "low": 0.25, "close": 5.5, "volume": 0.7, "trades": 10, "completeness": 1.0}
    assert {name: bar[name] for name in expected} == expected
    assert bar["vwap"] == pytest.approx((0.1 + 0.4 + 0.9 + 0.5) / 0.7)
    assert (bar["first_raw"], bar["last_raw"], bar["known_at"], bar["state"]) == (0, 4, T0 + 4, "final")
    assert house.outputs[-1].ledger["s", "accepted"] == 5


def test_a_volume_without_a_known_mean_price_has_none_here_either(house, feeder):
    bars = given([("A", 60.0 * n, 10.0) for n in range(5)])
    house.run(feeder.bars(replace(bars, vwap=np.array([1, 2, np.nan, 4, 5])), LIVE))
    assert math.isnan(house.versions(interval="5m")[0]["vwap"])


def test_a_revised_minute_makes_the_next_version_and_a_repeated_one_none(house, feeder):
    house.run(minutes(feeder, {n: n for n in range(5)}))
    house.run(minutes(feeder, {4: 9}), minutes(feeder, {4: 9}))
    house.run(minutes(feeder, {5: 1}), minutes(feeder, {2: 77}))
    assert fives(house) == [(0, 4, 0, "final"), (0, 9, 1, "corrected"), (0, 9, 2, "corrected")]
    assert house.newest("5m")["A", 0]["high"] == 77


def test_missing_minutes_are_missing_from_its_completeness_until_they_come(house, feeder):
    house.run(minutes(feeder, {0: 1, 1: 2, 4: 3}))
    assert not fives(house)
    house.run(minutes(feeder, {5: 4}))
    house.run(minutes(feeder, {2: 5}))
    rows = house.versions(interval="5m")
    assert [(row["completeness"], row["trades"]) for row in rows] == [(0.6, 3), (0.8, 4)]


def test_the_clock_ends_the_waiting_where_nothing_more_comes(house, feeder):
    house.run(minutes(feeder, {0: 1, 1: 2}), feeder.mark(Event.ALIVE, 600))
    assert not fives(house)
    house.restart()
    house.run(feeder.mark(Event.ALIVE, 600 + 10))
    assert fives(house) == [(0, 2, 0, "final")]
    assert not house.run(feeder.mark(Event.ALIVE, END)).bars


def test_a_bar_that_is_not_over_is_shown_replaced_and_neither_kept_nor_rolled_up(house, feeder):
    def bar(minute: int, close: float, state: State) -> BarBatch:
        return replace(given([("A", 60.0 * minute, close)]), state=np.array([state], np.uint8))

    house.run(minutes(feeder, {n: n for n in range(4)}))
    output = house.run(feeder.bars(bar(4, 7, State.FORMING), LIVE), feeder.bars(bar(4, 8, State.FORMING), LIVE))
    [batch] = output.forming
    [shown] = rows_of(batch)
    assert (shown["start"], shown["close"], shown["state"]) == (T0 + 4 * MINUTE, 8, "forming")
    assert not output.bars and not fives(house)
    output = house.run(feeder.bars(bar(4, 6, State.FORMING), LIVE), feeder.bars(bar(4, 9, State.FINAL), LIVE))
    assert not output.forming
    assert [row["version"] for row in house.versions(at=240)] == [0]
    assert fives(house) == [(0, 9, 0, "final")]
    assert not house.run(feeder.bars(bar(4, 6, State.FORMING), LIVE)).forming, "it is over"
    assert house.outputs[-1].ledger["s", "accepted"] == 9
    assert house.coverage() == {("A", 0): (300, "live", 0)}


@pytest.mark.parametrize("own_first", [False, True])
def test_where_the_provider_sends_both_its_own_is_the_only_version(house, feeder, own_first):
    house.run(minutes(feeder, {-5: 3}, interval=FIVE))
    for begin in (0, 5, 10):
        parts = [minutes(feeder, {n: n}) for n in range(begin, begin + 5)]
        own = minutes(feeder, {begin: 50 + begin}, interval=FIVE)
        house.run(*(part for part in ([own, *parts] if own_first else [*parts, own])))
        house.restart()
    house.run(minutes(feeder, {2: 99}), feeder.mark(Event.ALIVE, END))
    assert fives(house) == [(n, 3 if n < 0 else 50 + n, 0, "final") for n in (-5, 0, 5, 10)]


def test_an_own_bar_that_comes_later_is_the_version_after_ours(house, feeder):
    house.run(minutes(feeder, {n: n for n in range(5)}), minutes(feeder, {0: 50}, interval=FIVE))
    house.run(minutes(feeder, {1: 88}))
    assert fives(house) == [(0, 4, 0, "final"), (0, 50, 1, "corrected")]


def test_where_own_bars_stay_away_ours_come_after_a_while(house, feeder):
    house.run(minutes(feeder, {0: 3}, interval=FIVE))
    house.run(minutes(feeder, {n: n for n in range(5, 15)}))
    assert fives(house) == [(0, 3, 0, "final")]
    house.run(minutes(feeder, {15: 1}))
    assert fives(house)[1:] == [(5, 9, 0, "final")]


def test_a_load_rolls_up_at_its_end_what_is_not_whole(house, feeder):
    lane = "load:bars"
    house.run(feeder.mark(Event.BEGIN, 0, lane), minutes(feeder, {n: n for n in (8, 7, 3, 2, 1, 0)}, lane=lane))
    assert not house.made
    house.run(feeder.mark(Event.END, 0, lane))
    assert sorted(fives(house)) == [(0, 3, 0, "final"), (5, 8, 0, "final")]


def test_every_longer_interval_of_which_it_is_a_part_and_no_other():
    house, feeder = House(Rules(intervals_us=(MINUTE, 3 * MINUTE, FIVE, 10 * MINUTE))), Feeder()
    house.run(minutes(feeder, {5 + 2 * n: n for n in range(5)}, interval=2 * MINUTE))
    assert [(row["interval"], row["close"]) for row in house.made] == [*[("2m", n) for n in range(5)], ("10m", 4)]


def test_of_two_lengths_the_shorter_one_makes_it_unless_it_knows_less():
    house, feeder = House(Rules(intervals_us=(MINUTE, 10 * MINUTE))), Feeder()
    house.run(minutes(feeder, {5: 50, 10: 51}, interval=FIVE), minutes(feeder, {5 + n: n for n in range(9)}))
    assert [row["close"] for row in house.made if row["interval"] == "10m"] == [51]
    house.run(minutes(feeder, {14: 9}))
    assert [row["close"] for row in house.made if row["interval"] == "10m"] == [51, 9]


@settings(max_examples=tried(40), deadline=None)
@drawn(seed=st.integers(0, 10**6), at_once=st.integers(1, 30))
def test_neither_cuts_nor_restarts_change_what_is_rolled_up(seed, at_once):
    """In whatever order minutes come, revised, repeated, with holes, live and in loads, beside own bars and forming ones."""
    records = scene(Random(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ready_made, "AT_ONCE", at_once)
        whole = House(Rules())
        whole.run(*records)
        assert disturbed(records, Rules(), seed) == said(whole)
    expected, got = truth(records), whole.newest("5m")
    assert set(got) == set(expected)
    assert not [(key, got[key], bar) for key, bar in expected.items() if not same(got[key], bar)]


@drawn(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=30))
def test_stretches_of_own_bars_are_what_a_set_says(pairs):
    own, known = Own(), set()
    for since, length in pairs:
        own.add((0, 2), since, since + length)
        known |= set(range(since, since + length))
    edges = own.runs.get((0, 2), [])
    assert edges == sorted(set(edges)) and len(edges) % 2 == 0
    for start in range(-3, 75):
        assert own.has((0, 2, start)) == (start in known or start + 1 in known)


def scene(random: Random) -> list[Record]:
    """An hour and a half of minutes of two symbols in messages of any size, order and lane."""
    feeder, records, at = Feeder(), [], 0.0
    for number in range(random.randint(1, 12)):
        at += random.uniform(0, 400)
        first = random.randint(0, 80)
        rows = [
            (random.choice("AB"), 60.0 * n, float(random.randint(1, 9)))
            for n in range(first, first + random.randint(1, 12))
        ]
        random.shuffle(rows) if random.random() < 0.4 else None
        bars = given(rows, at)
        if random.random() < 0.2:
            starts = sorted({60.0 * 5 * (n // 300) for _, n, _ in rows})
            bars = given([("A", start, float(random.randint(50, 59))) for start in starts], at, FIVE)
        if random.random() < 0.5:
            open_ = np.array([random.random() < 0.2 for _ in range(len(bars))])
            bars = replace(bars, state=np.where(open_, State.FORMING, State.FINAL).astype(np.uint8))
            records.append(feeder.bars(bars, LIVE, page=random.choice([1, 3, 99])))
            records.append(feeder.mark(Event.ALIVE, at))
        else:
            lane = f"load:{number}"
            records += [
                feeder.mark(Event.BEGIN, at, lane),
                feeder.bars(bars, lane, page=3),
                feeder.mark(Event.END, at, lane),
            ]
    return [*records, feeder.mark(Event.ALIVE, END + at)]


def truth(records: list[Record]) -> dict[tuple[str, int], dict[str, Any]]:
    """What a plain loop over the newest given bars says of every five minutes."""
    ones: dict[tuple[str, int], Row] = {}
    own: dict[tuple[str, int], Row] = {}
    for batch in (record.bars for record in records if record.bars is not None):
        for row in rows_of(batch):
            if row["state"] != "forming":
                kept = ones if row["interval"] == "1m" else own
                kept[row["symbol"], (row["start"] - T0) // SECOND] = row
    bars: dict[tuple[str, int], dict[str, Any]] = {}
    for symbol, begin in {(symbol, start - start % 300) for symbol, start in ones}:
        rows = [ones[symbol, start] for start in range(begin, begin + 300, 60) if (symbol, start) in ones]
        bars[symbol, begin] = {
            "open": rows[0]["open"], "high": max(row["high"] for row in rows), "low": min(row["low"] for row in rows),
            "close": rows[-1]["close"], "volume": math.fsum(row["volume"] for row in rows), "trades": len(rows),
            "completeness": len(rows) / 5,
        }  # fmt: skip
    return bars | {key: {"close": row["close"], "volume": row["volume"]} for key, row in own.items()}
