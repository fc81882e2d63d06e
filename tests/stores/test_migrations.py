"""The migrations on every database, up and down, from empty and from each earlier version."""

from contextlib import contextmanager, nullcontext

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from tests.stores import databases
from tickhouse.core.plugins import open_url
from tickhouse.stores import _migrate, sqlite
from tickhouse.stores._tables import HEAD, METADATA

VERSIONS = sorted(script.revision for script in ScriptDirectory(str(_migrate.FOLDER)).walk_revisions())
PLACES = {"sqlite": lambda folder: nullcontext(f"sqlite:///{folder}/warm.db"), "postgres": lambda _: databases.empty()}
BAR = """INSERT INTO bars VALUES ('A', 's', '1m', 0, 1, 1, 1, 1, 1, 1, 1, 1, 'final', 0, 1, 1, 1, 1)"""


@pytest.fixture(params=PLACES)
def engine(request, tmp_path):
    """Writes to a new database without tables."""
    with PLACES[request.param](tmp_path) as url:
        if request.param == "sqlite":
            made = sqlite.engine(str(tmp_path / "warm.db")).execution_options(begin="BEGIN IMMEDIATE")
        else:
            from tickhouse.stores import postgres

            made = postgres.engine(make_url(url).set(drivername="postgresql+psycopg"))
            made = made.execution_options(in_turn=True)
        yield made
        made.dispose()


def difference(engine):
    """What the tables are other than the store expects."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": only_of_all_databases})
        return compare_metadata(context, METADATA)


def only_of_all_databases(_object, name, kind, *_rest):
    """What only PostgreSQL has is none of the tables' definition."""
    return (kind, name) not in {("index", "bars_by_time"), ("table", "ticks")}


@contextmanager
def connected(engine):
    with engine.begin() as connection:
        yield connection


def tables(engine):
    with engine.connect() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def gold(engine):
    """The views for other tools."""
    with engine.connect() as connection:
        if engine.dialect.name != "postgresql" or "gold" not in inspect(connection).get_schema_names():
            return set()
        return set(inspect(connection).get_view_names("gold"))


@pytest.mark.parametrize("start", VERSIONS)
def test_the_tables_go_up_from_each_version_and_down_to_it_again(engine, start):
    _migrate.move(engine, start)
    assert _migrate.version(engine) == start
    before = tables(engine), gold(engine)
    with connected(engine) as connection:
        connection.exec_driver_sql(BAR)
    assert _migrate.upgrade(engine) == _migrate.version(engine) == HEAD
    assert difference(engine) == []
    _migrate.move(engine, start)
    assert (tables(engine), gold(engine)) == before
    with connected(engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM bars").scalar() == 1
    _migrate.move(engine, HEAD)
    assert difference(engine) == []


def test_from_empty_to_the_newest_and_back_to_nothing(engine):
    assert difference(engine) != []
    _migrate.upgrade(engine)
    assert difference(engine) == [] and "bars" in tables(engine)
    assert bool(gold(engine)) == (engine.dialect.name == "postgresql")
    _migrate.move(engine, "base")
    assert (tables(engine), gold(engine)) == (set(), set())
    assert _migrate.upgrade(engine) == HEAD


def test_views_of_others_in_gold_stay():
    with databases.empty() as url:
        warm = open_url("stores", url)
        databases.run("CREATE VIEW gold.mine AS SELECT 1 AS one", url=url)
        _migrate.move(warm._database.writer, "0003")
        warm.close()
        assert databases.run("SELECT * FROM gold.mine", url=url) == [(1,)]
        open_url("stores", url).close()
        assert databases.run("SELECT count(*) FROM gold.bars", url=url) == [(0,)]


def test_the_newest_migration_is_the_one_that_the_store_expects():
    assert VERSIONS[-1] == HEAD
