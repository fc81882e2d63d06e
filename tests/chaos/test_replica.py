"""The role `serve` beside a read replica that hangs: it ends on request in seconds, as it does beside a server that hangs."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest
from tools.services.server import free_port

from tests.chaos.test_processes import place
from tests.stores.replica import Replica

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
QUESTIONS = ("symbols", "anomalies", "quality", "status")


@pytest.fixture
def servers(private_server):
    """A server and its replica."""
    server = private_server("postgres")
    replica = Replica(server.folder.parent / "replica", server)
    try:
        replica.start()
        yield server, replica
    finally:
        replica.remove()


def asked(port, what):
    """Ask the API; the status of its answer, 0 when there is none."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1/{what}", timeout=60).status_code
    except httpx.HTTPError:
        return 0


@pytest.mark.parametrize("frozen", [("replica",), ("replica", "server")], ids="-".join)
def test_while_a_replica_hangs_on_which_readers_wait_it_ends_on_request_in_seconds(tmp_path, servers, frozen):
    server, replica = servers
    url = f"{server.url}?replica=127.0.0.1:{replica.port}"
    with place(tmp_path, warm__url=url) as p, ThreadPoolExecutor() as pool, ExitStack() as thaw:
        port, config = free_port(), p.folder / "tickhouse.toml"
        config.write_text(config.read_text().replace("port = 0", f"port = {port}"))
        p.start("run", "ingest", "process", "--json")
        serving = p.start("run", "serve", "--json")
        p.grown(300)
        until = time.monotonic() + 30
        while asked(port, "symbols") != 200:
            assert time.monotonic() < until
            time.sleep(0.2)
        time.sleep(3)  # the replica is seen to be fit
        for name in frozen:
            one = {"replica": replica, "server": server}[name]
            thaw.callback(one.thaw)
            one.freeze()
        waiting = [pool.submit(asked, port, what) for what in QUESTIONS]
        time.sleep(0.5)
        began = time.monotonic()
        serving.terminate()
        _, errors = serving.communicate(timeout=60)
        took = time.monotonic() - began
        sys.stdout.write(f"serve ended after {took:.1f} s: {[one.result() for one in waiting]}\n")
        assert took < 20
        if "server" in frozen:
            assert serving.returncode == 75
        else:
            assert (serving.returncode, errors) == (0, ""), "the server answers what the replica does not"
