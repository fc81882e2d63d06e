"""What the tests of the stores use."""

import multiprocessing
import time

import pytest


@pytest.fixture
def clock_of_the_machine():
    """Says how many seconds a call takes."""

    def took(call):
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return took


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
