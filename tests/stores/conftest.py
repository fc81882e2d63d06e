"""What the tests of the stores use."""

import multiprocessing
from contextlib import closing

import pytest

from tests.stores import databases
from tickhouse.core.plugins import open_url


@pytest.fixture
def url():
    """A database of one's own on the real PostgreSQL, with all tables."""
    with databases.migrated() as found:
        yield found


@pytest.fixture
def warm(url):
    """The store in it."""
    with closing(open_url("stores", url)) as store:
        yield store


@pytest.fixture(params=["redis", "valkey"])
def make(request):
    """Which server the hot store is on."""
    return request.param


@pytest.fixture
def hot_url(request, make):
    """Where one of that make is, which others use, too."""
    return request.getfixturevalue(f"{make}_url")


@pytest.fixture
def processes():
    """Starts processes that already know the store, and sees to it that they end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tickhouse.stores.sqlite", "alembic.command", "pyarrow.acero", "pandas"])
    started = []

    def start(target, url):
        ours, theirs = context.Pipe()
        started.append(context.Process(target=target, args=(url, theirs), daemon=True))
        started[-1].start()
        theirs.close()
        return started[-1], ours

    yield start
    for process in started:
        process.kill()
        process.join()
