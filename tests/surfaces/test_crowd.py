"""A thousand listeners at a time: everybody hears everything, and soon."""

import json
import subprocess
import sys
import time

import pytest

from tests.surfaces.crowd import END
from tests.surfaces.house import MemoryHouse
from tests.surfaces.serving import served

CLIENTS, MOMENTS, EVERY = 1000, 40, 0.05


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("wire", [True, False])
def test_a_thousand_clients_hear_each_change(wire: bool) -> None:
    """A listener that is behind may skip a price, never the newest. The bound on the age is for a busy machine."""
    house = MemoryHouse(2)
    house.forming_rows["BTC-USDT", "1m"]["close"] = 1.0
    with served(house, wire=wire) as server:
        command = [sys.executable, "-m", "tests.surfaces.crowd", str(server.port), str(CLIENTS), "60"]
        crowd = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + 30
        while server.hub.stats()["clients"] < CLIENTS and time.monotonic() < end:
            time.sleep(0.05)
        assert server.hub.stats() | {"seq": 0} == {"clients": CLIENTS, "filters": 1, "seq": 0}
        time.sleep(0.5)
        for moment in range(MOMENTS + 1):
            price = time.monotonic() if moment < MOMENTS else END
            same = {"symbol": "BTC-USDT", "source": "binance", "size": 1.0, "event_time": 0, "received_at": 0}
            house.emit("ticks", [{**same, "price": price}])
            time.sleep(EVERY)
        found = json.loads(crowd.communicate(timeout=60)[0])
    print(f"wire={wire}: {found}")  # noqa: T201
    assert found["ended"] == CLIENTS and found["least"] >= 5 and found["p50"] < 500
