"""Files of raw messages: whatever their form and size, every line becomes one message, in bounded memory."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.feeds.binance_messages import TRADE, trade
from tickhouse.core.batches import RawBatch
from tickhouse.core.errors import BadMessage, BadSetting
from tickhouse.feeds import binance
from tickhouse.feeds._capture import MAX_LINE, read_ndjson

NOW = 1_767_225_600_000_000


def read(path: Path, **options: int) -> list[tuple[RawBatch, int]]:
    return list(read_ndjson(path, "binance", "trade", "load:x", NOW, **options))


def messages(batches: list[tuple[RawBatch, int]]) -> list[tuple[bytes, int]]:
    return [pair for raw, _ in batches for pair in zip(raw.payloads(), raw.received_at.tolist(), strict=True)]


def capture_line(payload: bytes, micros: int) -> bytes:
    return b'{"recv": %d.%06d, "raw": %s}' % (micros // 10**6, micros % 10**6, json.dumps(payload.decode()).encode())


LINES = [
    trade(1),
    b"",
    capture_line(trade(2), NOW + 1),
    b"broken {",
    b'{"recv": 1.5, "raw": 7}',
    trade(3) + b"\r",
    b"\xff",
]
EXPECTED = [
    (trade(1), NOW), (trade(2), NOW + 1), (b"broken {", NOW), (b'{"recv": 1.5, "raw": 7}', NOW), (trade(3), NOW), (b"\xff", NOW),
]  # fmt: skip


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("suffix", [".ndjson", ".ndjson.gz", ".ndjson.zst"])
@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_every_line_becomes_a_message_whatever_the_file_is_packed_in(
    tmp_path: Path, end: bytes, suffix: str, chunk: int
) -> None:
    text = b"\n".join(LINES) + end
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(Path("x" + suffix).suffix, bytes)
    path = tmp_path / f"tape{suffix}"
    path.write_bytes(pack(text[:50]) + pack(text[50:]))
    batches = read(path, chunk_bytes=chunk)
    assert messages(batches) == EXPECTED
    assert batches[-1][1] == len(LINES)
    assert {(raw.source, raw.channel, raw.lane, raw.first) for raw, _ in batches} == {
        ("binance", "trade", "load:x", -1)
    }


def test_reading_goes_on_after_the_lines_already_consumed(tmp_path: Path) -> None:
    path = tmp_path / "tape.ndjson"
    path.write_bytes(b"\n".join(LINES))
    for stop in range(len(LINES) + 2):
        rest = [message for message, line in zip(EXPECTED, (0, 2, 3, 4, 5, 6), strict=True) if line >= stop]
        assert messages(read(path, chunk_bytes=40, skip_lines=stop)) == rest
    batches = read(path, chunk_bytes=40)
    for number, (_, consumed) in enumerate(batches):
        assert messages(read(path, skip_lines=consumed)) == messages(batches[number + 1 :])


@settings(max_examples=tried(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*LINES, b"a", b"{}"]), max_size=12), st.integers(1, 300))
def test_the_size_of_the_chunks_changes_nothing(tmp_path: Path, lines: list[bytes], chunk: int) -> None:
    path = tmp_path / "tape.ndjson"
    path.write_bytes(b"\n".join(lines))
    assert messages(read(path, chunk_bytes=chunk)) == messages(read(path))


@pytest.mark.parametrize("chunk", [1 << 16, MAX_LINE + 1, 1 << 23])
@pytest.mark.parametrize("size", [MAX_LINE, MAX_LINE + 1, MAX_LINE + 2, 5 * MAX_LINE])
def test_a_line_that_is_too_long_is_one_message_cut_short_that_is_rejected(
    tmp_path: Path, chunk: int, size: int
) -> None:
    path = tmp_path / "tape.ndjson"
    path.write_bytes(TRADE + b"\n" + b"x" * size + b"\n" + TRADE + b"\n")
    batches = read(path, chunk_bytes=chunk)
    assert [len(p) for p, _ in messages(batches)] == [len(TRADE), min(size, MAX_LINE + 1), len(TRADE)]
    assert batches[-1][1] == 3
    rejects = [r for raw, _ in batches for r in binance.open().parse(raw).rejects]
    assert [r.reason for r in rejects] == ["oversized" if size > MAX_LINE else "malformed"]


def test_a_file_without_line_ends_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "tape.gz"
    path.write_bytes(gzip.compress(b"x" * (60 << 20), 1))
    read(path, chunk_bytes=1 << 20)
    tracemalloc.start()
    assert [len(p) for p, _ in messages(read(path, chunk_bytes=1 << 20))] == [MAX_LINE + 1]
    assert tracemalloc.get_traced_memory()[1] < 12 << 20
    tracemalloc.stop()


def test_an_empty_file_has_no_messages(tmp_path: Path) -> None:
    path = tmp_path / "tape.ndjson"
    path.write_bytes(b"")
    assert read(path) == []


def test_a_missing_file_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="nothing"):
        read(tmp_path / "nothing.ndjson")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_a_damaged_file_says_so_after_what_can_be_read(tmp_path: Path, suffix: str, damage: str) -> None:
    text = b"\n".join(trade(i) for i in range(20_000))
    packed = bytearray(
        gzip.compress(text) if suffix == ".gz" else zstandard.ZstdCompressor(write_checksum=True).compress(text)
    )
    if damage == "cut":
        del packed[len(packed) // 2 :]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    else:
        packed[:] = text[:1000]
    path = tmp_path / f"tape{suffix}"
    path.write_bytes(packed)
    with pytest.raises(BadMessage, match="damaged"):
        read(path, chunk_bytes=1 << 16)
