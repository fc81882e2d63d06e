"""What every test may use: a clock that is moved by hand, the shared recordings where they are, real servers."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests.examples import tried
from tests.servers import kafka_url, postgres_url, private_server, redis_url, s3, s3_second, valkey_url
from tickhouse.core import observe
from tickhouse.core.clock import ManualClock

__all__ = ["kafka_url", "postgres_url", "private_server", "redis_url", "s3", "s3_second", "valkey_url"]

# The first call of a kernel compiles it, which is no fault of the example that happens to make it.
settings.register_profile("tickhouse", deadline=None, max_examples=tried(100))
settings.load_profile("tickhouse")

# Temporary folders are in memory where there is plenty: no test's file must outlive the machine, and a disk is what most wait for.
MEMORY, PLENTY = Path("/dev/shm"), 4 << 30
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > PLENTY:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at 2026-01-01T00:00:00Z until it is moved."""
    return ManualClock(1_767_225_600_000_000)


@pytest.fixture
def clock_of_the_machine() -> Callable[[Callable[[], object]], float]:
    """Says how many seconds a call takes."""

    def took(call: Callable[[], object]) -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return took


@pytest.fixture
def log_as_it_was() -> Iterator[None]:
    """Leave the log of this process and its hooks as they were."""
    hooks, handlers, level = observe.hooks, logging.root.handlers[:], logging.root.level
    yield
    observe.hooks, logging.root.handlers[:] = hooks, handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def recordings() -> Path:
    """The folder of messages that others captured; the test is skipped where it is absent."""
    if not RECORDINGS.is_dir():
        pytest.skip("the shared recordings are not beside this checkout")
    return RECORDINGS
