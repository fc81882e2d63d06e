"""Fuzz the CSV feed for as long as one likes: the kernels against the strict reader, and files of anything.

    python tests/fuzz/fuzz_csv.py [--seconds 60] [--seed N]

With atheris installed it is guided by coverage and takes atheris' own options; without it, seeded mutations of lines that are
nearly right are tried for that long. The first disagreement is printed with its bytes and ends the run with an error.
"""

import random
import sys
import tempfile
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.guided import guarded, instrumented, main

with instrumented():
    from tests.feeds.test_csv_fuzz import LAYOUTS, assert_kernels_agree
    from tickhouse.core.errors import SettingsError
    from tickhouse.feeds.csv import read, sniff

TIMES = (
    "2026-01-02T03:04:05Z",
    "1767225600",
    "1767225600123",
    "02/01/2026 10:11",
    "20260102 030405",
    "10:11:12.5",
    "Jan 2, 2026",
)
VALUES = (
    "10",
    "0.5",
    "1,5",
    "1 000.25",
    "1,000,000",
    "-1",
    "0",
    "1e3",
    "nan",
    "",
    "AAPL",
    '"a""b"',
    "x y",
    "20",
    "BRK.B",
)
HEADERS = (
    "time,price,size",
    "date;open;high;low;close;vol",
    "timestamp\tbid\task",
    "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>",
    "",
)
PLACE = Path(tempfile.mkdtemp(prefix="tickhouse-fuzz-")) / "file.csv"


def check(payload: bytes) -> None:
    """Everything that must hold: lines under each layout, and a file of them that nobody described."""
    lines = payload.replace(b"\r", b"").split(b"\n")
    for layout in LAYOUTS:
        assert_kernels_agree(layout, lines)
    whole(payload)


def whole(payload: bytes) -> int:
    """A file of these bytes is either refused with a reason, or every line of it is read; returns 1 when it is read."""
    PLACE.write_bytes(payload)
    try:
        layout = sniff(PLACE, symbol="X")
    except SettingsError as refused:
        assert str(refused)
        return 0
    for raw, _ in read(PLACE, layout, "load:fuzz", 5):
        assert len(raw)
    return 1


def line(choose: random.Random, width: int, separator: str) -> bytes:
    """A line like those that come, more or less damaged."""
    fields = [choose.choice(TIMES), *(choose.choice(VALUES) for _ in range(width - 1))]
    found = bytearray(separator.join(fields).encode())
    for _ in range(choose.choice((0, 0, 0, 1, 1, 2, 5))):
        place = choose.randrange(len(found) + 1)
        found[place : place + choose.randrange(3)] = bytes([choose.randrange(256)]) if choose.random() < 0.7 else b""
    return bytes(found).replace(b"\n", b"")


def trial(choose: random.Random, count: int) -> int:
    """Try so many lines of each layout, and some files; says how many files could be read."""
    for layout in LAYOUTS:
        lines = [line(choose, layout.width + choose.choice((0, 0, 0, 1, -1)), layout.separator) for _ in range(count)]
        guarded(lambda of=layout, given=lines: assert_kernels_agree(of, given), b"\n".join(lines))
    good = 0
    for _ in range(10):
        header = choose.choice((*HEADERS, ""))
        separator = next((one for one in ";\t," if one in header), ",")
        rows = [line(choose, header.count(separator) + 1 or 3, separator) for _ in range(choose.randrange(12))]
        text = b"\n".join([header.encode(), *rows])
        good += guarded(lambda given=text: whole(given), text)
    return good


if __name__ == "__main__":
    rows = (line(random.Random(n), 3 + n % 6, ";\t,"[n % 3]) for n in range(60))
    main(check, trial, [b"\n".join([header.encode(), row]) for row, header in zip(rows, cycle(HEADERS), strict=False)])
