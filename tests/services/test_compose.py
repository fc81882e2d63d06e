"""The compose file brings the same servers as those that run natively: the same names, versions, ports and secrets.

No test here runs it: that takes a Docker engine."""

import re

import pytest
import yaml
from tools.services import compose, kafka, versity
from tools.services.known import SERVERS
from tools.services.server import HOST

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
