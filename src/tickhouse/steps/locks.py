"""One process at a time has a role in a house; the lock goes with the process, however it ends."""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from tickhouse.core import observe
from tickhouse.core.errors import HouseLocked

TRIES, BETWEEN = 5, 0.05
"""How often a lock is asked for, and seconds between: whoever looks who has a role (`holder`) has the lock for a moment."""


@contextmanager
def role(data: Path, name: str, shared: bool = False) -> Iterator[None]:
    """Hold a role of the house, alone or `shared` with others who do. Raises `HouseLocked`, which names the process that has it.

    That the process before this one did not end by itself is told: what it had not finished is done now.
    """
    folder = data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a+") as file:
        if not _locked(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
            owner = _owner(file) or "unknown"
            message = (
                f"the role {name!r} of the house {data} is held by process {owner}; stop that one or use another --data"
            )
            raise HouseLocked(message)
        if (killed := _owner(file)) and not shared:
            observe.tell("house", "goes on for a process that was killed", logging.WARNING, role=name, process=killed)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            if _owner(file) == str(os.getpid()):
                file.truncate(0)


def _locked(file: IO[str], how: int) -> bool:
    for _ in range(TRIES):
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(BETWEEN)
        else:
            return True
    return False


def _owner(file: IO[str]) -> str:
    """The process that wrote its number there and has not ended by itself since."""
    file.seek(0)
    return file.read().strip()


@contextmanager
def roles(data: Path, names: tuple[str, ...], shared: tuple[str, ...] = ()) -> Iterator[None]:
    """Hold several roles of the house, or none; those that are `shared` not alone."""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(role(data, name, name in shared))
        yield


def holder(data: Path, name: str) -> int | None:
    """The process that holds a role now, or None."""
    path = data / "locks" / f"{name}.lock"
    if not path.exists():
        return None
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read().strip() or 0)
    return None
