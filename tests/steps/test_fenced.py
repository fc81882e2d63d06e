"""One who hung while another took over its work: what it had queued never lands behind what the other published."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests import kafka
from tests.stores.samples import bar, bars_output, batch
from tickhouse.core.errors import Superseded
from tickhouse.core.plugins import open_url
from tickhouse.core.settings import load
from tickhouse.journal import Publishes
from tickhouse.journal._kafka.place import place
from tickhouse.pipeline import Pipeline
from tickhouse.stores import Warm

GROUP, BARS = "process", 12_000


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


def write(store: Warm, position: int, version: int, bars: int = BARS) -> None:
    rows = [bar(minute=minute, version=version, close=100.0 + version) for minute in range(bars)]
    store.write(GROUP, bars_output(position, *rows), None, store.position(GROUP))


def old(folder: Path, url: str, parent: Connection) -> None:
    """Store bars, which are queued to be published then; end when the parent says so."""
    with house(folder, url) as (_, store):
        write(store, 1, version=0)
        parent.send("stored")
        parent.recv()


@contextmanager
def reached(url: str) -> Iterator[Callable[[], int]]:
    """Tells how many bars came to their topic, committed or not."""
    where = place(url)
    settings = {"bootstrap.servers": where.servers, "group.id": "any", "isolation.level": "read_uncommitted"}
    with closing(Consumer(settings)) as anybody:
        parts = [TopicPartition(where.topic("bars"), number) for number in range(3)]
        yield lambda: sum(anybody.get_watermark_offsets(part, timeout=10)[1] for part in parts)


def last(url: str, isolation: str) -> dict[bytes, int]:
    """The version of each bar that a client has last heard of, which does not look at versions."""
    where = place(url)
    told = kafka.told(where.servers, where.topic("bars"), **{"isolation.level": isolation})
    return {key: value["version"] for _, key, value, _ in told}


def until(done: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.002)


def committed(out: Publishes, position: int) -> None:
    until(lambda: out.commit(position, 0.1))


@pytest.mark.timeout(120)
def test_what_one_that_hung_had_queued_never_lands_behind_a_newer_version(tmp_path: Path, url: str) -> None:
    with house(tmp_path, url):
        pass  # the topics are made
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    hung = context.Process(target=old, args=(tmp_path, url, its))
    hung.start()
    try:
        assert mine.recv() == "stored" and hung.pid is not None
        with reached(url) as came:
            until(came)
            os.kill(hung.pid, signal.SIGSTOP)
            assert came() < BARS, "it has bars queued"
        with house(tmp_path, url) as (one, store):
            write(store, 2, version=1)
            until(lambda: one.publishing.position >= 2)
        os.kill(hung.pid, signal.SIGCONT)
        mine.send("end")
        hung.join(60)
        assert hung.exitcode == 0
    finally:
        hung.kill()
        hung.join()
    for isolation in ("read_committed", "read_uncommitted"):
        heard = last(url, isolation)
        assert (len(heard), set(heard.values())) == (BARS, {1}), isolation


def test_who_was_shut_out_and_stores_all_the_same_publishes_again(tmp_path: Path, url: str) -> None:
    """As when the one that took over ended before it stored anything."""
    with house(tmp_path, url) as (one, store):
        write(store, 1, version=0, bars=3)
        until(lambda: one.publishing.position >= 1)
        with house(tmp_path, url) as (other, _):
            until(lambda: other.publishing.position >= 1)
        write(store, 2, version=1, bars=3)  # it is told now, and what it sent is dropped
        until(lambda: one.publishing.position != 1)
        write(store, 3, version=2, bars=3)
        until(lambda: one.publishing.position >= 3)
    told = kafka.told(place(url).servers, place(url).topic("bars"))
    assert [value["version"] for _, _, value, _ in told] == [0, 0, 0, *[1, 2] * 3], "each once"


def test_who_takes_up_again_what_it_had_itself_publishes_nothing_twice(tmp_path: Path, url: str) -> None:
    """As with a shard that was another's for a moment."""
    with house(tmp_path, url) as (one, store):
        write(store, 1, version=0, bars=3)
        until(lambda: one.publishing.position >= 1)
        store.checkpoint(GROUP)
        write(store, 2, version=1, bars=3)
        until(lambda: one.publishing.position >= 2)
    told = kafka.told(place(url).servers, place(url).topic("bars"))
    assert [value["version"] for _, _, value, _ in told] == [0, 0, 0, 1, 1, 1]


def test_who_begins_is_the_only_one_and_knows_what_was_published(url: str) -> None:
    with closing(open_url("journal", url)) as journal:
        first, second, another = (journal.publisher(group) for group in (GROUP, GROUP, "process.1of3"))
        with closing(first), closing(second), closing(another):
            assert (first.begin(), another.begin()) == (0, 0)
            first.send("bars", batch([bar(version=0)]))
            committed(first, 10)
            first.send("bars", batch([bar(version=1)]))
            assert first.delivered(10)
            assert second.begin() == 10, "what was not committed does not count"
            second.send("bars", batch([bar(version=2)]))
            committed(second, 30)
            with pytest.raises(Superseded):
                committed(first, 20)
            committed(another, 7)
            assert journal.published() == {GROUP: 30, "process.1of3": 7}
    server, topic = place(url).servers, place(url).topic("bars")
    assert [value["version"] for _, _, value, _ in kafka.told(server, topic)] == [0, 2]
    anything = kafka.told(server, topic, **{"isolation.level": "read_uncommitted"})
    assert [value["version"] for _, _, value, _ in anything] == [0, 1, 2]


def test_one_that_hangs_in_a_transaction_does_not_hide_what_others_noted(url: str) -> None:
    with closing(open_url("journal", url)) as journal:
        hangs = journal.place.producer(**{"transactional.id": f"{journal.place.prefix}.hangs"})
        hangs.init_transactions(10)
        hangs.begin_transaction()
        hangs.produce(journal.place.topic("published"), b"3", b"process.0of3", 0)
        assert hangs.flush(10) == 0
        goes_on, again = (journal.publisher("process.1of3") for _ in range(2))
        with closing(goes_on), closing(again):
            goes_on.begin()
            committed(goes_on, 5)
            assert again.begin() == 5
        hangs.abort_transaction(10)
