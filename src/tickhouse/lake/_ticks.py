"""Ticks as Parquet and back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import BinaryIO, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tickhouse.core.batches import TickBatch
from tickhouse.core.model import TICK, TIME

Source: TypeAlias = Path | BinaryIO
"""Where an object is read from: a file of this machine, or what is read and sought like one."""
SCHEMA = TICK.append(pa.field("lane", pa.string()))
PLACES = SCHEMA.get_field_index("event_time"), SCHEMA.get_field_index("symbol")
ROW_GROUP = 131_072
LAST = (1 << 63) - 1
ALWAYS, ANY = (-1 << 63, (1 << 63) - 1), ("", chr(0x10FFFF))
"""The range of what has no statistics."""
_DELTAS = ("event_time", "received_at", "first_id", "last_id", "raw")
_REPEATED = [name for name in SCHEMA.names if name not in _DELTAS]


def write(batches: Sequence[TickBatch], out: BinaryIO) -> None:
    """Write ticks in order of arrival, with statistics and a checksum for each page."""
    table = pa.concat_tables([_table(batch) for batch in batches])
    pq.write_table(
        table, out, row_group_size=ROW_GROUP, compression="zstd", compression_level=1, use_dictionary=_REPEATED,
        column_encoding=dict.fromkeys(_DELTAS, "DELTA_BINARY_PACKED"), write_page_checksum=True, store_schema=False,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """The ticks of a symbol with event times in [start, end) (us) and positions from first to last."""

    symbol: str
    start: int
    end: int
    first: int = 0
    last: int = LAST

    def of(self, table: pa.Table) -> pa.Table:
        """The rows of a table that are wanted."""
        time, raw = table["event_time"].cast(pa.int64()), table["raw"]
        rows = pc.and_(pc.equal(table["symbol"], self.symbol), _between(time, self.start, self.end - 1))
        return table.filter(pc.and_(rows, _between(raw, self.first, self.last)))


def _between(column: pa.ChunkedArray, low: int, high: int) -> pa.ChunkedArray:
    return pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))


def matching(source: Source, wanted: Wanted) -> pa.Table | None:
    """The ticks that are wanted, or None when there are none."""
    with pq.ParquetFile(source, page_checksum_verification=True) as file:
        groups = [i for i, one in enumerate(_ranges(file.metadata)) if one.possible(wanted)]
        if not groups:
            return None
        found = wanted.of(file.read_row_groups(groups, use_threads=False))
    return found if found.num_rows else None


def span(source: Source) -> tuple[int, int, str, str]:
    """The lowest and highest event time (us) and symbol of an object by its statistics; as wide as can be where they do not say."""
    with pq.ParquetFile(source) as file:
        found = _ranges(file.metadata)
    begin, end = zip(*(one.times or ALWAYS for one in found), strict=True)
    low, high = zip(*(one.symbols or ANY for one in found), strict=True)
    return min(begin), max(end), intern(min(low)), intern(max(high))


@dataclass(frozen=True, slots=True)
class Range:
    """What the statistics of one row group say: event times (us) and symbols from lowest to highest, where they say it."""

    times: tuple[int, int] | None
    symbols: tuple[str, str] | None

    def possible(self, wanted: Wanted) -> bool:
        """Whether ticks that are wanted can be here."""
        if self.symbols is not None and not self.symbols[0] <= wanted.symbol <= self.symbols[1]:
            return False
        return self.times is None or (self.times[0] < wanted.end and self.times[1] >= wanted.start)


def _ranges(metadata: pq.FileMetaData) -> list[Range]:
    """The statistics of each row group."""
    return [_range(metadata.row_group(i)) for i in range(metadata.num_row_groups)]


def split(tables: Sequence[pa.Table]) -> Iterator[TickBatch]:
    """The ticks of tables in order of position, a batch for each run of one lane."""
    table = pa.concat_tables(tables)
    if len(tables) > 1:
        table = table.take(pa.array(np.argsort(table["raw"].to_numpy(), kind="stable")))
    lanes = table["lane"].to_numpy()
    breaks = (np.flatnonzero(lanes[1:] != lanes[:-1]) + 1).tolist()
    for i, j in zip([0, *breaks], [*breaks, len(lanes)], strict=True):
        yield TickBatch.from_arrow(table.slice(i, j - i).drop_columns("lane"), lane=str(lanes[i]))


def check(source: Source, first: int, last: int) -> str | None:
    """What is wrong with an object that should hold ticks of positions first to last, or None."""
    with pq.ParquetFile(source, page_checksum_verification=True) as file:
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
    found = (group.column(place).statistics for place in PLACES)
    times, symbols = (one if one is not None and one.has_min_max else None for one in found)
    low_high = times and tuple(pa.scalar(t, TIME).cast(pa.int64()).as_py() for t in (times.min, times.max))
    return Range(low_high or None, (symbols.min, symbols.max) if symbols else None)
