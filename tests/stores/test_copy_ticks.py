"""The ticks that PostgreSQL keeps, copied to another PostgreSQL with the rest of the store."""

from contextlib import closing

import psycopg
import pytest

from tests.stores import databases
from tests.stores.samples import bar, bars_output
from tests.stores.test_ticks import DAY, T0, partitions, ticks
from tickhouse.core.batches import Output, TickBatch
from tickhouse.core.errors import Final, SettingsError, Unreachable
from tickhouse.core.plugins import open_url
from tickhouse.stores import _copying_ticks, _ticks_pages
from tickhouse.stores._copying import StoreCopying
from tickhouse.stores._ticks_pages import Stretch

ODD = [
    {"symbol": 'É"x, y', "event_time": T0 + 1, "received_at": T0 + 2, "price": 1 / 3, "size": 5e-324, "first_id": 7, "last_id": 9,
     "raw": 3, "conditions": 'odd "text",\none'},
    {"symbol": "NULL", "event_time": T0 + 999_999, "received_at": T0 + 2, "price": -0.0, "size": None, "raw": 2**62},
    {"symbol": "S0", "event_time": T0 + 3, "received_at": T0 + DAY, "price": 1.7e308, "size": 0.1, "raw": 4},
    {"symbol": "S0", "event_time": T0 + 3, "received_at": T0 + DAY, "price": 2.0, "size": 0.1, "raw": 4, "conditions": "NaN"},
]  # fmt: skip
"""Two of them of one message, at one time."""
ALL = "SELECT *, price::text FROM ticks ORDER BY symbol, event_time, raw, number"


@pytest.fixture
def both():
    """A store with ticks of three days, and an empty one: URL and store of each."""
    with (
        databases.migrated() as one,
        databases.migrated() as other,
        closing(open_url("stores", one)) as old,
        closing(open_url("stores", other)) as new,
    ):
        old.write("process", bars_output(1, bar()))
        old.write("process", Output(2, ticks=(TickBatch.of("finnhub", ODD),)))
        for day in range(3):
            old.write("process", Output(3 + day, ticks=(ticks(50, T0 + day * DAY, 100 * (day + 1)),)))
        yield (one, old), (other, new)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(_copying_ticks, "PAGE", 7)


def copying(old, new, since=0):
    return StoreCopying(old, new, "old", lambda seconds: None, since)


def rows(url):
    return databases.run(ALL, url=url)


def test_every_tick_is_copied_as_it_is_and_copying_again_changes_nothing(both):
    (one, old), (other, new) = both
    told = []
    job = copying(old, new)
    size = job.rows()
    done = job.run(lambda done: told.append(done.done))
    assert rows(other) == rows(one) and len(rows(one)) == 154
    assert partitions(other) == partitions(one)
    ticks = done.tables["ticks"]
    assert (ticks.old, ticks.new, ticks.written, done.left) == (154, 154, 154, "")
    assert told[-1] == done.done == 2 * size
    assert copying(old, new).run().tables["ticks"].written == 0
    assert rows(other) == rows(one)


def test_it_goes_on_where_it_stopped_and_other_ticks_give_way(both):
    (one, old), (other, new) = both
    first, left = copying(old, new), list(range(9))
    write = first._ticks._write

    def break_off(*given):
        if not left:
            raise Final("the power is gone")
        left.pop()
        write(*given)

    first._ticks._write = break_off
    with pytest.raises(Final, match="power"):
        first.run()
    assert len(rows(other)) == 54 + 7
    databases.run("UPDATE ticks SET price = 5 WHERE raw = 104", url=other)
    databases.run("DELETE FROM ticks WHERE raw = 101", url=other)
    new.write("more", Output(0, ticks=(ticks(30, T0, 9_000), ticks(3, T0 + 9 * DAY, 9_900))))
    databases.run("DELETE FROM positions WHERE \"group\" = 'more'", url=other)
    done = copying(old, new).run()
    assert rows(other) == rows(one)
    assert 154 - 61 < done.tables["ticks"].written < 154


def test_a_server_that_is_away_is_waited_for(both):
    (one, old), (other, new) = both
    slept, away = [], [True, False, True, True, False]
    first = StoreCopying(old, new, "old", slept.append)
    write = first._ticks._write

    def shaky(*given):
        if away and away.pop(0):
            raise Unreachable("away")
        write(*given)

    first._ticks._write = shaky
    first.run()
    assert len(slept) == 3 and rows(other) == rows(one)


def test_what_is_not_the_same_is_found_when_it_is_compared(both):
    (one, old), (other, new) = both
    size = copying(old, new).rows()

    def meanwhile(done):
        if done.done >= size:
            databases.run("UPDATE ticks SET size = 9 WHERE raw = 330", url=one)

    with pytest.raises(Final, match=r"ticks of 2026-01-03 behind S.* is not the same there"):
        copying(old, new).run(meanwhile)
    copying(old, new).run()
    assert rows(other) == rows(one)


@pytest.mark.parametrize("there", [(5, T0), (3, T0 + 9 * DAY)])
def test_a_store_with_other_ticks_is_left_as_it_is(both, there):
    (_, old), (other, new) = both
    new.write("process", Output(1, ticks=(ticks(*there),)))
    databases.run("DELETE FROM positions", url=other)
    before = rows(other)
    with pytest.raises(SettingsError, match="holds other rows than this one"):
        copying(old, new).run()
    assert rows(other) == before


def test_days_that_the_new_house_does_not_keep_stay_out(both):
    (_, old), (other, new) = both
    day = T0 // DAY
    done = copying(old, new, day + 1).run()
    assert partitions(other) == ["ticks_20260102", "ticks_20260103", "ticks_20260104"]
    assert len(rows(other)) == done.tables["ticks"].old == 100
    assert copying(old, new, day + 2).run().tables["ticks"].old == 50


def test_where_the_new_store_keeps_none_it_says_why(both, tmp_path):
    (_, old), (other, new) = both
    done = copying(old, new, None).run()
    assert (rows(other), "ticks" in done.tables) == ([], False)
    assert done.left == "the house there keeps none (warm.keep_ticks)"
    with closing(open_url("stores", f"sqlite:///{tmp_path}/w.db")) as file:
        assert copying(old, file).run().left == "only PostgreSQL keeps them"
        with databases.migrated() as url, closing(open_url("stores", url)) as back:
            assert copying(file, back).run().left == ""


def test_a_page_is_read_along_the_key(both):
    (one, _), _ = both
    stretch = Stretch(T0 // DAY, after=("S3", _ticks_pages.date_of(T0 // DAY), 5, 0))
    with psycopg.connect(one, cursor_factory=psycopg.ClientCursor) as link:
        found = _ticks_pages.read(link, stretch, 4)
        assert found["symbol"].to_pylist() == ["S3"] * 3 + ["S4"]
        where, bounds = _ticks_pages._within(stretch)
        order = "ORDER BY symbol, event_time, raw, number LIMIT 4"
        plan = link.execute(
            f"EXPLAIN SELECT * FROM ticks WHERE {where} {order}", bounds
        )  # what `read` set still counts
        said = "\n".join(row[0] for row in plan)
    assert "Index Scan using ticks_20260101_pkey" in said and "Sort" not in said
    assert "ticks_20260102" not in said
