"""Roles in processes of their own on all four real servers: killed at random moments, and begun anew one after the other under load."""

import os
import random
import sys
import time

import pytest

from tests.chaos.roles import places, roles

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
            sys.stdout.write(f"{time.monotonic():.1f} kill {name}\n")
            house[name].kill()
            time.sleep(dice.choice((0.0, 0.0, 1.5)))
            house.start(name)
        sys.stdout.write(f"{time.monotonic():.1f} now\n")
        house.grown(1500)
        sys.stdout.write(f"{time.monotonic():.1f} grown\n")
        house.whole()
        sys.stdout.write(f"{time.monotonic():.1f} whole\n")
        took = house.quiet()
        sys.stdout.write(f"{time.monotonic():.1f} quiet\n")
        found = house.assert_right()
        for name in KILLED:
            sys.stdout.write(house[name].said)
            assert "Traceback" not in house[name].said, house[name].said
        sys.stdout.write(f"{KILLS} kills: {found}, ended in {took}\n")
