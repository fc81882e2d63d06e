"""Waiting for those who share the ticks, and going on for them."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Event

import pytest

from tests import kafka
from tests.journal.samples import entry
from tests.stores import databases
from tickhouse.core.errors import Unreachable
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline
from tickhouse.steps import helping
from tickhouse.steps.helping import ALONE, WAITS, Helping
from tickhouse.steps.process import GROUP

pytestmark = pytest.mark.filterwarnings("ignore:list_groups:DeprecationWarning")


@pytest.fixture
def shared(tmp_path, kafka_url) -> Iterator[Pipeline]:
    """A house whose ticks are shared, of which nothing is processed yet."""
    with kafka.prefix(kafka_url) as journal, databases.empty() as warm:
        found = load(None, tmp_path, journal={"url": journal}, warm={"url": warm}, process={"shared": True})
        with closing(Pipeline(found)) as pipeline:
            pipeline.journal.append([entry(4)])
            yield pipeline


@contextmanager
def idle(pipeline: Pipeline) -> Iterator[None]:
    """A member that has the shards and does nothing with them."""
    done, ready = Event(), Event()

    def body() -> None:
        member = pipeline.journal.members(GROUP, lambda numbers: None)
        while not done.wait(0.05):
            if member.poll():
                ready.set()
        member.close()

    thread = threading.Thread(target=body)
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        done.set()
        thread.join()


def helper(pipeline: Pipeline, ended: Event, said: list[str]) -> Helping:
    found = helping.helping(pipeline, ended, said.append)
    assert isinstance(found, Helping)
    return found


def test_it_is_counted_who_shares_the_ticks(shared):
    assert shared.journal.sharing(GROUP) == 0
    with idle(shared):
        assert shared.journal.sharing(GROUP) == 1
    assert shared.journal.sharing(GROUP) == 0


def test_where_nobody_has_the_shards_they_are_processed_here_and_left(shared):
    said, told = list[str](), list[tuple[int, int]]()
    helper(shared, Event(), said).catch_up(30, lambda stored, end: told.append((stored, end)))
    assert shared.warm.position(GROUP) == shared.journal.end() == 4
    assert told[-1] == (4, 4)
    assert said == []
    assert shared.journal.sharing(GROUP) == 0, "it has not left"


def test_it_waits_as_long_as_it_may_and_says_that_nothing_is_stored(shared, monkeypatch):
    monkeypatch.setattr(helping, "STILL_SECONDS", 1.0)
    said = list[str]()
    with idle(shared):
        helper(shared, Event(), said).catch_up(4.0)
        assert shared.journal.sharing(GROUP) == 1, "it joined"
    assert shared.warm.parts(GROUP) == [], "it processed what another has"
    assert said[0] == WAITS
    assert "nothing was stored for 1 s: 0 of 4 messages are" in said[1]


def test_it_ends_at_once_when_it_is_given_up(shared):
    ended = Event()
    with idle(shared):
        threading.Timer(1.5, ended.set).start()
        began = time.monotonic()
        helper(shared, ended, []).catch_up()
        assert time.monotonic() - began < 5


def test_it_goes_on_when_the_last_of_them_goes_away(shared):
    said, end = list[str](), Event()
    waiting = threading.Thread(target=lambda: helper(shared, end, said).catch_up(60))
    with idle(shared):
        waiting.start()
        while not said:
            time.sleep(0.05)
    waiting.join()
    assert said == [WAITS, ALONE]
    assert shared.warm.position(GROUP) == shared.journal.end()


def test_a_group_that_cannot_be_asked_about_is_joined(shared, monkeypatch):
    monkeypatch.setattr(helping, "UNKNOWN_SECONDS", 1.0)
    said = list[str]()
    waiting = helper(shared, Event(), said)
    shared.journal.place = replace(shared.journal.place, timeout=0.0)  # no answer comes in time
    with pytest.raises(Unreachable):
        shared.journal.sharing(GROUP)
    until = time.monotonic() + 30
    while (shared.warm.position(GROUP) or 0) < 4:
        waiting.step(0.1)
        assert time.monotonic() < until
    waiting.catch_up(30)
    assert said == []


def test_what_needs_no_rows_is_noted_soon_so_that_nobody_waits_for_a_checkpoint(house, clock):
    pipeline = house()
    process = pipeline.process()
    pipeline.journal.append([entry(4)])
    process.step(0)
    pipeline.journal.append([entry(2, start=4)])
    process.step(0)
    clock.move(1.5)
    assert process.step(0) is False
    assert pipeline.warm.position(GROUP) == 6
