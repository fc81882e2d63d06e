"""What is particular to PostgreSQL: plans of its questions, views for other tools, several processes, refusals."""

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.stores import beside, databases
from tests.stores.samples import MINUTE, T0, anomaly, bar, bars_output, finding, indicator, output, plain, stretch
from tests.stores.statements import questions
from tests.stores.test_sqlite import ONE, OTHER, VERSIONED
from tickhouse.core.batches import BarBatch, Output
from tickhouse.core.errors import Busy, Final, MissingExtra, SettingsError, Temporary, Unreachable
from tickhouse.core.model import Query, State
from tickhouse.core.plugins import open_url
from tickhouse.stores import _postgres_errors, _warm, postgres
from tickhouse.stores._tables import HEAD

BIG = ("bars", "indicators", "anomalies", "findings", "coverage", "quality_metrics")
SERIES, MINUTES = 50, 2_000


@pytest.fixture(scope="module")
def big():
    """A store with 100,000 bars and thousands of everything else: its URL and itself."""
    with databases.migrated() as url, closing(open_url("stores", url)) as store:
        for position, minutes in enumerate(np.split(np.arange(MINUTES), 20)):
            store.write("g", Output(position, (many(minutes),)))
        for m in range(0, MINUTES, 10):
            each = [f"S{s}" for s in range(SERIES)]
            said = {
                "indicators": [indicator(s, m) for s in each],
                "anomalies": [anomaly(s, m) for s in each],
                "findings": [finding(T0 + m * MINUTE, symbol=s, raw=m) for s in each],
                "coverage": [stretch(m + n, m + n + 1, symbol=s) for s in each for n in range(5)],
            }
            store.write("g", output(30, **said))
            store.measure(T0 + m * MINUTE, {("binance", f"name {n}"): 1.0 for n in range(50)})
        databases.run("VACUUM ANALYZE", url=url)
        yield url, store


def many(minutes):
    """A bar of each symbol and minute."""
    n = np.arange(SERIES * len(minutes))
    start = T0 + minutes[n // SERIES] * MINUTE
    return BarBatch(
        "binance", [f"S{i}" for i in range(SERIES)], (n % SERIES).astype(np.int32), np.full(len(n), MINUTE), start,
        *(np.full(len(n), 1.5) for _ in range(6)), n % 9, np.ones(len(n)), np.full(len(n), int(State.FINAL), np.uint8),
        np.zeros(len(n), np.int32), n, n, start + MINUTE,
    )  # fmt: skip


def plans(url, ask):
    """The plan of every question that is asked."""
    seen = questions(ask)
    with psycopg.connect(url) as connection:
        return [
            "\n".join(row[0] for row in connection.execute(f"EXPLAIN {sql}", values or None)) for sql, values in seen
        ]


def assert_no_scan(found):
    assert found
    for plan in found:
        assert not [name for name in BIG if f"Seq Scan on {name}" in plan], plan


BOUNDED = {name: query for name, query in VERSIONED.items() if query != Query()}


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("kind", ["bars", "indicators", "anomalies"])
def test_a_question_for_bars_reads_no_table_from_end_to_end(big, kind, name):
    (url, store), query = big, BOUNDED[name]
    if query.after and kind == "anomalies":
        query = Query(query.symbols, query.interval, after=(*query.after, "returns(20,3)"), limit=query.limit)
    assert_no_scan(plans(url, lambda: getattr(store, kind)(query)))


@pytest.mark.parametrize("name", OTHER)
def test_no_other_question_does_either(big, name):
    assert_no_scan(plans(big[0], lambda: OTHER[name](big[1])))


@pytest.mark.parametrize("kept", ["bars", "findings", "metrics", "coverage"])
def test_nor_does_letting_go(big, kept):
    assert_no_scan(plans(big[0], lambda: big[1].trim(kept, T0 - 1)))


def test_the_newest_rows_of_a_symbol_are_the_end_of_its_key(big):
    (plan,) = plans(big[0], lambda: big[1].bars(Query(ONE, "1m", "binance", last=10)))
    assert "Index Scan Backward using bars_pkey" in plan and "Sort" not in plan


def test_the_check_of_plans_can_fail(big):
    with pytest.raises(AssertionError):
        assert_no_scan(plans(big[0], lambda: sort_all(big[1])))


def sort_all(store):
    with store._reading() as connection:
        connection.exec_driver_sql("SELECT * FROM bars ORDER BY close")


def test_other_tools_find_bars_by_time_with_brin_and_by_symbol_with_the_key(big):
    asked = f"SELECT * FROM gold.bars WHERE start >= to_timestamp({T0 // 1_000_000 + 60 * (MINUTES - 5)})"
    with psycopg.connect(big[0]) as connection:
        by_time, by_symbol = (
            "\n".join(row[0] for row in connection.execute(f"EXPLAIN {sql}"))
            for sql in (asked, "SELECT * FROM gold.bars_1m WHERE symbol = 'S3'")
        )
        assert connection.execute(asked.replace("*", "count(*)")).fetchone() == (5 * SERIES,)
    assert "bars_by_time" in by_time and "Seq Scan" not in by_time
    assert "bars_pkey" in by_symbol and "Seq Scan" not in by_symbol


def test_a_large_answer_is_left_on_the_server_until_it_is_wanted(big, monkeypatch):
    monkeypatch.setattr(_warm, "CHUNK", 1_000)
    asked = []
    ask = psycopg.ServerCursor.fetchmany
    monkeypatch.setattr(psycopg.ServerCursor, "fetchmany", lambda self, size=0: asked.append(size) or ask(self, size))
    assert big[1].bars(Query(ONE, "1m")).num_rows == MINUTES
    assert max(asked) <= 1_000 and len(asked) >= 3


def test_views_for_other_tools_show_the_newest_version_of_each_bar_and_what_is_known_of_each_source(url, warm):
    rows = [bar("A", m, completeness=0.5) for m in range(3)]
    corrected = bar("A", 2, version=1, close=9.0, completeness=1.0, known_at=T0 + 9 * MINUTE)
    warm.write("g", bars_output(1, *rows, corrected, bar("B", 1, interval="5m", source="csv")))
    warm.write("g", output(2, coverage=[stretch(0, 1)]))
    warm.write("g", Output(3, ledger={("binance", "accepted"): 7, ("binance", "duplicate"): 2, ("binance", "late"): 1}))
    warm.measure(T0, {("binance", "received"): 11.0, ("binance", "rejected"): 1.0, ("binance", "invalid"): 0.0})
    warm.measure(T0 + 1, {("binance", "received"): 12.0, ("binance", "rejected"): 2.0, ("binance", "invalid"): 0.0})

    def ask(columns, view):
        return databases.run(f"SELECT {columns} FROM gold.{view}", url=url)

    epoch = "extract(epoch FROM start)::bigint * 1000000"
    shown = ask(f"symbol, source, {epoch}, close, version", "bars ORDER BY 1, 2, 3")
    assert shown == [
        ("A", "binance", T0, 3.0, 0),
        ("A", "binance", T0 + MINUTE, 3.0, 0),
        ("A", "binance", T0 + 2 * MINUTE, 9.0, 1),
        ("B", "csv", T0 + MINUTE, 3.0, 0),
    ]
    assert ask("count(*)", "bars_1m") == [(3,)]
    assert ask(f"symbol, price, {epoch}", "latest_price ORDER BY 1") == [
        ("A", 9.0, T0 + 2 * MINUTE),
        ("B", 3.0, T0 + MINUTE),
    ]
    assert ask("symbol, channel, state", "coverage") == [("BTC-USDT", "trade", "live")]
    expected = [("binance", 1, 12, 2, 0, 7, 2, 1, pytest.approx(2 / 3), T0 + 2 * MINUTE)]
    names = "source, symbols, messages, rejected, invalid, accepted, duplicates, late, completeness"
    last = "extract(epoch FROM last_bar)::bigint * 1000000"
    for view in ("data_quality", "get_data_quality_metrics()"):
        assert ask(f"{names}, {last}", f"{view} WHERE source = 'binance'") == expected


@pytest.mark.parametrize("count", [1, postgres.COPIED_FROM, 3 * postgres.COPIED_FROM])
def test_odd_text_and_numbers_come_back_however_many_rows_there_are(warm, count):
    odd = ['a "quoted", one', "", "line\nbreak", "é\\N\\.", "tab\t%s %(x)s", "∞"]
    rows = [finding(T0 + n, message=odd[n % len(odd)], raw=n) for n in range(count)]
    bars = [
        bar(minute=n, vwap=float("nan"), close=1e300, open=-0.1, low=5e-324, volume=float("inf")) for n in range(count)
    ]
    warm.write("g", output(1, findings=rows))
    warm.write("g", bars_output(2, *bars))
    assert plain(warm.findings(Query())) == rows
    assert plain(warm.bars(Query())) == [bars[n] | {"vwap": None, "state": "final"} for n in range(count)]


@pytest.mark.parametrize("count", [1, postgres.COPIED_FROM])
def test_a_letter_that_the_server_has_no_room_for_is_replaced_and_the_row_kept(warm, count):
    warm.write("g", output(1, findings=[finding(T0 + n, message="nul: \0") for n in range(count)]))
    assert {row["message"] for row in plain(warm.findings(Query()))} == {"nul: \ufffd"}


def test_of_the_same_row_twice_in_one_output_the_later_counts(warm):
    rows = [bar(minute=n, close=1.0) for n in range(postgres.COPIED_FROM)] + [bar(minute=3, close=2.0)]
    warm.write("g", bars_output(1, *rows))
    found = [row["close"] for row in plain(warm.bars(Query()))]
    assert len(found) == postgres.COPIED_FROM and found[3] == 2.0 and set(found) == {1.0, 2.0}


def test_rows_sent_together_replace_as_rows_sent_one_by_one_do(warm):
    rows = [bar(f"S{n}", m) for n in range(20) for m in range(10)]
    warm.write("g", bars_output(5, *rows))
    again = [row | {"close": 7.0} for row in rows]
    warm.write("g", bars_output(6, *again))
    assert {row["close"] for row in plain(warm.bars(Query()))} == {7.0}
    assert plain(warm.bars(Query(before=5))) == []
    assert len(warm.symbols()) == 20


def test_rows_that_are_written_again_as_they_are_take_no_room(url, warm):
    def size():
        return databases.run("SELECT pg_relation_size('bars') + pg_relation_size('bars_pkey')", url=url)

    rows = [bar(f"S{n}", m) for n in range(20) for m in range(50)]
    warm.write("g", bars_output(5, *rows))
    before = size()
    for position in range(6, 12):
        warm.write("g", bars_output(position, *rows))
    assert size() == before
    warm.write("g", bars_output(12, *(row | {"close": 7.0} for row in rows)))
    assert size() > before and {row["close"] for row in plain(warm.bars(Query()))} == {7.0}


@pytest.mark.parametrize("known", [0, 1, 50, 99])
def test_rows_that_are_partly_there_are_all_there_afterwards(warm, known):
    rows = [bar(f"S{n}", n, close=1.0) for n in range(100)]
    warm.write("g", bars_output(1, *rows[known:], *rows[: known // 2]))
    warm.write("g", bars_output(2, *(row | {"close": 2.0} for row in rows)))
    assert [row["close"] for row in plain(warm.bars(Query()))] == [2.0] * 100


@pytest.mark.parametrize("count", [1, postgres.COPIED_FROM])
def test_a_message_that_no_index_has_room_for_is_cut(warm, count):
    noise = "".join(map(chr, np.random.default_rng(1).integers(0x4E00, 0x9FFF, 5_000).tolist()))
    warm.write("g", output(1, findings=[finding(T0 + n, message=noise) for n in range(count)]))
    assert {row["message"] for row in plain(warm.findings(Query()))} == {noise[: postgres.LETTERS]}


def test_only_two_checkpoints_are_kept(url, warm):
    for position in range(1, 6):
        warm.write("g", Output(position), b"s")
    assert databases.run("SELECT position FROM checkpoints ORDER BY 1", url=url) == [(4,), (5,)]


def test_tables_of_a_newer_tickhouse_are_left_alone(url):
    databases.run("UPDATE alembic_version SET version_num = '9999'", url=url)
    with pytest.raises(SettingsError, match="9999"):
        open_url("stores", url)


def test_a_store_without_tables_says_what_to_do():
    with (
        databases.empty() as url,
        closing(open_url("stores", url, upgrade=False)) as warm,
        pytest.raises(SettingsError, match="db upgrade"),
    ):
        warm.bars(Query())


def test_processes_that_open_a_new_store_at_once_make_it_once(processes):
    with databases.empty() as url:
        told = [processes(beside.open_once, url)[1] for _ in range(4)]
        assert [one.recv() for one in told] == [HEAD] * 4


@pytest.mark.slow
def test_ten_kills_in_the_middle_of_writing_leave_only_whole_outputs(url, processes):
    dice = random.Random(7)
    for _ in range(10):
        said = beside.killed(processes(beside.write_on, url), dice.uniform(0.0, 0.05))
        assert beside.wrong(url) == ""
        kept = databases.run("SELECT count(*), count(DISTINCT (raw, number)) FROM ticks", url=url)[0]
        assert kept == (beside.position(url) * beside.ROWS,) * 2
        with closing(open_url("stores", url)) as warm:
            assert warm.position("g") >= said, "what was acknowledged is there"


def test_a_reader_beside_a_writer_sees_one_moment(url, warm):
    warm.write("g", bars_output(1, bar()))
    with closing(open_url("stores", url)) as writer, warm._reading() as connection:
        count = "SELECT count(*) FROM bars"
        before = connection.exec_driver_sql(count).scalar()
        writer.write("g", bars_output(9, bar("NEW")))
        assert connection.exec_driver_sql(count).scalar() == before
    assert len(plain(warm.bars(Query(("NEW",))))) == 1


def test_another_writer_that_does_not_end_makes_it_busy_and_nothing_is_written(url, warm):
    hasty = f"{url}{'&' if '?' in url else '?'}options=-c lock_timeout=50"
    with closing(open_url("stores", hasty)) as second, warm._writing():
        with pytest.raises(Busy) as busy:
            second.write("g", bars_output(1, bar()))
        assert busy.value.retry_after is not None and "lock timeout" in str(busy.value)
        assert second.position("g") is None
    warm.write("g", bars_output(1, bar()))


def test_a_question_that_takes_too_long_is_stopped(url):
    hasty = f"{url}{'&' if '?' in url else '?'}options=-c statement_timeout=50"
    slow = pytest.raises(Busy, match="statement timeout")
    with closing(open_url("stores", hasty)) as warm, slow, warm._reading() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(5)")


def test_a_question_that_hangs_can_be_let_go_of_and_then_no_other_is_asked(url, warm):
    warm.write("g", Output(1))
    with psycopg.connect(url) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("LOCK TABLE positions IN ACCESS EXCLUSIVE MODE")
        asked = pool.submit(warm.position, "g")
        while not holder.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall():
            time.sleep(0.01)
        warm.cut()
        with pytest.raises(Unreachable, match="does not answer"):
            asked.result(5)
    with pytest.raises(Unreachable, match="waited for no longer"):
        warm.position("g")
    with closing(open_url("stores", url)) as another:
        assert another.position("g") == 1


def test_a_lost_connection_is_replaced_at_its_next_use(url, warm):
    warm.write("g", bars_output(1, bar()))
    name = url.rpartition("/")[2].partition("?")[0]
    databases.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    assert warm.position("g") == 1
    warm.write("g", bars_output(2, bar()))


def test_the_server_knows_who_asks_and_what_is_committed_is_durable(url, warm):
    databases.run(f"ALTER DATABASE {url.rpartition('/')[2].partition('?')[0]} SET synchronous_commit = off")
    with closing(open_url("stores", url)) as later, later._reading() as connection:
        shown = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("application_name", "synchronous_commit", "statement_timeout", "transaction_isolation")
        }
    assert shown == {
        "application_name": "tickhouse",
        "synchronous_commit": "on",
        "statement_timeout": "1min",
        "transaction_isolation": "repeatable read",
    }


def test_a_server_that_only_reads_serves_tables_that_are_up_to_date(url, warm):
    warm.write("g", bars_output(1, bar()))
    databases.run(f"ALTER DATABASE {url.rpartition('/')[2].partition('?')[0]} SET default_transaction_read_only = on")
    with closing(open_url("stores", url)) as replica:
        assert replica.bars(Query()).num_rows == 1


def refused(url):
    with pytest.raises(SettingsError) as error:
        open_url("stores", url)
    assert "hidden-word" not in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def other(**parts):
    from sqlalchemy.engine import make_url

    return make_url(databases.server()).set(**parts).render_as_string(hide_password=False)


def test_a_wrong_password_is_one_sentence():
    databases.server()
    assert "password authentication failed" in refused(other(password="hidden-word"))


def test_a_wrong_database_is_one_sentence():
    assert '"nowhere" does not exist' in refused(other(database="nowhere"))


@pytest.mark.parametrize(
    "wrong", ["postgresql://", "postgresql://u:hidden-word@h:x/d", "postgresql://u:hidden-word@h", "postgresql:///"]
)
def test_a_url_without_a_database_is_refused_and_its_password_not_shown(wrong):
    assert "warm.url" in refused(wrong)


def test_an_option_that_there_is_not_is_refused():
    url = other()
    assert 'option "wrong"' in refused(f"{url}{'&' if '?' in url else '?'}wrong=1")


def test_without_its_extra_the_store_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "tickhouse.stores.postgres")
    with pytest.raises(MissingExtra, match=r"pip install 'tickhouse\[postgres\]'"):
        open_url("stores", "postgresql://u@h/d")


def test_a_migration_may_take_longer_than_a_question():
    limits = []

    def keep(connection, _cursor, statement, *_rest):
        if statement.strip().startswith("CREATE INDEX bars_by_time"):
            with connection.connection.cursor() as cursor:
                limits.append(cursor.execute("SHOW statement_timeout").fetchone()[0])

    event.listen(Engine, "before_cursor_execute", keep)
    try:
        with databases.empty() as url:
            open_url("stores", url).close()
    finally:
        event.remove(Engine, "before_cursor_execute", keep)
    assert limits == ["0"]


def test_a_server_that_is_too_old_is_refused(url, monkeypatch):
    monkeypatch.setattr(_postgres_errors, "OLDEST", 990000)
    assert "PostgreSQL 99 or newer" in refused(url)


def test_a_database_that_cannot_hold_every_letter_is_refused():
    databases.server()
    name = "tickhouse_test_latin"
    databases.run(f"DROP DATABASE IF EXISTS {name}")
    databases.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        assert "UTF8" in refused(databases.in_database(name))
    finally:
        databases.run(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_user_who_may_not_make_tables_is_told(url):
    role = "tickhouse_test_guest"
    databases.run(f"DROP ROLE IF EXISTS {role}", f"CREATE ROLE {role} LOGIN PASSWORD 'guest'")
    try:
        with databases.empty() as bare:
            from sqlalchemy.engine import make_url

            guest = make_url(bare).set(username=role, password="guest")
            databases.run("REVOKE CREATE ON SCHEMA public FROM public", url=bare)
            assert "own" in refused(guest.render_as_string(hide_password=False))
    finally:
        databases.run(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "url", ["postgresql://u:hidden-word@127.0.0.1:1/d", "postgresql://u:hidden-word@nowhere.invalid/d"]
)
def test_a_server_that_does_not_answer_may_do_later(url):
    with pytest.raises(Unreachable) as away:
        open_url("stores", url)
    assert "hidden-word" not in str(away.value) and away.value.retry_after


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (psycopg.errors.DiskFull("no space"), Busy),
        (psycopg.errors.AdminShutdown("terminating"), Unreachable),
        (psycopg.errors.CannotConnectNow("starting up"), Unreachable),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), Busy),
        (psycopg.errors.TooManyConnections("sorry"), Busy),
        (psycopg.errors.DeadlockDetected("deadlock"), Busy),
        (psycopg.errors.SerializationFailure("conflict with recovery"), Busy),
        (psycopg.errors.ReadOnlySqlTransaction("read-only"), SettingsError),
        (psycopg.errors.DataCorrupted("bad page"), Final),
        (psycopg.errors.UndefinedFunction("no such"), Final),
        (psycopg.OperationalError("server closed the connection unexpectedly\n\tThis probably means"), Temporary),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_error_says_whose_fault_it_is_and_whether_waiting_helps(error, ours):
    found = _postgres_errors.translated(error, _postgres_errors.Place("h", 1, "d"))
    assert isinstance(found, ours) and "h:1" in str(found) and "\n" not in str(found)
