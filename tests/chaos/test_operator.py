"""What an operator reads while a house runs on four servers: one line when a server goes, one when it is back, one for each role
that was killed, and no traceback."""

import sys
import time

import pytest

from tests.chaos.roles import ROLES, Roles, roles
from tests.lake.buckets import address
from tests.servers import S3
from tests.stores.keys import named

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]


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


TOLD = {
    "kafka": {
        "ingest": ("slowed down", "taking in goes on"), "process": ("does not answer", "connected to the journal"),
        "archive": ("does not answer", "connected to the journal"),
    },
    "postgres": {"process": ("does not answer", "connected to the warm store")},
    "redis": {"process": ("hot store away", "hot store back")},
    "minio": {"archive": ("does not answer", "connected to the lake")},
}  # fmt: skip
"""What each role that needs a server says when it goes and when it is back: once each."""
ALONE = ("hears no process, follows the journal", "hears the process again")
"""What the role serve says while the role process says nothing, as often as that is so."""
SLOWED = ("slowed down", "taking in goes on")
"""What who appends says while the broker ends the transaction of another that was killed: both take in what a hole lacked."""
ELSEWHERE = {
    ("postgres", "serve"): ("does not answer", "connected to the warm store", *ALONE), ("redis", "serve"): ALONE,
    ("kafka", "serve"): ALONE, ("process", "serve"): ALONE, ("kafka", "process"): SLOWED, ("ingest", "process"): SLOWED,
    ("ingest", "ingest"): SLOWED, ("process", "ingest"): SLOWED, ("process", "process"): SLOWED, ("ingest", "serve"): ALONE,
}  # fmt: skip
"""What a role may say beside it, once each: (what was killed, who says it)."""


def checked(what: str, said: dict[str, list[str]], told: dict[str, tuple[str, ...]]) -> None:
    """Every role says what it should, once, and nothing else."""
    sys.stdout.write("".join(f"{what}: {role}: {line}\n" for role, lines in said.items() for line in lines))
    for role, lines in said.items():
        must = told.get(role, ())
        may = ELSEWHERE.get((what, role), ())
        for words in must:
            assert sum(words in line for line in lines) == 1, (what, role, words, lines)
        for line in lines:
            assert any(words in line for words in (*must, *may)), (what, role, line)
        once = [line for line in lines if not any(words in line for words in ALONE)]
        assert len(once) <= len(must) + len(may), (what, role, lines)


def test_what_goes_away_is_told_once_by_each_role_that_needs_it_and_once_when_it_is_back(tmp_path, servers):
    """A server or a role that is killed: nothing lost, and the lines are counted."""
    known: dict[str, int] = {}
    with roles(tmp_path, urls(servers), rate=200) as house:
        house.start(*ROLES)
        house.grown(300)
        time.sleep(4)
        new_lines(house, known)
        for name, server in servers.items():
            server.kill()
            time.sleep(6)
            server.restart()
            house.grown(300, 90)
            time.sleep(4)
            checked(name, new_lines(house, known), TOLD[name])
        for name in ROLES:
            house[name].kill()
            house.start(name)
            house.grown(300, 90)
            time.sleep(5)
            again = {"ingest": ("that was killed", "connected"), "serve": ("pages and API on",)}
            checked(name, new_lines(house, known), {name: again.get(name, ("that was killed",))})
        house.whole()
        house.quiet()
        house.assert_right()
        assert not any(new_lines(house, known).values())
        for server in servers.values():
            assert not any(server.secret in house[name].said for name in ROLES)
