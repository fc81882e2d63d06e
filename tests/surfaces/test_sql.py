"""SQL over a house: what it answers, what it may not see, and what it may not use up."""

import tempfile
import time
from contextlib import suppress
from pathlib import Path

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.examples import some
from tests.stores.samples import MINUTE, T0, bar, bars_output
from tickhouse.core.errors import BadQuery
from tickhouse.stores import sqlite
from tickhouse.surfaces._sql_process import HARMLESS, Refused, one
from tickhouse.surfaces._sql_warm import extension
from tickhouse.surfaces.sql import Limits, Place, query


def house(folder: Path, close: float) -> Place:
    """A house with three bars, the last one corrected, and two archived ticks."""
    warm = sqlite.open(f"sqlite:///{folder / 'warm.db'}")
    rows = [bar(minute=n, close=close) for n in range(3)]
    warm.write("process", bars_output(1, *rows, bar(minute=2, close=close + 1, version=1)))
    warm.close()
    day = folder / "lake/ticks/source=binance/date=2026-01-01"
    day.mkdir(parents=True)
    pq.write_table(pa.table({"symbol": ["BTC-USDT"] * 2, "price": [1.0, 2.0]}), day / "1-2.parquet")
    return Place(
        f"sqlite:///{folder / 'warm.db'}",
        f"{folder}/lake/ticks/*/*/*.parquet",
        f"{folder}/lake/bronze/*/*/*/*.ndjson.gz",
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return house(tmp_path_factory.mktemp("sql") / "it's", 3.0)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return house(tmp_path_factory.mktemp("other"), 666.0)


def rows(place: Place, statement: str, limits: Limits | None = None) -> list[dict]:
    return query(place, statement, limits).table.to_pylist()


def test_the_newest_version_every_version_and_the_ticks_are_tables(place):
    newest = rows(place, 'select "start", close from bars order by 1')
    assert [row["close"] for row in newest] == [3.0, 3.0, 4.0]
    assert round(newest[2]["start"].timestamp() * 1e6) == T0 + 2 * MINUTE
    assert rows(place, "select count(*) as n from versions.bars") == [{"n": 4}]
    assert rows(place, "select sum(price) as s from ticks where source = 'binance'") == [{"s": 3.0}]
    assert rows(place, "describe bars")[0]["column_name"] == "symbol"
    assert len(rows(place, "select * from generate_series(1, 3), unnest([1, 2])")) == 6


READERS = {
    "read_csv", "read_text", "read_blob", "read_parquet", "parquet_scan", "parquet_metadata", "glob", "read_duckdb", "sniff_csv",
    "read_json", "read_ndjson_objects", "query", "query_table", "json_execute_serialized_sql", "arrow_scan", "pandas_scan",
    "enable_logging", "enable_profiling", "sqlite_scan", "sqlite_attach", "sqlite_query",
}  # fmt: skip


def test_every_function_that_stands_for_a_table_is_known_to_be_harmless_or_refused():
    with duckdb.connect() as connection:
        connection.load_extension(str(extension("sqlite")))
        names = connection.execute(
            "select distinct function_name from duckdb_functions() where function_type in ('table', 'table_macro')"
        )
        others = {name for (name,) in names.fetchall()} - HARMLESS
        assert others >= READERS
        for name in others:
            for text in (
                f"select * from {name}('x')",
                f"with a as (from system.main.{name.upper()}('x')) select (from a)",
            ):
                with pytest.raises(Refused, match=f"^{name}\\(\\) is not possible here"):
                    one(connection, text)


@pytest.mark.parametrize(
    "statement",
    some(
        [
            "select * from sqlite_scan('{warm}', 'bars')",
            "select * from bars where close in (select close from sqlite_scan('{warm}', 'bars'))",
            "select * from range(3) r, lateral (select * from system.main.sqlite_scan('{warm}', 'bars'))",
            "select * from read_parquet('{lake}')",
            "select * from '{lake}'",
            "select * from '/etc/passwd'",
            "select * from query('select * from sqlite_scan(''{warm}'', ''bars'')')",
            "attach '{warm}' as x (type sqlite)",
            "copy (select 1) to '{lake}.csv'",
            "pragma database_list",
            "set enable_external_access = true",
            "load sqlite_scanner",
            "select 1; select 2",
            "update bars set close = 1",
            "select * from job",
            "selec",
        ]
    ),
)
def test_nothing_outside_the_house_is_read_and_nothing_is_written(place, other, statement):
    lake = str(other.ticks).replace("*/*/*", "source=binance/date=2026-01-01/1-2")
    assert pq.read_table(lake).num_rows == 2
    with pytest.raises(BadQuery):
        query(place, statement.format(warm=other.warm.removeprefix("sqlite:///"), lake=lake))


@pytest.mark.parametrize(
    ("statement", "said"),
    some(
        [
            ("select repeat('x', 1000000000) from range(1000)", "more than 1,074 MB of memory"),
            ("select list(repeat('x', 100000) || range) from range(100000)", "more than 1,074 MB of memory"),
            ("select repeat('x', 10000000)", "one row is larger than 1 MB"),
            ("select count(*) from range(1000000000) a, range(1000000) b", "ran longer than 3 s"),
            ("select interval 1 day as i", "the column i is an interval"),
            ("select timestamp '290309-12-22 (BC) 00:00:00' as t", "the column t has a time outside of the years"),
            ("select date 'infinity' as d from range(3)", "the column d has a time outside"),
            ("select 1 as a, 2 as a", "two columns have the name a"),
            ("select " + "abs(" * 900 + "1" + ")" * 900, "nested too deeply"),
        ]
    ),
)
def test_a_statement_that_needs_too_much_is_refused_in_a_sentence_and_our_process_lives(place, statement, said):
    with pytest.raises(BadQuery, match=said):
        query(place, statement, Limits(seconds=3.0 if "longer" in said else 60.0, bytes=1_000_000))


@pytest.mark.slow
def test_an_answer_that_is_cut_says_so(place):
    whole = query(place, "select range from range(5000)")
    assert whole.table.num_rows == 5000 and whole.cut is None
    exact = query(place, "select range from range(3000)", Limits(rows=3000))
    assert exact.table.num_rows == 3000 and exact.cut is None
    began = time.monotonic()
    rows = query(place, "select range from range(100000000000)", Limits(rows=3000))
    assert rows.table["range"].to_pylist() == list(range(3000)) and "first 3,000 rows" in rows.cut
    size = query(place, "select repeat('x', 1000) as x from range(100000000)", Limits(bytes=3_000_000))
    assert 1_500_000 < size.table.nbytes <= 3_000_000 and "3 MB" in size.cut
    assert time.monotonic() - began < 20


def test_times_of_any_year_from_1_to_9999_are_answered(place):
    (row,) = rows(place, "select date '0001-01-01' as a, timestamp '9999-12-31 23:59:59' as b, null::timestamptz as c")
    assert (row["a"].year, row["b"].year, row["c"]) == (1, 9999, None)


@pytest.mark.slow
def test_no_process_and_no_file_is_left_behind(place, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tempfile.tempdir = None
    try:
        for limits in (Limits(), Limits(seconds=0.5), Limits(rows=1)):
            with suppress(BadQuery):
                query(place, "select * from range(3000000) t(a) order by hash(a)", limits)
    finally:
        tempfile.tempdir = None
    assert not list(tmp_path.iterdir())
    assert not [child for child in psutil.Process().children() if "_sql_process" in " ".join(child.cmdline())]
