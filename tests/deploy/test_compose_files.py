"""The files of deploy/compose fit together: each names what the others have, and nothing is open, unbounded or unpinned."""

import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tickhouse.core import observe
from tickhouse.core.reading import _toml, validated
from tickhouse.targets.local import ROLES

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((HERE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"] == "tickhouse:local"}
DECLARED = {**observe._COUNTERS, **observe._GAUGES, **observe._HISTOGRAMS}
TOLD = {
    *(f"tickhouse_{name}_total" for name in observe._COUNTERS), *(f"tickhouse_{name}" for name in observe._GAUGES),
    *(f"tickhouse_{name}_bucket" for name in observe._HISTOGRAMS),
}  # fmt: skip
"""The names of samples that dashboards and alerts may ask for."""


def test_every_role_is_a_service_of_its_own() -> None:
    assert {tuple(one["command"]) for one in OURS.values()} == {("prepare",), *(("run", role) for role in ROLES)}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_bounded_and_open_to_this_machine_only(name: str) -> None:
    one = SERVICES[name]
    tag = one["image"].partition(":")[2]
    assert tag and tag != "latest" and "mem_limit" in one
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in one.get("ports", ()))
    assert not any(re.search(r"(?i)password|secret|key$", key) for key in one.get("environment", {}) if not key.endswith("_FILE")
                   and key != "TICKHOUSE_SECRETS" and not key.endswith("__FILE"))  # fmt: skip
    assert set(one.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert all(needed in SERVICES for needed in one.get("depends_on", {}))


@pytest.mark.parametrize("name", OURS)
def test_our_services_may_write_nothing_but_the_house(name: str) -> None:
    one = OURS[name]
    assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["security_opt"] == ["no-new-privileges:true"]
    assert [mount for mount in one["volumes"] if not mount.endswith(":ro")] == ["house:/data"]


def test_what_is_waited_for_says_when_it_is_ready() -> None:
    waited = {
        needed for one in SERVICES.values() for needed, how in one.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }  # fmt: skip
    assert waited and all("healthcheck" in SERVICES[name] for name in waited)


def test_the_image_is_run_by_nobody_in_particular_and_has_what_the_health_check_runs() -> None:
    lines = (HERE / "Dockerfile").read_text().splitlines()
    assert "USER 10001" in lines and any(line.startswith("HEALTHCHECK") and '"healthy"' in line for line in lines)
    copied = [word for line in lines if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]]
    assert all((ROOT / path).exists() for path in copied if not path.startswith("--"))
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert all(f"!{path}" in ignored for path in copied if not path.startswith("--"))


def test_the_secrets_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    script = tmp_path / "secrets.sh"
    script.write_text((HERE / "secrets.sh").read_text())
    subprocess.run(["sh", script], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == {Path(one["file"]).name for one in COMPOSE["secrets"].values()}
    assert all(made.values()) and made["postgres_password"] in made["warm__url"]
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    subprocess.run(["sh", script], check=True, capture_output=True)
    assert made == {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}


def test_the_settings_of_the_services_are_settings() -> None:
    found = validated(_toml(HERE / "tickhouse.toml"))
    assert found.journal.url.startswith("kafka://kafka:9092/") and found.feeds["binance"].symbols


def test_prometheus_asks_every_role_where_it_answers() -> None:
    jobs = yaml.safe_load((HERE / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in jobs for fixed in job["static_configs"] for target in fixed["targets"]]
    assert sorted(target.split(":")[0] for target in targets) == sorted(ROLES)
    files = {Path(job["authorization"]["credentials_file"]).name for job in jobs}
    assert files <= set(SERVICES["prometheus"]["secrets"])
    port = OURS["ingest"]["environment"]["TICKHOUSE_METRICS__PORT"]
    assert all(target.endswith(f":{port}") for target in targets if not target.startswith("serve"))


@pytest.mark.parametrize("file", ["alerts.yml", "grafana/dashboards/tickhouse.json"])
def test_what_is_asked_of_metrics_is_told(file: str) -> None:
    asked = set(re.findall(r"tickhouse_\w+", (HERE / file).read_text()))
    assert asked and asked <= TOLD


def test_the_dashboard_is_found_where_grafana_looks_for_it() -> None:
    grafana = SERVICES["grafana"]
    provider = yaml.safe_load((HERE / "grafana/provisioning/dashboards/tickhouse.yml").read_text())["providers"][0]
    mounted = dict(mount.split(":")[:2][::-1] for mount in grafana["volumes"])
    assert mounted[provider["options"]["path"]] == "./grafana/dashboards"
    panels = json.loads((HERE / "grafana/dashboards/tickhouse.json").read_text())["panels"]
    source = yaml.safe_load((HERE / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}
    assert len({panel["id"] for panel in panels}) == len(panels) >= 10
