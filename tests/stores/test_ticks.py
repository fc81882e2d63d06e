"""The ticks of the last days in PostgreSQL: each once, in partitions by day that other tools' questions prune, let go by age."""

from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest

from tests.stores import beside, databases
from tests.stores.samples import bar, bars_output
from tickhouse.core.batches import Output, TickBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.plugins import open_url
from tickhouse.stores._ticks import numbers

DAY = 86_400 * SECOND
T0 = 1_767_225_600 * SECOND
"""2026-01-01."""
SYMBOLS = 20


@pytest.fixture(scope="module")
def big():
    """The URL of a store with 120,000 ticks of three days."""
    with databases.migrated() as url, closing(open_url("stores", url)) as store:
        for n, at in enumerate(np.arange(T0, T0 + 3 * DAY, DAY // 4)):
            store.write("g", Output(n, ticks=(ticks(10_000, at, n * 10_000, step=DAY // 40_000),)))
        databases.run("VACUUM ANALYZE ticks", url=url)
        yield url


def ticks(count, at=T0, first=0, step=1000, **other):
    """Ticks of `SYMBOLS` symbols, each from a message of its own."""
    n = np.arange(count)
    columns = {
        "symbol": (n % SYMBOLS).astype(np.int32), "event_time": at + n * step, "received_at": at + n * step + 500, "price": 1.5 + n,
        "size": np.full(count, 0.25), "first_id": n, "last_id": n, "raw": first + n,
    }  # fmt: skip
    return TickBatch("binance", "live", [f"S{i}" for i in range(SYMBOLS)], **columns | other)


def stored(url, columns="count(*)", rest=""):
    return databases.run(f"SELECT {columns} FROM gold.ticks {rest}", url=url)


def partitions(url):
    found = databases.run(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ticks'::regclass", url=url
    )
    return sorted(name for (name,) in found)


def plan(url, statement):
    with psycopg.connect(url) as connection:
        return "\n".join(row[0] for row in connection.execute(f"EXPLAIN {statement}"))


def scanned(found):
    """The days that are read from end to end; the one that is empty does not count."""
    return [day for day in ("20260101", "20260102", "20260103") if f"Seq Scan on ticks_{day}" in found]


def test_ticks_are_there_as_they_were_once_however_often_they_are_written(url, warm):
    rows = [
        {"symbol": "A", "event_time": T0 + 1, "received_at": T0 + 2, "price": 1.5, "size": 0.1, "first_id": 7, "last_id": 9,
         "raw": 3, "conditions": 'odd "text", one'},
        {"symbol": "A", "event_time": T0 + 1, "received_at": T0 + 2, "price": 1.5, "size": 0.1, "raw": 4},
        {"symbol": "A", "event_time": T0 + 1, "received_at": T0 + 2, "price": 1.5, "size": None, "raw": 4},
        {"symbol": "B", "event_time": T0 + 1, "received_at": T0 + 2, "price": 1.5, "size": 0.1, "raw": 4},
    ]  # fmt: skip
    at, received = (datetime(2026, 1, 1, microsecond=n, tzinfo=UTC) for n in (1, 2))
    for position in (5, 6):
        warm.write("g", Output(position, ticks=(TickBatch.of("finnhub", rows),)))
        assert stored(url, "*", "ORDER BY symbol, raw, size") == [
            ("A", "finnhub", at, received, 1.5, 0.1, 7, 9, 'odd "text", one', 3),
            ("A", "finnhub", at, received, 1.5, 0.1, None, None, None, 4),
            ("A", "finnhub", at, received, 1.5, None, None, None, None, 4),
            ("B", "finnhub", at, received, 1.5, 0.1, None, None, None, 4),
        ]


def test_ticks_that_are_partly_there_are_all_there_afterwards(url, warm):
    warm.write("g", Output(1, ticks=(ticks(500, T0),)))
    warm.write("g", Output(2, ticks=(ticks(800, T0), ticks(300, T0 + DAY, first=900))))
    warm.write("g", Output(3, ticks=(ticks(900, T0), ticks(400, T0 + DAY, first=900))))
    assert stored(url) == [(1300,)]


def test_a_tick_of_a_message_keeps_its_number_however_ticks_come_together():
    of_one, other = ticks(5, symbol=np.array([0, 1, 0, 0, 1], np.int32), raw=np.full(5, 9)), ticks(1, raw=np.array([9]))
    assert numbers(of_one).tolist() == [0, 0, 1, 2, 1]
    assert numbers(of_one.take(of_one.symbol == 0)).tolist() == [0, 1, 2]
    assert numbers(other).tolist() == [0] and numbers(ticks(0)).tolist() == []
    assert numbers(ticks(4, raw=np.array([3, 3, 5, 5]), symbol=np.zeros(4, np.int32))).tolist() == [0, 1, 0, 1]


def test_days_are_made_for_late_and_loaded_ticks_and_before_they_are_needed(url, warm):
    assert partitions(url) == []
    warm.write("g", Output(1, ticks=(ticks(10, T0 + 9 * DAY),)))
    assert partitions(url) == ["ticks_20260110", "ticks_20260111"]
    warm.write("g", Output(2, ticks=(ticks(10, T0 + 11 * DAY - 5 * SECOND, step=SECOND), ticks(10, T0, first=50))))
    assert set(partitions(url)) == {f"ticks_202601{day}" for day in ("01", "10", "11", "12", "13")}
    assert stored(url, "count(*)", "WHERE event_time >= '2026-01-12'") == [(5,)]


def test_a_failed_write_leaves_neither_ticks_nor_position(url, warm):
    warm.write("g", Output(1, ticks=(ticks(10),)))
    databases.run("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE disk_full; END'", url=url)
    databases.run("CREATE TRIGGER no BEFORE INSERT OR UPDATE ON positions EXECUTE FUNCTION no()", url=url)
    for given in (Output(2, ticks=(ticks(10, T0 + DAY, first=100),)), bars_output(3, bar())):
        with pytest.raises(Exception, match="no room"):
            warm.write("g", given)
    assert (stored(url), warm.position("g")) == ([(10,)], 1)
    assert partitions(url) == ["ticks_20260101", "ticks_20260102"]


def test_whole_days_are_let_go_and_no_other(url, warm):
    warm.write("g", Output(1, ticks=tuple(ticks(100, T0 + day * DAY, first=100 * day) for day in range(4))))
    assert warm.trim("ticks", T0 + DAY - 1) == 0
    while warm.trim("ticks", T0 + 2 * DAY + 5):
        pass
    assert partitions(url) == ["ticks_20260103", "ticks_20260104", "ticks_20260105"]
    assert stored(url) == [(200,)]


def test_a_question_under_way_is_not_disturbed_the_day_goes_later(url, warm, clock_of_the_machine):
    warm.write("g", Output(1, ticks=(ticks(100),)))
    with psycopg.connect(url) as asking:
        asking.execute("SELECT * FROM gold.ticks LIMIT 1")
        assert clock_of_the_machine(lambda: warm.trim("ticks", T0 + 9 * DAY)) < 2
        assert clock_of_the_machine(lambda: warm.write("g", Output(2, ticks=(ticks(10, T0 + 30 * DAY, 200),)))) < 2
        assert asking.execute("SELECT count(*) FROM gold.ticks WHERE event_time < '2026-01-02'").fetchone() == (100,)
    assert warm.trim("ticks", T0 + 9 * DAY)
    assert "ticks_20260101" not in partitions(url)


def test_a_question_about_a_time_looks_into_its_days_only_and_by_symbol_along_the_key(big):
    by_symbol = plan(big, "SELECT * FROM gold.ticks WHERE symbol = 'S3' AND event_time >= '2026-01-03 12:00+00'")
    assert "ticks_20260103_pkey" in by_symbol and not scanned(by_symbol)
    assert "ticks_20260101" not in by_symbol and "ticks_20260102" not in by_symbol
    newest = plan(big, "SELECT price FROM gold.ticks WHERE symbol = 'S3' ORDER BY event_time DESC LIMIT 1")
    assert "Index Scan Backward" in newest and "Sort" not in newest and not scanned(newest)


def test_all_symbols_of_a_stretch_are_found_by_brin(big):
    span = "event_time >= '2026-01-02 12:00+00' AND event_time < '2026-01-02 12:10+00'"
    assert stored(big, "count(*)", f"WHERE {span}") == [(278,)]
    with psycopg.connect(big) as connection:
        connection.execute("SET enable_seqscan = off")
        found = "\n".join(row[0] for row in connection.execute(f"EXPLAIN SELECT * FROM gold.ticks WHERE {span}"))
    assert "Bitmap Index Scan on ticks_20260102_event_time_idx" in found
    assert "ticks_20260101" not in found and "ticks_20260103" not in found


def test_a_question_that_ends_now_leaves_old_days_out_when_it_is_run(big):
    found = plan(
        big, "(ANALYZE, COSTS OFF, TIMING OFF) SELECT * FROM gold.ticks WHERE event_time > now() - interval '1 hour'"
    )
    assert "Subplans Removed" in found and "ticks_2026010" not in found


def test_processes_that_need_the_same_days_at_once_make_them_once(url, processes):
    told = [processes(beside.write_ticks, url)[1] for _ in range(4)]
    assert [one.recv() for one in told] == [""] * 4
    assert stored(url) == [(4 * 30 * 50,)] and len(partitions(url)) == 31
