"""The lines of a file as raw batches: plain, gzip, zstd or zip, and Parquet as lines; in bounded memory."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tickhouse.core.batches import I64, U8, RawBatch
from tickhouse.core.errors import BadMessage, BadSetting
from tickhouse.core.kernels.lines import PADDING, split_lines
from tickhouse.feeds._csv_layout import Layout
from tickhouse.feeds._telling import Tell, unheard

CHUNK = 4 << 20
LONGEST_LINE = 1 << 20
"""A longer line is cut there and becomes a message of its own, which is then rejected."""
PARQUET_ROWS = 32_768
PARQUET, ZIP, GZIP, ZSTD = b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, pa.ArrowInvalid)


def read(
    path: Path | str, layout: Layout, lane: str, received_at: int, skip_lines: int = 0, chunk_bytes: int = CHUNK,
    tell: Tell = unheard,
) -> Iterator[tuple[RawBatch, int]]:  # fmt: skip
    """The lines of a file in batches of about `chunk_bytes`, each with the number of lines consumed so far.

    Every line is one message, empty ones too. Reading goes on where it stopped when `skip_lines` is that number. `tell` is told how
    many bytes of the file have been gone through. Raises `BadSetting` when there is no such file, `BadMessage` when it is
    damaged; what comes before the damage has been given out.
    """
    consumed, about, begin = 0, (layout.source, layout.kind, lane), first_line(path)
    for data, offsets, ends in blocks(Path(path), chunk_bytes, tell):
        skipped = min(max(skip_lines - consumed, 0), len(offsets))
        lines = np.arange(consumed + skipped, consumed + len(offsets)) + begin
        consumed += len(offsets)
        if len(lines):
            received = np.broadcast_to(np.int64(received_at), len(lines))
            yield RawBatch(*about, data, offsets[skipped:], ends[skipped:], received, lines=lines), consumed


def first_line(path: Path | str) -> int:
    """The number of a file's first message: 1 for a line of text, 0 for the names of the columns of Parquet, so that rows count
    from 1."""
    return 0 if magic(Path(path)) == PARQUET else 1


def blocks(path: Path, chunk_bytes: int, tell: Tell = unheard) -> Iterator[tuple[U8, I64, I64]]:
    """The file in buffers of whole lines: buffer, where lines begin, where they end."""
    kind = magic(path)
    if kind == PARQUET:
        yield from _parquet(path, tell)
        return
    with path.open("rb") as file, _opened(file, path, kind) as stream:
        rest, more = b"", True
        while more:
            block = _some(stream, path, chunk_bytes)
            tell(file.tell())
            more = bool(block)
            text = rest + block
            if not more and text:
                text += b"\n"
            yield from _lines(text)
            rest = text[text.rfind(b"\n") + 1 :]
            if len(rest) > LONGEST_LINE:
                yield from _lines(rest + b"\n")
                rest = b""


def magic(path: Path) -> bytes:
    """The bytes that say what a file is, empty for plain text. Raises `BadSetting` when there is no such file, or it is UTF-16."""
    if not path.is_file():
        raise BadSetting("file", str(path), "a file that exists")
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] in UTF_16:
        raise BadSetting("file", path.name, "a text in UTF-8; this one is UTF-16, save it again as UTF-8")
    return next((kind for kind in (PARQUET, ZIP, GZIP, ZSTD) if start.startswith(kind)), b"")


def _opened(file: IO[bytes], path: Path, kind: bytes) -> Any:
    if kind == GZIP:
        from isal import igzip

        return igzip.open(file, "rb")  # type: ignore[no-untyped-call]
    if kind == ZSTD:
        return pa.input_stream(file, compression="zstd")
    if kind == ZIP:
        return _member(file, path)
    return file


def _member(file: IO[bytes], path: Path) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGED as error:
        raise BadMessage(f"{path} is damaged: {error}") from error
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if len(names) != 1:
        raise BadSetting(
            "file", path.name, f"a zip with one file in it; this one has {len(names)}: {', '.join(names[:5])}"
        )
    return archive.open(names[0])


def _some(stream: Any, path: Path, size: int) -> bytes:
    try:
        return bytes(stream.read(size))
    except DAMAGED as error:
        raise BadMessage(f"{path} is damaged, what comes before was read: {error}") from error


def _lines(text: bytes) -> Iterator[tuple[U8, I64, I64]]:
    data = np.frombuffer(text + bytes(PADDING), np.uint8)
    offsets, ends, _ = split_lines(data, len(text))
    if len(offsets):
        yield data, offsets, ends


def _parquet(path: Path, tell: Tell) -> Iterator[tuple[U8, I64, I64]]:
    """The rows as lines of text behind a header line; times with a zone as microseconds since 1970."""
    import polars as pl

    try:
        header, rows, size = True, 0, path.stat().st_size
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_size=PARQUET_ROWS):
            rows += batch.num_rows
            tell(size * rows // max(file.metadata.num_rows, 1))
            frame = pl.DataFrame(pa.Table.from_batches([_flat(batch)]))
            frame = frame.with_columns(_epoch(column) for column in frame if getattr(column.dtype, "time_zone", None))
            yield from _lines(frame.write_csv(include_header=header).encode())
            header = False
    except (*DAMAGED, pa.ArrowException) as error:
        raise BadMessage(f"{path} is damaged, what comes before was read: {error}") from error


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns that text can hold."""
    kinds = zip(batch.schema.names, batch.schema.types, strict=True)
    return batch.select(
        [n for n, k in kinds if not (pa.types.is_nested(k) or pa.types.is_binary(k) or pa.types.is_large_binary(k))]
    )


def _epoch(column: Any) -> Any:
    """Times of a zone in UTC: as numbers where their digits tell the unit, which they do from 1973 on, else as text."""
    micros = column.dt.epoch("us")
    return micros if (micros.min() or 0) >= 10**14 else column.dt.convert_time_zone("UTC")
