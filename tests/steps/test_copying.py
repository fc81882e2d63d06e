"""Copying a lake: each object as it is, once, and again after anything that stopped it."""

import pytest

from tests.contracts.test_lake import records
from tests.journal.samples import entry
from tickhouse.core.errors import CorruptLog, Unreachable
from tickhouse.lake.local import LocalLake
from tickhouse.lake.local import open as open_lake
from tickhouse.steps.copying import Copying


@pytest.fixture
def old(tmp_path):
    lake = open_lake(f"file://{tmp_path}/old")
    for n in range(4):
        for source in ("a", "a/b"):
            lake.write(records(entry(3, source=source), first=3 * n))
    return lake


def named(lake):
    return {item.name: lake.content(item) for kind in ("ticks", "bronze") for item in lake.objects(kind)}


class Shaky(LocalLake):
    """A lake whose server is away at some of the calls."""

    away: list[bool]

    def take(self, item, content):
        if self.away and self.away.pop(0):
            raise Unreachable("away")
        return super().take(item, content)


def test_a_server_that_is_away_is_waited_for_and_what_was_copied_is_not_copied_again(old, tmp_path):
    new, slept = Shaky(tmp_path / "new", 1), []
    new.away = [False, False, True, True, False]
    told = []
    done = Copying(old, new, slept.append).run(lambda done: told.append(done.objects))
    assert (done.objects, done.there, len(slept)) == (16, 0, 2) and told == list(range(1, 17))
    assert named(new) == named(old)
    new.away = [True] * 99
    again = Copying(old, new, slept.append).run()
    assert (again.objects, again.there) == (0, 16)


def test_it_gives_up_in_time_and_goes_on_when_begun_again(old, tmp_path):
    new = Shaky(tmp_path / "new", 1)
    new.away = [False] * 5 + [True] * 99
    with pytest.raises(Unreachable):
        Copying(old, new, lambda seconds: None).run()
    new.away = []
    done = Copying(old, new, lambda seconds: None).run()
    assert (done.objects, done.there) == (11, 5)
    assert named(new) == named(old)


def test_an_object_that_is_another_there_is_named(old, tmp_path):
    new = open_lake(f"file://{tmp_path}/new")
    Copying(old, new, lambda seconds: None).run()
    item = next(new.objects())
    (new.root / item.name).write_bytes(b"another")
    with pytest.raises(CorruptLog, match=item.name):
        Copying(old, new, lambda seconds: None).run()
