"""From polled quotes to ticks: the price of each snapshot, and as size what was traded since the one before.

A quote is known by its moment and its price, so that a poll which finds nothing new is a certain repeat. Providers do not
say what was traded since the last poll, but most say the volume of the day so far: its change is the size of the tick. What a
symbol's day volume was is kept in the journal, in the transaction of the messages, so that a restart changes nothing.
"""

import math
import struct

import pyarrow as pa

from tickhouse.core.batches import TickBatch
from tickhouse.core.model import SNAPSHOT
from tickhouse.core.times import microseconds
from tickhouse.journal import Journal

Note = tuple[str, str]
UNKNOWN = (0, math.nan)
MASK = (1 << 62) - 1


class Quotes:
    """What was known of each symbol's day volume, and when. For the one step that writes to this journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: dict[str, tuple[int, float]] = {}

    def ticks(self, quotes: pa.Table, lane: str) -> tuple[TickBatch, tuple[Note, ...]]:
        """One tick a quote, in their order, and the notes that are to be journaled with them."""
        rows, notes = [], {}
        for quote in quotes.to_pylist():
            key = f"volume:{quote['source']}:{quote['symbol']}"
            at, total = microseconds(quote["event_time"]), quote["day_volume"]
            size = None if total is None or "-" in quote["symbol"] else self._traded(key, at, total)
            if size is not None:
                notes[key] = "{} {!r}".format(*self._known[key])
            identity = _identity(at, quote["price"])
            rows.append({
                "symbol": quote["symbol"], "event_time": at, "received_at": microseconds(quote["received_at"]), "size": size,
                "price": quote["price"], "first_id": identity, "last_id": identity, "conditions": SNAPSHOT, "raw": quote["raw"],
            })  # fmt: skip
        return TickBatch.of(quotes["source"][0].as_py(), rows, lane), tuple(notes.items())

    def _traded(self, key: str, at: int, total: float) -> float:
        """What was traded since the quote before: nothing for one that is older, all for the first of a new day."""
        before, known = self._recall(key)
        if at < before:
            return 0.0
        self._known[key] = (at, total)
        if math.isnan(known):
            return 0.0
        return total - known if total >= known else total

    def _recall(self, key: str) -> tuple[int, float]:
        if key not in self._known:
            said = self._journal.resume(key)
            at, _, total = (said or "").partition(" ")
            self._known[key] = (int(at), float(total)) if said else UNKNOWN
        return self._known[key]


def joined(ticks: TickBatch | None, more: TickBatch) -> TickBatch:
    """Two batches of one source and lane as one, in order of their messages."""
    if not ticks:
        return more
    tables = [batch.to_arrow() for batch in (ticks, more)]
    plain = [table.set_column(0, "symbol", table["symbol"].cast(pa.string())) for table in tables]
    plain = [table.set_column(8, "conditions", table["conditions"].cast(pa.string())) for table in plain]
    return TickBatch.from_arrow(pa.concat_tables(plain).sort_by("raw"), ticks.lane)


def _identity(at: int, price: float) -> int:
    """A number for a moment and a price: two quotes that differ in either differ in it, but for a chance in 2^62."""
    bits = int.from_bytes(struct.pack("<d", price), "little")
    identity: int = (at * 0x9E3779B97F4A7C15 ^ bits * 0xC2B2AE3D27D4EB4F) & MASK
    return identity
