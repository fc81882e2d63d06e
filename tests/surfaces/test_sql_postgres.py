"""SQL over a house whose warm store is on a PostgreSQL server."""

from contextlib import closing

import pytest
from sqlalchemy.engine import make_url

from tests.examples import some
from tests.stores import databases
from tests.stores.samples import MINUTE, T0, bar, bars_output
from tickhouse.core.errors import BadQuery, Unreachable
from tickhouse.core.plugins import open_url
from tickhouse.surfaces.sql import Place, query


@pytest.fixture(scope="module")
def place():
    """Three bars, the last one corrected."""
    pytest.importorskip(
        "duckdb_extension_postgres_scanner", reason="DuckDB's extension for PostgreSQL is not installed"
    )
    with databases.migrated() as url:
        with closing(open_url("stores", url)) as warm:
            rows = [bar(minute=n) for n in range(3)]
            warm.write("process", bars_output(1, *rows, bar(minute=2, close=9.0, version=1)))
        yield Place(url, groups={"BTC-USDT": ["binance", "csv"]})


def rows(place, statement):
    return query(place, statement).table.to_pylist()


def test_the_newest_version_and_every_version_are_tables_as_they_are_with_sqlite(place):
    newest = rows(place, 'select "start", close from bars order by 1')
    assert [row["close"] for row in newest] == [3.0, 3.0, 9.0]
    assert round(newest[2]["start"].timestamp() * 1e6) == T0 + 2 * MINUTE
    assert rows(place, "select count(*) as n from versions.bars") == [{"n": 4}]
    assert rows(place, "select count(*) as n from chosen.bars") == [{"n": 3}]
    assert [row["interval"] for row in rows(place, "select * from symbols")] == ["1m"]


@pytest.mark.parametrize(
    "statement",
    some(
        [
            "insert into warm.public.bars select * from warm.public.bars",
            "select * from postgres_query('warm', 'select 1')",
            "select * from postgres_scan('host=127.0.0.1', 'public', 'bars')",
            "select * from duckdb_secrets()",
            "select * from warm.pg_catalog.pg_authid",
            "attach 'host=127.0.0.1' as other (type postgres)",
        ]
    ),
)
def test_a_statement_reads_the_tables_of_this_house_and_no_other_place(place, statement):
    with pytest.raises(BadQuery):
        query(place, statement)


def test_the_password_is_nowhere_to_be_seen(place):
    secret = make_url(place.warm).password
    assert secret
    shown = [*rows(place, "select * from duckdb_databases()"), *rows(place, "select * from duckdb_settings()")]
    assert secret not in str(shown)


def test_a_server_that_does_not_answer_may_do_later():
    pytest.importorskip(
        "duckdb_extension_postgres_scanner", reason="DuckDB's extension for PostgreSQL is not installed"
    )
    with pytest.raises(Unreachable) as away:
        query(Place("postgresql://me:hidden-word@127.0.0.1:1/prices"), "select 1")
    assert "hidden-word" not in str(away.value) and "refused" in str(away.value)
