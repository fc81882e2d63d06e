"""What an operator reads while a house runs on four servers: one line when a server goes, one when it is back, one for each role that
was killed, and no traceback."""

import sys
import time

import pytest

from tests.chaos.roles import ROLES, Roles, roles
from tests.kafka import prefix
from tests.lake.buckets import address
from tests.servers import S3
from tests.stores.keys import named

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def servers(private_server):
    return {name: private_server(name) for name in ("kafka", "postgres", "redis", "minio")}


def urls(servers):
    return {
        "journal": f"kafka://{servers['kafka'].url}/live?partitions=3&timeout=2s", "warm": servers["postgres"].url,
        "hot": named(servers["redis"].url, ttl="1h"), "lake": address(S3.of(servers["minio"].url), "live", timeout="2s"),
    }  # fmt: skip


def new_lines(house: Roles, known: dict[str, int]) -> dict[str, list[str]]:
    """What each role has said since, and how much that is is noted."""
    found = {name: house[name].lines[known.get(name, 0) :] for name in ROLES}
    known.update({name: len(house[name].lines) for name in ROLES})
    return found


def test_each_server_that_goes_away_is_told_once_by_each_role_and_once_when_it_is_back(tmp_path, servers):
    known: dict[str, int] = {}
    with roles(tmp_path, urls(servers), rate=100) as house:
        house.start(*ROLES)
        house.grown(200)
        sys.stdout.write(f"{new_lines(house, known)}\n")
        for name, server in servers.items():
            server.kill()
            time.sleep(6)
            server.restart()
            house.grown(300, 90)
            time.sleep(4)
            said = new_lines(house, known)
            sys.stdout.write(f"== {name}\n" + "".join(f"{role}: {line}\n" for role in said for line in said[role]))
        for name in ROLES:
            house[name].kill()
            house.start(name)
            house.grown(300, 90)
            time.sleep(4)
            said = new_lines(house, known)
            sys.stdout.write(f"== {name}\n" + "".join(f"{role}: {line}\n" for role in said for line in said[role]))
        house.whole()
        house.quiet()
        house.assert_right()
