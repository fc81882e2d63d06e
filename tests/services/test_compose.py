"""The compose file brings the same servers as those that run natively: the same names, versions, ports and secrets.

No test here runs the file itself: that takes an engine. The last one has a `docker` that starts a Redis of this machine."""

import re
import subprocess
import sys

import pytest
import yaml
from redis import Redis
from tools.services import compose, kafka, versity
from tools.services.known import SERVERS
from tools.services.server import HOST
from tools.services.state import ROOT

from tests import servers

TEXT = compose.FILE.read_text()
FILE = yaml.safe_load(TEXT)


def test_it_has_every_server_by_its_name_and_no_other():
    assert set(FILE["services"]) == set(SERVERS)


def test_every_image_is_pinned_and_those_that_run_natively_too_have_the_same_version():
    images = {name: service["image"] for name, service in FILE["services"].items()}
    assert all(re.search(r":[^:]*\d", image) for image in images.values())
    assert images["kafka"] == f"apache/kafka:{kafka.VERSION}"
    assert images["versity"] == f"versity/versitygw:{versity.VERSION}"


def test_it_asks_only_for_what_it_is_told(tmp_path):
    told = compose.settings({name: server(tmp_path / name) for name, server in SERVERS.items()})
    asked = set(re.findall(r"\$\{(\w+)", TEXT))
    assert asked <= set(told)
    assert {f"{name.upper()}_PORT" for name in SERVERS} <= asked


@pytest.mark.parametrize("name", SERVERS)
def test_it_listens_on_the_loopback_alone(name):
    ports = FILE["services"][name]["ports"]
    assert all(port.startswith(f"{HOST}:${{{name.upper()}_PORT") for port in ports)


def test_kafka_has_the_same_settings():
    told = FILE["services"]["kafka"]["environment"]
    settings = dict(line.split("=", 1) for line in kafka.SETTINGS.split())
    assert {key: told[f"KAFKA_{key.replace('.', '_').upper()}"] for key in settings} == settings


DOCKER = """#!/bin/sh
echo "$*" >> "$PLACE/asked"
case "$*" in
    *" up "*) redis-server --bind 127.0.0.1 --port $REDIS_PORT --requirepass $REDIS_SECRET --save '' --daemonize yes \\
        --pidfile "$PLACE/pid" --dir "$PLACE" > /dev/null ;;
    *" down "*) kill "$(cat "$PLACE/pid")" ;;
esac
"""


@pytest.fixture
def services(tmp_path):
    """Runs the command where an engine answers."""
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin", "PLACE": str(tmp_path)}

    def run(*words):
        command = [sys.executable, "-m", "tools.services", *words]
        env["TICKHOUSE_SERVICES"] = str(tmp_path / "state")
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)

    yield run
    run("down")


def test_where_an_engine_answers_containers_are_started_told_and_taken_down_with_their_volumes(services, tmp_path):
    if not SERVERS["redis"](tmp_path / "redis").have():
        servers.absent("redis-server is not here: `make services` gets it")
    up = services("up", "redis")
    assert up.returncode == 0, up.stderr
    url = (tmp_path / "state" / "env").read_text().strip().split("=", 1)[1]
    assert Redis.from_url(url).ping()
    assert services("status", "redis").returncode == 0
    assert services("down").returncode == 0
    asked = (tmp_path / "asked").read_text().splitlines()
    asked = [words for words in asked if words not in ("info", "compose version")]
    project = re.compile(r"^compose --project-name tickhouse-services-\w+ --file \S+compose.yaml (.*)")
    assert [project.sub(r"\1", words) for words in asked] == ["up --detach redis", "down --volumes"]
    assert not (tmp_path / "state" / "env").exists()
