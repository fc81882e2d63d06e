"""How two sources differ: against plain loops, at the edges, and the same from everywhere."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import httpx
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.steps.filled import MINUTE, T0, load_file, processed
from tickhouse.cli.compare import reconcile as command
from tickhouse.core.errors import BadQuery, NoData, UnknownSymbol
from tickhouse.core.model import BAR, Query
from tickhouse.core.times import rfc3339
from tickhouse.feeds.csv import sniff
from tickhouse.house import House
from tickhouse.pipeline import Pipeline
from tickhouse.steps.read import Reader
from tickhouse.steps.reconcile import reconcile
from tickhouse.surfaces.api import create_app

Prices = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""


class Kept:
    """Bars of two sources, by minute."""

    def __init__(self, **sources: dict[int, Prices]) -> None:
        self.sources = sources

    def bars(self, query: Query) -> pa.Table:
        names = ("open", "high", "low", "close", "volume")
        rows = [
            {"start": at(n), "version": 0, "first_raw": n, "last_raw": n + 1,
             **dict(zip(names, prices, strict=True))}
            for n, prices in sorted(self.sources[query.source or ""].items())
        ]  # fmt: skip
        return pa.Table.from_pylist([dict.fromkeys(BAR.names) | row for row in rows], schema=BAR)


def at(minute: int) -> datetime:
    return datetime.fromtimestamp((T0 + minute * MINUTE) / 1e6, UTC)


def drawn(random: Random) -> dict[int, Prices]:
    price = lambda: random.choice([10.0, 10.0, 10.5, 11.0, 9.75])  # noqa: E731
    minutes = random.sample(range(20), random.randint(1, 20))
    return {n: (price(), price(), price(), price(), random.choice([0.0, 5.0, 7.5, math.nan])) for n in minutes}


@given(st.integers(0, 10**6))
def test_the_report_is_that_of_a_plain_loop(seed):
    random = Random(seed)
    a, b = drawn(random), drawn(random)
    found = reconcile(Kept(a=a, b=b), Query(("X",), "1m"), "a", "b", worst=3)
    both = sorted(a.keys() & b.keys())
    assert found["bars"] == {
        "compared": len(both), "only_a": len(a) - len(both), "only_b": len(b) - len(both),
        "equal": sum(a[n][:4] == b[n][:4] for n in both),
    }  # fmt: skip
    places = {"close": 3, "high": 1, "low": 2}
    apart: dict[int, float] = dict.fromkeys(both, 0.0)
    for name, place in places.items():
        points = {n: abs(b[n][place] - a[n][place]) / a[n][place] * 10_000 for n in both}
        expected = (
            {"largest": max(points.values()), "median": median(points.values())}
            if both
            else dict.fromkeys(("largest", "median"))
        )
        assert found["basis_points"][name] == pytest.approx(expected)
        apart = {n: max(apart[n], points[n]) for n in both}
    known = [n for n in both if not math.isnan(a[n][4] + b[n][4])]
    volume = sum(a[n][4] for n in known)
    assert found["volume_ratio"] == (pytest.approx(sum(b[n][4] for n in known) / volume) if volume else None)
    worst = sorted((n for n in both if apart[n] > 0), key=lambda n: (-apart[n], n))[:3]
    assert [row["a"]["raw"][0] for row in found["worst"]] == worst
    assert [row["basis_points"] for row in found["worst"]] == pytest.approx([apart[n] for n in worst])


@pytest.fixture
def house(house, tmp_path: Path) -> Pipeline:
    """A minute each of two files, of which the second has one more and another price."""
    pipeline: Pipeline = house()
    for source, closes in (("left", [10, 11, 12]), ("right", [10, 11.11, 12, 13])):
        path = tmp_path / f"{source}.csv"
        lines = (
            f"{T0 + n * MINUTE},10,20,5,{close},{100 + 10 * (source == 'right')}" for n, close in enumerate(closes)
        )
        path.write_text("\n".join(["time,open,high,low,close,volume", *lines]) + "\n")
        load_file(pipeline, path, sniff(path, source=source, symbol="X", interval="1m"))
    processed(pipeline)
    return pipeline


async def test_python_the_command_line_and_rest_say_the_same(house, capsys):
    folder = house.settings.data
    with House.at(folder) as opened:
        found = opened.reconcile("x", "left", "right")
        assert opened.reconcile("X", "left", "right", start=T0_TEXT, end=ONE_LATER)["bars"]["compared"] == 1
    assert found["bars"] == {"compared": 3, "only_a": 0, "only_b": 1, "equal": 2}
    assert found["basis_points"]["close"] == pytest.approx({"largest": 100.0, "median": 0.0})
    assert found["volume_ratio"] == pytest.approx(1.1)
    (row,) = found["worst"]
    assert (row["a"]["close"], row["b"]["close"], row["start"].minute) == (11, 11.11, 1)
    (message,) = trace(house, row["b"]["raw"])
    assert message.startswith(f"{T0 + MINUTE},10,20,5,11.11")
    command("X", "left", "right", data=folder, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    app = create_app(Reader(house), clock=house.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tickhouse") as client:
        answer = (await client.get("/v1/reconcile/x?a=left&b=right")).json()
        missing = [
            (await client.get(f"/v1/reconcile/{path}")).status_code
            for path in ("X?a=left&b=no", "Y?a=left&b=right", "X?a=left")
        ]
    assert answer == {"simulated": False, **printed}
    assert printed["bars"] == found["bars"] and printed["worst"][0]["a"] == row["a"]
    assert missing == [404, 404, 400]
    command("X", "left", "right", data=folder)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "3 1m bars of X compared, 2 equal; 0 only from left, 1 only from right"
    assert said[1] == "close: 0.00 bp apart by the median, 100.00 bp at most"
    assert "11.11 (message" in said[-1]


def test_what_cannot_be_compared_is_said(house):
    reader = Reader(house)
    for arguments, error, text in (
        (("X", "left", "left"), BadQuery, "compared with itself"),
        (("X", "left", "nobody"), NoData, "nobody has no 1m bars of X there"),
        (("Y", "left", "right"), UnknownSymbol, "no symbol Y"),
    ):
        symbol, a, b = arguments
        with pytest.raises(error, match=text):
            reader.reconcile(Query((symbol,), "1m"), a, b)


T0_TEXT, ONE_LATER = rfc3339(T0), rfc3339(T0 + MINUTE)


def trace(pipeline: Pipeline, positions: list[int]) -> list[Any]:
    """The messages at positions."""
    found = pipeline.past.messages("right", sorted(set(positions)))
    return [raw.payload(index).decode() for _, raw, index in found]
