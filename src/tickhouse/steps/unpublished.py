"""What of one group is stored and waits to be published."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from tickhouse.core import observe
from tickhouse.core.batches import BarBatch, Output
from tickhouse.core.model import Query
from tickhouse.core.shards import Shard
from tickhouse.journal import Results
from tickhouse.stores import Warm

NOTE_SECONDS = 1.0
"""How often it is noted how far a group is though nothing was published."""
PAGE = 5_000
"""Rows that are read from the store at a time."""
KEY = ("symbol", "interval", "start", "source", "version")
KEYS = {"bars": KEY, "anomalies": (*KEY, "detector")}
MOST_ROWS = 50_000
"""Rows of a group that wait at most; beyond that they are read from the store."""


@dataclass(frozen=True, slots=True)
class Given:
    """What there is to publish of one group: these outputs, or, `behind`, what was stored since; with it all up to `upto` is."""

    upto: int
    behind: bool
    outputs: tuple[Output, ...]


@dataclass(slots=True)
class Unpublished:
    """What is known of one group: its outputs up to `handed` are stored, those up to `done` published; up to `noted` others know.

    While `lost` another process publishes for it; should we be the one who stores for it all the same, it is gone on with.
    `used` is when its connection was last; it is `renewed` when that is new, so that outputs handed before may be published or not.
    """

    name: str
    shard: Shard | None
    handed: int
    behind: bool = True
    lost: bool = False
    waiting: list[Output] = field(default_factory=list)
    rows: int = 0
    done: int = -1
    noted: int = -1
    noted_at: float = 0.0
    used: float = 0.0
    renewed: bool = False

    @property
    def has_more(self) -> bool:
        """Whether there may be something to publish."""
        return not self.lost and (self.behind or bool(self.waiting))

    def fall_behind(self) -> None:
        """Have everything since `done` read from the store."""
        self.behind, self.waiting, self.rows = True, [], 0

    def take(self, output: Output) -> None:
        """Keep what an output has that is published; too much of it is let go of."""
        self.handed, self.lost = max(self.handed, output.position), False
        rows = sum(map(len, output.bars)) + (output.anomalies.num_rows if output.anomalies is not None else 0)
        if rows and not self.behind:
            self.waiting.append(Output(output.position, output.bars, anomalies=output.anomalies))
            self.rows += rows
        if self.rows > MOST_ROWS:
            self.fall_behind()

    def give(self) -> Given:
        """What there is to publish now."""
        given = Given(self.handed, self.behind, tuple(self.waiting))
        self.behind, self.waiting, self.rows = False, [], 0
        return given

    @property
    def note_is_due(self) -> bool:
        """Whether it is to be noted how far it is, though there may be no rows."""
        return time.monotonic() - self.noted_at > NOTE_SECONDS

    def note(self, position: int) -> None:
        """It is noted that all up to a position is published."""
        self.done = self.noted = position
        self.noted_at = time.monotonic()
        observe.gauge("journal_position", position, group=f"{self.name}.published")

    def lose(self) -> None:
        """Another process publishes for the group."""
        self.fall_behind()
        self.lost = True


def stored(warm: Warm, group: Unpublished, upto: int) -> Iterator[tuple[Results, pa.Table]]:
    """What was stored of a group since it was published, up to a position, page by page. Versions of a row come in their order."""
    asks: tuple[tuple[Results, Callable[[Query], pa.Table]], ...] = ("bars", warm.bars), ("anomalies", warm.anomalies)
    for results, ask in asks:
        query: Query | None = Query(versions=True, since=group.done, before=upto, limit=PAGE)
        while query is not None:
            page = ask(query)
            yield results, page if group.shard is None else of_shard(group.shard, page)
            last = page.slice(page.num_rows - 1).to_pylist() if page.num_rows == PAGE else []
            query = replace(query, after=tuple(last[0][name] for name in KEYS[results])) if last else None


def results_of(output: Output) -> Iterator[tuple[Results, BarBatch | pa.Table]]:
    """The rows of an output that are published, by their topic."""
    for bars in output.bars:
        yield "bars", bars
    if output.anomalies is not None:
        yield "anomalies", output.anomalies


def of_shard(shard: Shard, rows: pa.Table) -> pa.Table:
    """The rows of a shard's symbols."""
    return rows.filter(np.array([shard.has(symbol) for symbol in rows["symbol"].to_pylist()], np.bool_))
