"""A house that moves from a folder to four servers and back, in the middle of its work, is the house that stayed where it was."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.test_cluster import cluster, command, contents
from tests.end_to_end.tape import stamped, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
TRADES = 6_000
KILLS = 3


@pytest.fixture
def tapes(tmp_path: Path) -> list[Path]:
    """Three tapes that follow one another, each message with the time at which it came."""
    lines = stamped(write(tmp_path / "plain.ndjson", trades=TRADES, symbols=4, rate=5.0, seed=5).path, 5.0)
    third = len(lines) // 3
    parts = [lines[:third], lines[third : 2 * third], lines[2 * third :]]
    files = [tmp_path / f"tape{n}.ndjson" for n in range(3)]
    for file, part in zip(files, parts, strict=True):
        file.write_text("".join(part))
    return files


def house(folder: Path) -> Path:
    """The settings of an embedded house."""
    folder.mkdir()
    config = folder / "tickhouse.toml"
    config.write_text('data = "data"\n')
    return config


def load(config: Path, tape: Path, seconds: float | None = None) -> float:
    """Load a tape, or kill the load after so many seconds; returns how long it took."""
    began = time.monotonic()
    process = subprocess.Popen(command(config, tape), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _ended(process, seconds)
    return time.monotonic() - began


def copy(start: Path, end: Path, seconds: float | None = None) -> bool:
    """Copy a house, or kill the copy after so many seconds; whether it ended."""
    words = [sys.executable, "-m", "tickhouse", "copy", "--from", str(start), "--to", str(end)]
    return _ended(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE), seconds)


def _ended(process: "subprocess.Popen[bytes]", seconds: float | None) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    errors = process.communicate()[1].decode()
    assert process.returncode == 0 or (seconds is not None and process.returncode == -signal.SIGKILL), errors
    return process.returncode == 0


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert len(expected["bars"]) > 100 and len(expected["bronze"]) >= TRADES
    assert found.keys() == expected.keys()
    for part, value in expected.items():
        assert found[part] == value, part


def test_a_house_that_moves_to_servers_and_back_in_the_middle_of_loads_is_the_same(
    tmp_path, tapes, kafka_url, redis_url, s3
):
    calm, first, back = house(tmp_path / "calm"), house(tmp_path / "first"), house(tmp_path / "back")
    took = [load(calm, tape) for tape in tapes]
    load(first, tapes[0])
    load(first, tapes[1], 0.7 * took[1])
    with cluster(tmp_path / "cluster", kafka_url, redis_url, s3) as servers:
        copy(first, servers)
        load(servers, tapes[1])
        load(servers, tapes[2], 0.7 * took[2])
        copy(servers, back)
        load(servers, tapes[2])
        load(back, tapes[2])
        expected = contents(calm)
        assert_same(contents(servers), expected)
        assert_same(contents(back), expected)


def test_a_copy_that_is_killed_again_and_again_ends_the_same(tmp_path, tapes, kafka_url, redis_url, s3):
    calm, dice, killed = house(tmp_path / "calm"), random.Random(4), 0
    for tape in tapes[:2]:
        load(calm, tape)
    shutil.copytree(tmp_path / "calm", tmp_path / "mine")
    mine = tmp_path / "mine" / "tickhouse.toml"
    began = time.monotonic()
    assert copy(mine, house(tmp_path / "whole"))
    whole = time.monotonic() - began
    load(calm, tapes[2])
    with cluster(tmp_path / "cluster", kafka_url, redis_url, s3) as servers:
        back = house(tmp_path / "back")
        for start, end in ((mine, servers), (servers, back)):
            killed += sum(not copy(start, end, dice.uniform(0.5, 1.5) * whole) for _ in range(KILLS))
            copy(start, end)
        load(servers, tapes[2])
        load(back, tapes[2])
        expected = contents(calm)
        assert_same(contents(servers), expected)
        assert_same(contents(back), expected)
    assert killed
