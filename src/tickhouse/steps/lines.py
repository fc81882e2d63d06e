"""How every live line was last heard of: the newest of its marks, kept in the journal in the transaction of the marks.

So a line's health is known without going over the journal, to other processes and to the next run.
"""

from collections.abc import Mapping, Sequence

import msgspec

from tickhouse.core.marks import HEARD, Event, Mark
from tickhouse.journal import Journal


class LineState(msgspec.Struct, frozen=True):
    """The newest evidence of a line: the event and the moment it was journaled, when it was last heard (us, 0 for never), its
    channel, for how many symbols it is, and what the mark had to tell."""

    event: Event
    told: int
    heard: int
    channel: str = ""
    symbols: int = 0
    detail: dict[str, str] = {}


class Lines:
    """Notes on the lines of all sources. For the one step that writes to this journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[str, dict[str, LineState]] = {}

    def note(self, source: str, marks: Sequence[Mark], received_at: int) -> tuple[tuple[str, str], ...]:
        """What is to be journaled with marks of a live lane."""
        known = self._of(source)
        for mark in marks:
            if mark.event not in (Event.BEGIN, Event.END, Event.SWITCHED):
                known[mark.line] = _after(known.get(mark.line), mark, received_at)
        return ((_key(source), msgspec.json.encode(known).decode()),)

    def channel(self, source: str, mark: Mark) -> str:
        """The channel of the line that a mark speaks of; empty where it has not been named."""
        known = self._of(source).get(mark.line)
        return mark.channel or (known.channel if known else "")

    def _of(self, source: str) -> dict[str, LineState]:
        if source not in self._known:
            self._known[source] = dict(lines(self._journal, source))
        return self._known[source]


def lines(journal: Journal, source: str) -> Mapping[str, LineState]:
    """The lines of a source, by name."""
    said = journal.resume(_key(source))
    return msgspec.json.decode(said, type=dict[str, LineState]) if said else {}


def _after(before: LineState | None, mark: Mark, received_at: int) -> LineState:
    heard = mark.at if mark.event in HEARD else before.heard if before else 0
    channel, symbols = mark.channel, len(mark.symbols)
    if before and not mark.symbols:
        channel, symbols = before.channel, before.symbols
    return LineState(mark.event, received_at, heard, channel, symbols, mark.detail)


def _key(source: str) -> str:
    return f"lines:{source}"
