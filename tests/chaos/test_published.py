"""The topics `bars` and `anomalies` while the pipeline or the broker is killed: a stranger still reads what the store has."""

import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests import kafka
from tests.chaos import test_shared
from tests.chaos.test_kafka import begun, ends_well, load
from tests.end_to_end.tape import write
from tests.steps.test_publish import published, rows
from tickhouse.core import settings
from tickhouse.journal._kafka.place import place
from tickhouse.pipeline import Pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tape") / "tape.ndjson", trades=80_000, symbols=20, rate=100.0, seed=17).path


def house(folder: Path, url: str) -> Path:
    config = folder / "tickhouse.toml"
    process = '[process]\nintervals = ["2s", "1m"]\ndetectors = ["returns(20,3)"]\ncheckpoint_every = "2s"\n'
    config.write_text(f'data = "data"\n[journal]\nurl = "{url}"\n{process}')
    return config


def assert_told(config: Path, url: str) -> dict[str, int]:
    """A reader that keeps the highest version has exactly what the store has; how many messages there were."""
    counts = {}
    with closing(Pipeline(settings.load(config))) as one:
        for kind in ("bars", "anomalies"):
            expected, messages = rows(one, kind), published(url, kind)
            assert len(expected) > (5000 if kind == "bars" else 20)
            assert kafka.newest(messages) == expected
            last = {key: value["version"] for _, key, value, _ in messages}
            assert last == {key: row["version"] for key, row in expected.items()}, "compaction keeps the newest"
            counts[kind] = len(messages)
    return counts


def test_nothing_is_missing_after_the_pipeline_was_killed_again_and_again(tmp_path, tape, kafka_url):
    dice, killed = random.Random(3), 0
    with kafka.prefix(kafka_url) as url:
        config = house(tmp_path, url)
        process = load(config, tape)
        begun(url)
        for part in range(1, 6):
            grown(process, url, 2000 * part)
            time.sleep(dice.uniform(0, 0.2))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.communicate()
            process = load(config, tape)
        ends_well(process)
        counts = assert_told(config, url)
        assert killed >= 2
        sys.stdout.write(f"{killed} kills, {counts}\n")


def grown(process: subprocess.Popen[bytes], url: str, bars: int) -> None:
    """Wait until so many bars are published, or the load is over."""
    where = place(url)
    with closing(Consumer({"bootstrap.servers": where.servers, "group.id": "a-stranger"})) as consumer:
        parts = [TopicPartition(where.topic("bars"), number) for number in range(3)]
        while process.poll() is None and sum(consumer.get_watermark_offsets(p, timeout=10)[1] for p in parts) < bars:
            time.sleep(0.05)


def test_nothing_is_missing_after_the_broker_was_killed(tmp_path, tape, private_server):
    server = private_server("kafka")
    url = f"kafka://{server.url}/house?partitions=3&timeout=2s"
    config = house(tmp_path, url)
    process = load(config, tape)
    begun(url)
    for _ in range(2):
        time.sleep(1)
        server.kill()
        time.sleep(3)
        server.restart()
    said = ends_well(process)
    assert said.count("publishing waits") <= 2, said
    assert_told(config, url)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_nothing_is_missing_or_old_after_shards_moved_to_another_process(tmp_path, kafka_url, redis_url, how):
    """Who keeps what came last has what the store has, also where the one that had the shards goes on later."""
    section = (
        '[process]\nshared = true\nintervals = ["2s", "1m"]\ndetectors = ["returns(20,3)"]\ncheckpoint_every = "2s"\n'
    )
    tapes = [write(tmp_path / f"{n}.ndjson", trades=20_000, symbols=12, rate=50.0, seed=n).path for n in range(3)]
    with (
        test_shared.house(tmp_path / "shared", kafka_url, redis_url, section) as config,
        test_shared.crew(config) as members,
    ):
        url = settings.load(config).journal_url
        first, _ = members.join(), members.join()
        time.sleep(6)
        for number, path in enumerate(tapes):
            loading = load(config, path)
            if number == 1:
                time.sleep(2)
                if how is signal.SIGKILL:
                    members.leave(first, how)
                else:
                    first.send_signal(how)
                members.join()
            ends_well(loading)
        if how is signal.SIGSTOP:
            test_shared.processed(config)
            first.send_signal(signal.SIGCONT)
            time.sleep(3)  # it would publish now what it had queued
            assert first.poll() is None and "publish" not in members.told(), members.told()
        test_shared.processed(config)
        with closing(Pipeline(settings.load(config))) as one:
            for kind in ("bars", "anomalies"):
                expected, until = rows(one, kind), time.monotonic() + 30
                while {key: value for _, key, value, _ in published(url, kind)} != expected:
                    assert time.monotonic() < until, kind
                    time.sleep(1)
                assert len(expected) > (2000 if kind == "bars" else 0)
