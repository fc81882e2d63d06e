"""Roles in processes of their own with Redis between them, which dies, hangs and comes back meanwhile."""

import json
import os
import time
import urllib.request

import pytest

from tests.chaos.test_processes import ended, place
from tests.stores.keys import named
from tickhouse.core.plugins import open_url

FROZEN_SECONDS, RATE = float(os.environ.get("FROZEN", "8")), 200.0


def latest(address, symbol):
    with urllib.request.urlopen(f"{address}/v1/latest?symbols={symbol}", timeout=10) as answer:
        return json.load(answer)["data"][0]


def position(p):
    """Up to where it is processed and stored."""
    with p.world.stopped() as house:
        return house.warm.position("process")


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("make", ["redis", "valkey"])
def test_a_redis_that_is_killed_and_frozen_costs_no_bar_and_the_serving_process_answers_throughout(
    tmp_path, private_server, make
):
    server = private_server(make)
    url = named(server.url)
    with place(tmp_path, rate=RATE) as p:
        with (tmp_path / "tickhouse.toml").open("a") as file:
            file.write(f'[hot]\nurl = "{url}"\n')
        symbol = p.world.settings.feeds["binance"].symbols[0]
        processes = [p.start("run", "ingest", "process", "archive", "--json"), p.start("run", "serve")]
        try:
            address = processes[1].stderr.readline().split()[-1]
            p.grown(300)
            server.kill()
            p.grown(300)
            moments = [latest(address, symbol)["event_time"]]
            server.restart()
            p.grown(300)
            server.freeze()
            before, began = position(p), time.monotonic()
            time.sleep(FROZEN_SECONDS)
            moments.append(latest(address, symbol)["event_time"])
            rate = (position(p) - before) / (time.monotonic() - began)
            server.thaw()
            time.sleep(4)
            moments.append(latest(address, symbol)["event_time"])
            hot = open_url("stores", url)
            mine, theirs = hot.latest([symbol])[0], latest(address, symbol)
            hot.close()
        finally:
            answers = [ended(process) for process in processes]
        for process, (_, errors) in zip(processes, answers, strict=True):
            assert process.returncode == 0, errors
        told = [[errors.count(f"hot store {what}") for what in ("away", "back")] for _, errors in answers]
        assert told[0] == [2, 2], answers[0][1]
        assert told[1][0] == told[1][1] <= 2, answers[1][1]
        assert rate > 0.5 * RATE, "what is received is processed and stored all the while"
        assert moments == sorted(set(moments)), "it goes on whatever Redis does"
        assert mine["symbol"] == theirs["symbol"] == symbol
        p.truly()
