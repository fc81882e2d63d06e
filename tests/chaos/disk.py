"""Small disks that are really full; a test is skipped where none may be mounted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tools.services.server import Server


@contextmanager
def mounted(folder: Path, megabytes: int, owner: int | None = None) -> Iterator[Path]:
    """A new folder that is a disk of so many megabytes and belongs to `owner`, else to whoever runs the tests."""
    folder.mkdir()
    options = f"size={megabytes}m,uid={os.getuid() if owner is None else owner},mode=700"
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def moved(server: Server, megabytes: int) -> Iterator[Server]:
    """The server with its data on a disk of their own."""
    server.stop()
    data, before = server.folder / "data", server.folder / "data-before"
    data.rename(before)
    with mounted(data, megabytes):
        shutil.copytree(before, data, dirs_exist_ok=True)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def fill(disk: Path, left: int = 0) -> Path:
    """Take all the room of a disk but so many bytes; returns the file that has it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while shutil.disk_usage(disk).free > left:
                file.write(bytes(4096))
        except OSError:
            pass
    return ballast
