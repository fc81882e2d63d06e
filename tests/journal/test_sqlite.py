"""The SQLite journal on bad days: kills, cut and flipped bytes, full disks, other processes."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.journal.samples import SECOND, T0, entry, noise, rejected
from tickhouse.core.batches import Entry, RawBatch, every_kind
from tickhouse.core.errors import BadQuery, BadSetting, CorruptLog, DiskFull
from tickhouse.core.model import Kind
from tickhouse.journal import Quarantined
from tickhouse.journal._rows import quarantine_check
from tickhouse.journal.sqlite import SqliteJournal
from tickhouse.journal.sqlite import open as open_journal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


OPEN: list[SqliteJournal] = []


@pytest.fixture(autouse=True)
def _closed_again():
    """A test that fails must not leave a journal open for the next."""
    yield
    while OPEN:
        OPEN.pop().close()


def opened(path: Path, **options) -> SqliteJournal:
    OPEN.append(open_journal(f"sqlite:///{path}", **options))
    return OPEN[-1]


def filled(path: Path, records: int = 6, size: int = 0, n: int = 3) -> None:
    """A closed journal of equal records."""
    journal = opened(path)
    for i in range(records):
        journal.append([entry(n, n * i, size=size)])
    journal.close()


def change(path: Path, statement: str, *values) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


def flip(path: Path, first: int, column: str) -> None:
    """Flip one bit in a stored column."""
    with sqlite3.connect(path) as connection:
        (blob,) = connection.execute(f"SELECT {column} FROM records WHERE first = ?", (first,)).fetchone()
        blob = bytearray(blob)
        blob[len(blob) // 2] ^= 4
        connection.execute(f"UPDATE records SET {column} = ? WHERE first = ?", (bytes(blob), first))
    connection.close()


def child(code: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


APPENDER = """
import sys
from tests.journal.samples import entry
from tickhouse.journal.sqlite import open
journal = open(f"sqlite:///{sys.argv[1]}", durability=sys.argv[2])
number = journal.end()
while True:
    journal.append([entry(2, number), entry(3, number + 2, size=int(sys.argv[3]))])
    number += 5
    journal.commit("process", number - 1)
    print(number, flush=True)
"""


def kill_after_a_moment(path: Path, durability: str, seconds: float, size: int = 0) -> int:
    """Append in another process, kill it, and return the end that it was last told."""
    process = child(APPENDER, path, durability, size)
    try:
        acknowledged = int(process.stdout.readline())
        threading.Timer(seconds, lambda: process.send_signal(signal.SIGKILL)).start()
        for line in process.stdout:
            acknowledged = int(line) if line.endswith("\n") else acknowledged
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return acknowledged


def check_whole(journal: SqliteJournal, at_least: int) -> None:
    """Everything acknowledged is there, nothing is half there, and what follows goes on from it."""
    end = journal.end()
    assert at_least <= end <= at_least + 5
    assert end % 5 == 0
    check = journal.verify()
    assert (check.messages, check.faults) == (end, ())
    assert journal.ledger()["binance", "received"] == end
    assert journal.committed("process") in (end - 1, end - 6)
    last = journal.read("ticks", end - 1)[0]
    assert last.ticks.last_id.tolist()[-1] == end - 1


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_a_killed_process_loses_nothing_that_it_acknowledged(path, durability):
    chance = random.Random(durability)
    for _ in range(4):
        acknowledged = kill_after_a_moment(path, durability, chance.uniform(0, 0.15), chance.choice((0, 5000)))
        journal = opened(path)
        check_whole(journal, acknowledged)
        journal.close()


@pytest.mark.slow
def test_thirty_kills_lose_nothing_that_was_acknowledged(path):
    chance = random.Random(30)
    for _ in range(30):
        acknowledged = kill_after_a_moment(path, "full", chance.uniform(0, 0.3), chance.choice((0, 5000, 200_000)))
        journal = opened(path)
        check_whole(journal, acknowledged)
        journal.close()


def crashed_copy(path: Path, to: Path) -> Path:
    """The files of an open journal as a crash of the machine would leave them."""
    to.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(path.with_name(name), to / name)
    return to / "journal.db"


def test_a_log_cut_anywhere_opens_at_the_last_whole_append_and_says_so(path, tmp_path):
    journal = opened(path)
    for i in range(8):
        journal.append([entry(5, 5 * i)])
    whole = path.with_name("journal.db-wal").stat().st_size
    ends = set()
    for number, size in enumerate(range(whole, 0, -whole // 13)):
        copy = crashed_copy(path, tmp_path / str(number))
        os.truncate(copy.with_name("journal.db-wal"), size)
        cut = opened(copy)
        ends.add(cut.end())
        assert cut.end() % 5 == 0
        assert cut.verify().faults == ()
        assert cut.append([entry(5, cut.end())]) == [max(ends & {cut.end() - 5})]
        if 32 < size < whole:
            assert (cut.recovered is None) or "cut" in cut.recovered
        cut.close()
    assert max(ends) == 40
    assert len(ends) > 4
    journal.close()


def test_a_log_torn_inside_a_transaction_is_reported(path, tmp_path):
    journal = opened(path)
    journal.append([entry(5)])
    before = path.with_name("journal.db-wal").stat().st_size
    journal.append([noise(20, 10_000)])
    copy = crashed_copy(path, tmp_path / "copy")
    os.truncate(copy.with_name("journal.db-wal"), before + 50_000)
    cut = opened(copy)
    assert "broke off inside a transaction: 50000 bytes" in cut.recovered
    assert (cut.end(), cut.verify().faults) == (5, ())
    cut.close()
    again = opened(copy)
    assert again.recovered is None
    again.close()
    journal.close()


def test_an_orderly_log_of_a_killed_process_is_no_news(path, tmp_path):
    journal = opened(path)
    journal.append([entry(5)])
    copy = opened(crashed_copy(path, tmp_path / "copy"))
    assert (copy.recovered, copy.end()) == (None, 5)
    copy.close()
    journal.close()


@pytest.mark.parametrize("column", ["raw", "ticks", "checks"])
def test_a_flipped_bit_is_found_and_named(path, column):
    filled(path)
    journal = opened(path)
    flip(path, 6, column)
    check = journal.verify()
    assert (check.records, check.messages, len(check.faults)) == (6, 18, 1)
    assert "position 6 (3 messages)" in check.faults[0]
    for topic in ("raw", "ticks"):
        if topic == ("raw" if column == "raw" else "ticks"):
            with pytest.raises(CorruptLog, match=r"position 6 .*verify.*backup"):
                journal.read(topic, 0)
            assert [r.first for r in journal.read(topic, 9)] == [9, 12, 15]
        else:
            assert len(journal.read(topic, 0)) == 6
    if column != "raw":
        with pytest.raises(CorruptLog):
            list(journal.window("binance", "S0", 0, 1 << 60))
    journal.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [("count", 4), ("source", "x"), ("lane", "refill"), ("received_at", 1), ("event_max", 1 << 61), ("total", 7)],
)
def test_every_column_about_a_record_is_under_its_checksums(path, column, value):
    filled(path)
    change(path, f"UPDATE records SET {column} = ? WHERE first = 0", value)
    journal = opened(path)
    assert any("position 0" in fault for fault in journal.verify().faults)
    for topic in ("raw", "ticks"):
        with pytest.raises(CorruptLog, match="position 0"):
            journal.read(topic, 0)
    journal.close()


def test_a_flipped_bit_in_quarantine_is_found(path):
    journal = opened(path)
    journal.append([rejected((1,), 3)])
    change(path, "UPDATE quarantine SET payload = ?", b"another")
    assert journal.verify().faults == ("the quarantined message at position 1 does not match its checksum",)
    journal.close()


def test_damaged_records_at_the_end_are_cut_and_kept_aside(path):
    filled(path)
    flip(path, 12, "raw")
    flip(path, 15, "ticks")
    journal = opened(path)
    assert "2 damaged records at the end, from position 12 on, were cut" in journal.recovered
    assert "journal.db.corrupt" in journal.recovered
    lines = path.with_name("journal.db.corrupt").read_text().splitlines()
    assert [json.loads(line)[:3] for line in lines] == [[12, 3, "binance"], [15, 3, "binance"]]
    assert journal.verify().faults == ()
    assert journal.read("raw", 0)[-1].end == 12
    assert journal.append([entry(1)]) == [18]  # positions of cut messages are not given out again
    journal.close()
    again = opened(path)
    assert again.recovered is None
    again.close()


def test_a_journal_whose_every_record_is_damaged_opens_empty(path):
    filled(path, 12)
    for i in range(12):
        flip(path, 3 * i, "raw")
    journal = opened(path)
    assert "12 damaged records" in journal.recovered
    assert (journal.begin(), journal.end()) == (36, 36)
    journal.close()


def test_damage_before_good_records_is_reported_and_not_cut(path):
    filled(path)
    flip(path, 9, "raw")
    journal = opened(path)
    assert journal.recovered == "the record at position 9 is damaged: its raw messages do not match their checksum"
    assert journal.end() == 18
    journal.close()


def test_a_damaged_page_is_found_and_named(path):
    filled(path, 40, 3000)
    size = path.stat().st_size
    page = 16_384
    for number in range(2, size // page):
        with path.open("r+b") as file:
            file.seek(number * page)
            kept = file.read(page)
            file.seek(number * page)
            file.write(b"\x55" * page)
        try:
            journal = opened(path)
        except CorruptLog as error:
            assert "damaged" in str(error)
        else:
            assert journal.verify().faults
            journal.close()
        path.with_name("journal.db.corrupt").unlink(missing_ok=True)
        with path.open("r+b") as file:
            file.seek(number * page)
            file.write(kept)
        if number > 12:
            break


def test_a_file_that_is_no_journal_is_not_touched(path):
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(CorruptLog, match="not a database"):
        opened(path)
    assert path.read_bytes() == b"hello" * 1000
    path.unlink()
    change(path, "CREATE TABLE other (x)")
    with pytest.raises(BadSetting, match="another SQLite database"):
        opened(path)


def test_a_journal_of_a_newer_format_is_refused(path):
    filled(path, 1)
    change(path, "PRAGMA user_version = 99")
    with pytest.raises(BadSetting, match="newer tickhouse"):
        opened(path)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "postgresql:///x", "journal.db"])
def test_a_bad_url_is_named(url):
    with pytest.raises(BadSetting, match="sqlite:///path"):
        open_journal(url)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises((BadSetting, OSError)):
        opened(tmp_path / "file" / "journal.db")


def test_a_full_disk_takes_nothing_and_the_journal_goes_on_when_there_is_room(path):
    journal = opened(path)
    journal.append([entry(3)])
    pages = journal._file._writer.execute("PRAGMA page_count").fetchone()[0]
    journal._file._writer.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(DiskFull, match="nothing acknowledged is lost"):
        journal.append([entry(1, 3), noise(20, 10_000)])
    assert (journal.end(), journal.verify().faults, journal.ledger()["binance", "received"]) == (3, (), 3)
    journal._file._writer.execute("PRAGMA max_page_count = 1000000")
    assert journal.append([entry(1, 3), noise(20, 10_000)]) == [3, 4]
    assert journal.verify().faults == ()
    journal.close()


SMALL_DISK = """
import json, resource, sys
from tests.journal.samples import entry, noise
from tickhouse.core.errors import DiskFull
from tickhouse.journal.sqlite import open
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
journal = open(f"sqlite:///{sys.argv[1]}")
said = None
while said is None:
    try:
        journal.append([noise(10, 10_000, journal.end())])
    except DiskFull as error:
        said = str(error)
end = journal.end()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
more = journal.append([entry(5)])
print(json.dumps([said, end, more, journal.verify().faults]))
"""


def test_a_write_that_the_system_refuses_takes_nothing_and_loses_nothing(path):
    process = child(SMALL_DISK, path)
    said, end, more, faults = json.loads(process.communicate(timeout=60)[0])
    assert "free space" in said
    assert end > 0
    assert (more, faults) == ([end], [])
    journal = opened(path)
    assert (journal.end(), journal.recovered) == (end + 5, None)
    journal.close()


COUNTED = """
import sys
from tests.journal.samples import entry
from tickhouse.journal.sqlite import open
journal = open(f"sqlite:///{sys.argv[1]}")
for i in range(60):
    journal.append([entry(2, 2 * i, source=sys.argv[2])])
journal.close()
"""


def test_two_processes_append_and_positions_stay_unique_and_dense(path):
    journal = opened(path)
    processes = [child(COUNTED, path, name) for name in ("a", "b")]
    mine = [journal.append([entry(2, 2 * i, source="c")])[0] for i in range(60)]
    for process in processes:
        assert process.wait(60) == 0
        process.stdout.close()
    records = []
    while found := journal.read("ticks", records[-1].end if records else 0):
        records += found
    assert [r.first for r in records] == list(range(0, 360, 2))
    assert [r.first for r in records if r.source == "c"] == mine
    for source in "abc":
        ids = [i for r in records if r.source == source for i in r.ticks.last_id.tolist()]
        assert ids == list(range(120))
    journal.close()


def test_wait_wakes_within_moments_for_an_append_of_another_process(path):
    journal = opened(path)
    process = child(COUNTED, path, "a")
    assert journal.wait(0, 30)
    assert journal.wait(100, 30)
    assert process.wait(60) == 0
    process.stdout.close()
    journal.close()


def test_a_second_opener_cuts_nothing_while_the_first_appends(path):
    first = opened(path)
    first.append([entry(3)])
    second = opened(path)
    assert second.recovered is None
    assert second.append([entry(3, 3)]) == [3]
    assert first.end() == 6
    second.close()
    assert first.append([entry(3, 6)]) == [6]
    first.close()


def test_space_that_retention_freed_is_used_again(path):
    journal = opened(path, retain_bytes=1_000_000)
    sizes = []
    for i in range(60):
        journal.append([noise(10, 20_000, i)])
        if i % 5 == 4:
            journal.trim(0)
            sizes.append(journal._file._writer.execute("PRAGMA page_count").fetchone()[0])
    assert max(sizes[4:]) <= sizes[3] + 20
    assert journal.verify().faults == ()
    journal.close()


def test_much_free_space_goes_back_to_the_disk(path, monkeypatch):
    monkeypatch.setattr("tickhouse.journal._trim.ROOM", 1 << 20)
    monkeypatch.setattr("tickhouse.journal._trim.PAGES_AT_A_TIME", 16)
    journal = opened(path, retain_seconds=1)
    for i in range(30):
        journal.append([noise(10, 20_000, i)])
    before = journal._file._writer.execute("PRAGMA page_count").fetchone()[0]
    journal.trim(T0 + 3600 * SECOND)
    after = journal._file._writer.execute("PRAGMA page_count").fetchone()[0]
    assert after < before / 3
    assert journal.append([entry(1)]) == [300]
    assert journal.verify().faults == ()
    journal.close()


def test_the_log_stays_small_under_a_stream_of_appends(path, monkeypatch):
    monkeypatch.setattr("tickhouse.journal._checkpoints.SOFT", 1 << 20)
    monkeypatch.setattr("tickhouse.journal._checkpoints.HARD", 4 << 20)
    journal = opened(path, durability="normal")
    longest = 0.0
    for i in range(200):
        began = time.perf_counter()
        journal.append([noise(10, 20_000, i)])
        longest = max(longest, time.perf_counter() - began)
    assert path.with_name("journal.db-wal").stat().st_size < 12 << 20
    assert longest < 1.0
    journal.close()


def test_a_closed_journal_says_so(path):
    journal = opened(path)
    journal.close()
    for use in (journal.end, lambda: journal.append([entry(1)]), lambda: journal.commit("g", 1)):
        with pytest.raises(BadQuery, match="closed"):
            use()


def test_closing_leaves_one_file_and_its_lock(path):
    filled(path)
    assert sorted(p.name for p in path.parent.iterdir()) == ["journal.db", "journal.db.lock"]


def test_recorded_messages_of_every_provider_come_back_exactly(path, recordings):
    files = [p for p in sorted(recordings.rglob("*")) if p.is_file() and p.stat().st_size < 300_000]
    payloads = [piece for p in files for piece in (p.read_bytes(), *p.read_bytes().splitlines()[:200])]
    journal = opened(path)
    journal.append([Entry(RawBatch.of("s", "c", payloads, T0), every_kind(len(payloads), Kind.PARSED))])
    assert list(journal.read("raw", 0)[0].raw.payloads()) == payloads


def test_a_file_of_the_format_before_is_brought_to_this_one(path):
    """Quarantine had no lane then; what was in it stays, and its checksums hold."""
    journal = opened(path)
    journal.append([rejected((0, 1), 3, lane="load:a.csv:1")])
    journal.close()
    with sqlite3.connect(path) as old:
        rows = old.execute("SELECT position FROM quarantine").fetchall()
        for (position,) in rows:
            item = replace(next(i for i in quarantined(path) if i.position == position), lane="")
            check = quarantine_check(item, 2)
            old.execute("UPDATE quarantine SET check_ = ? WHERE position = ?", (check, position))
        old.execute("ALTER TABLE quarantine DROP COLUMN lane")
        old.execute("ALTER TABLE records DROP COLUMN tables")
        old.execute("PRAGMA user_version = 1")
    journal = opened(path)
    journal.append([rejected((0,), 2, lane="load:b.csv:2")])
    assert [item.lane for item in journal.quarantine()] == ["", "", "load:b.csv:2"]
    assert journal.verify().faults == ()
    journal.close()


def quarantined(path):
    with sqlite3.connect(path) as file:
        columns = "position, source, channel, received_at, reason, detail, payload, healed, lane"
        return [Quarantined(*row) for row in file.execute(f"SELECT {columns} FROM quarantine")]
