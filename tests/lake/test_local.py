"""The lake in a folder on bad days: damage, full disks, interrupted writes; and how it is searched."""

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.test_lake import everything, raws, records
from tests.journal.samples import SECOND, T0, entry
from tickhouse.core.errors import BadSetting, CorruptLog
from tickhouse.lake import _ticks
from tickhouse.lake.local import open as open_lake

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lake(tmp_path):
    return open_lake(f"file://{tmp_path}/lake")


def flipped(path: Path, at: int) -> bytes:
    data = bytearray(path.read_bytes())
    data[at] ^= 16
    return bytes(data)


def test_a_flipped_bit_or_a_cut_object_is_named_and_not_read(lake):
    lake.write(records(entry(200)))
    (item,) = lake.objects()
    path = lake.root / item.name
    whole = path.read_bytes()
    for damaged in (
        flipped(path, len(whole) // 2),
        flipped(path, len(whole) - 6),
        whole[:-1],
        whole[: len(whole) // 2],
        whole + b"x",
        b"",
    ):
        path.write_bytes(damaged)
        count, faults = lake.verify()
        assert (count, len(faults)) == (2, 1)
        assert item.name in faults[0]
        with pytest.raises(CorruptLog, match=r"verify.*backup"):
            list(lake.read(item))


def test_flipped_bits_in_ticks_are_found(lake):
    lake.write(records(entry(2000)))
    (item,) = lake.objects("ticks")
    path = lake.root / item.name
    whole = path.read_bytes()
    for at in range(10, len(whole) - 2000, len(whole) // 9):
        path.write_bytes(flipped(path, at))
        assert [item.name in fault for fault in lake.verify()[1]] == [True]
        path.write_bytes(whole)
    path.write_bytes(whole[: len(whole) // 2])
    assert len(lake.verify()[1]) == 1
    with pytest.raises(CorruptLog, match="backup"):
        list(lake.ticks("binance", "S0", 0, 1 << 60))


def test_an_object_under_another_name_is_named(lake):
    lake.write(records(entry(5)))
    for item in [*lake.objects(), *lake.objects("ticks")]:
        path = lake.root / item.name
        path.rename(path.with_name(path.name.replace("0000-", "0001-").replace("0004.", "0003.")))
    assert len(lake.verify()[1]) == 2


def test_a_temporary_name_is_no_object_and_is_written_over(lake):
    run = records(entry(5))
    (ticks, bronze) = lake.write(run)
    for item in (ticks, bronze):
        path = lake.root / item.name
        path.rename(path.with_name(path.name + ".tmp"))
    assert list(lake.objects()) == []
    assert lake.verify() == (0, ())
    assert lake.write(run) == [ticks, bronze]
    assert len(list((lake.root).rglob("*.tmp"))) == 0


def test_ticks_whose_messages_never_came_give_way_to_the_run_that_takes_their_place(lake):
    short, long = records(entry(3)), records(entry(3), entry(2, 3))
    _, bronze = lake.write(short)
    (lake.root / bronze.name).unlink()
    lake.write(long)
    assert [(o.first, o.last) for o in lake.objects("ticks")] == [(0, 4)]
    assert sum(len(b) for b in lake.ticks("binance", "S0", 0, 1 << 60)) == 3


def test_statistics_rule_objects_out(lake):
    lake.write(records(entry(10)))
    (item,) = lake.objects("ticks")
    path = lake.root / item.name
    for symbol, start, end in (("A", 0, 1 << 60), ("S0", 0, T0), ("S0", T0 + 10 * SECOND, 1 << 60)):
        assert _ticks.matching(path, _ticks.Wanted(symbol, start, end)) is None
    assert _ticks.matching(path, _ticks.Wanted("S0", T0, T0 + 1)).num_rows == 1
    assert _ticks.span(path) == (T0, T0 + 9 * SECOND, "S0", "S1")


def test_the_same_messages_in_other_pieces_read_the_same(lake, tmp_path):
    whole = entry(30).raw
    pieces = [whole.take(i, i + 7) for i in range(0, 30, 7)]
    lake.write(records(*[replace(entry(1), raw=p, ticks=None) for p in pieces]))
    (item,) = lake.objects()
    (batch,) = lake.read(item)
    assert list(batch.payloads()) == list(whole.payloads())


def test_large_runs_are_written_in_pieces_and_read_whole(lake):
    payloads = [b'{"n":%d}' % i for i in range(70_000)]
    lake.write(records(raws(payloads)))
    (item,) = lake.objects()
    (batch,) = lake.read(item)
    assert list(batch.payloads()) == payloads


def test_names_that_are_no_good_for_a_path_stay_inside_the_lake(lake):
    for source in ("../up", "..", "a/b", "€"):
        lake.write(records(raws([b"x"], source=source, channel="..")))
    assert sorted(o.source for o in lake.objects()) == ["..", "../up", "a/b", "€"]
    assert {p.parts[len(lake.root.parent.parts)] for p in lake.root.parent.rglob("*")} == {"lake"}
    assert everything(lake, "..") == everything(lake, "../up")


SMALL_DISK = """
import json, resource, sys
from tests.contracts.test_lake import records, raws
from tickhouse.core.errors import DiskFull
from tickhouse.lake.local import open
import numpy as np
lake = open(f"file://{sys.argv[1]}")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
run = records(raws([np.random.default_rng(i).bytes(1000) for i in range(300)]))
try:
    lake.write(run)
    said = None
except DiskFull as error:
    said = str(error)
left = [str(p) for p in lake.root.rglob("*") if p.is_file()]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
lake.write(run)
print(json.dumps([said, left, lake.verify()]))
"""


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    assert resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, tmp_path / "lake"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    said, left, verified = json.loads(done.stdout)
    assert "free space" in said
    assert (left, verified) == ([], [1, []])


@pytest.mark.parametrize("url", ["file:", "file://", "s3://bucket"])
def test_a_bad_url_is_named(url):
    with pytest.raises(BadSetting, match="file:///path"):
        open_lake(url)


def test_a_bad_level_or_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(BadSetting, match="compress_level"):
        open_lake("file:///x", compress_level=9)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadSetting, match="can be written"):
        open_lake(f"file://{tmp_path}/file").write(records(entry(1)))


def test_recorded_messages_of_every_provider_come_back_exactly(lake, recordings):
    """Whole answers, frames and lines, as captured: JSON on many lines, text, binary."""
    files = [p for p in sorted(recordings.rglob("*")) if p.is_file() and p.stat().st_size < 300_000]
    payloads = [piece for p in files for piece in (p.read_bytes(), *p.read_bytes().splitlines()[:200])]
    lake.write(records(raws(payloads)))
    assert [p for *_, p in everything(lake)] == payloads
    assert lake.verify() == (1, ())
