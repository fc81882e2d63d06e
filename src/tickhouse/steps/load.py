"""Files into the pipeline, by the very same path as a socket."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from tickhouse.core.batches import RawBatch
from tickhouse.core.clock import Clock
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.steps.ingest import Ingest

Chunks = Callable[[int, str], Iterable[tuple[RawBatch, int]]]
"""Called with the lines to skip and the lane; yields raw batches and the number of lines consumed so far."""

DONE = "done"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: lines taken now, lines that an earlier run had taken, and whether there was anything to do."""

    lane: str
    lines: int
    before: int
    already: bool = False


class Load:
    """Loads one file. Killed at any moment and started again, it goes on where the journal says it was."""

    def __init__(self, ingest: Ingest, source: str, path: Path, clock: Clock, again: bool = False) -> None:
        self.ingest, self.source, self.path, self.clock = ingest, source, path, clock
        stamp = f"-{clock.now()}" if again else ""
        self.lane = f"load:{path.name}:{fingerprint(path)}{stamp}"
        self.key = f"{source}|{self.lane}"

    def run(
        self, chunks: Chunks, detail: dict[str, str], progress: Callable[[int], None] = lambda lines: None
    ) -> Loaded:
        """Take the file in and return what was done; waits while the pipeline asks to slow down."""
        state = self.ingest.journal.resume(self.key)
        before = int(state.split()[-1]) if state else 0
        if state and state.startswith(DONE):
            return Loaded(self.lane, 0, before, already=True)
        if not state:
            self._take(self._mark(Event.BEGIN, detail), "0")
        lines = before
        for raw, lines in chunks(before, self.lane):
            self._take(raw, str(lines))
            progress(lines)
        self._take(self._mark(Event.END, {}), f"{DONE} {lines}")
        return Loaded(self.lane, lines - before, before)

    def _take(self, raw: RawBatch, resume: str) -> None:
        self.ingest.insist([raw], (self.key, resume))

    def _mark(self, event: Event, detail: dict[str, str]) -> RawBatch:
        now = self.clock.now()
        return RawBatch.of(self.source, LINK, [Mark(event, at=now, detail=detail).encode()], now, self.lane)


def fingerprint(path: Path) -> str:
    """A short text that names a file's content by its size and its first and last 64 KiB."""
    size = path.stat().st_size
    digest = blake2b(str(size).encode(), digest_size=8)
    with path.open("rb") as file:
        digest.update(file.read(65_536))
        file.seek(max(0, size - 65_536))
        digest.update(file.read(65_536))
    return digest.hexdigest()
