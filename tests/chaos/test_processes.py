"""The pipeline as processes that are stopped, killed, run apart and run out of room, on an exchange that goes on meanwhile."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.live import World, assert_balanced, assert_true, world
from tickhouse.core.clock import SystemClock

KILLS = int(os.environ.get("KILLS", "10"))
PROCESS = {"process__intervals": ["2s"], "process__checkpoint_every": 1}


@dataclass
class Place:
    """An exchange, and a house that processes work on."""

    world: World
    folder: Path
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def command(self, *words: str) -> list[str]:
        config = ["--config", str(self.folder / "tickhouse.toml"), "--data", str(self.folder / "house")]
        return [sys.executable, "-m", "tickhouse", *words, *config]

    def start(self, *words: str, limit: int | None = None) -> "subprocess.Popen[str]":
        """A process of the house; with a `limit` no file of it may be longer than so many bytes."""
        process = subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.started.append(process)
        if limit is not None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        return process

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60, check=False)

    def grown(self, messages: int, seconds: float = 30.0) -> None:
        """Wait until the journal has so many more messages."""
        until, begun = time.monotonic() + seconds, None
        while True:
            if (self.folder / "house" / "journal.db").exists():
                with self.world.stopped() as house:
                    end = house.journal.end()
                begun = end if begun is None else begun
                if end - begun >= messages:
                    return
            assert time.monotonic() < until, "the journal does not grow"
            time.sleep(0.1)

    def truly(self, least: int = 5) -> None:
        """Run once more, undisturbed, until holes are filled; then compare with the exchange."""
        with self.world.up() as up:
            up.heard()
            time.sleep(12)  # six bars of two seconds at least
            up.healed()
            time.sleep(1.5)
        with self.world.stopped() as house:
            assert_balanced(house)
            assert assert_true(self.world, house, ("2s",)) > least


@contextmanager
def place(folder: Path, rate: float = 200.0, **more: str) -> Iterator[Place]:
    """A place with a settings file that says what the world's settings say; `more` are URLs of stores, as `warm__url`."""
    with world(folder, rate=rate, clock=SystemClock(), **PROCESS, **more) as w:
        feed = w.settings.feeds["binance"]
        text = f"""[feeds.binance]
symbols = {json.dumps(list(feed.symbols))}
url = "{feed.url}"
ws_url = "{feed.ws_url}"
[process]
intervals = ["2s"]
lateness = 1
grace = 1
checkpoint_every = 1
[serve]
port = 0
"""
        for key, url in more.items():
            text += f'[{key.removesuffix("__url")}]\nurl = "{url}"\n'
        (folder / "tickhouse.toml").write_text(text)
        made = Place(w, folder)
        try:
            yield made
        finally:
            for process in made.started:
                if process.poll() is None:  # the test failed
                    process.kill()
                    process.communicate()


def ended(process: "subprocess.Popen[str]", number: int = signal.SIGTERM, seconds: float = 30.0) -> tuple[str, str]:
    """Send a signal, wait for the end; what it wrote."""
    process.send_signal(number)
    return process.communicate(timeout=seconds)


@pytest.mark.slow
def test_sigterm_ends_within_seconds_with_nothing_half_written(tmp_path):
    """And a second process with the same role is told in one line who has it."""
    with place(tmp_path) as p:
        process = p.start("up", "--json")
        p.grown(300)
        second = p.run("run", "ingest")
        assert second.returncode == 2
        assert len(second.stderr.strip().splitlines()) == 1 and str(process.pid) in second.stderr, second.stderr
        began = time.monotonic()
        said, errors = ended(process)
        assert process.returncode == 0, errors
        assert time.monotonic() - began < 15
        row = json.loads(said)["ledger"]["binance"]
        assert row["pending"] == 0 and row["balanced"]
        verified = p.run("verify")
        assert verified.returncode == 0, verified.stderr
        assert not list((tmp_path / "house").rglob("*.tmp"))


def kill(p: Place, times: int, seed: int) -> None:
    """Kill `up` so many times at random moments, some of them while it starts."""
    random_ = random.Random(seed)
    for _ in range(times):
        process = p.start("up", "--json")
        try:
            process.wait(random_.uniform(0.8, 4.5))
        except subprocess.TimeoutExpired:
            process.kill()
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kills_while_the_exchange_goes_on_leave_no_trace_in_the_bars(tmp_path):
    with place(tmp_path, rate=600) as p:
        kill(p, KILLS, 2)
        p.truly(11)


@pytest.mark.slow
def test_roles_in_processes_of_their_own_give_the_same_bars(tmp_path):
    with place(tmp_path) as p:
        processes = [p.start("run", *roles, "--json") for roles in (("ingest",), ("process", "archive"), ("serve",))]
        try:
            p.grown(600, 40)
            p.world.exchange.change(p.world.exchange.faults.changed(gaps=0.02, gap_trades=3))
            time.sleep(4)
            p.world.exchange.change(p.world.exchange.faults.changed(gaps=0))
            time.sleep(8)
        finally:
            answers = [ended(process) for process in processes]
        for process, (_, errors) in zip(processes, answers, strict=True):
            assert process.returncode == 0, errors
        assert json.loads(answers[1][0])["refilled"] > 0
        p.truly()


@pytest.mark.slow
def test_a_full_disk_ends_the_intake_with_one_sentence_and_loses_nothing(tmp_path):
    """No file may grow any longer; with room again it goes on, and the bars are right."""
    with place(tmp_path, rate=600) as p:
        process = p.start("up", "--json", limit=3 << 20)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1, errors
        sentences = [line for line in errors.splitlines() if line.startswith("tickhouse: ")]
        assert len(sentences) == 1 and "Traceback" not in errors, errors
        with p.world.stopped() as house:
            held = house.journal.end()
            assert held > 0 and not house.journal.verify().faults
        p.truly()
        with p.world.stopped() as house:
            assert house.journal.end() > held


@pytest.mark.slow
def test_without_a_network_it_says_so_keeps_trying_and_ends_cleanly(tmp_path):
    with place(tmp_path) as p:
        pass
    done = p.run("up", "--for", "6s")
    assert done.returncode == 75, done.stderr
    assert "127.0.0.1" in done.stderr and "refused" in done.stderr and "Traceback" not in done.stderr, done.stderr
