"""One warm store into another: every row of every table, in parts, and again after anything that stopped it."""

from contextlib import ExitStack, closing
from datetime import date, datetime

import pyarrow as pa
import pytest
from sqlalchemy import select

from tests.stores import databases
from tests.stores.samples import MINUTE, T0, anomaly, bar, batches, finding, indicator, output, stretch
from tickhouse.core.batches import Output
from tickhouse.core.errors import Final, SettingsError, Unreachable
from tickhouse.core.model import ACTION, OBSERVATION, SWITCH
from tickhouse.core.plugins import open_url
from tickhouse.stores import _copying
from tickhouse.stores._copying import StoreCopying
from tickhouse.stores._tables import METADATA

PAIRS = ("sqlite-sqlite", "sqlite-postgres", "postgres-sqlite")


@pytest.fixture
def opened(tmp_path):
    """Opens stores of a kind, empty ones."""
    with ExitStack() as stack:

        def opener(kind):
            url = (
                stack.enter_context(databases.migrated())
                if kind == "postgres"
                else f"sqlite:///{tmp_path}/{len(urls)}.db"
            )
            urls.append(url)
            return stack.enter_context(closing(open_url("stores", url)))

        urls = []
        yield opener


@pytest.fixture(params=PAIRS)
def both(request, opened):
    """A store with rows in every table, and an empty one."""
    old, new = map(opened, request.param.split("-"))
    fill(old)
    return old, new


def fill(store, rows=60):
    """Some rows in every table, versions and nulls among them."""
    nan, when = float("nan"), datetime(2026, 1, 1)
    for n in range(3):
        series = [
            bar(f"Sé{m % 3}", m, version=n, vwap=nan if m % 2 else 1 / 3, source="ab"[m % 2]) for m in range(rows)
        ]
        store.write("process", Output(10 * n, bars=batches(series)), b"state %d" % n)
    store.write("process", output(
        31, indicators=[indicator(minute=m, version=m % 2) for m in range(rows)], coverage=[stretch(0, 5), stretch(5, 9)],
        anomalies=[anomaly(minute=m, retracted=bool(m % 2)) for m in range(rows)],
        findings=[finding(T0 + m, message=f"far, \"{m}\"\n") for m in range(rows)],
    ))  # fmt: skip
    series = {
        "series": "CPI",
        "source": "fred",
        "date": date(2026, 1, 1),
        "value": nan,
        "vintage": date(2026, 2, 1),
        "raw": 3,
    }
    split = {"symbol": "A", "source": "yahoo", "date": date(2026, 1, 5), "kind": "split", "value": 4.0, "raw": 4}
    switch = {"symbol": "A", "at": when, "from_source": "", "to_source": "x", "reason": "first", "raw": 5}
    store.write("load:x", Output(
        32, ledger={(f"s{n}", "accepted"): n for n in range(40)}, observations=pa.Table.from_pylist([series], OBSERVATION),
        actions=pa.Table.from_pylist([split], ACTION), switches=pa.Table.from_pylist([switch], SWITCH),
    ))  # fmt: skip
    store.measure(T0, {("ab", "completeness"): 0.5, ("ab", "gaps"): nan})


def everything(store):
    with store.database.reader.begin() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(*table.columns).order_by(*table.primary_key))]
            for table in METADATA.sorted_tables
        }


def copying(old, new, name="old"):
    return StoreCopying(old, new, name, lambda seconds: None)


def test_every_row_of_every_table_is_copied_and_copying_again_changes_nothing(both):
    old, new = both
    expected = everything(old)
    assert all(expected.values()), "every table has rows"
    done = copying(old, new).run()
    assert everything(new) == expected
    sizes = {name: len(rows) for name, rows in expected.items()}
    assert {name: (t.old, t.new, t.written) for name, t in done.tables.items()} == {
        n: (s, s, s) for n, s in sizes.items()
    }
    again = copying(old, new).run()
    assert {t.written for t in again.tables.values()} == {0} and everything(new) == expected == everything(old)
    assert new.checkpoint("process").state == b"state 2" and new.position("load:x") == 32


def test_it_goes_on_where_it_stopped_and_follows_what_changed_meanwhile(both, monkeypatch):
    old, new = both
    monkeypatch.setattr(_copying, "PAGE", 7)
    first = copying(old, new)
    written, write = [], first._write

    def break_off(table, stale, rows):
        written.append(table.name)
        if len(written) > 20:
            raise Final("the power is gone")
        write(table, stale, rows)

    first._write = break_off
    with pytest.raises(Final, match="power"):
        first.run()
    part = sum(map(len, everything(new).values()))
    assert 100 < part < sum(map(len, everything(old).values()))
    old.write("process", output(40, coverage=[stretch(0, 6)]), b"state 3")
    old.trim("bars", T0 + 20 * MINUTE)
    done = copying(old, new).run()
    assert everything(new) == everything(old)
    assert 0 < sum(t.written for t in done.tables.values()) < sum(t.old for t in done.tables.values())


def test_a_store_with_other_rows_is_left_as_it_is(both):
    old, new = both
    new.write("process", Output(5, bars=batches([bar("OTHER")])))
    before = everything(new)
    with pytest.raises(SettingsError, match=r"other rows than this one \(.*\); name an empty database"):
        copying(old, new).run()
    assert everything(new) == before


def test_an_unfinished_copy_of_another_store_is_not_gone_on_with_nor_copied(both, opened):
    old, new = both
    first = copying(old, new, "another")
    first._table = lambda *given: exec("raise Unreachable('away')", {"Unreachable": Unreachable})
    with pytest.raises(Unreachable):
        first.run()
    with pytest.raises(SettingsError, match="a copy of another that is not whole"):
        copying(old, new).run()
    with pytest.raises(SettingsError, match="itself a copy of another"):
        copying(new, opened("sqlite")).run()


def test_a_server_that_is_away_is_waited_for(both):
    old, new = both
    slept, away = [], [True, False, True, True, False]
    first = StoreCopying(old, new, "old", slept.append)
    write = first._write

    def shaky(*given):
        if away and away.pop(0):
            raise Unreachable("away")
        write(*given)

    first._write = shaky
    first.run()
    assert len(slept) == 3 and everything(new) == everything(old)


def test_what_is_written_while_it_is_copied_is_found_when_it_is_compared(both):
    old, new = both

    def meanwhile(done):
        if done.done >= rows:
            old.write("process", Output(99))

    rows = sum(map(len, everything(old).values()))
    with pytest.raises(Final, match="written while it was copied"):
        copying(old, new).run(meanwhile)
    copying(old, new).run()
    assert everything(new) == everything(old)


def test_findings_that_postgresql_has_no_room_for_are_cut_and_counted(opened):
    old, new = opened("sqlite"), opened("postgres")
    old.write("process", output(1, findings=[finding(message="x" * 700 + end) for end in "ab"] + [finding(T0 + 1)]))
    done = copying(old, new).run()
    assert done.shortened == 2 and done.tables["findings"].old == done.tables["findings"].new == 2
    assert [len(row["message"]) for row in new.findings(_query()).to_pylist()] == [600, 9]
    assert sum(t.written for t in copying(old, new).run().tables.values()) == 0


def test_a_place_without_tables_is_no_store(opened, tmp_path):
    none = open_url("stores", f"sqlite:///{tmp_path}/none.db", upgrade=False)
    with closing(none) as old, pytest.raises(SettingsError, match="has no tables"):
        copying(old, opened("sqlite")).run()


def _query():
    from tickhouse.core.model import Query

    return Query()
