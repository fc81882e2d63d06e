"""Says when nothing of a channel is taken any more: a provider may have changed its words, or its clock is wrong."""

import logging

from tickhouse.core import observe
from tickhouse.core.batches import LIVE, Entry

STREAK = 3
"""So many messages in a row, all refused, are no accident."""


class Understood:
    """Counts, by source and channel, the live messages that were refused since the last one of which anything was taken."""

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str], int] = {}

    def note(self, entry: Entry) -> None:
        """An entry that was journaled. Tells once that nothing is understood, and once that something is again."""
        raw = entry.raw
        if raw.lane != LIVE or not (entry.rejects or self._refused):
            return
        channel = raw.channel.partition(":")[0]
        before = self._refused.get((raw.source, channel), 0)
        if any(len(rows) for rows in (entry.ticks, entry.bars, entry.observations, entry.actions) if rows is not None):
            self._refused.pop((raw.source, channel), None)
            if before >= STREAK:
                observe.tell("ingest", "messages understood again", source=raw.source, channel=channel)
        elif entry.rejects:
            now = before + len({one.index for one in entry.rejects})
            self._refused[raw.source, channel] = now
            if before < STREAK <= now:
                observe.tell(
                    "ingest", "no message is understood; they wait in quarantine", logging.WARNING, source=raw.source,
                    channel=channel, reason=entry.rejects[0].reason, detail=entry.rejects[0].detail[:200],
                )  # fmt: skip
