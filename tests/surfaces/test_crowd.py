"""A thousand listeners at a time: everybody hears everything, and soon."""

import json
import subprocess
import sys
import time

import pytest

from tests.surfaces.house import MemoryHouse
from tests.surfaces.serving import served

CLIENTS, MOMENTS, EVERY = 1000, 40, 0.05


@pytest.mark.slow
@pytest.mark.parametrize("wire", [True, False])
def test_a_thousand_clients_hear_each_change(wire: bool) -> None:
    """The bound on the age is generous, for a busy machine; what was measured is printed."""
    house = MemoryHouse(2)
    house.prices["BTC-USDT"] = 1.0
    with served(house, wire=wire) as server:
        command = [sys.executable, "-m", "tests.surfaces.crowd", str(server.port), str(CLIENTS), "12"]
        crowd = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + 8
        while server.hub.stats()["clients"] < CLIENTS and time.monotonic() < end:
            time.sleep(0.05)
        assert server.hub.stats() | {"seq": 0} == {"clients": CLIENTS, "filters": 1, "seq": 0}
        time.sleep(0.5)
        for _ in range(MOMENTS):
            row = {
                "symbol": "BTC-USDT",
                "source": "binance",
                "price": time.monotonic(),
                "size": 1.0,
                "event_time": 0,
                "received_at": 0,
            }
            house.emit("ticks", [row])
            time.sleep(EVERY)
        found = json.loads(crowd.communicate(timeout=60)[0])
    print(f"wire={wire}: {found}")  # noqa: T201
    assert found["least"] >= MOMENTS and found["p50"] < 200 and found["p99"] < 1000
