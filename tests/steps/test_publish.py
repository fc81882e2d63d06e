"""Closed bars and anomalies on the topics of a journal on Kafka: what a stranger's consumer reads is what the store has."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from tests import kafka
from tests.cli.inside import CommandLine
from tickhouse.core.batches import RawBatch
from tickhouse.core.model import Query
from tickhouse.core.settings import load
from tickhouse.core.times import microseconds
from tickhouse.pipeline import Pipeline
from tickhouse.steps import publish, unpublished

T0 = 1_767_225_600_000_000
SECOND = 1_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def trade(symbol: str, id_: int, at: int, price: float) -> bytes:
    """A trade in Binance's words; `at` in us."""
    said = {"e": "trade", "E": at // 1000, "s": symbol, "t": id_, "p": str(price), "q": "1", "T": at // 1000, "m": True}
    return json.dumps({**said, "M": True}).encode()


def market(seconds: range, leap: int = -1) -> list[RawBatch]:
    """A trade of each symbol every second; in the second `leap` prices are ten times as high."""
    return [
        RawBatch.of("binance", "trade", [trade(s, n + 1, at, (10.0 if n == leap else 1.0) * (100 + n % 7)) for s in SYMBOLS], at)
        for n in seconds for at in (T0 + n * SECOND,)
    ]  # fmt: skip


@contextmanager
def house(folder: Path, url: str, **more: Any) -> Iterator[Pipeline]:
    given = {
        "process__intervals": ["5s"],
        "process__lateness": 1,
        "process__grace": 1,
        "process__detectors": ["returns(8,2)"],
    }
    with closing(Pipeline(load(None, folder, journal__url=url, **(given | more)))) as opened:
        yield opened


def rows(house: Pipeline, kind: str) -> dict[bytes, dict[str, Any]]:
    """The newest version of every row of the store by the key of its message; anomalies that were taken back, too."""
    found: dict[bytes, dict[str, Any]] = {}
    for row in getattr(house.warm, kind)(Query(versions=True)).to_pylist():
        row |= {name: microseconds(row[name]) for name in ("start", "known_at")}
        key = [row[name] for name in ("symbol", "interval", "start", "source", "detector") if name in row]
        found[json.dumps(key, separators=(",", ":")).encode()] = row
    return found


def published(url: str, kind: str) -> list[Any]:
    server, _, prefix = url.removeprefix("kafka://").partition("/")
    return kafka.told(server, f"{prefix.partition('?')[0]}.{kind}")


def run(pipeline: Pipeline, batches: list[RawBatch]) -> None:
    pipeline.ingest().take(batches)
    pipeline.process().catch_up()
    told(pipeline)


def told(pipeline: Pipeline, seconds: float = 20) -> None:
    """Wait until all that is stored is published."""
    until = time.monotonic() + seconds
    while pipeline.settings.journal.publish and pipeline.publishing.position < pipeline.journal.end():
        assert time.monotonic() < until, "it is not published"
        time.sleep(0.01)


@pytest.fixture
def url(kafka_url):
    with kafka.prefix(kafka_url) as found:
        yield found


def test_a_stranger_reads_every_closed_bar_and_anomaly_of_the_store(tmp_path, url):
    with house(tmp_path, url) as one:
        run(one, market(range(90), leap=44))
        stored = {kind: rows(one, kind) for kind in unpublished.KEYS}
    assert len(stored["bars"]) > 45 and len(stored["anomalies"]) >= 3
    for kind, expected in stored.items():
        messages = published(url, kind)
        assert kafka.newest(messages) == expected
        places: dict[str, int] = {}
        for partition, _, value, headers in messages:
            assert headers == {name: str(value[name]).encode() for name in ("version", "source", "interval")}
            assert places.setdefault(value["symbol"], partition) == partition
    first = next(iter(stored["bars"].values()))
    assert set(first) == {
        "symbol", "source", "interval", "start", "open", "high", "low", "close", "volume", "vwap", "trades",
        "completeness", "state", "version", "first_raw", "last_raw", "known_at",
    }  # fmt: skip


def test_each_shard_publishes_what_it_stored(tmp_path, url, monkeypatch):
    monkeypatch.setattr(unpublished, "PAGE", 7)
    with house(tmp_path, url, process__shared=True, journal__publish=False) as one:
        run(one, market(range(60), leap=44))
    with house(tmp_path, url, process__shared=True) as one:
        run(one, market(range(60, 90)))
        for kind in unpublished.KEYS:
            messages = published(url, kind)
            assert kafka.newest(messages) == rows(one, kind) and len(messages) == len(rows(one, kind))


def test_corrections_and_what_is_taken_back_follow_as_higher_versions(tmp_path, url):
    with house(tmp_path, url) as one:
        run(one, market(range(90), leap=44))
        late = [
            RawBatch.of(
                "binance",
                "trade",
                [trade(s, 1000, T0 + 44 * SECOND + 900_000, 101.0) for s in SYMBOLS],
                T0 + 90 * SECOND,
            )
        ]
        run(one, late)
        for kind in unpublished.KEYS:
            messages = published(url, kind)
            assert kafka.newest(messages) == rows(one, kind)
            versions: dict[bytes, list[int]] = {}
            for _, key, value, _ in messages:
                versions.setdefault(key, []).append(value["version"])
            assert all(seen == sorted(seen) for seen in versions.values())


def test_nothing_is_published_twice_after_a_clean_end(tmp_path, url):
    with house(tmp_path, url) as one:
        run(one, market(range(60)))
    before = len(published(url, "bars"))
    with house(tmp_path, url) as one:
        run(one, market(range(60, 90)))
        assert before < len(published(url, "bars")) == len(rows(one, "bars"))


def test_what_a_house_stored_before_is_published_when_it_is_switched_on(tmp_path, url, monkeypatch):
    monkeypatch.setattr(unpublished, "PAGE", 7)
    with house(tmp_path, url, journal__publish=False) as one:
        run(one, market(range(90), leap=44))
        assert one.publishing.behind(one.warm, None) is one.warm
    assert published(url, "bars") == []
    with house(tmp_path, url) as one:
        one.process().catch_up()
        told(one)
        for kind in unpublished.KEYS:
            assert kafka.newest(published(url, kind)) == rows(one, kind)


def test_more_than_may_wait_is_read_from_the_store(tmp_path, url, monkeypatch):
    monkeypatch.setattr(unpublished, "MOST_ROWS", 2)
    with house(tmp_path, url) as one:
        process = one.process()
        for batch in market(range(90)):
            one.ingest().take([batch])
            process.step(0)
        process.catch_up()
        told(one)
        assert kafka.newest(published(url, "bars")) == rows(one, "bars")


def test_a_store_that_is_made_anew_is_published_anew(tmp_path, url):
    with house(tmp_path, url) as one:
        run(one, market(range(60)))
    for file in tmp_path.glob("warm.db*"):
        file.unlink()
    with house(tmp_path, url, process__intervals=["10s"]) as one:
        one.process().catch_up()
        told(one)
        held = kafka.newest(published(url, "bars"))
        assert rows(one, "bars").items() <= held.items()


def test_a_journal_in_a_file_needs_none_of_it(tmp_path):
    with closing(Pipeline(load(None, tmp_path))) as one:
        assert one.publishing.behind(one.warm, None) is one.warm


def test_a_topic_that_is_gone_is_told_and_holds_nobody_up(tmp_path, url, monkeypatch):
    monkeypatch.setattr(publish, "SILENT_SECONDS", 0.5)
    with house(tmp_path, f"{url}&timeout=1s") as one:
        run(one, market(range(10)))
        gone = one.journal.place.topic("bars")
        admin = AdminClient({"bootstrap.servers": one.journal.place.servers})
        admin.delete_topics([gone])[gone].result(10)
        began, process = time.monotonic(), one.process()
        one.ingest().take(market(range(10, 30)))
        process.catch_up()
        assert time.monotonic() - began < 4 and len(rows(one, "bars")) > 12
        until = time.monotonic() + 10
        while not one.publishing.patience.away and time.monotonic() < until:
            time.sleep(0.05)
        assert one.publishing.patience.away


def test_all_of_it_is_published_again_when_that_is_asked_for(tmp_path, url, capsys, monkeypatch):
    th = CommandLine(capsys, monkeypatch)
    monkeypatch.setenv("TICKHOUSE_JOURNAL__URL", url)
    with house(tmp_path, url) as one:
        run(one, market(range(60)))
        stored = rows(one, "bars")
    lag = json.loads(th("journal", "lag", "--json", "--data", str(tmp_path)).out)
    assert [row["behind"] for row in lag if row["group"] == "publish"] == [0]
    assert th("journal", "reset", "publish", "--data", str(tmp_path)).status == 0
    with house(tmp_path, url) as one:
        one.process().catch_up()
        told(one)
        assert len(published(url, "bars")) == 2 * len(stored) and rows(one, "bars") == stored
