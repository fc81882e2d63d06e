"""Random scenes: bars equal a plain loop over all ticks, and neither cuts nor restarts change anything."""

from collections import Counter
from itertools import pairwise
from os import environ
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.process.house import MINUTE, House, Row, cut, same, truth
from tests.process.scenes import Scene
from tickhouse.core import shards
from tickhouse.core.batches import Record
from tickhouse.core.model import Ids
from tickhouse.process import catalog
from tickhouse.process import given as ready_made
from tickhouse.process.analysis import Analysis
from tickhouse.process.rules import Rules

KINDS = (Ids.DENSE, Ids.NONE)
SCENES = int(environ.get("SCENES", "120"))


def scene(seed: int, kind: Ids, refusals: bool = True, slow: bool = False) -> tuple[list[Record], Rules]:
    random = Random(seed)
    made = Scene(
        random, ids=kind is not Ids.NONE, loads=random.choice([0, 1, 2]), marks=random.random() < 0.7, slow=slow
    )
    made.refused = random.choice([0.0, 0.0, 0.1]) if refusals else 0.0
    return made.records(), Rules(ids={"s": kind})


def said(house: House) -> dict[str, Any]:
    """Everything that must not depend on cuts."""

    def stored(rows: list[Row]) -> list[str]:
        key = ("symbol", "interval", "start", "detector", "version")
        rows = sorted(rows, key=lambda row: [str(row.get(name, "")) for name in key])
        return [str({name: value for name, value in row.items() if name != "position"}) for row in rows]

    bars = [{name: value for name, value in row.items() if name != "position"} for row in house.made]
    tables = {"indicators": stored(house.said), "anomalies": stored(house.odd)}
    return {
        "bars": str(bars),
        **tables,
        "holes": house.holes,
        "coverage": {channel: house.coverage(channel) for channel in ("trade", "bars", "both")},
        "ledger": house.outputs[-1].ledger,
    }


@settings(max_examples=tried(25), deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
@example(seed=80, kind=Ids.DENSE)
@example(seed=1760, kind=Ids.DENSE)
@example(seed=22, kind=Ids.DENSE)
@example(seed=82, kind=Ids.NONE)
def test_the_newest_bars_equal_a_plain_loop_over_the_ticks_of_all_lanes(seed, kind):
    records, rules = scene(seed, kind)
    house = House(rules)
    house.run(*records)
    for interval, length in (("1m", MINUTE), ("5m", 5 * MINUTE)):
        expected, got = truth(records, kind is Ids.DENSE, length), house.newest(interval)
        assert set(got) == set(expected)
        assert not [(got[key], bar) for key, bar in expected.items() if not same(got[key], bar)]


@pytest.mark.slow
@settings(max_examples=tried(4), deadline=None)
@given(seed=st.integers(0, 10**6), at_once=st.integers(1, 9))
@example(seed=741, at_once=1)
def test_it_does_not_matter_how_ready_made_bars_were_cut_into_records(seed, at_once):
    """In whatever order they come, beside ticks of the same symbols, in loads and live."""
    records = Scene(Random(seed), loads=1, bars=3, ticks=60).records()
    rules = Rules(ids={"s": Ids.DENSE})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ready_made, "AT_ONCE", at_once)
        whole = House(rules, analysis)
        whole.run(*records)
        assert whole.newest()
        assert disturbed(records, rules, seed, analysis) == said(whole)


@settings(max_examples=tried(20), deadline=None)
@given(seed=st.integers(0, 10**6))
def test_completeness_is_what_the_ids_that_were_never_seen_say(seed):
    """In the end: trades / (trades + ids missing between neighbours whose times overlap), and no time before the first tick."""
    records = Scene(Random(seed), loads=0, marks=False).records()
    house = House(Rules(ids={"s": Ids.DENSE}))
    house.run(*records)
    times = ids_seen(records)
    began = house.engine._sources["s"].lanes["live"].memory
    for interval, length in (("1m", MINUTE), ("5m", 5 * MINUTE)):
        for (symbol, _), bar in house.newest(interval).items():
            start, end = bar["start"], bar["start"] + length
            ids = sorted(times[symbol].items())
            gaps = [(b - a - 1, min(s, t), max(s, t)) for (a, s), (b, t) in pairwise(ids)]
            lost = sum(n for n, since, until in gaps if since < end and until >= start)
            watched = (end - max(start, began)) / length
            assert bar["completeness"] == pytest.approx(
                bar["trades"] / (bar["trades"] + lost) * max(0, watched), abs=1e-12
            )


@settings(max_examples=tried(25), deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from([*KINDS, Ids.UNIQUE]), other=st.integers(0, 10**6))
def test_neither_cuts_nor_restarts_change_bars_versions_holes_coverage_or_the_ledger(seed, kind, other):
    records, rules = scene(seed, kind)
    whole = House(rules)
    whole.run(*records)
    assert disturbed(records, rules, other) == said(whole)


@pytest.mark.parametrize("seed", range(24, 30))
@pytest.mark.parametrize("slow", [False, True], ids=["loads at once", "slow loads"])
def test_neither_cuts_nor_restarts_change_indicators_and_anomalies(seed, slow):
    """Corrections see the bars that a load has made public, also those whose own analysis waits for the end of the load."""
    records, rules = scene(seed, KINDS[seed % 2], slow=slow)
    whole = House(rules, analysis)
    whole.run(*records)
    assert whole.said
    assert disturbed(records, rules, seed, analysis) == said(whole)


@settings(max_examples=tried(25), deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from([*KINDS, Ids.UNIQUE]), of=st.integers(1, 4))
def test_engines_that_share_the_symbols_say_together_what_one_says_of_all(seed, kind, of):
    records, rules = scene(seed, kind)
    whole = House(rules)
    whole.run(*records)
    assert shared(records, rules, (seed, of)) == together([whole])


@pytest.mark.parametrize("seed", range(30, 34))
def test_engines_that_share_the_symbols_say_the_same_indicators_and_anomalies(seed):
    records, rules = scene(seed, KINDS[seed % 2], slow=seed % 4 < 2)
    whole = House(rules, analysis)
    whole.run(*records)
    assert whole.said
    assert shared(records, rules, (seed, 3), analysis) == together([whole])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_more_scenes_of_engines_that_share_the_symbols():
    for seed in range(SCENES):
        records, rules = scene(seed, (*KINDS, Ids.UNIQUE)[seed % 3])
        whole = House(rules)
        whole.run(*records)
        assert shared(records, rules, (seed, 2 + seed % 3)) == together([whole]), seed


@pytest.mark.slow
@pytest.mark.timeout(max(600, SCENES))
def test_many_more_scenes():
    for seed in range(SCENES):
        records, rules = scene(seed, KINDS[seed % 2])
        whole = House(rules)
        whole.run(*records)
        assert disturbed(records, rules, seed) == said(whole), seed


def ids_seen(records: list[Record]) -> dict[str, dict[int, int]]:
    """The event time of every id, by symbol."""
    seen: dict[str, dict[int, int]] = {}
    for batch in (record.ticks for record in records if record.ticks is not None):
        columns = (batch.symbol, batch.event_time, batch.first_id, batch.last_id)
        for code, time, first, last in zip(*(column.tolist() for column in columns), strict=True):
            known = seen.setdefault(batch.symbols[code], {})
            ids = range(first, last + 1)
            if not any(id_ in known for id_ in ids):
                known |= dict.fromkeys(ids, time)
    return seen


def analysis(house: House) -> Analysis:
    return Analysis(
        [catalog.indicator("sma(3)"), catalog.indicator("ema(3)")], [catalog.detector("returns(3,1)")], house
    )


def disturbed(records: list[Record], rules: Rules, seed: int, analysis: Any = None) -> dict[str, Any]:
    """What a house says that is fed the same records cut anew, and is restarted now and then."""
    random, house = Random(seed), House(rules, analysis)
    for call in cut(records, random):
        house.run(*call)
        if random.random() < 0.1:
            house.restart()
    return said(house)


def shared(records: list[Record], rules: Rules, how: tuple[int, int], analysis: Any = None) -> dict[str, Any]:
    """What several houses say together, each of which has one shard of the symbols and is disturbed in its own way; `how` is a seed
    and the number of shards."""
    seed, of = how
    houses = []
    for number in range(of):
        random, house = Random(seed + number), House(rules, analysis)
        for call in cut(records, random):
            house.run(*(shards.cut(record, shards.Shard(number, of)) for record in call))
            if random.random() < 0.1:
                house.restart()
        houses.append(house)
    return together(houses)


def together(houses: list[House]) -> dict[str, Any]:
    """What houses of which each has some of the symbols say together, in an order of its own."""
    parts = [said(house) for house in houses]
    found: dict[str, Any] = {
        name: sorted(row for part in parts for row in part[name]) for name in ("indicators", "anomalies")
    }
    found["bars"] = sorted(
        str({name: value for name, value in row.items() if name != "position"})
        for house in houses
        for row in house.made
    )
    found["holes"] = sorted(map(str, (hole for part in parts for hole in part["holes"])))
    found["coverage"] = {
        channel: {key: value for part in parts for key, value in part["coverage"][channel].items()}
        for channel in parts[0]["coverage"]
    }
    found["ledger"] = Counter()
    for part in parts:
        found["ledger"].update(part["ledger"])
    return found
