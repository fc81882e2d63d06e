"""Roles in processes of their own on all four real servers: killed at random moments, and begun anew one by one under load."""

import os
import random
import sys
import time
from datetime import datetime

import httpx
import pytest
from tools.services.server import free_port

from tests.chaos.listeners import Asking, Listening
from tests.chaos.live import Bars, house_bars
from tests.chaos.roles import INTERVAL, ROLES, places, roles
from tickhouse.core.clock import SECOND

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
KILLS = int(os.environ.get("KILLS", "6"))
SEED = int(os.environ.get("SEED", "4"))
KILLED = ("ingest", "process", "archive")


def test_roles_that_are_killed_at_random_moments_leave_no_trace(tmp_path, kafka_url, redis_url, s3):
    """Nothing lost, nothing twice, and nothing said that an operator need not know."""
    dice = random.Random(SEED)
    with places(kafka_url, redis_url, s3) as urls, roles(tmp_path, urls, rate=300) as house:
        house.start(*KILLED)
        house.grown(300)
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.2, 6.0))
            name = dice.choice(KILLED)
            house[name].kill()
            time.sleep(dice.choice((0.0, 0.0, 1.5)))
            house.start(name)
        house.grown(1500)
        house.whole()
        took = house.quiet()
        found = house.assert_right()
        for name in KILLED:
            role = house[name]
            assert "Traceback" not in role.said, role.said
            assert sum("that was killed" in line for line in role.lines) <= role.begun - 1
            assert len(role.lines) <= 3 * role.begun, "no flood of lines"
        sys.stdout.write(f"{KILLS} kills: {found}, ended in {took}\n")


def test_a_rolling_restart_of_every_role_under_load_loses_nothing(tmp_path, kafka_url, redis_url, s3):
    """2,000 trades a second; whoever asks the API is without an answer only while its process is away, and whoever listens is told
    every bar."""
    port = free_port()
    with places(kafka_url, redis_url, s3) as urls, roles(tmp_path, urls, rate=2000, symbols=8, port=port) as house:
        house.start(*ROLES)
        house.grown(3000)
        symbols, page = ",".join(house.world.symbols), f"127.0.0.1:{port}"
        stream = f"ws://{page}/v1/stream?topics=bars&symbols={symbols}&interval={INTERVAL}&last=100"
        house.until(lambda: answers(page), "it does not answer")
        with (
            Asking(f"http://{page}/v1/latest?symbols={house.world.symbols[0]}") as asking,
            Listening(stream) as listening,
        ):
            house.until(lambda: asking.answers and listening.bars, "nobody is told anything")
            ended, away = {}, {}
            for name in ROLES:
                began = time.monotonic()
                before = asking.answers
                ended[name] = house[name].end()
                house.start(name)
                if name == "serve":
                    house.until(lambda before=asking.answers: asking.answers > before, "it does not answer again", 90)
                away[name] = time.monotonic() - began
                house.grown(4000, 120)
                assert asking.answers > before
                assert name == "serve" or not asking.absent, "only the role serve answers"
            house.whole(120)
            time.sleep(5)
        for name in ("ingest", "process", "archive", "serve"):
            ended[name] = max(ended[name], house[name].end())
        found = house.assert_right()
        assert not asking.wrong, asking.wrong
        with house.world.stopped() as stopped:
            stored = house_bars(stopped, house.world.symbols, INTERVAL)
        assert_told(listening, stored, house.world.symbols)
        sys.stdout.write(
            f"{found}; ended in {ended}; {asking.answers} answers, {asking.absent} times not there, longest without an answer "
            f"{asking.gap.longest:.1f} s; serve away {away['serve']:.1f} s; {listening.connections} connections, "
            f"{len(listening.bars)} bars told, longest without a word {listening.gap.longest:.1f} s\n"
        )
        assert asking.gap.longest < away["serve"] + 15


def answers(page: str) -> bool:
    try:
        return httpx.get(f"http://{page}/v1/ready", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def assert_told(listening: Listening, stored: Bars, symbols: tuple[str, ...]) -> None:
    """From the first bar to the last that a listener was told, it was told every one that is stored, as it is stored."""
    for symbol in symbols:
        told = {
            round(datetime.fromisoformat(start).timestamp() * SECOND): bar
            for (name, start), bar in listening.bars.items()
            if name == symbol
        }
        assert told, f"nothing was told of {symbol}"
        for (name, start), bar in stored.items():
            if name == symbol and min(told) <= start <= max(told):
                assert start in told, f"{symbol} at {start} was not told"
                for value in ("open", "high", "low", "close", "volume", "trades"):
                    assert told[start][value] == bar[value], (symbol, start, value, told[start], bar)
