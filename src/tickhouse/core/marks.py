"""Evidence about a feed, kept as messages of their own.

What tickhouse learns besides prices (connected, mute, still alive, a load begins or ends) is written to the raw
journal on the channel `link`, like a message from the provider. So everything after the journal is a function of the
journal alone: live, replay and restart see the same evidence at the same place, and so give the same answers.

Only REFUSED is no message: it stands beside the rows of the messages that the trade came in, and is made anew with them.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

LINK = "link"
"""The channel of marks."""

NO_TIME = -1


class Event(StrEnum):
    """What a mark says."""

    BEGIN = "begin"  # a load, replay or backfill begins; `detail` says how it is read
    END = "end"  # it is complete: its windows close
    CONNECTED = "connected"  # the named symbols are subscribed and heard from now on
    DISCONNECTED = "disconnected"  # blind from here on, until connected again
    MUTE = "mute"  # the connection is open but silent for too long: blind from `at`
    ALIVE = "alive"  # the provider answered a ping at `at`: quiet is quiet, not blind
    SWITCHED = (
        "switched"  # from here on another feed of a group is in use for the symbols: `detail` has from, to and why
    )
    REFUSED = "refused"  # a trade came from a file or from history, and quality refused it: `detail` has its ids


HEARD = (Event.CONNECTED, Event.ALIVE)
"""Marks that say that a line is heard; the others of a line say that it is not."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One piece of evidence. `at` is UTC microseconds: the moment that it speaks of, at or before its receive time.

    `line` names the connection it speaks of; a CONNECTED mark names the channel and the symbols of its line, and the later
    marks of that line speak of the same symbols. Every mark of a lane also says that time has come as far as `at`.
    A SWITCHED one stands among the messages of the feed that is taken, and says nothing of any line.
    A REFUSED one names its symbol; `at` is the event time of the trade, NO_TIME where that cannot be believed.
    """

    event: Event
    at: int
    line: str = ""
    channel: str = ""
    symbols: tuple[str, ...] = ()
    detail: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The mark as the JSON text that is journaled."""
        return msgspec.json.encode(self)


def decode(payload: bytes) -> Mark:
    """The mark of a journaled text.

    >>> decode(Mark(Event.ALIVE, at=5).encode())
    Mark(event=<Event.ALIVE: 'alive'>, at=5, line='', channel='', symbols=(), detail={})
    """
    return msgspec.json.decode(payload, type=Mark)
