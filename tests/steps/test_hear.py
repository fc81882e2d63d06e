"""A process that only serves shows what another one says through Redis, and what its own engine says where nothing is heard."""

import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import pytest

from tests.steps import filled
from tests.stores.keys import forget, named
from tickhouse.core.batches import RawBatch
from tickhouse.core.errors import Unreachable
from tickhouse.core.model import Query
from tickhouse.core.plugins import open_url
from tickhouse.steps import hear as hearing
from tickhouse.steps.hear import Hear
from tickhouse.stores import _redis_fanout, _redis_writer


class Shown:
    """What was published, and how often it was said that something was missed."""

    def __init__(self, pipeline):
        self.bars, self.missed = set(), 0
        self.hear = Hear(pipeline, lambda: pipeline.process(write=False), self.published, self.miss)

    def published(self, records, output):
        for batch in output.bars:
            rows = batch.columns()
            self.bars |= set(zip(rows["symbol"], rows["interval"], rows["start"], rows["version"], strict=True))

    def miss(self):
        self.missed += 1

    def until(self, true, steps=80):
        for _ in range(steps):
            if true():
                return
            self.hear.step()
        raise AssertionError("it was not shown")


@pytest.fixture
def place(redis_url):
    """A URL with keys of its own."""
    url = named(redis_url)
    yield url
    forget(open_url("stores", url))


def stored(pipeline):
    table = pipeline.warm.bars(Query(versions=True))
    starts = table["start"].cast("int64").to_pylist()
    return set(
        zip(*(table[n].to_pylist() for n in ("symbol", "interval")), starts, table["version"].to_pylist(), strict=True)
    )


@contextmanager
def processing(pipeline, most=40):
    """Everything that is journaled goes through the engine in another thread, a few messages at a time."""
    process = pipeline.process()

    def run():
        while process.step(0, most):
            pipeline.hot.flush()
        process.checkpoint()

    thread = threading.Thread(target=run)
    yield thread.start
    thread.join()


def test_what_another_process_says_is_shown_without_an_engine(house, place):
    writer, reader = house(hot__url=place), house(hot__url=place)
    filled.live(writer)
    shown = Shown(reader)
    shown.hear.step()
    with processing(writer) as start:
        start()
        shown.until(
            lambda: (
                writer.journal.end() == writer.warm.position("process")  # first: until then there is more to come
                and stored(writer)
                and shown.bars >= stored(writer)
            )
        )
    assert shown.bars == stored(writer)
    assert (shown.missed, shown.hear.alone) == (0, False)
    shown.until(lambda: reader.hot.own.latest() == writer.hot.own.latest())
    closed = {(row["symbol"], row["interval"]): row["start"] for row in writer.hot.own.forming()}
    assert {(row["symbol"], row["interval"]): row["start"] for row in reader.hot.forming()} == closed
    shown.hear.close()


def test_where_nothing_is_said_the_journal_is_followed_until_something_is_said(house, place, monkeypatch):
    monkeypatch.setattr(hearing, "QUIET_SECONDS", 0.1)
    writer, reader = house(hot__url=place), house(hot__url=place)
    shown = Shown(reader)
    shown.hear.step()
    assert not shown.hear.alone, "nothing is journaled either"
    filled.live(writer)
    shown.until(lambda: shown.hear.alone)
    shown.until(lambda: len(shown.bars) > 20)
    alone, missed = set(shown.bars), shown.missed
    assert missed == 1
    with closing(open_url("stores", place)) as other:
        assert not other.latest(), "who only follows writes nothing"
    with processing(writer) as start:
        start()
        shown.until(lambda: not shown.hear.alone)
    assert alone <= stored(writer)
    assert shown.missed == 2
    shown.hear.close()


def test_a_process_whose_step_takes_long_counts_as_one_that_is_heard(house, place, monkeypatch):
    """As on a machine that has too much to do: here another holds the store meanwhile."""
    monkeypatch.setattr(_redis_fanout, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(_redis_writer, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(hearing, "QUIET_SECONDS", 1.0)
    writer, reader = house(hot__url=place), house(hot__url=place)
    filled.live(writer)
    shown = Shown(reader)
    shown.hear.step()
    with closing(sqlite3.connect(writer.settings.data / "warm.db", isolation_level=None)) as holder:
        with processing(writer) as start:
            holder.execute("BEGIN IMMEDIATE")
            start()
            until, ingest = time.monotonic() + 3.0, writer.ingest()
            while time.monotonic() < until:
                ingest.take([RawBatch.of("binance", "trade", [filled.trade(900, 10)], filled.T0)])  # the journal grows
                shown.hear.step()
                assert not shown.hear.alone
            assert not shown.bars, "nothing is stored"
            holder.execute("ROLLBACK")
        shown.until(lambda: shown.bars)
    assert shown.missed == 0
    shown.hear.close()


def test_without_a_server_between_them_the_journal_is_followed_at_once(house):
    pipeline = house()
    filled.live(pipeline)
    shown = Shown(pipeline)
    shown.until(lambda: len(shown.bars) > 20, steps=3)
    assert (shown.hear.alone, shown.missed) == (True, 0)


class Unspoken:
    """Changes of which none ever come."""

    def next(self, seconds):
        return None

    def close(self):
        """Nothing is held."""


class Unheard:
    """A hot store on which nobody speaks, and a journal that grows by one at each look, or is away."""

    def __init__(self):
        self.hot = self.journal = self
        self.away, self._end = True, 0

    def follow(self):
        return Unspoken()

    def end(self):
        if self.away:
            raise Unreachable("the broker does not answer")
        self._end += 1
        return self._end


class Idle:
    def step(self, seconds):
        """Nothing waits."""


def test_a_journal_that_is_away_does_not_end_a_process_that_only_serves(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hearing, "QUIET_SECONDS", 0.0)
    house, missed = Unheard(), []
    one = Hear(house, Idle, lambda records, output: None, lambda: missed.append(1))
    for _ in range(3):
        one.step()
    assert not one.alone and not missed
    house.away = False
    one.step()
    assert one.alone and missed, "the journal grows and nobody says anything"
    one.step()
    one.close()
