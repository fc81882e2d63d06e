"""What the lake knows of its folders without looking: never less than what is there."""

import os

import pytest

from tests.contracts.test_lake import records
from tests.journal.samples import SECOND, T0, entry
from tickhouse.lake.local import open as open_lake

OLD_NS = 1_700_000_000_000_000_000


@pytest.fixture
def opener(tmp_path):
    """Opens the same lake anew, as another process would."""
    return lambda: open_lake(f"file://{tmp_path}/lake")


def folder(lake, kind="ticks"):
    return (lake.root / next(lake.objects(kind)).name).parent


def ids(lake, start=T0, end=1 << 60):
    return [i for symbol in ("S0", "S1") for b in lake.ticks("binance", symbol, start, end) for i in b.last_id.tolist()]


def aged(path):
    """A folder as if nothing had changed in it for long."""
    os.utime(path, ns=(OLD_NS, OLD_NS))


def test_a_folder_that_did_not_change_for_long_is_listed_once(opener):
    lake = opener()
    lake.write(records(entry(2)))
    aged(folder(lake))
    (day,) = lake._index.days("ticks")
    assert lake._index.days("ticks")[0] is day and day.changed == OLD_NS
    lake.write(records(entry(2, 2), first=2))
    (changed,) = lake._index.days("ticks")
    assert changed is not day and changed.first.tolist() == [0, 2]


def test_a_change_that_a_coarse_clock_does_not_show_is_seen(opener):
    lake, other = opener(), opener()
    lake.write(records(entry(2)))
    path = folder(lake)
    seen = path.stat().st_mtime_ns
    other.write(records(entry(2, 2), first=2))
    os.utime(path, ns=(seen, seen))
    assert [o.first for o in lake.objects("ticks")] == [0, 2]


def test_an_object_that_cannot_hold_what_is_wanted_is_not_touched_once_its_span_is_known(opener):
    lake = opener()
    for n in range(3):
        lake.write(records(entry(10, 10 * n), first=10 * n))
    assert len(ids(lake)) == 30
    middle = [lake.root / o.name for o in lake.objects("ticks")][1]
    middle.write_bytes(b"damaged")
    for again in (lake, opener()):
        assert sorted(ids(again, T0 + 20 * SECOND)) == list(range(20, 30))


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-3]), lambda path: path.unlink()])
def test_what_is_kept_of_spans_may_be_damaged_or_gone(opener, damage):
    lake = opener()
    lake.write(records(entry(10)))
    expected = ids(lake)
    (kept,) = (lake.root / ".index").iterdir()
    damage(kept)
    assert ids(opener()) == expected != []


def test_a_lake_that_cannot_keep_spans_answers_all_the_same(opener):
    lake = opener()
    lake.write(records(entry(10)))
    (lake.root / ".index").write_text("no folder")
    assert len(ids(lake)) == len(ids(opener())) == 10


def test_spans_of_one_object_are_not_those_of_another_from_the_same_position(opener):
    lake = opener()
    lake.write(records(entry(3)))
    assert len(ids(lake)) == 3
    (lake.root / next(lake.objects()).name).unlink()
    lake.write(records(entry(3), entry(2, 3)))
    assert len(ids(lake)) == len(ids(opener())) == 5
