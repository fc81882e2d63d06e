"""Databases of a PostgreSQL server for tests, each of its own: the server is that of `tests/servers.py`."""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count

from tests.servers import shared
from tickhouse.core.plugins import open_url

NUMBERS = count(1)


def server() -> str:
    """The URL of the server; the test is skipped where there is none, and fails where there must be one."""
    return shared("postgres")


@contextmanager
def empty() -> Iterator[str]:
    """The URL of a new database without tables, dropped afterwards."""
    with _made("template0") as url:
        yield url


@contextmanager
def migrated() -> Iterator[str]:
    """The URL of a new database with the newest tables, dropped afterwards."""
    server()
    with _made(_template()) as url:
        yield url


def run(*statements: str, url: str | None = None) -> list[tuple]:
    """Run statements, each by itself, and return the rows of the last."""
    import psycopg

    with psycopg.connect(url or server(), autocommit=True) as connection:
        for statement in statements:
            found = connection.execute(statement)
        return found.fetchall() if found.description else []


def in_database(name: str) -> str:
    """The URL of a database of the server."""
    from sqlalchemy.engine import make_url

    return make_url(server()).set(database=name).render_as_string(hide_password=False)


@contextmanager
def _made(template: str) -> Iterator[str]:
    name = f"tickhouse_test_{os.getpid()}_{next(NUMBERS)}"
    run(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")
    try:
        yield in_database(name)
    finally:
        run(f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _template() -> str:
    made = _made("template0")
    url = made.__enter__()
    atexit.register(made.__exit__, None, None, None)
    open_url("stores", url).close()
    return url.rpartition("/")[2].partition("?")[0]
