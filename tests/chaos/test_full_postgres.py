"""A disk of the PostgreSQL server that is really full is waited for as a server that is away, and nothing is lost."""

import shutil
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.chaos.disk import fill, mounted
from tests.chaos.test_postgres import told
from tests.chaos.test_processes import Place, ended, place
from tests.stores import databases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def behind(p: Place) -> int:
    """How much of the journal is not stored."""
    with p.world.stopped() as house:
        return house.journal.end() - (house.warm.position("process") or 0)


def until(condition: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 60.0) -> None:
    """Wait until something is so, while the process lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.5)


def test_a_full_disk_is_waited_for_and_nothing_is_lost(tmp_path, private_server):
    """Once until there is room; once until it is ended, which it is at once and in one sentence."""
    server = private_server("postgres")
    with mounted(server.folder / "small", 32, owner=server.folder.stat().st_uid) as small:
        (small / "space").mkdir()
        shutil.chown(small / "space", server.folder.stat().st_uid)
        databases.run(
            f"CREATE TABLESPACE small LOCATION '{small}/space'",
            "CREATE DATABASE house TABLESPACE small",
            url=server.url,
        )
        url = server.url.rpartition("/")[0] + "/house"
        with place(tmp_path, rate=600, warm__url=url) as p:
            process = p.start("up", "--json")
            p.grown(600)
            ballast = fill(small)
            until(lambda: behind(p) > 3000, process)
            ballast.unlink()
            until(lambda: behind(p) < 1500, process)
            _, errors = ended(process)
            assert process.returncode == 0, errors
            assert told(errors, server.secret) == (1, 1), errors
            assert "has no room left on its disk; what was stored is kept" in errors

            process = p.start("up", "--json")
            ballast = fill(small)
            until(lambda: behind(p) > 3000, process)
            _, errors = ended(process, seconds=12)
            assert process.returncode == 75, errors
            assert told(errors, server.secret) == (1, 0), errors
            (sentence,) = [line for line in errors.splitlines() if line.startswith("tickhouse: ")]
            assert "has no room left on its disk" in sentence
            with p.world.stopped() as house:
                assert not house.journal.verify().faults and not house.warm.verify()[1]
            ballast.unlink()
            p.truly()
        server.stop()
