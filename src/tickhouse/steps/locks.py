"""One process at a time has a role in a house; the lock goes with the process, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tickhouse.core.errors import HouseLocked


@contextmanager
def role(data: Path, name: str, shared: bool = False) -> Iterator[None]:
    """Hold a role of the house, alone or `shared` with others who do. Raises `HouseLocked`, which names the process that has it."""
    folder = data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a+") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            message = (
                f"the role {name!r} of the house {data} is held by process {owner}; stop that one or use another --data"
            )
            raise HouseLocked(message) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


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
