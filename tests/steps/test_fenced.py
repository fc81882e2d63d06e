"""One who hung while another took over its work: what it had queued never lands behind what the other published."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests import kafka
from tests.stores.samples import bar, bars_output
from tickhouse.core.settings import load
from tickhouse.journal._kafka.place import place
from tickhouse.pipeline import Pipeline
from tickhouse.stores import Warm

GROUP, BARS = "process", 20_000


@pytest.fixture
def url(kafka_url: str) -> Iterator[str]:
    with kafka.prefix(kafka_url) as found:
        yield found


@contextmanager
def house(folder: Path, url: str) -> Iterator[tuple[Pipeline, Warm]]:
    """A house, and its store as who processes sees it."""
    with closing(Pipeline(load(None, folder, journal__url=url))) as opened:
        store = opened.publishing.behind(opened.warm, None)
        store.checkpoint(GROUP)
        yield opened, store


def write(store: Warm, position: int, version: int) -> None:
    rows = [bar(minute=minute, version=version, close=100.0 + version) for minute in range(BARS)]
    store.write(GROUP, bars_output(position, *rows), None, store.position(GROUP))


def old(folder: Path, url: str, parent: Connection) -> None:
    """Store bars, which are queued to be published then; end when the parent says so."""
    with house(folder, url) as (_, store):
        write(store, 1, version=0)
        parent.send("stored")
        parent.recv()


def reached(url: str, topic: str) -> int:
    """How many messages came to a topic, committed or not."""
    where = place(url)
    with closing(
        Consumer({"bootstrap.servers": where.servers, "group.id": "any", "isolation.level": "read_uncommitted"})
    ) as any_:
        parts = [TopicPartition(where.topic(topic), number) for number in range(3)]
        return sum(any_.get_watermark_offsets(part, timeout=10)[1] for part in parts)


def until(seconds: float, done: object) -> None:
    end = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.timeout(120)
def test_what_one_that_hung_had_queued_never_lands_behind_a_newer_version(tmp_path: Path, url: str) -> None:
    with house(tmp_path, url):
        pass
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    hung = context.Process(target=old, args=(tmp_path, url, its))
    hung.start()
    try:
        assert mine.recv() == "stored" and hung.pid is not None
        until(30, lambda: reached(url, "bars"))
        os.kill(hung.pid, signal.SIGSTOP)
        before = reached(url, "bars")
        with house(tmp_path, url) as (one, store):
            write(store, 2, version=1)
            until(60, lambda: one.publishing.position >= 2)
        os.kill(hung.pid, signal.SIGCONT)
        mine.send("end")
        hung.join(60)
        assert hung.exitcode == 0
    finally:
        hung.kill()
        hung.join()
    assert before < BARS, "it had queued bars when it was stopped"
    server = place(url).servers
    for isolation in ("read_committed", "read_uncommitted"):
        last = {
            key: value["version"]
            for _, key, value, _ in kafka.told(server, f"{place(url).prefix}.bars", **{"isolation.level": isolation})
        }
        assert len(last) == BARS
        assert set(last.values()) == {1}, isolation
