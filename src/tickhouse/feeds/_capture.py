"""Files of raw provider messages, a line each, as raw batches: plain, gzip or zstd, in bounded memory.

A line is the message itself, or a capture line `{"recv": 1617566591.326123, "raw": "<the message, escaped>"}` that also
says when it was received (epoch seconds, or null where that was not noted).
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import U8, RawBatch
from tickhouse.core.errors import BadMessage, BadSetting
from tickhouse.feeds._telling import Tell, unheard

MAX_LINE = 1 << 20
"""A longer line becomes one message of its first MAX_LINE + 1 bytes, which is too long to be read."""
CHUNK = 8 << 20


def read_ndjson(  # noqa: PLR0913
    path: Path | str, source: str, channel: str, lane: str, now: int, *, chunk_bytes: int = CHUNK, skip_lines: int = 0,
    tell: Tell = unheard,
) -> Iterator[tuple[RawBatch, int]]:  # fmt: skip
    """The messages of a file in batches of about `chunk_bytes`, each with the number of lines consumed so far.

    Reading goes on where it stopped when `skip_lines` is that number. Messages of lines without a receive time get `now`
    (us). Empty lines hold no message. `tell` is told how many bytes of the file have been gone through. Raises `BadSetting` when
    there is no such file, `BadMessage` when it is damaged.
    """
    consumed = 0
    for data, offsets, ends in _blocks(Path(path), chunk_bytes, tell):
        skipped = min(max(skip_lines - consumed, 0), len(offsets))
        first, consumed = consumed + 1, consumed + len(offsets)
        filled = np.flatnonzero(ends[skipped:] > offsets[skipped:]) + skipped
        if len(filled):
            messages = _messages(data, offsets[filled], ends[filled], now)
            yield RawBatch(source, channel, lane, *messages, lines=first + filled), consumed


def _messages(data: U8, offsets: Any, ends: Any, now: int) -> tuple[Any, Any, Any, Any]:
    from tickhouse.core.kernels.lines import unwrap

    data, offsets, ends, received = unwrap(data, offsets, np.minimum(ends, offsets + MAX_LINE + 1))
    received[received < 0] = now
    return data, offsets, ends, received


def _blocks(path: Path, chunk_bytes: int, tell: Tell) -> Iterator[tuple[U8, Any, Any]]:
    """The file in buffers of whole lines with their offsets and ends."""
    from tickhouse.core.kernels.lines import PADDING, split_lines

    with _file(path) as file, _opened(file, path) as stream:
        rest, dropping, more = b"", False, True
        while more:
            block = _read(stream, path, chunk_bytes)
            tell(file.tell())
            more = bool(block)
            if dropping:
                found = block.find(b"\n")
                if found < 0 and more:
                    continue
                block, dropping = block[max(found, 0) :], False
            if not more and rest:
                block += b"\n"
            text = rest + block
            data = np.frombuffer(text + bytes(PADDING), np.uint8)
            offsets, ends, end = split_lines(data, len(text))
            rest = text[end : end + MAX_LINE + 1]
            dropping = len(rest) > MAX_LINE
            if len(offsets):
                yield data, offsets, ends


def _file(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise BadSetting("file", str(path), "a file that exists")
    return path.open("rb")


def _opened(file: IO[bytes], path: Path) -> Any:
    if path.suffix == ".gz":
        from isal import igzip

        return igzip.open(file, "rb")  # type: ignore[no-untyped-call]
    if path.suffix == ".zst":
        return pa.input_stream(file, compression="zstd")
    return file


def _read(stream: IO[bytes], path: Path, size: int) -> bytes:
    try:
        return stream.read(size)
    except (OSError, EOFError, zlib.error, pa.ArrowInvalid) as error:
        raise BadMessage(f"{path} is damaged, what comes before was read: {error}") from error
