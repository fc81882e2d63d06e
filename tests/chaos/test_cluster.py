"""A house on four servers at once gives what an embedded one gives, also when its processes are killed again and again."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import kafka
from tests.end_to_end.tape import stamped, write
from tests.lake.buckets import own
from tests.stores import databases
from tests.stores.keys import named
from tickhouse.core.model import Query
from tickhouse.core.plugins import open_url
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
KILLS = int(os.environ.get("KILLS", "8"))
TABLES = ("bars", "indicators", "anomalies", "coverage")


@contextmanager
def cluster(folder: Path, kafka_url: str, redis_url: str, s3: Any) -> Iterator[Path]:
    """The settings of a house on all four servers, in places of its own."""
    with ExitStack() as servers:
        urls = {
            "journal": servers.enter_context(kafka.prefix(kafka_url)), "lake": servers.enter_context(own(s3))("house"),
            "warm": servers.enter_context(databases.empty()), "hot": named(redis_url),
        }  # fmt: skip
        folder.mkdir()
        config = folder / "tickhouse.toml"
        sections = [f'[{part}]\nurl = "{url}"\n' for part, url in urls.items()]
        config.write_text('data = "data"\n' + "".join(sections))
        yield config


def command(config: Path, tape: Path) -> list[str]:
    return [sys.executable, "-m", "tickhouse", "load", str(tape), "--as", "binance", "--json", "--config", str(config)]


def contents(config: Path) -> dict[str, Any]:
    """Every version of everything, the ledgers, and every archived message."""
    settings = load(config)
    with closing(Pipeline(settings)) as house:
        found = {name: getattr(house.warm, name)(Query(versions=True)).to_pylist() for name in TABLES}
        bronze = [
            (batch.first + n, int(batch.received_at[n]), payload)
            for item in sorted(house.lake.objects(), key=lambda item: item.first) if item.channel != "link"
            for batch in house.lake.read(item) for n, payload in enumerate(batch.payloads())
        ]  # fmt: skip
        return found | {"ledger": dict(house.warm.ledger()), "taken": dict(house.journal.ledger()), "bronze": bronze}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], float]:
    """A tape that says when each message came, and what an embedded house makes of it."""
    folder = tmp_path_factory.mktemp("calm")
    plain, tape = write(folder / "plain.ndjson", trades=40_000, symbols=12, rate=25.0, seed=21), folder / "tape.ndjson"
    tape.write_text("".join(stamped(plain.path, 25.0)))
    config = folder / "tickhouse.toml"
    config.write_text('data = "data"\n')
    began = time.monotonic()
    subprocess.run(command(config, tape), capture_output=True, check=True)
    whole = time.monotonic() - began
    return tape, contents(config), whole


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert len(expected["bars"]) > 200 and len(expected["bronze"]) > 40_000
    assert found.keys() == expected.keys()
    for part, value in expected.items():
        assert found[part] == value, part


def test_the_same_tape_gives_the_same_on_four_servers_as_in_a_folder(tmp_path, calm, kafka_url, redis_url, s3):
    tape, expected, _ = calm
    with cluster(tmp_path / "cluster", kafka_url, redis_url, s3) as config:
        done = subprocess.run(command(config, tape), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert_equal(contents(config), expected)
        last = {row["symbol"]: row["close"] for row in expected["bars"] if row["interval"] == "1m"}
        with closing(open_url("stores", load(config).hot_url)) as hot:
            newest = {row["symbol"] for row in hot.latest()}
        assert newest == set(last), "and Redis has the newest of each symbol"


def test_a_load_that_is_killed_again_and_again_ends_the_same_on_four_servers(tmp_path, calm, kafka_url, redis_url, s3):
    tape, expected, whole = calm
    dice = random.Random(8)
    with cluster(tmp_path / "cluster", kafka_url, redis_url, s3) as config:
        for _ in range(KILLS):
            process = subprocess.Popen(command(config, tape), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                process.wait(dice.uniform(0.5, 2.0) * whole)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            errors = process.communicate()[1].decode()
            assert process.returncode in (0, -signal.SIGKILL), errors
        done = subprocess.run(command(config, tape), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert_equal(contents(config), expected)
