"""Files into the pipeline, by the very same path as a socket."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from tickhouse.core.batches import RawBatch
from tickhouse.core.clock import Clock
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.steps.heal import HEALED
from tickhouse.steps.ingest import Ingest
from tickhouse.steps.lanes import ABOUT

Chunks = Callable[[int, str], Iterable[tuple[RawBatch, int]]]
"""Called with the lines to skip and the lane; yields raw batches and the number of lines consumed so far."""

DONE = "done"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: lines taken now, lines that an earlier run had taken, and whether there was anything to do.

    `otherwise` says what is different in how the same file was read by an earlier load, empty when there was none.
    """

    lane: str
    lines: int
    before: int
    already: bool = False
    otherwise: str = ""


class Load:
    """Loads one file. Killed at any moment and started again, it goes on where the journal says it was.

    A load is known by the file's content and by how it is read: `detail`, which is the layout of its lines.
    """

    def __init__(
        self, ingest: Ingest, source: str, path: Path, clock: Clock, detail: Mapping[str, str], again: bool = False
    ) -> None:
        self.ingest, self.source, self.path, self.clock, self.detail = ingest, source, path, clock, detail
        self.lane, self.otherwise = f"load:{path.name}:{fingerprint(path)}", ""
        before = self._layout_before()
        if before is not None and before != layout_of(detail):
            self.otherwise = differences(before, layout_of(detail))
            self.lane = f"{self.lane}-{digest(layout_of(detail))}"
        if again:
            self.lane = f"{self.lane}-{clock.now()}"

    @property
    def key(self) -> str:
        """Under which the journal keeps how far it came."""
        return f"{self.source}|{self.lane}"

    def run(self, chunks: Chunks, progress: Callable[[int], None] = lambda lines: None) -> Loaded:
        """Take the file in and return what was done; waits while the pipeline asks to slow down."""
        state = self.ingest.journal.resume(self.key)
        before = int(state.split()[-1]) if state else 0
        if state and state.startswith(DONE):
            return Loaded(self.lane, 0, before, already=True, otherwise=self.otherwise)
        if not state:
            self._take(self._mark(Event.BEGIN, self.detail), "0")
        lines = before
        for raw, lines in chunks(before, self.lane):
            self._take(raw, str(lines))
            progress(lines)
        self._take(self._mark(Event.END, {}), f"{DONE} {lines}")
        return Loaded(self.lane, lines - before, before, otherwise=self.otherwise)

    def _layout_before(self) -> dict[str, str] | None:
        """How the file was read when it was first loaded, None when it was not."""
        if self.ingest.journal.resume(self.key) is None:
            return None
        mark = self.ingest.lanes.past.begun(self.source, self.lane)
        return layout_of(mark.detail if mark else self.detail)

    def _take(self, raw: RawBatch, resume: str) -> None:
        self.ingest.insist([raw], (self.key, resume))

    def _mark(self, event: Event, detail: Mapping[str, str]) -> RawBatch:
        now = self.clock.now()
        return RawBatch.of(self.source, LINK, [Mark(event, at=now, detail=dict(detail)).encode()], now, self.lane)


def layout_of(detail: Mapping[str, str]) -> dict[str, str]:
    """What of a mark's detail says how the lines are read."""
    return {key: text for key, text in detail.items() if key not in ABOUT}


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """What two layouts say differently.

    >>> differences({"tz": "UTC"}, {"tz": "Asia/Tokyo", "day_first": "True"})
    'tz UTC -> Asia/Tokyo, day_first - -> True'
    """
    keys = [key for key in dict.fromkeys((*one, *other)) if one.get(key) != other.get(key)]
    return ", ".join(f"{key} {one.get(key) or '-'} -> {other.get(key) or '-'}" for key in keys)


def file_of(lane: str) -> str:
    """The name of the file of a load, and other lanes as they are.

    >>> file_of("load:a:b.csv:0f3c"), file_of("live")
    ('a:b.csv', 'live')
    """
    return (
        lane.removeprefix("load:").removesuffix(f":{HEALED}").rpartition(":")[0] if lane.startswith("load:") else lane
    )


def digest(layout: Mapping[str, str]) -> str:
    """A short text that names a layout."""
    return blake2b(repr(sorted(layout.items())).encode(), digest_size=4).hexdigest()


def fingerprint(path: Path) -> str:
    """A short text that names a file's content by its size and its first and last 64 KiB."""
    size = path.stat().st_size
    digest = blake2b(str(size).encode(), digest_size=8)
    with path.open("rb") as file:
        digest.update(file.read(65_536))
        file.seek(max(0, size - 65_536))
        digest.update(file.read(65_536))
    return digest.hexdigest()
