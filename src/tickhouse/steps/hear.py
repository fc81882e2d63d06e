"""Shows, in a process that only serves, what the one with the role `process` says; or what its own engine makes of the journal."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tickhouse.core import observe
from tickhouse.core.batches import LIVE, Record
from tickhouse.core.errors import Temporary
from tickhouse.steps.process import Process, Published
from tickhouse.steps.shared import Shared
from tickhouse.stores import Changes, Heard

if TYPE_CHECKING:
    from tickhouse.pipeline import Pipeline

QUIET_SECONDS = 3.0
"""So long nothing may be said while the journal grows; then the journal is followed."""
LOOK_SECONDS = 0.25


class Hear:
    """Hears what another process says through the hot store, which spares an engine of one's own.

    When nothing is said although the journal grows (no hot store, or no process) it follows the journal with an engine that goes on
    from the newest checkpoint (`engine` makes it), until something is said again. `missed` is called when changes may have gone by
    unheard.
    """

    def __init__(
        self,
        pipeline: "Pipeline",
        engine: Callable[[], Process | Shared],
        publish: Published,
        missed: Callable[[], None],
    ) -> None:
        self.pipeline, self.engine, self.publish, self.missed = pipeline, engine, publish, missed
        self._changes: Changes | None = pipeline.hot.follow()
        self._engine: Process | Shared | None = None
        self._silence: tuple[float, int] | None = None
        """The last moment when nothing was said and there was nothing to say, and the end of the journal then."""

    @property
    def alone(self) -> bool:
        """Whether the journal is followed."""
        return self._engine is not None

    def step(self) -> None:
        """Wait a moment for what there is to show, and show it."""
        if self._engine is not None:
            self._engine.step(LOOK_SECONDS)
        heard = self._changes.next(0 if self._engine else LOOK_SECONDS) if self._changes else None
        if heard is not None:
            self._show(heard)
        elif self._engine is None and self._is_quiet():
            self._follow()

    def close(self) -> None:
        """Stop hearing."""
        if self._changes is not None:
            self._changes.close()

    def _show(self, heard: Heard) -> None:
        self._silence = None
        if self._engine is not None:
            observe.tell("process", "hears the process again", logging.WARNING)
        own, whole = self.pipeline.hot.own, heard.whole and self._engine is None
        self._engine = None
        for ticks in heard.ticks:
            own.ticks(ticks)
        for bars in (*heard.output.bars, *heard.output.forming):
            own.bars(bars)
        records = [
            Record(0, 0, ticks.source, "", LIVE, int(ticks.received_at.max()), ticks=ticks) for ticks in heard.ticks
        ]
        self.publish(records, heard.output)
        if not whole:
            self.missed()

    def _is_quiet(self) -> bool:
        if self._changes is None:
            return True
        try:
            end = self.pipeline.journal.end()
        except Temporary:
            self._silence = None  # the journal is away: nobody has anything to say, and there is nothing to follow
            return False
        if self._silence is None or self._silence[1] == end:
            self._silence = time.monotonic(), end
        return time.monotonic() - self._silence[0] > QUIET_SECONDS

    def _follow(self) -> None:
        self._engine = self.engine()
        self._engine.publish = self.publish
        if self._changes is not None:
            observe.tell("process", "hears no process, follows the journal", logging.WARNING)
            self.missed()
