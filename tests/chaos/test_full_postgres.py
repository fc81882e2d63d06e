"""A disk of the PostgreSQL server that is really full: one sentence, nothing lost, and it goes on when there is room."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.test_processes import place
from tests.stores import databases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
SIZE = 32 << 20


@contextmanager
def disk(folder: Path, owner: int) -> Iterator[Path]:
    """A small disk of its own; the test is skipped where none may be mounted."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},uid={owner},mode=700", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(tmp_path, private_server):
    server = private_server("postgres")
    with disk(server.folder / "small", server.folder.stat().st_uid) as small:
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
            _, errors = process.communicate(timeout=90)
            assert process.returncode == 1, errors
            sentences = [line for line in errors.splitlines() if line.startswith("tickhouse: ")]
            assert len(sentences) == 1 and "has no room left on its disk" in sentences[0], errors
            assert "Traceback" not in errors and server.secret not in errors, errors
            with p.world.stopped() as house:
                assert not house.journal.verify().faults and not house.warm.verify()[1]
            ballast.unlink()
            p.truly()
        server.stop()
