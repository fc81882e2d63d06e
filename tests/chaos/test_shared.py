"""Processes that share the ticks of one house: shards move when one is killed, frozen or ended, and no bar is lost or doubled."""

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
from tests.stores import databases
from tests.stores.keys import named
from tickhouse.core.model import Query
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
KILLS = int(os.environ.get("KILLS", "2"))
TABLES = ("bars", "indicators", "anomalies", "coverage")
SHARED = "[process]\nshared = true\n"


@contextmanager
def house(folder: Path, kafka_url: str, redis_url: str, sections: str = SHARED) -> Iterator[Path]:
    """The settings of a house whose ticks are shared out in six parts."""
    with ExitStack() as servers:
        urls = {
            "journal": servers.enter_context(kafka.prefix(kafka_url, "partitions=6")),
            "warm": servers.enter_context(databases.empty()), "hot": named(redis_url),
        }  # fmt: skip
        folder.mkdir()
        config = folder / "tickhouse.toml"
        parts = [f'[{part}]\nurl = "{url}"\n' for part, url in urls.items()]
        config.write_text('data = "data"\n' + "".join(parts) + sections)
        yield config


def run(*words: str, config: Path) -> list[str]:
    return [sys.executable, "-m", "tickhouse", *words, "--config", str(config)]


class Crew:
    """Processes with the role `process`, which are started and ended."""

    def __init__(self, config: Path) -> None:
        self.config, self.all = config, list[subprocess.Popen[bytes]]()
        self.log = (config.parent / "crew.log").open("ab")

    def join(self) -> subprocess.Popen[bytes]:
        self.all.append(subprocess.Popen(run("run", "process", config=self.config), stdout=self.log, stderr=self.log))
        return self.all[-1]

    def ready(self) -> None:
        """Wait until the shards have been taken."""
        until = time.monotonic() + 60
        while self.told().count("shard taken") < 6:
            assert time.monotonic() < until and all(one.poll() is None for one in self.all), self.told()
            time.sleep(0.1)

    def leave(self, process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
        process.send_signal(how)
        assert process.wait(60) in ((0,) if how is signal.SIGTERM else (-how,)), self.told()
        self.all.remove(process)

    def told(self) -> str:
        return (self.config.parent / "crew.log").read_text()

    def close(self) -> None:
        for process in self.all:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(30)
        self.log.close()


@contextmanager
def crew(config: Path) -> Iterator[Crew]:
    with closing(Crew(config)) as found:
        yield found


def processed(config: Path, seconds: float = 120.0) -> None:
    """Wait until all that is journaled is stored, in every part."""
    until = time.monotonic() + seconds
    with closing(Pipeline(load(config))) as opened:
        while (opened.warm.position("process") or 0) < opened.journal.end():
            assert time.monotonic() < until, (opened.warm.parts("process"), opened.warm.position("process"))
            time.sleep(0.2)


def contents(config: Path) -> dict[str, Any]:
    with closing(Pipeline(load(config))) as opened:
        found = {
            name: sorted(map(str, getattr(opened.warm, name)(Query(versions=True)).to_pylist())) for name in TABLES
        }
        return found | {"ledger": dict(opened.warm.ledger()), "taken": dict(opened.journal.ledger())}


def take(config: Path, tape: Path) -> None:
    done = subprocess.run(
        run("load", str(tape), "--as", "binance", "--json", config=config), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert len(expected["bars"]) > 100
    for part, value in expected.items():
        assert found[part] == value, part


@pytest.fixture(scope="module")
def tapes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A few tapes that say when each message came."""
    made, tmp_path = [], tmp_path_factory.mktemp("tapes")
    for number in range(KILLS):
        plain = write(tmp_path / f"plain{number}.ndjson", trades=12_000, symbols=12, rate=25.0, seed=21 + number)
        tape = tmp_path / f"tape{number}.ndjson"
        tape.write_text("".join(stamped(plain.path, 25.0)))
        made.append(tape)
    return made


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, tapes: list[Path]) -> dict[str, Any]:
    """What an embedded house makes of them."""
    config = tmp_path_factory.mktemp("calm") / "tickhouse.toml"
    config.write_text('data = "data"\n')
    for tape in tapes:
        take(config, tape)
    return contents(config)


def test_one_process_with_all_shards_makes_what_one_engine_makes(tmp_path, tapes, calm, kafka_url, redis_url):
    with house(tmp_path / "shared", kafka_url, redis_url) as config:
        for tape in tapes:
            take(config, tape)
        same(contents(config), calm)
        config.write_text(config.read_text().replace(SHARED, ""))
        words = run("run", "process", "--for", "1s", config=config)
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "process.shared" in done.stderr, "it goes on shared alone"
        assert "Traceback" not in done.stderr


def test_shards_of_a_killed_process_move_and_nothing_is_lost_or_doubled(tmp_path, tapes, calm, kafka_url, redis_url):
    dice = random.Random(3)
    with house(tmp_path / "shared", kafka_url, redis_url) as config, crew(config) as members:
        members.join(), members.join()
        members.ready()
        for tape in tapes:
            loading = subprocess.Popen(
                run("load", str(tape), "--as", "binance", "--json", config=config),
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            time.sleep(dice.uniform(0.5, 3.0))
            members.leave(members.all[0], signal.SIGKILL)  # it has been there for longest, so it has shards
            members.join()
            errors = loading.communicate(timeout=120)[1].decode()
            assert loading.returncode == 0, errors
        processed(config)
        told = members.told()
        assert told.count("shard taken") >= 6 + 2 * KILLS, told
        assert "Traceback" not in told
        same(contents(config), calm)


def test_a_process_that_was_frozen_finds_that_its_shards_were_taken(tmp_path, tapes, calm, kafka_url, redis_url):
    with house(tmp_path / "shared", kafka_url, redis_url) as config, crew(config) as members:
        first, _ = members.join(), members.join()
        members.ready()
        for number, tape in enumerate(tapes):
            if number == 1:
                first.send_signal(signal.SIGSTOP)
            take(config, tape)
            if number == 1:
                processed(config, 60)  # by the other alone, once the group has found that the first is gone
                first.send_signal(signal.SIGCONT)
        processed(config)
        assert first.poll() is None, members.told()
        same(contents(config), calm)


def test_processes_that_end_one_after_the_other_hand_their_shards_on(tmp_path, tapes, calm, kafka_url, redis_url):
    with house(tmp_path / "shared", kafka_url, redis_url) as config, crew(config) as members:
        members.join(), members.join()
        for tape in tapes:
            members.join()
            members.ready()
            take(config, tape)
            members.leave(members.all[0])
        processed(config)
        same(contents(config), calm)
