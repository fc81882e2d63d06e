"""Objects end at the same places whatever is interrupted, and every message is in exactly one."""

import random

import pytest

from tests.contracts.test_lake import everything, records
from tests.journal.samples import SECOND, T0, entry, link
from tickhouse.core.batches import Entry, RawBatch, every_kind
from tickhouse.core.model import Kind
from tickhouse.lake.local import open as open_lake
from tickhouse.lake.rolling import Roller


@pytest.fixture
def lake(tmp_path):
    return open_lake(f"file://{tmp_path}/lake")


def of(source: str, size: int, at: float, lane: str = "live", channel: str = "c") -> Entry:
    raw = RawBatch.of(source, channel, [b"x" * size], T0 + int(at * SECOND), lane)
    return Entry(raw, every_kind(1, Kind.PARSED))


def cuts(roller: Roller, run) -> list[tuple[str, list[int]]]:
    return [(done[0].source, [r.first for r in done]) for record in run for done in roller.add(record)]


def test_a_run_is_cut_when_it_is_large_enough(lake):
    roller = Roller(100, 1e9, lake)
    run = records(of("a", 60, 0), of("b", 10, 0), of("a", 60, 0), of("a", 10, 0))
    assert roller.safe is None
    assert cuts(roller, run) == [("a", [0, 2])]
    assert roller.safe == 1
    assert [[r.first for r in done] for done in roller.flush()] == [[1], [3]]
    assert roller.safe is None


def test_a_run_is_cut_when_live_time_has_gone_on(lake):
    roller = Roller(10**9, 60, lake)
    run = records(of("a", 1, 0), of("b", 1, 30), of("b", 1, 59.9), of("b", 1, 60), of("b", 1, 89), of("b", 1, 90))
    assert cuts(roller, run) == [("a", [0]), ("b", [1, 2, 3, 4, 5])]


def test_what_is_replayed_tells_no_time(lake):
    """A replay of last year between live messages must not make an object of each."""
    roller = Roller(10**9, 60, lake)
    year = 365 * 86_400
    run = records(*[of("a", 1, i / 10 - (year if i % 2 else 0), "load:x" if i % 2 else "live") for i in range(100)])
    assert cuts(roller, run) == []
    assert cuts(roller, records(of("b", 1, 61), first=100)) == [("a", list(range(100)))]


def test_a_quiet_source_does_not_hold_up_the_journal(lake):
    roller = Roller(100, 1e9, lake)
    run = records(of("quiet", 1, 0), *[of("busy", 50, 0) for _ in range(6)])
    assert cuts(roller, run) == [("busy", [1, 2]), ("quiet", [0]), ("busy", [3, 4]), ("busy", [5, 6])]


def test_ticks_and_messages_of_the_runs_are_all_in_the_lake(lake):
    roller = Roller(200, 1e9, lake)
    for record in records(*[entry(3, 3 * i) for i in range(20)], link(T0)):
        for run in roller.add(record):
            lake.write(run)
    for run in roller.flush():
        lake.write(run)
    assert sorted(p for p, *_ in everything(lake)) == list(range(61))
    assert [i for b in lake.ticks("binance", "S0", 0, 1 << 60) for i in b.raw.tolist()] == list(range(0, 60, 2))
    assert len(list(lake.objects("bronze"))) > 5


def archive(lake, journal, chance: random.Random | None, flushes: bool) -> None:
    """Archive records from the committed position on; with `chance`, stop anywhere, as a killed process would."""
    position = committed = 0
    while True:
        roller, position = Roller(300, 20, lake), committed
        try:
            for record in (r for r in journal if r.first >= position):
                for run in roller.add(record):
                    write(lake, run, chance)
                position = record.end
                committed = position if roller.safe is None else roller.safe
                stop(chance, 0.05)
            for run in roller.flush():
                write(lake, run, chance)
            stop(chance, 0.5)
            return
        except InterruptedError:
            if flushes and chance and chance.random() < 0.3:
                for run in roller.flush():
                    write(lake, run, None)


def write(lake, run, chance) -> None:
    stop(chance, 0.1)
    lake.write(run)
    stop(chance, 0.2)


def stop(chance: random.Random | None, share: float) -> None:
    if chance and chance.random() < share:
        raise InterruptedError


def house(seed: int):
    chance = random.Random(seed)
    entries, clock = [], 0.0
    for _ in range(150):
        clock += chance.expovariate(0.5)
        source, channel = chance.choice(["a", "b"]), chance.choice(["c", "c", "d"])
        entries.append(of(source, chance.randrange(80), clock, chance.choice(["live", "load:x"]), channel))
    return records(*entries)


@pytest.mark.parametrize("seed", range(12))
def test_an_interrupted_archiver_makes_the_objects_of_an_undisturbed_one(tmp_path, seed):
    journal = house(seed)
    calm, shaken = (open_lake(f"file://{tmp_path}/{name}") for name in ("calm", "shaken"))
    archive(calm, journal, None, False)
    archive(shaken, journal, random.Random(seed), False)
    assert list(shaken.objects()) == list(calm.objects())
    assert len(list(calm.objects())) > 8


@pytest.mark.parametrize("seed", range(12))
def test_a_flush_that_was_not_committed_leaves_every_message_in_exactly_one_object(tmp_path, seed):
    journal = house(seed)
    lake = open_lake(f"file://{tmp_path}/lake")
    archive(lake, journal, random.Random(seed), True)
    assert sorted(p for p, *_ in everything(lake)) == list(range(150))
    assert lake.verify()[1] == ()
