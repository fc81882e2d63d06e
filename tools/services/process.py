"""Processes by more than their number: a number is given to another process once the first is gone."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process: its number, and the moment it was born as the system writes it."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this number now; ProcessLookupError where there is none."""
        born = _born(pid)
        if born is None:
            raise ProcessLookupError(pid)
        return cls(pid, born)

    def alive(self) -> bool:
        """Whether it still runs (one that has ended and was not yet waited for does not)."""
        return _born(self.pid) == self.born

    def rss(self) -> int:
        """Bytes of memory that it and its children hold."""
        return sum(_rss(pid) for pid in self._tree()) if self.alive() else 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        if self.alive():
            _send(self.pid, number)

    def freeze(self) -> None:
        """Stop it and its children where they stand: connections stay open and nothing answers."""
        self._each(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it and its children go on."""
        self._each(signal.SIGCONT)

    def kill(self) -> None:
        """End it and its children at once, with no chance to tidy up."""
        self.send(signal.SIGSTOP)  # so that no child is born between looking and killing
        self._each(signal.SIGKILL)

    def gone(self, seconds: float) -> bool:
        """Wait until it has ended; False if it has not within so many seconds."""
        limit = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > limit:
                return False
            time.sleep(0.02)
        return True

    def _each(self, number: signal.Signals) -> None:
        if self.alive():
            for pid in self._tree():
                _send(pid, number)

    def _tree(self) -> list[int]:
        """Its number and those of its children, parents first."""
        parents, tree = _parents(), [self.pid]
        for parent in tree:
            tree += [pid for pid, its in parents.items() if its == parent]
        return tree


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it may end by itself in between
        os.kill(pid, number)


def _stat(pid: int) -> list[str] | None:
    """State, parent and so on of a process, as Linux lists them; None where there is no such process."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _born(pid: int) -> str | None:
    if PROC.is_dir():
        stat = _stat(pid)
        return None if stat is None or stat[0] in "ZX" else stat[19]
    told = _ps("-o", "stat=,lstart=", "-p", str(pid)).split(maxsplit=1)
    return None if not told or told[0].startswith("Z") else told[1].strip()


def _parents() -> dict[int, int]:
    """The parent of every process."""
    if PROC.is_dir():
        stats = ((int(entry.name), _stat(int(entry.name))) for entry in PROC.iterdir() if entry.name.isdigit())
        return {pid: int(stat[1]) for pid, stat in stats if stat}
    lines = (line.split() for line in _ps("-A", "-o", "pid=,ppid=").splitlines())
    return {int(pid): int(parent) for pid, parent in lines}


def _rss(pid: int) -> int:
    """Bytes that a process holds for itself and its share of what it has in common with others."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    except OSError:
        return sum(int(word) for word in _ps("-o", "rss=", "-p", str(pid)).split()) * 1024


def _ps(*words: str) -> str:
    return subprocess.run(["ps", *words], capture_output=True, text=True, check=False).stdout
