"""What of one group is stored and waits to be published."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import BarBatch, Output
from tickhouse.core.shards import Shard
from tickhouse.journal import Results

MOST_ROWS = 50_000
"""Rows of a group that wait at most; beyond that they are read from the store."""


@dataclass(slots=True)
class Unpublished:
    """What is known of one group: its outputs up to `handed` are stored, those up to `done` published."""

    name: str
    shard: Shard | None
    stored: int
    handed: int
    behind: bool = True
    waiting: list[Output] = field(default_factory=list)
    rows: int = 0
    done: int = -1
    noted: int = -1

    def fall_behind(self) -> None:
        """Have everything since `done` read from the store."""
        self.behind, self.waiting, self.rows = True, [], 0

    def take(self, output: Output) -> None:
        """Keep what an output has that is published; too much of it is let go of."""
        self.handed = max(self.handed, output.position)
        rows = sum(map(len, output.bars)) + (output.anomalies.num_rows if output.anomalies is not None else 0)
        if rows and not self.behind:
            self.waiting.append(Output(output.position, output.bars, anomalies=output.anomalies))
            self.rows += rows
        if self.rows > MOST_ROWS:
            self.fall_behind()


def results_of(output: Output) -> Iterator[tuple[Results, BarBatch | pa.Table]]:
    """The rows of an output that are published, by their topic."""
    for bars in output.bars:
        yield "bars", bars
    if output.anomalies is not None:
        yield "anomalies", output.anomalies


def of_shard(shard: Shard, rows: pa.Table) -> pa.Table:
    """The rows of a shard's symbols."""
    return rows.filter(np.array([shard.has(symbol) for symbol in rows["symbol"].to_pylist()], np.bool_))
