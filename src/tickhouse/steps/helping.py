"""Processing by a command that works for a while, such as a load, in a house whose ticks are shared.

Whoever shares the ticks already goes on with them, and the command only waits for what they store. Where nobody does it becomes a
member as any other process: a role that starts meanwhile gets shards from it, and another such command waits for it.
"""

import time
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING

from tickhouse.core.errors import Temporary
from tickhouse.journal import Journal, Partitioned
from tickhouse.steps.awaited import awaited_warm
from tickhouse.steps.patience import Patience
from tickhouse.steps.process import GROUP, Process
from tickhouse.steps.shared import Shared, shards
from tickhouse.stores import Warm

if TYPE_CHECKING:
    from tickhouse.pipeline import Pipeline

ASK_SECONDS = 1.0
"""How often it is asked who shares the ticks, and how far they are."""
UNKNOWN_SECONDS = 15.0
"""Where that cannot be found out for so long, we become a member, which is never wrong."""
STILL_SECONDS = 60.0
"""How long nothing may be stored before it is said."""
WAITS = "other processes share the ticks of this house; they process what is journaled here"
ALONE = "no other process shares the ticks of this house any more; this one goes on with them"
Tell = Callable[[int, int], None]
"""Takes the position up to which everything is stored, and the one that is waited for."""


def helping(
    pipeline: "Pipeline", ended: Event, say: Callable[[str], None] = lambda sentence: None
) -> "Process | Shared | Helping":
    """The step `process` of a command that works for a while, until `ended`; where the ticks are shared others go before."""
    if not shards(pipeline.settings, pipeline.journal):
        return pipeline.process(ended=ended)
    warm = awaited_warm(pipeline.warm, ended)
    return Helping(pipeline.journal, warm, lambda: pipeline.process(ended=ended, member=True), ended, say)


class Helping:
    """Belongs to one thread. `join` becomes a member; `say` is given sentences for a person."""

    def __init__(
        self,
        journal: Journal,
        warm: Warm,
        join: Callable[[], Process | Shared],
        ended: Event,
        say: Callable[[str], None],
    ) -> None:
        self.journal, self.warm, self._join, self._ended, self._say = journal, warm, join, ended, say
        self._member: Process | Shared | None = None
        self._others = 0
        self._patience = Patience("waiting for what is processed")
        self._known, self._asked = time.monotonic(), float("-inf")

    def step(self, timeout: float = 0.25) -> bool:
        """Process the next records, where nobody else does, waiting up to `timeout` seconds; false when there were none."""
        if self._member is None and self._is_alone():
            if self._others:
                self._say(ALONE)
            self._member, self._others = self._join(), 0
        if self._member is not None:
            return self._member.step(timeout)
        self._ended.wait(timeout)
        return False

    def catch_up(self, seconds: float = float("inf"), tell: Tell = lambda stored, end: None) -> None:
        """Wait until everything that is journaled now is stored, by others or here, or so many seconds, or until ended."""
        until, stored, end = time.monotonic() + seconds, -1, 0
        watch = _Watch(self._say)
        try:
            end = self._end()
            while not self._ended.is_set() and time.monotonic() < until:
                stored = self.warm.position(GROUP) or 0
                tell(min(stored, end), end)
                if stored >= end:
                    break
                if self._member is None:
                    watch.look(stored, end, self._others)
                self._work(end, min(until, time.monotonic() + ASK_SECONDS))
        finally:
            self._leave(0 if stored >= end else float("inf"))

    def _leave(self, seconds: float) -> None:
        """Process what is here, or what can be done in so many seconds, store how far we are, and let others have the shards."""
        if self._member is not None:
            member, self._member = self._member, None
            try:
                member.catch_up(seconds)
            finally:
                member.close()

    def _work(self, end: int, until: float) -> None:
        """Go on for a while. Shards that are here are left when they have come to the end: what is lacking then is of others."""
        while not self._ended.is_set() and time.monotonic() < until:
            self.step(0.1)
            if self._member is not None and self._member.position >= end:
                self._leave(0)
                return

    def _end(self) -> int:
        """The end of the journal, which is waited for while it is away."""
        while True:
            try:
                end = self.journal.end()
            except Temporary as away:
                if self._ended.is_set():
                    raise
                self._patience.wait(away)
            else:
                self._patience.over()
                return end

    def _is_alone(self) -> bool:
        """Whether nobody shares the ticks, as far as that is known."""
        now = time.monotonic()
        if now - self._asked < ASK_SECONDS or not isinstance(self.journal, Partitioned):
            return False
        self._asked = now
        try:
            others = self.journal.sharing(GROUP)
        except Temporary:
            return now - self._known > UNKNOWN_SECONDS
        self._known = now
        if others and not self._others:
            self._say(WAITS)
        self._others = others or self._others
        return not others


class _Watch:
    """Says when nothing is stored for long though others share the ticks."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._stored, self._since = say, -1, time.monotonic()

    def look(self, stored: int, end: int, others: int) -> None:
        """Take note of how far they are."""
        now = time.monotonic()
        if stored > self._stored:
            self._stored, self._since = stored, now
        elif now - self._since > STILL_SECONDS:
            self._since = now
            self._say(
                f"nothing was stored for {STILL_SECONDS:g} s: {stored:,} of {end:,} messages are, and other processes share the "
                f"ticks ({others}); see what they say, or end them, and this one goes on"
            )
