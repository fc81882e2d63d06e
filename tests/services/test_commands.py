"""`make services` and `make services-down`: what is started is told, started once, and ended exactly."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis
from tools.services.process import Process
from tools.services.state import ROOT

from tests import servers


@pytest.fixture
def services(tmp_path):
    """Runs the command on a place of its own, where nothing runs at the end."""

    def run(*words):
        command = [sys.executable, "-m", "tools.services", *words]
        env = {**os.environ, "TICKHOUSE_SERVICES": str(tmp_path)}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)

    yield run
    run("down")


@pytest.fixture
def up(services, tmp_path):
    """Starts Redis and gives its URL and its process."""

    def run():
        done = services("up", "redis", "--native")
        if done.returncode and os.geteuid() != 0:
            servers.absent(done.stderr)
        assert done.returncode == 0, done.stderr
        return url(tmp_path), process(tmp_path)

    return run


def url(place: Path) -> str:
    return dict(line.split("=", 1) for line in (place / "env").read_text().split())["TICKHOUSE_TEST_REDIS"]


def process(place: Path) -> Process:
    kept = json.loads((place / "state.json").read_text())["servers"]["redis"]
    return Process(kept["pid"], kept["born"])


def test_up_twice_is_one_server_and_down_ends_it_with_its_data(services, up, tmp_path):
    first, its = up()
    Redis.from_url(first).set("a", "1")
    assert up() == (first, its)
    told = services("status", "redis")
    assert (told.returncode, first in told.stdout) == (0, True)
    folder = Path(json.loads((tmp_path / "state.json").read_text())["folder"])
    assert folder.is_dir()
    assert services("down").returncode == 0
    assert (its.alive(), folder.exists(), (tmp_path / "env").exists()) == (False, False, False)
    assert services("status", "redis").returncode == 1


def test_a_server_that_died_is_told_and_comes_back_where_it_was_with_its_data(services, up):
    first, its = up()
    Redis.from_url(first).set("a", "1")
    os.kill(its.pid, signal.SIGKILL)
    assert its.gone(10)
    told = services("status", "redis")
    assert (told.returncode, "ended by itself" in told.stdout) == (1, True)
    again, now = up()
    assert (again, now == its) == (first, False)
    assert Redis.from_url(again).get("a") == b"1"


def test_down_leaves_a_process_alone_that_has_the_number_of_one_that_ended(services, up, tmp_path):
    _, its = up()
    its.kill()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        state = json.loads((tmp_path / "state.json").read_text())
        state["servers"]["redis"]["pid"] = bystander.pid
        (tmp_path / "state.json").write_text(json.dumps(state))
        assert services("down").returncode == 0
        assert bystander.poll() is None
        bystander.kill()


def test_a_name_that_is_no_server_is_refused_with_the_names_there_are(services):
    told = services("up", "cassandra")
    assert (told.returncode, told.stderr) == (
        2,
        "no server named 'cassandra' (known: postgres, redis, kafka, minio, versity)\n",
    )


def test_an_absent_server_skips_a_test_with_what_helps_and_fails_it_in_ci(monkeypatch, tmp_path):
    monkeypatch.setattr(servers, "PLACE", tmp_path)
    monkeypatch.delenv("TICKHOUSE_TEST_REDIS", raising=False)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="redis is not running: `make services` starts it"):
        servers.shared("redis")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="make services"):
        servers.shared("redis")
    (tmp_path / "env").write_text("TICKHOUSE_TEST_REDIS=redis://written\n")
    assert servers.shared("redis") == "redis://written"
    monkeypatch.setenv("TICKHOUSE_TEST_REDIS", "redis://told")
    assert servers.shared("redis") == "redis://told"
