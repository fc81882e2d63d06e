"""Says when nothing of a channel is taken any more: a provider may have changed its words, or its clock is wrong."""

import logging
from dataclasses import dataclass, replace

from tickhouse.core import observe
from tickhouse.core.batches import LIVE, Entry
from tickhouse.core.marks import HEARD, Event, Mark
from tickhouse.core.model import Reject

STREAK = 3
"""So many messages in a row, all refused, are no accident."""


@dataclass
class Streak:
    """The live messages of a channel that were refused since anything was taken of it: how many, the first moment and the last."""

    since: int
    until: int = -1
    count: int = 0


class Understood:
    """Follows, by source and channel, the live messages that were refused since the last one of which anything was taken.

    An entry may be noted again when it could not be journaled: it counts once.
    """

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str], Streak] = {}

    def note(self, entry: Entry) -> None:
        """An entry that is to be journaled. Tells once that nothing is understood, and once that something is again."""
        raw = entry.raw
        if raw.lane != LIVE or not (entry.rejects or self._refused):
            return
        key = raw.source, _channel(raw.channel)
        if any(len(rows) for rows in (entry.ticks, entry.bars, entry.observations, entry.actions) if rows is not None):
            streak = self._refused.pop(key, None)
            if streak and streak.count >= STREAK:
                observe.tell("ingest", "messages understood again", source=key[0], channel=key[1])
        elif entry.rejects:
            moments = [int(raw.received_at[index]) for index in sorted({one.index for one in entry.rejects})]
            streak = self._refused.setdefault(key, Streak(moments[0]))
            before, streak.count = streak.count, streak.count + sum(at > streak.until for at in moments)
            streak.until = max(streak.until, moments[-1])
            if before < STREAK <= streak.count:
                _tell(key, entry.rejects[0])

    def judged(self, source: str, channel: str, mark: Mark) -> Mark:
        """A mark of a line as it is true of its channel: who is heard, but not understood, is as good as mute."""
        streak = self._refused.get((source, _channel(channel)))
        if mark.event not in HEARD or mark.detail.get("market") or not streak or streak.count < STREAK:
            return mark
        return replace(
            mark, event=Event.MUTE, at=streak.since, detail=mark.detail | {"reason": "no message is understood"}
        )


def _channel(name: str) -> str:
    return name.partition(":")[0]


def _tell(key: tuple[str, str], first: Reject) -> None:
    observe.tell(
        "ingest", "no message is understood; they wait in quarantine", logging.WARNING, source=key[0], channel=key[1],
        reason=first.reason, detail=first.detail[:200],
    )  # fmt: skip
