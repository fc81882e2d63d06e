"""Outside world to raw messages to rows: the Feed contract.

A feed is pure. It says what to ask and what an answer means; `core/transport.py` does the asking, at the pace
allowed. So a feed needs no mocks, and raw messages can be parsed again years later with a better parser.

One provider, one file; the file name is the name in settings. The file has a class with the methods below and a
function `open(**options) -> Feed` that makes one from its section of the settings.
"""

from collections.abc import Generator, Mapping
from typing import Protocol

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.model import Hole, Ids, Want
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways


class Bare(Protocol):
    """What one provider can be asked, and what its answers mean: what every feed must have. The rest of `Feed` has a default."""

    name: str
    """The name of the file, and the `source` of every row."""

    about: About
    """Facts for a person: title, key, market, licence."""

    channels: Mapping[str, str]
    """Channel name to one line of description: what `parse` understands."""

    ids: Ids
    """What the trade ids prove."""

    pace: Pace
    """How often the provider may be asked; facts of the provider, overridden by settings."""

    def subscriptions(self, want: Want) -> list[Subscription]:
        """The sockets to open for live data, as few as the provider's limits allow.

        Raises `SettingsError` when the provider has no such channel.
        """

    def poll(self, want: Want) -> Generator[Request, Answer, None]:
        """One round of requests for the present state of the symbols, as few as the provider allows; the caller repeats it.

        Raises `SettingsError` when the provider has nothing to poll on that channel.
        """

    def history(self, want: Want) -> Generator[Request, Answer, None]:
        """The requests for a range of the past. Each is sent its answer; yield the next page until there is none.

        The answers' bodies become raw messages of the channel that each request names; do not parse more than the paging
        needs. An answer that is a refusal never arrives here: `classify` turns it into an error first, and a final one is
        thrown in at the `yield`, so that one unknown symbol need not end a round of many.
        """

    def refill(self, hole: Hole) -> Generator[Request, Answer, None]:
        """The requests that fetch exactly the trades of a hole."""

    def classify(self, answer: Answer) -> Exception | None:
        """The error that an answer stands for, or None when it is data. Status alone never decides."""

    def parse(self, raw: RawBatch) -> Parsed:
        """What each message means. Pure: the same bytes give the same rows, for ever.

        Never raises for bad bytes: a message that is not understood gets kind REJECTED and a `Reject` that says why; one
        that is understood and carries no rows (acks, pings, channels without trades) is CONTROL. Rows come in the order of
        their messages. No Python loop over the rows of well-formed messages on a hot channel.
        """


class Feed(Bare, Protocol):
    """A feed as everybody else sees it: with what it may leave out, which is filled in where it is opened (`feeds/_whole.py`)."""

    ways: Ways
    """In which ways the channels can be had: by socket, by polling, as history. Left out: all are polled."""

    channel: str
    """The live channel that is taken where the settings name none. Left out: the first one."""

    def cost(self, want: Want) -> Cost:
        """What `history` will ask at least, as far as can be told before any answer. Raises what it raises at once.

        Left out: the first request of the history.
        """
