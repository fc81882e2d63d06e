"""Who processes the journal waits for its store and its lake, and says so once."""

import gc
import threading
import time

import pytest

from tickhouse.core import observe
from tickhouse.core.batches import Output
from tickhouse.core.errors import Busy, Final, Unreachable
from tickhouse.steps import awaited
from tickhouse.steps.awaited import awaited_lake, awaited_warm


class Away:
    """A store that fails so many times, then answers."""

    def __init__(self, *failures):
        self.failures, self.written = list(failures), []

    def write(self, group, output, checkpoint=None):
        if self.failures:
            raise self.failures.pop(0)
        self.written.append((group, output.position, checkpoint))

    def position(self, group):
        self.write(group, Output(0))
        return 7


@pytest.fixture
def told(monkeypatch):
    """What was told meanwhile."""
    events = []
    monkeypatch.setattr(observe, "hooks", (lambda event: events.append((event.name, event.facts.get("error"))),))
    return events


def test_it_asks_again_until_there_is_an_answer_and_tells_once(told):
    store = Away(
        Unreachable("gone", retry_after=0.01), Busy("starting", retry_after=0.01), Unreachable("gone", retry_after=0.01)
    )
    awaited_warm(store, threading.Event()).write("g", Output(3), b"state")
    assert store.written == [("g", 3, b"state")]
    assert told == [("line is down", "gone"), ("connected again", None)]
    assert awaited_warm(Away(Busy("b", retry_after=0.01)), threading.Event()).position("g") == 7


def test_when_it_ends_it_waits_no_longer(told):
    ended = threading.Event()
    threading.Timer(0.1, ended.set).start()
    began = time.monotonic()
    with pytest.raises(Unreachable):
        awaited_warm(Away(Unreachable("gone", retry_after=60.0)), ended).write("g", Output(1))
    assert time.monotonic() - began < 10


def test_what_waiting_does_not_help_is_raised_at_once(told):
    with pytest.raises(Final):
        awaited_warm(Away(Final("damaged")), threading.Event()).write("g", Output(1))
    assert told == []


def test_a_store_that_only_hangs_is_told_of_too(told, monkeypatch):
    monkeypatch.setattr(awaited, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(awaited, "LOOK_SECONDS", 0.02)

    class Hangs(Away):
        def write(self, *given):
            time.sleep(0.4)

    awaited_warm(Hangs(), threading.Event()).write("g", Output(1))
    assert [name for name, _ in told] == ["line is down", "connected again"]
    assert "has not answered" in told[0][1]


def test_a_store_that_hangs_is_let_go_of_when_it_ends(told, monkeypatch):
    monkeypatch.setattr(awaited, "LEAVE_SECONDS", 0.05)
    monkeypatch.setattr(awaited, "LOOK_SECONDS", 0.02)
    ended, cut = threading.Event(), threading.Event()

    class Hangs(Away):
        def write(self, *given):
            assert cut.wait(20)
            raise Unreachable("it was cut", retry_after=60.0)

        def cut(self):
            cut.set()

    threading.Timer(0.4, ended.set).start()
    began = time.monotonic()
    with pytest.raises(Unreachable, match="it was cut"):
        awaited_warm(Hangs(), ended).write("g", Output(1))
    assert 0.4 <= time.monotonic() - began < 10
    assert told == []


def test_nothing_goes_on_when_the_store_is_used_no_longer(told, monkeypatch):
    monkeypatch.setattr(awaited, "LOOK_SECONDS", 0.02)
    before = set(threading.enumerate())
    store = awaited_warm(Away(), threading.Event())
    store.write("g", Output(1))
    (watch,) = set(threading.enumerate()) - before
    assert watch.is_alive()
    del store
    gc.collect()
    watch.join(5)
    assert not watch.is_alive()


class AwayLake:
    """A lake that fails so many times, then answers."""

    def __init__(self, *failures):
        self.failures = list(failures)

    def end(self, source, channel):
        if self.failures:
            raise self.failures.pop(0)
        return 7

    def verify(self):
        return self.end("", "")


def test_what_must_not_be_lost_is_asked_of_a_lake_again_and_the_rest_is_not(told):
    gone = Unreachable("gone", retry_after=0.01)
    lake = awaited_lake(AwayLake(gone, gone), threading.Event())
    assert lake.end("binance", "trade") == 7
    assert told == [("line is down", "gone"), ("connected again", None)]
    with pytest.raises(Unreachable):
        awaited_lake(AwayLake(gone), threading.Event()).verify()


def test_a_lake_is_waited_for_no_longer_when_it_ends(told):
    ended = threading.Event()
    threading.Timer(0.1, ended.set).start()
    with pytest.raises(Unreachable):
        awaited_lake(AwayLake(Unreachable("gone", retry_after=60.0)), ended).end("binance", "trade")
