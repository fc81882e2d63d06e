"""From the journal to the lake: raw messages and ticks as write-once objects."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from tickhouse.core import observe
from tickhouse.core.batches import Record
from tickhouse.core.errors import Temporary
from tickhouse.journal import Journal
from tickhouse.lake import Lake
from tickhouse.steps.patience import Patience

GROUP = "archive"


class Roller(Protocol):
    """Decides, by position alone, which runs of records become objects (see `lake.rolling`)."""

    def add(self, record: Record) -> list[Sequence[Record]]:
        """Take one record in and return the runs that are complete."""

    def flush(self) -> list[Sequence[Record]]:
        """The runs that are open, now complete."""

    @property
    def safe(self) -> int | None:
        """The lowest position not yet in a complete run, or None when all are."""


class Archive:
    """One consumer of both topics. What it commits is in the lake for good."""

    def __init__(self, journal: Journal, lake: Lake, roller: Roller) -> None:
        self.journal, self.lake, self.roller = journal, lake, roller
        self.patience = Patience("archiving")
        self.position = journal.committed(GROUP)
        journal.commit(GROUP, self.position)

    def step(self, timeout: float = 1.0, max_messages: int = 32_768) -> int:
        """Archive what is complete, waiting up to `timeout` seconds for more; returns how many messages it went over.

        A journal whose server is away is waited for.
        """
        try:
            records = self.joined(max_messages) if self.journal.wait(self.position, timeout) else []
            self.patience.prove(self.journal.end)
        except Temporary as away:
            self.patience.wait(away)
            return 0
        self.patience.over()
        if not records:
            return 0
        began = self.position
        for record in records:
            for run in self.roller.add(record):
                self._write(run)
            self.position = record.end
        self._commit()
        return self.position - began

    def catch_up(self, seconds: float = math.inf) -> None:
        """Archive everything there is, complete or not; or what can be done in so many seconds, as a restart goes on from there."""
        until = time.monotonic() + seconds
        while (self.step(timeout=0) or self.patience.away) and time.monotonic() < until:
            pass
        self.flush()

    def flush(self) -> None:
        """Write the open runs, as at the end of a load or a clean stop."""
        for run in self.roller.flush():
            self._write(run)
        self._commit()

    def joined(self, max_messages: int) -> list[Record]:
        """The next records with both their raw messages and their ticks."""
        raws = self.journal.read("raw", self.position, max_messages)
        ticks = {r.first: r for r in self.journal.read("ticks", self.position, max_messages)}
        return [
            replace(r, ticks=ticks[r.first].ticks, marks=ticks[r.first].marks) if r.first in ticks else r for r in raws
        ]

    def _write(self, run: Sequence[Record]) -> None:
        for item in self.lake.write(run):
            observe.count("lake_objects", kind=item.kind)

    def _commit(self) -> None:
        safe = self.roller.safe
        position = self.position if safe is None else safe
        try:
            self.journal.commit(GROUP, position)
        except Temporary as away:
            self.patience.note(
                away
            )  # the next commit says so; until then only what is archived already would be archived again
            return
        observe.gauge("journal_position", position, group=GROUP)
