"""A load into a house whose ticks are shared, on a machine that has its own folder: it leaves the shards to who has them."""

import shutil
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.test_shared import contents, crew, house, processed, run, same, take
from tests.end_to_end.tape import stamped, write
from tickhouse.core.settings import load as settings
from tickhouse.pipeline import Pipeline
from tickhouse.steps.helping import ALONE, WAITS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def tapes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two tapes that say when each message came."""
    made, folder = [], tmp_path_factory.mktemp("tapes")
    for number in range(2):
        plain = write(folder / f"plain{number}.ndjson", trades=8_000, symbols=12, rate=25.0, seed=51 + number)
        made.append(folder / f"tape{number}.ndjson")
        made[-1].write_text("".join(stamped(plain.path, 25.0)))
    return made


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, tapes: list[Path]) -> dict[str, Any]:
    """What an embedded house makes of them."""
    config = tmp_path_factory.mktemp("calm") / "tickhouse.toml"
    config.write_text('data = "data"\n')
    for tape in tapes:
        take(config, tape)
    return contents(config)


def elsewhere(config: Path, name: str) -> Path:
    """The same house as another machine sees it, which shares no folder with this one."""
    folder = config.parent.parent / name
    folder.mkdir()
    return Path(shutil.copy(config, folder / config.name))


def loading(config: Path, tape: Path) -> subprocess.Popen[bytes]:
    words = run("load", str(tape), "--as", "binance", "--json", config=config)
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def said(load: subprocess.Popen[bytes]) -> str:
    errors = load.communicate(timeout=120)[1].decode()
    assert load.returncode == 0, errors
    assert "Traceback" not in errors
    return errors


def journaled(config: Path, load: subprocess.Popen[bytes], messages: int) -> None:
    """Wait until a load has journaled some messages."""
    with closing(Pipeline(settings(config))) as opened:
        while opened.journal.end() < messages:
            assert load.poll() is None, load.communicate()[1].decode()
            time.sleep(0.05)


def stored(config: Path) -> None:
    """That all is there by now: nobody has to wait for anything."""
    processed(config, 0.0)


def test_a_load_leaves_the_shards_to_the_processes_of_another_machine(tmp_path, tapes, calm, kafka_url, redis_url):
    with house(tmp_path / "shared", kafka_url, redis_url) as config, crew(config) as members:
        members.join(), members.join()
        members.ready()
        here = elsewhere(config, "loads")
        for tape in tapes:
            told = said(loading(here, tape))
            stored(here)
            assert told.count(WAITS) == 1 and ALONE not in told and "shard taken" not in told, told
        assert "taken over" not in members.told()
        same(contents(here), calm)


def test_a_load_takes_over_when_the_last_process_is_killed(tmp_path, tapes, calm, kafka_url, redis_url):
    with house(tmp_path / "shared", kafka_url, redis_url) as config, crew(config) as members:
        only = members.join()
        members.ready()
        here = elsewhere(config, "loads")
        said(loading(here, tapes[0]))
        load = loading(here, tapes[1])
        assert load.stderr is not None
        assert next(line for line in iter(load.stderr.readline, b"") if WAITS in line.decode())
        only.send_signal(signal.SIGKILL)
        told = said(load)
        assert told.count(ALONE) == 1, told
        stored(here)
        same(contents(here), calm)
        only.wait(30)
        members.all.remove(only)


def test_a_process_that_starts_while_a_load_processes_gets_shards(tmp_path, tapes, calm, kafka_url, redis_url):
    with house(tmp_path / "shared", kafka_url, redis_url) as config, crew(config) as members:
        here = elsewhere(config, "loads")
        load = loading(here, tapes[0])
        journaled(here, load, 1_000)
        members.join()
        told = said(load)
        stored(here)
        members.ready()  # all of them, once the load has left
        told += said(loading(here, tapes[1]))
        stored(here)
        assert WAITS in told
        assert "taken over" not in told + members.told()
        same(contents(here), calm)


def one_engine(config: Path, folder: Path) -> dict[str, Any]:
    """What one engine makes of the journal of a house."""
    folder.mkdir()
    judge = folder / "tickhouse.toml"
    judge.write_text(f'data = "data"\n[journal]\nurl = "{settings(config).journal_url}"\n')
    with closing(Pipeline(settings(judge))) as opened:
        opened.process().catch_up()
    return contents(judge)


def test_loads_of_two_machines_at_once_do_not_fight(tmp_path, tapes, kafka_url, redis_url):
    with house(tmp_path / "shared", kafka_url, redis_url) as config:
        both = [elsewhere(config, "one"), elsewhere(config, "other")]
        loads = [loading(one, tape) for one, tape in zip(both, tapes, strict=True)]
        told = "".join(map(said, loads))
        stored(config)
        assert "taken over" not in told, told
        same(contents(config), one_engine(config, tmp_path / "judge"))
