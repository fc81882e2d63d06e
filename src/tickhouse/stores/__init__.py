"""What is read back in a hurry: the contracts of the hot and the warm store.

Warm is a database with every version of every bar; hot is the newest values in memory. One backend, one file, with a function
`open(url, **options)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import pyarrow as pa

from tickhouse.core.batches import BarBatch, Output, TickBatch
from tickhouse.core.model import Query

Kept = Literal["bars", "findings", "metrics", "coverage", "ticks"]
"""What a warm store lets go of by age."""

NEVER_STORED = -1
"""The position of a group that has stored nothing yet."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The engine's state at a position."""

    position: int
    state: bytes


class Warm(Protocol):
    """Bars, indicators, anomalies, findings, coverage, ledger, quality metrics: durable, versioned, queryable.

    Keys: bars (symbol, interval, start, source, version), indicators (the same), anomalies (the same and detector), coverage
    (source, symbol, channel, start). Writing a row again is harmless. Every row remembers the `position` of the first output that
    said it as it is (see `Query.before`). Several processes may read while one writes.
    """

    def write(self, group: str, output: Output, checkpoint: bytes | None = None, since: int | None = None) -> int:
        """Everything of an output, the group's position and the checkpoint, in one transaction, durable on return.

        Returns up to where the output of the group is stored then. `since` is what the write before it returned, at first what
        `position` says or else NEVER_STORED: should another process have written since, nothing is written. Ticks are for other
        tools: PostgreSQL keeps them, no other store does. Raises `Superseded`, `DiskFull`, `Busy`.
        """

    def position(self, group: str) -> int | None:
        """Up to where the group's output is stored; None before its first write. Of a group that is shared, the least of its
        parts, which are named `<group>.<shard>`; None before the first write of each."""

    def parts(self, group: str) -> list[str]:
        """The groups with a stored position that are this one or parts of it."""

    def checkpoint(self, group: str) -> Checkpoint | None:
        """The newest checkpoint of the group."""

    def bars(self, query: Query) -> pa.Table:
        """Bars, schema `model.BAR`: the newest version of each, or as the query says."""

    def indicators(self, query: Query) -> pa.Table:
        """Indicator rows, schema `model.INDICATOR`, likewise."""

    def anomalies(self, query: Query) -> pa.Table:
        """Anomalies, schema `model.ANOMALY`, likewise; retracted ones only with `versions`."""

    def findings(self, query: Query) -> pa.Table:
        """Findings, schema `model.FINDING`, newest last."""

    def coverage(self, query: Query) -> pa.Table:
        """Coverage, schema `model.COVERAGE`: the stretches that overlap the range."""

    def observations(self, query: Query) -> pa.Table:
        """Values of economic series, schema `model.OBSERVATION`; `symbols` are series. The newest vintage of each date, with
        `as_of` the newest one of that day in UTC or before, with `versions` every one."""

    def actions(self, query: Query) -> pa.Table:
        """Splits and dividends, schema `model.ACTION`, by (symbol, date)."""

    def switches(self, query: Query) -> pa.Table:
        """When another feed of a group was taken, schema `model.SWITCH`, by (symbol, at): those before `end`, known at `as_of`."""

    def symbols(self) -> list[dict[str, Any]]:
        """Every (symbol, source) with its intervals, first and last bar start."""

    def ledger(self, group: str | None = None) -> Mapping[tuple[str, str], int]:
        """The tick totals of the engine by (source, name), of one group or over all."""

    def measure(self, at: int, values: Mapping[tuple[str, str], float]) -> None:
        """Keep quality metrics (source, name) as a point of a time series."""

    def metrics(self, query: Query) -> pa.Table:
        """The kept quality metrics: at, source, name, value."""

    def trim(self, kept: Kept, before: int, interval: str | None = None) -> int:
        """Delete some of what is older than a time (us), in one transaction so short that nobody waits for it; returns how many
        rows went: call it again until none do.

        Old are bars, of one interval or of all, that start before it, with their indicators and anomalies; findings and
        metrics of a moment before it; stretches of coverage that end by it; days of ticks that are over by it.
        """

    def verify(self) -> tuple[int, tuple[str, ...]]:
        """Read everything: how many rows there are, and one sentence for each fault found in the structure of the file."""

    def upgrade(self) -> str:
        """Bring the tables to the newest version and return its name."""

    def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class Remote(Protocol):
    """A warm store on a server, which may hang."""

    def cut(self) -> None:
        """Wait for it no longer: each question raises `Unreachable`, those that wait for an answer and those to come."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What another process said: the newest ticks, at most one a series, and of an output what is shown and what is firm.

    Not `whole`: something said before it was missed, which is in the stores.
    """

    ticks: tuple[TickBatch, ...]
    output: Output
    whole: bool


class Changes(Protocol):
    """What another process says from now on. Belongs to one thread."""

    def next(self, seconds: float) -> Heard | None:
        """The next of it, waited for so many seconds; None when nothing was said."""

    def close(self) -> None:
        """Stop hearing."""


class Hot(Protocol):
    """The newest of everything, for screens. An older value never replaces a newer one. Safe to call from several threads.

    Nobody waits for it: where it is a server that is away, what is taken in is written when it is back, and what is asked is
    answered from what this process took in itself. Whoever needs more asks the warm store.
    """

    @property
    def own(self) -> "Hot":
        """What this process took in, without what others did. What is taken in there stays in this process."""

    def ticks(self, batch: TickBatch) -> None:
        """Take in ticks just journaled."""

    def bars(self, batch: BarBatch) -> None:
        """Take in forming, closed or corrected bars."""

    def latest(self, symbols: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The newest price of each symbol: symbol, source, price, size, event_time, received_at (us), or of all symbols."""

    def forming(self, symbols: Sequence[str] = (), interval: str | None = None) -> list[dict[str, Any]]:
        """The newest bar of each (symbol, source, interval), forming or not, as plain values."""

    def announce(self, output: Output) -> None:
        """Say to other processes what an output has that is firm; what is only shown they are told as it is taken in."""

    def busy(self) -> None:
        """Say to other processes that the work of this one goes on, for the next minute whatever it takes in meanwhile."""

    def follow(self) -> Changes | None:
        """What other processes say, from now on; None where no other can be heard."""

    def check(self) -> str:
        """In one sentence how it is. Raises what keeps it from its work, with what to do."""

    def close(self) -> None:
        """Write what is not written yet, if that takes no longer than a moment, and let go of connections."""
