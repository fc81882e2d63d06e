"""What is particular to SQLite: plans of its questions, migrations, several processes, full disks, damage."""

import random
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.stores import beside
from tests.stores.samples import MINUTE, T0, anomaly, bar, bars_output, finding, indicator, output, plain, stretch
from tests.stores.statements import questions
from tickhouse.core.batches import Output
from tickhouse.core.errors import BadSetting, Busy, DiskFull, Final, SettingsError
from tickhouse.core.model import Query
from tickhouse.stores import _migrate, _trim, _warm, sqlite
from tickhouse.stores._tables import HEAD

BIG = ("bars", "indicators", "anomalies", "findings", "coverage", "quality_metrics")
ONE, MANY = ("S1",), ("S1", "S3")
RANGE = {"start": T0, "end": T0 + 5 * MINUTE}
BAR_KEY = ("S1", "1m", T0, "binance", 0)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/warm.db"


def filled(url):
    """A store with a few rows of each kind."""
    warm = sqlite.open(url)
    bars = [bar(f"S{n}", m) for n in range(5) for m in range(5)]
    warm.write("g", bars_output(1, *bars))
    rest = {
        "indicators": [indicator("S1")],
        "anomalies": [anomaly("S1")],
        "findings": [finding()],
        "coverage": [stretch(0, 1)],
    }
    warm.write("g", output(2, **rest))
    return warm


def plans(path, ask):
    """The plan of every question that is asked."""
    seen = questions(ask)
    with sqlite3.connect(path) as connection:
        found = [[row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {s}", p)] for s, p in seen]
    connection.close()
    return found


VERSIONED = {
    "newest bars of a symbol": Query(ONE, "1m", last=10),
    "newest bars of a symbol and source": Query(ONE, "1m", "binance", last=10),
    "a range": Query(ONE, "1m", **RANGE),
    "a range of one source": Query(ONE, "1m", "binance", **RANGE),
    "a range of several symbols": Query(MANY, "1m", **RANGE),
    "a range of all symbols": Query(interval="1m", **RANGE),
    "everything": Query(),
    "a page": Query(ONE, "1m", after=BAR_KEY, limit=5),
    "a page of all symbols": Query(after=BAR_KEY, limit=5),
    "as of": Query(ONE, "1m", as_of=T0 + MINUTE),
    "before a position": Query(ONE, "1m", before=1),
    "all versions": Query(ONE, "1m", versions=True),
    "newest of all, as of": Query(last=1, as_of=T0 + MINUTE),
}


@pytest.mark.parametrize("name", VERSIONED)
@pytest.mark.parametrize("kind", ["bars", "indicators", "anomalies"])
def test_a_question_for_bars_walks_along_the_key_and_sorts_nothing(url, tmp_path, kind, name):
    warm, query = filled(url), VERSIONED[name]
    if query.after and kind == "anomalies":
        query = Query(query.symbols, query.interval, after=(*query.after, "returns(20,3)"), limit=query.limit)
    found = plans(tmp_path / "warm.db", lambda: getattr(warm, kind)(query))
    warm.close()
    assert_no_scan_and_no_sort(found)


OTHER = {
    "findings of a range": lambda warm: warm.findings(Query(**RANGE)),
    "findings of a symbol": lambda warm: warm.findings(Query(ONE, **RANGE)),
    "the newest findings of a symbol": lambda warm: warm.findings(Query(ONE, last=5)),
    "a page of findings": lambda warm: warm.findings(Query(after=(T0, "x", "S1", "ranges", "info", 1, "m"), limit=5)),
    "coverage of a symbol": lambda warm: warm.coverage(Query(("BTC-USDT",), **RANGE)),
    "coverage of all": lambda warm: warm.coverage(Query(**RANGE)),
    "a page of coverage": lambda warm: warm.coverage(Query(after=("BTC-USDT", T0, "binance", "trade"), limit=5)),
    "metrics of a range": lambda warm: warm.metrics(Query(**RANGE)),
    "the symbols": lambda warm: warm.symbols(),
    "the position": lambda warm: warm.position("g"),
    "the checkpoint": lambda warm: warm.checkpoint("g"),
}


@pytest.mark.parametrize("name", OTHER)
def test_every_other_question_uses_an_index_too(url, tmp_path, name):
    warm = filled(url)
    found = plans(tmp_path / "warm.db", lambda: OTHER[name](warm))
    warm.close()
    assert_no_scan_and_no_sort(found)


def assert_no_scan_and_no_sort(found):
    assert found
    for plan in found:
        assert not [step for step in plan if "TEMP B-TREE" in step], plan
        assert not [step for step in plan if step.startswith("SCAN") and step.split()[1] in BIG], plan


@pytest.mark.parametrize("kept", ["bars", "findings", "metrics", "coverage"])
def test_letting_go_walks_along_the_key_too(url, tmp_path, kept):
    warm = filled(url)
    warm.measure(T0, {("binance", "late"): 1.0})
    found = plans(tmp_path / "warm.db", lambda: warm.trim(kept, T0 + 5 * MINUTE))
    warm.close()
    assert_no_scan_and_no_sort(found)


@pytest.mark.parametrize("kept", ["bars", "findings", "metrics", "coverage"])
def test_one_transaction_lets_go_of_a_portion_the_oldest_first(url, kept, monkeypatch):
    monkeypatch.setattr(_trim, "PORTION", 4)
    warm = sqlite.open(url)
    versions = [bar("A", m, version=v) for m in range(3) for v in range(6)]
    warm.write("g", bars_output(1, *versions, *(bar("B", m) for m in range(9))))
    said = {
        "findings": [finding(T0 + n // 6, raw=n) for n in range(18)],
        "coverage": [stretch(n, n + 1) for n in range(18)],
    }
    warm.write("g", output(2, indicators=[indicator("A", m) for m in range(3)], **said))
    for at in range(T0, T0 + 18):
        warm.measure(at, {("binance", "late"): 1.0})
    portions = []
    while gone := warm.trim(kept, T0 + 20 * MINUTE):
        portions.append(gone)
        starts = [row["start"] for row in plain(warm.bars(Query(("A",), versions=True)))]
        assert set(starts) == {row["start"] for row in plain(warm.indicators(Query(("A",))))}
    assert max(portions) <= 7 and len(portions) >= 3
    assert warm.symbols() == [] or kept != "bars"
    warm.close()


def test_the_check_of_plans_can_fail(tmp_path, url):
    warm = filled(url)

    def ask():
        with warm._reading() as connection:
            connection.exec_driver_sql("SELECT * FROM bars ORDER BY close")

    with pytest.raises(AssertionError):
        assert_no_scan_and_no_sort(plans(tmp_path / "warm.db", ask))
    warm.close()


def test_a_new_database_is_what_the_migrations_would_have_made(tmp_path):
    made = []
    for name in ("new", "migrated"):
        engine = sqlite.engine(str(tmp_path / f"{name}.db")).execution_options(begin="BEGIN IMMEDIATE")
        _migrate.upgrade(engine) if name == "new" else _migrate.move(engine, HEAD)
        assert _migrate.version(engine) == HEAD
        with engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version' ORDER BY name"
            )
            made.append([(table, " ".join(sql.replace('"', "").split())) for table, sql in found])
        _migrate.move(engine, "base")
        engine.dispose()
    assert made[0] == made[1]


def test_tables_of_a_newer_tickhouse_are_left_alone(url, tmp_path):
    sqlite.open(url).close()
    with sqlite3.connect(tmp_path / "warm.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SettingsError, match="9999"):
        sqlite.open(url)


def test_a_store_without_tables_says_what_to_do(url):
    warm = sqlite.open(url, upgrade=False)
    with pytest.raises(SettingsError, match="db upgrade"):
        warm.bars(Query())
    warm.close()


@pytest.mark.parametrize("wrong", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_url_without_a_file_is_refused(wrong):
    with pytest.raises(BadSetting):
        sqlite.open(wrong)


def test_a_path_with_odd_letters_works(tmp_path):
    warm = sqlite.open(f"sqlite:///{tmp_path}/a b%20?#é/warm.db")
    warm.write("g", bars_output(1, bar()))
    assert (tmp_path / "a b%20?#é" / "warm.db").exists()
    warm.close()


def test_a_file_that_is_no_database_is_reported_and_kept(url, tmp_path):
    (tmp_path / "warm.db").write_bytes(b"no database at all, " * 100)
    with pytest.raises(Final, match="damaged"):
        sqlite.open(url)
    assert (tmp_path / "warm.db").read_bytes().startswith(b"no database")


def test_the_file_is_written_through_and_read_beside(url):
    warm = sqlite.open(url)
    with warm._reading() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }
    warm.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_only_two_checkpoints_are_kept(url, tmp_path):
    warm = sqlite.open(url)
    for position in range(1, 6):
        warm.write("g", Output(position), b"s")
        warm.write("other", Output(position), b"s")
    warm.close()
    with sqlite3.connect(tmp_path / "warm.db") as connection:
        kept = connection.execute('SELECT "group", position FROM checkpoints ORDER BY 1, 2').fetchall()
    connection.close()
    assert kept == [("g", 4), ("g", 5), ("other", 4), ("other", 5)]


def test_another_writer_that_does_not_end_makes_it_busy_and_nothing_is_written(url, tmp_path, monkeypatch):
    monkeypatch.setitem(sqlite.PRAGMAS, "busy_timeout", "50")
    warm = sqlite.open(url)
    other = sqlite3.connect(tmp_path / "warm.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy) as busy:
        warm.write("g", bars_output(1, bar()))
    assert busy.value.retry_after is not None
    assert warm.position("g") is None
    other.execute("ROLLBACK")
    other.close()
    warm.write("g", bars_output(1, bar()))
    assert warm.position("g") == 1
    warm.close()


def test_a_full_disk_is_said_and_what_was_stored_stays_whole(url):
    def small(connection, record):
        connection.execute("PRAGMA max_page_count = 150")

    event.listen(Engine, "connect", small)
    try:
        warm, position = sqlite.open(url), 0
        with pytest.raises(DiskFull):
            while True:
                warm.write("g", beside.step(position + 1), b"%d" % (position + 1))
                position += 1
        assert 0 < position == warm.position("g")
        warm.close()
    finally:
        event.remove(Engine, "connect", small)
    assert beside.wrong(url) == ""
    warm = sqlite.open(url)
    warm.write("g", beside.step(position + 1), b"%d" % (position + 1))
    warm.close()
    assert beside.wrong(url) == ""


@pytest.mark.slow
def test_twenty_kills_in_the_middle_of_writing_leave_only_whole_outputs(url, processes):
    dice = random.Random(7)
    sqlite.open(url).close()
    for _ in range(20):
        said = beside.killed(processes(beside.write_on, url), dice.uniform(0.0, 0.03))
        assert beside.wrong(url) == ""
        warm = sqlite.open(url)
        assert warm.position("g") >= said, "what was acknowledged is there"
        warm.close()


def test_other_processes_read_whole_outputs_while_one_writes(url, processes):
    warm = sqlite.open(url)
    warm.write("g", beside.step(1))
    readers = [processes(beside.read_on, url)[1] for _ in range(2)]
    for position in range(2, 40):
        warm.write("g", beside.step(position))
    for told in readers:
        told.send("stop")
    reports = [told.recv() for told in readers]
    warm.close()
    assert all(reads > 0 and not torn for reads, torn in reports), reports


def test_processes_that_open_a_new_store_at_once_make_it_once(url, processes):
    told = [processes(beside.open_once, url)[1] for _ in range(4)]
    assert [one.recv() for one in told] == [HEAD] * 4


def test_a_reader_beside_a_writer_sees_one_moment(url):
    """A question of several statements is answered from one snapshot, whatever is written meanwhile."""
    warm, writer = filled(url), sqlite.open(url)
    with warm._reading() as connection:
        count = "SELECT count(*) FROM bars"
        before = connection.exec_driver_sql(count).scalar()
        writer.write("g", bars_output(9, bar("NEW")))
        assert connection.exec_driver_sql(count).scalar() == before
    assert len(plain(warm.bars(Query(("NEW",))))) == 1
    warm.close()
    writer.close()


@pytest.mark.parametrize("query", [Query(), Query(last=40), Query(versions=True, limit=33), Query(ONE, "1m", last=20)])
def test_an_answer_in_several_parts_is_the_same_as_in_one(url, monkeypatch, query):
    warm = sqlite.open(url)
    warm.write("g", bars_output(1, *(bar(f"S{n}", m) for n in range(3) for m in range(30))))
    whole = plain(warm.bars(query))
    monkeypatch.setattr(_warm, "CHUNK", 7)
    assert plain(warm.bars(query)) == whole
    warm.close()


def test_the_migrations_are_part_of_the_package():
    assert (Path(sqlite.__file__).parent / "migrations" / "versions" / f"{HEAD}.py").exists()
