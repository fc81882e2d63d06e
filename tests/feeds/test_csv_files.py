"""Lines of files: every line once, whatever the file is packed in and wherever reading is cut."""

import gzip
import itertools
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.errors import BadMessage, BadSetting
from tickhouse.feeds import _csv_files, csv
from tickhouse.feeds.csv import Csv, Layout

LAYOUT = Layout("ticks", {"time": 0, "price": 1}, 2, symbol="X")


def lines_of(path: Path, **options: int) -> list[bytes]:
    return [line for raw, _ in csv.read(path, LAYOUT, "load:x", 5, **options) for line in raw.payloads()]


@given(
    st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=30),
    st.tuples(st.integers(1, 40), st.integers(0, 40)),
    st.booleans(),
    st.sampled_from([b"\n", b"\r\n"]),
)
@settings(max_examples=tried(150), deadline=None)
def test_every_line_once_in_order_wherever_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cut: tuple[int, int], ended: bool, end: bytes
) -> None:
    (chunk, skip), path = cut, tmp_path_factory.mktemp("csv", numbered=True) / "file.csv"
    if lines and lines[0][:4] in (_csv_files.PARQUET, _csv_files.ZIP, _csv_files.ZSTD):
        lines[0] = b""
    path.write_bytes(b"a" + end.join([*lines, *([b""] if ended and lines else [])]))
    expected = [b"a" + lines[0], *lines[1:]] if lines else [b"a"]
    if lines and not ended and not lines[-1] and len(lines) > 1:
        expected.pop()
    got, consumed = [], skip
    for raw, consumed in csv.read(path, LAYOUT, "load:x", 5, skip, chunk):  # noqa: B007
        got += raw.payloads()
    assert got == expected[skip:]
    assert consumed == max(len(expected), skip)


def test_a_read_that_was_cut_short_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"".join(b"%d,1\n" % i for i in range(1000)))
    reader = csv.read(path, LAYOUT, "load:x", 5, 0, 500)
    first, consumed = next(reader)
    rest = lines_of(path, skip_lines=consumed, chunk_bytes=700)
    assert [*first.payloads(), *rest] == path.read_bytes().splitlines()
    assert (first.source, first.channel, first.lane, first.received_at.tolist()[:2]) == (
        "csv",
        "ticks",
        "load:x",
        [5, 5],
    )


TEXT = b"time,price\n" + b"".join(b"%d,%d\n" % (1_795_185_060 + i, i) for i in range(5000))


@pytest.mark.parametrize("kind", ["plain", "gzip", "gzip in parts", "zstd", "zip"])
def test_compressed_files_are_known_by_their_bytes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.dat"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inside/x.csv", TEXT)
    else:
        pack = {"plain": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}
        parts = {"gzip in parts": lambda t: gzip.compress(t[:100]) + gzip.compress(t[100:])}
        path.write_bytes({**pack, **parts}[kind](TEXT))
    assert lines_of(path, chunk_bytes=1000) == TEXT.splitlines()
    assert csv.sniff(path, symbol="X").columns == {"time": 0, "price": 1}


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    two, cut, wide, no_zip = (tmp_path / name for name in ("two.zip", "cut.gz", "wide.csv", "no.zip"))
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(BadSetting, match=r"2: a\.csv, b\.csv"):
        lines_of(two)
    cut.write_bytes(gzip.compress(TEXT)[:-30])
    with pytest.raises(BadMessage, match="damaged"):
        lines_of(cut, chunk_bytes=1000)
    wide.write_bytes("time,price".encode("utf-16"))
    with pytest.raises(BadSetting, match="UTF-16"):
        csv.sniff(wide)
    no_zip.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(BadMessage, match="damaged"):
        lines_of(no_zip)
    with pytest.raises(BadSetting, match="a file that exists"):
        lines_of(tmp_path / "absent.csv")


def test_a_line_without_end_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_csv_files, "LONGEST_LINE", 1000)
    path = tmp_path / "file.csv"
    path.write_bytes(b"x" * 5000 + b"\n1795185060,2\n")
    got = list(csv.read(path, LAYOUT, "load:x", 5, 0, 400))
    lines = [line for raw, _ in got for line in raw.payloads()]
    assert lines[-1] == b"1795185060,2" and b"".join(lines[:-1]) == b"x" * 5000
    assert max(map(len, lines)) <= 1400


def test_parquet_of_any_kinds_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    table = pa.table(
        {
            "ts": pa.array([1_795_185_060_000_000, 1_795_185_060_123_456], pa.timestamp("us", "America/New_York")),
            "symbol": pa.array(["A", "B,C"]).dictionary_encode(),
            "price": [0.1, 1e-7],
            "size": pa.array([1, None], pa.int64()),
            "legs": [[1], [2]],
            "blob": [b"x", b"y"],
        }
    )
    pq.write_table(table, path)
    layout = csv.sniff(path)
    ((raw, consumed),) = csv.read(path, layout, "load:x", 5)
    parsed = Csv(layout).parse(raw)
    assert consumed == 3 and parsed.ticks is not None
    assert parsed.ticks.event_time.tolist() == [1_795_185_060_000_000] and parsed.ticks.price.tolist() == [0.1]
    assert [r.detail for r in parsed.rejects] == ["symbol: got 'B,C', expected a symbol such as AAPL or BTC-USD"]
    naive = table.set_column(0, "ts", pa.array([1_795_185_060_000_000] * 2, pa.timestamp("us")))
    pq.write_table(naive, path)
    layout = csv.sniff(path, tz="America/New_York")
    ((raw, _),) = csv.read(path, layout, "load:x", 5)
    assert Csv(layout).parse(raw).ticks.event_time.tolist() == [1_795_185_060_000_000 + 5 * 3_600_000_000]


def test_parquet_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_csv_files, "PARQUET_ROWS", 100)
    path = tmp_path / "file.parquet"
    pq.write_table(
        pa.table({"ts": np.arange(1000) + 1_795_185_060, "price": np.arange(1000.0)}), path, row_group_size=300
    )
    whole = lines_of(path)
    assert len(whole) == 1001
    for skip in (0, 1, 350, 1001):
        assert lines_of(path, skip_lines=skip) == whole[skip:]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadMessage, match="damaged"):
        lines_of(path)


@pytest.mark.slow
def test_memory_stays_flat_over_five_million_lines(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    block = b"".join(b"%d,%d.25,7\n" % (1_795_185_060_000 + i, i % 1000) for i in range(100_000))
    with path.open("wb") as file:
        file.write(b"time,price,size\n")
        for _ in range(50):
            file.write(block)
    layout = csv.sniff(path, symbol="X")
    feed, process, seen, rows = Csv(layout), psutil.Process(), [], 0
    for i, (raw, _) in enumerate(csv.read(path, layout, "load:x", 5)):
        parsed = feed.parse(raw)
        rows += len(parsed.ticks or ())
        if i % 4 == 3:
            seen.append(process.memory_info().rss)
    assert rows == 5_000_000
    half = len(seen) // 2
    assert max(seen[half:]) < max(seen[:half]) + (16 << 20)
    assert all(b - a < (64 << 20) for a, b in itertools.pairwise(seen))
