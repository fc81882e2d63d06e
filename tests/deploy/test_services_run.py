"""The services of deploy/compose, run without containers: each role in a process of its own, on the four real servers, with the
files of the folder, and found well by the health check of its service."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tools.services.server import free_port

from tests.chaos.live import world
from tests.deploy.test_compose_files import HERE, OURS
from tests.kafka import prefix
from tests.lake.buckets import own
from tests.stores import databases
from tests.stores.keys import named
from tickhouse.core.clock import SystemClock
from tickhouse.targets.local import ROLES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KEY = "k" * 32


@contextmanager
def house(folder: Path, kafka: str, redis: str, s3: Any) -> Iterator[dict[str, str]]:
    """The environment of the services: their settings file, their secrets as files, and an exchange instead of the network."""
    secrets = folder / "secrets"
    secrets.mkdir()
    with ExitStack() as servers:
        exchange = servers.enter_context(world(folder / "own", clock=SystemClock())).settings.feeds["binance"]
        urls = {
            "warm__url": servers.enter_context(databases.empty()), "hot__url": named(redis),
            "lake__url": servers.enter_context(own(s3))("house"), "metrics__key": KEY, "serve__key": KEY,
        }  # fmt: skip
        for name, text in urls.items():
            (secrets / name).write_text(text)
        (folder / "data").mkdir()
        (folder / "data" / "tickhouse.toml").write_text((HERE / "tickhouse.toml").read_text())
        own_settings = {
            "TICKHOUSE_SECRETS": str(secrets), "TICKHOUSE_DATA": str(folder / "data"), "TICKHOUSE_LOG__FORMAT": "json",
            "TICKHOUSE_JOURNAL__URL": servers.enter_context(prefix(kafka)), "TICKHOUSE_PROCESS__INTERVALS": "5s",
            "TICKHOUSE_FEEDS__BINANCE__SYMBOLS": ",".join(exchange.symbols), "TICKHOUSE_FEEDS__BINANCE__URL": str(exchange.url),
            "TICKHOUSE_FEEDS__BINANCE__WS_URL": str(exchange.ws_url),
        }  # fmt: skip
        yield {name: value for name, value in os.environ.items() if not name.startswith("TICKHOUSE_")} | own_settings


def healthy(url: str) -> bool:
    """What the health check of the image says."""
    done = subprocess.run([sys.executable, HERE / "healthy.py", url], capture_output=True, check=False, timeout=20)
    return done.returncode == 0


def asked(url: str) -> Any:
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"}), timeout=10
    ) as answer:
        return json.load(answer)


def until(condition: Any, what: str, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.5)


def test_the_services_run_on_the_four_servers_and_are_well(tmp_path, kafka_url, redis_url, s3):
    with house(tmp_path, kafka_url, redis_url, s3) as environment, ExitStack() as files:

        def command(name: str, **more: str) -> dict[str, Any]:
            words = [sys.executable, "-m", "tickhouse", *OURS[name]["command"]]
            given = {
                **OURS[name]["environment"],
                "TICKHOUSE_METRICS__HOST": "127.0.0.1",
                "TICKHOUSE_SERVE__HOST": "127.0.0.1",
            }
            given.pop("TICKHOUSE_SECRETS")
            return {"args": words, "env": environment | given | more, "cwd": tmp_path / "data", "text": True}

        prepared = subprocess.run(**command("prepare"), capture_output=True, check=False, timeout=100)
        assert prepared.returncode == 0, prepared.stderr
        ports = {name: free_port() for name in (*ROLES, "page")}
        running = {
            name: subprocess.Popen(
                **command(name, TICKHOUSE_METRICS__PORT=str(ports[name]), TICKHOUSE_SERVE__PORT=str(ports["page"])),
                stdout=subprocess.DEVNULL, stderr=files.enter_context((tmp_path / name).open("w")),
            ) for name in ROLES
        }  # fmt: skip
        try:
            page = f"http://127.0.0.1:{ports['page']}"
            checks = {name: f"http://127.0.0.1:{ports[name]}/health" for name in ROLES if name != "serve"}
            checks["serve"] = OURS["serve"]["healthcheck"]["test"][-1].replace("http://127.0.0.1:8000", page)
            for name, url in checks.items():
                until(lambda url=url: healthy(url), f"{name} is not well: {(tmp_path / name).read_text()[-2000:]}")
            symbol = environment["TICKHOUSE_FEEDS__BINANCE__SYMBOLS"].split(",")[0]

            def bars() -> bool:
                try:
                    return len(asked(f"{page}/v1/bars/{symbol}?interval=5s")["data"]) >= 3
                except urllib.error.HTTPError:
                    return False

            until(bars, "no bars are served")
        finally:
            for process in running.values():
                process.terminate()
            ended = {name: process.wait(40) for name, process in running.items()}
        said = {name: (tmp_path / name).read_text() for name in ROLES}
        assert ended == dict.fromkeys(ROLES, 0), said
        assert not any("Traceback" in text or KEY in text for text in said.values()), said
