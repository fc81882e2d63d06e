"""A house whose journal is on Kafka: the broker is killed, frozen or cut off, or we are killed, while a tape loads."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests import kafka
from tests.chaos.live import assert_balanced, assert_true, held_ids, world
from tests.chaos.test_kill import contents
from tickhouse.core import observe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def house(folder: Path, url: str) -> Path:
    """The settings of a house with that journal."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "tickhouse.toml"
    config.write_text(f'data = "data"\n[journal]\nurl = "{url}"\n')
    return config


def load(config: Path, tape: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tickhouse",
        "load",
        str(tape),
        "--as",
        "binance",
        "--json",
        "--config",
        str(config),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ends_well(process: subprocess.Popen[bytes], seconds: float = 240) -> str:
    out, said = process.communicate(timeout=seconds)
    assert process.returncode == 0, said.decode()
    assert json.loads(out)
    return said.decode()


def begun(url: str, position: int = 1) -> None:
    """Wait until a house has taken something in."""
    from tickhouse.core.plugins import open_url

    until = time.monotonic() + 60
    while time.monotonic() < until:
        journal = open_url("journal", url)
        try:
            if journal.end() >= position:
                return
        finally:
            journal.close()
    raise AssertionError("nothing was taken in")


def test_a_broker_that_is_killed_and_comes_back_costs_nothing(tmp_path, tape, private_server):
    path, calm = tape
    server = private_server("kafka")
    url = f"kafka://{server.url}/house?partitions=3&timeout=2s"
    config = house(tmp_path, url)
    process = load(config, path)
    begun(url)
    for _ in range(2):
        server.kill()
        time.sleep(3)
        server.restart()
        time.sleep(1)
    said = ends_well(process)
    assert contents(config) == calm
    assert said.count("does not answer") <= 6, said


def test_a_broker_that_hangs_for_half_a_minute_costs_nothing(tmp_path, tape, private_server):
    path, calm = tape
    server = private_server("kafka")
    url = f"kafka://{server.url}/house?partitions=3&timeout=5s"
    config = house(tmp_path, url)
    process = load(config, path)
    begun(url)
    server.freeze()
    time.sleep(30)
    server.thaw()
    said = ends_well(process)
    assert contents(config) == calm
    assert "does not answer" in said and said.count("does not answer") <= 6, said


def test_a_killed_load_goes_on_and_ends_like_one_into_a_file(tmp_path, tape, kafka_url):
    path, calm = tape
    random_ = random.Random(5)
    with kafka.prefix(kafka_url) as url:
        config = house(tmp_path, url)
        began = time.monotonic()
        killed = 0
        for _ in range(8):
            process = load(config, path)
            try:
                process.wait(random_.uniform(1.5, 4.5))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
            process.communicate()
            assert process.returncode in (0, -signal.SIGKILL)
            if process.returncode == 0:
                break
        ends_well(load(config, path))
        assert contents(config) == calm
        sys.stdout.write(f"{killed} kills in {time.monotonic() - began:.0f} s\n")


@pytest.mark.parametrize("trouble", ["killed", "cut", "frozen"])
def test_a_live_run_goes_on_over_a_broker_that_was_away(tmp_path, private_server, trouble, monkeypatch):
    """Sockets, journal, bars: nothing lost and nothing twice, and a line for the operator when it begins and when it is over."""
    said = []
    monkeypatch.setattr(observe, "hooks", (said.append,))
    server, line = private_server.with_line("kafka")
    with world(tmp_path, rate=150) as w:
        own = w.settings.journal.model_copy(update={"url": f"kafka://{server.url}/live?partitions=3&timeout=2s"})
        w.settings = w.settings.model_copy(update={"journal": own})
        with w.up() as up:
            up.heard()
            w.wait(10)
            away(server, line, trouble)
            up.until(lambda: newest(up) > w.clock.now() - 5_000_000, 90)  # what is processed is of now again
            w.wait(20)
            up.healed()
            w.wait(3)
        with w.stopped() as house:
            assert_balanced(house)
            assert assert_true(w, house, complete=False) > 8
            assert house.journal.verify().faults == ()
            for symbol in w.symbols:
                ids = held_ids(house, symbol)  # what is fetched of the history may be there twice, and counts once
                assert sorted(set(ids)) == list(range(ids[0], ids[-1] + 1))
    waits = [event.name for event in said if event.room == "journal" and event.name == "line is down"]
    assert len(waits) <= 4, waits


def newest(up):
    """The event time up to which the engine has come."""
    return max(up.engine.watermarks().values(), default=0)


def away(server, line, trouble):
    if trouble == "killed":
        server.kill()
        time.sleep(4)
        server.restart()
    elif trouble == "cut":
        line.cut()
        time.sleep(4)
        line.mend()
    else:
        server.freeze()
        time.sleep(30)
        server.thaw()


def everything(journal):
    position, found = 0, []
    while records := journal.read("raw", position):
        found += records
        position = records[-1].end
    return found


def test_two_processes_append_at_the_same_time(kafka_url):
    """Each takes the transactions over from the other; positions stay dense and nothing is there twice."""
    from tests.journal.samples import entry
    from tickhouse.core.plugins import open_url

    with kafka.prefix(kafka_url) as url:
        journals = [open_url("journal", url) for _ in range(2)]
        failures: list[BaseException] = []

        def work(journal, source):
            try:
                for i in range(15):
                    journal.append([entry(2, 2 * i, source=source)])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(j, f"s{n}")) for n, j in enumerate(journals)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        for journal in journals:
            records = everything(journal)
            assert [r.first for r in records] == list(range(0, 60, 2))
            assert journal.end() == 60
            for source in ("s0", "s1"):
                own = [payload for r in records if r.source == source for payload in r.raw.payloads()]
                assert own == sorted(own, key=lambda p: int(json.loads(p)["t"])) and len(own) == 30
            assert journal.verify().faults == ()
            journal.close()
