"""Ticks as Parquet and back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tickhouse.core.batches import TickBatch
from tickhouse.core.model import TICK, TIME

SCHEMA = TICK.append(pa.field("lane", pa.string()))
ROW_GROUP = 131_072
_DELTAS = ("event_time", "received_at", "first_id", "last_id", "raw")
_REPEATED = [name for name in SCHEMA.names if name not in _DELTAS]


def write(batches: Sequence[TickBatch], out: BinaryIO) -> None:
    """Write ticks in order of arrival, with statistics and a checksum for each page."""
    table = pa.concat_tables([_table(batch) for batch in batches])
    pq.write_table(
        table, out, row_group_size=ROW_GROUP, compression="zstd", compression_level=1, use_dictionary=_REPEATED,
        column_encoding=dict.fromkeys(_DELTAS, "DELTA_BINARY_PACKED"), write_page_checksum=True, store_schema=False,
    )  # fmt: skip


def matching(path: Path, symbol: str, start: int, end: int) -> pa.Table | None:
    """The ticks of a symbol with event times in [start, end) (us), or None when the file's statistics rule out any."""
    possible = [r.possible(symbol, start, end) for r in ranges(path)]
    if not any(possible):
        return None
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read_row_groups([i for i, yes in enumerate(possible) if yes], use_threads=False)
    time = table["event_time"].cast(pa.int64())
    rows = pc.and_(pc.equal(table["symbol"], symbol), pc.and_(pc.greater_equal(time, start), pc.less(time, end)))
    found = table.filter(rows)
    return found if found.num_rows else None


@dataclass(frozen=True, slots=True)
class Range:
    """What the statistics of one row group say: event times (us) and symbols from lowest to highest, where they say it."""

    times: tuple[int, int] | None
    symbols: tuple[str, str] | None

    def possible(self, symbol: str, start: int, end: int) -> bool:
        """Whether ticks of a symbol in a time range can be here."""
        if self.symbols is not None and not self.symbols[0] <= symbol <= self.symbols[1]:
            return False
        return self.times is None or (self.times[0] < end and self.times[1] >= start)


@lru_cache(maxsize=65_536)
def ranges(path: Path) -> tuple[Range, ...]:
    """The statistics of each row group; an object never changes, so they are read once."""
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        return tuple(_range(group) for group in groups)


def split(tables: Sequence[pa.Table]) -> Iterator[TickBatch]:
    """The ticks of tables in order of position, a batch for each run of one lane."""
    table = pa.concat_tables(tables)
    if len(tables) > 1:
        table = table.take(pa.array(np.argsort(table["raw"].to_numpy(), kind="stable")))
    lanes = table["lane"].to_numpy()
    breaks = (np.flatnonzero(lanes[1:] != lanes[:-1]) + 1).tolist()
    for i, j in zip([0, *breaks], [*breaks, len(lanes)], strict=True):
        yield TickBatch.from_arrow(table.slice(i, j - i).drop_columns("lane"), lane=str(lanes[i]))


def check(path: Path, first: int, last: int) -> str | None:
    """What is wrong with an object that should hold ticks of positions first to last, or None."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        if file.schema_arrow.names != SCHEMA.names:
            return f"has the columns {', '.join(file.schema_arrow.names)}"
        raw = file.read(use_threads=False)["raw"].to_numpy()
    if len(raw) and not first <= raw.min() <= raw.max() <= last:
        return f"holds ticks of positions {raw.min()} to {raw.max()}"
    return "has ticks that are not in order of arrival" if (np.diff(raw) < 0).any() else None


def _table(batch: TickBatch) -> pa.Table:
    table = batch.compact().to_arrow()
    return table.append_column("lane", pa.repeat(pa.scalar(batch.lane), len(batch))).cast(SCHEMA)


def _range(group: pq.RowGroupMetaData) -> Range:
    known = {group.column(i).path_in_schema: group.column(i).statistics for i in range(group.num_columns)}
    times, symbols = (s if s is not None and s.has_min_max else None for s in (known["event_time"], known["symbol"]))
    low_high = times and tuple(pa.scalar(t, TIME).cast(pa.int64()).as_py() for t in (times.min, times.max))
    return Range(low_high or None, (symbols.min, symbols.max) if symbols else None)
