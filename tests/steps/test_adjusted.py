"""Bars of a house adjusted for splits and dividends: as a provider adjusts them itself, as of a time, within a day, everywhere."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.steps.filled import processed
from tickhouse.cli.ask import bars
from tickhouse.core.batches import RawBatch
from tickhouse.core.errors import BadSetting
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import Query
from tickhouse.core.times import instant
from tickhouse.house import House
from tickhouse.pipeline import Pipeline
from tickhouse.steps.read import Reader
from tickhouse.surfaces.api import create_app

LATER = "2021-03-01"


def chart(days: dict[str, float], events: dict[str, Any], interval: str = "1d", symbol: str = "AAPL") -> bytes:
    """An answer of Yahoo's charts with closes by the moment in which their bars begin."""
    times = [instant(text, 0) // 1_000_000 for text in days]
    closes = list(days.values())
    quote = dict.fromkeys(("open", "high", "low", "close"), closes) | {"volume": [100.0] * len(closes)}
    meta = {"symbol": symbol, "dataGranularity": interval, "exchangeTimezoneName": "America/New_York"}
    result = {"meta": meta, "timestamp": times, "events": events, "indicators": {"quote": [quote]}}
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


def split(day: str, ratio: int) -> dict[str, Any]:
    at = instant(f"{day}T14:30", 0) // 1_000_000
    return {str(at): {"date": at, "numerator": ratio, "denominator": 1, "splitRatio": f"{ratio}:1"}}


def dividend(day: str, amount: float) -> dict[str, Any]:
    at = instant(f"{day}T14:30", 0) // 1_000_000
    return {str(at): {"date": at, "amount": amount}}


def fill(pipeline: Pipeline, payload: bytes, received: str, lane: str) -> None:
    """Take in one answer as a backfill does."""
    at = instant(received, 0)
    ends = [
        RawBatch.of("yahoo", LINK, [Mark(event, at, lane, "", (), {}).encode()], at, lane)
        for event in (Event.BEGIN, Event.END)
    ]
    pipeline.ingest().take([ends[0], RawBatch.of("yahoo", "chart", [payload], at, lane), ends[1]])
    processed(pipeline)


def closes(pipeline: Pipeline, adjust: str, interval: str = "1d", **asked: Any) -> list[float]:
    table = Reader(pipeline).bars(Query(("AAPL",), interval, adjust=adjust, **asked))
    return [round(close, 9) for close in table["close"].to_pylist()]


@pytest.fixture
def apple(house) -> Pipeline:
    """Two days fetched before a split of 4:1, with a dividend as it was then, and the days since with a split and a dividend."""
    pipeline: Pipeline = house(feeds={"yahoo": {}})
    old = {"2020-08-27T13:30": 400.0, "2020-08-28T13:30": 480.0}
    fill(pipeline, chart(old, {"dividends": dividend("2020-08-28", 8.0)}), "2020-08-29T12:00", "load:one")
    new = {"2020-08-31T13:30": 125.0, "2020-11-05T14:30": 120.0, "2020-11-06T14:30": 118.0}
    events = {"splits": split("2020-08-31", 4), "dividends": dividend("2020-11-06", 3.0)}
    fill(pipeline, chart(new, events), LATER, "load:two")
    return pipeline


def test_prices_are_as_stated_or_split_or_with_dividends_too(apple):
    assert closes(apple, "none") == [400.0, 480.0, 125.0, 120.0, 118.0]
    assert closes(apple, "splits") == [100.0, 120.0, 125.0, 120.0, 118.0]
    first, second = 1 - 8 / 400, 1 - 3 / 120
    assert closes(apple, "all") == pytest.approx(
        [100 * first * second, 120 * second, 125 * second, 120 * second, 118.0], rel=1e-12
    )
    bars = Reader(apple).bars(Query(("AAPL",), "1d", adjust="all"))
    assert bars["volume"].to_pylist() == [400.0, 400.0, 100.0, 100.0, 100.0]


def test_only_what_was_known_then_adjusts_what_was_believed_then(apple):
    then = instant("2020-08-30", 0)
    assert closes(apple, "splits", as_of=then) == [400.0, 480.0]
    assert closes(apple, "all", as_of=then) == pytest.approx([392.0, 480.0], rel=1e-12)
    later = instant(LATER, 0)
    assert closes(apple, "all", as_of=later) == closes(apple, "all")
    fill(apple, chart({}, {"splits": split("2020-08-31", 4)}), "2022-01-01", "load:again")
    assert closes(apple, "splits", as_of=later) == closes(apple, "splits"), (
        "stated again, it is known since it was first"
    )


def test_what_is_announced_for_a_later_day_changes_nothing_yet(apple):
    fill(apple, chart({}, {"splits": split("2030-01-02", 10)}), "2025-12-31", "load:soon")
    assert closes(apple, "splits")[-1] == 118.0


def test_prices_that_were_stated_after_a_split_have_it_in_them(apple):
    """Asked again, Yahoo states the old days in new shares: another version, which is not split twice."""
    again = {"2020-08-27T13:30": 100.0, "2020-08-28T13:30": 120.0}
    fill(apple, chart(again, {"dividends": dividend("2020-08-28", 2.0)}), "2021-04-01", "load:again")
    assert closes(apple, "none")[:2] == closes(apple, "splits")[:2] == [100.0, 120.0]
    assert closes(apple, "all")[0] == pytest.approx(100 * (1 - 2 / 100) * (1 - 3 / 120), rel=1e-12)


def test_bars_within_a_day_go_by_the_date_of_their_market(apple):
    """The evening before an ex-date in New York is that date in UTC already."""
    days = {"2020-11-05T23:59": 121.0, "2020-11-06T04:30": 121.0, "2020-11-06T05:30": 118.0}
    fill(apple, chart(days, {}, "1m"), LATER, "load:minutes")
    factor = 1 - 3 / 120
    assert closes(apple, "all", "1m") == pytest.approx([121 * factor, 121 * factor, 118.0], rel=1e-12)


async def test_python_the_command_line_and_rest_give_the_same(apple, capsys):
    expected = closes(apple, "all")
    folder = apple.settings.data
    (folder / "tickhouse.toml").write_text("[feeds.yahoo]\n")
    app = create_app(Reader(apple), clock=apple.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tickhouse") as client:
        answer = (await client.get("/v1/bars/AAPL?interval=1d&adjust=all&limit=3")).json()
        rest = (await client.get(answer["next"])).json()
        refused = await client.get("/v1/bars/AAPL?adjust=dividends")
    assert [row["close"] for row in answer["data"] + rest["data"]] == pytest.approx(expected, rel=1e-9)
    assert refused.status_code == 400
    with House.at(folder) as house:
        frame = house.bars("AAPL", "1d", adjust="all", indicators=["sma(2)"])
        with pytest.raises(BadSetting, match="none, splits or all"):
            house.bars("AAPL", "1d", adjust="both")
    assert frame["close"].to_list() == pytest.approx(expected, rel=1e-9)
    assert frame["sma(2)"].to_list()[1:] == pytest.approx([sum(expected[n : n + 2]) / 2 for n in range(4)], rel=1e-9)
    bars("AAPL", "1d", form="json", data=folder, adjust="all")
    assert [row["close"] for row in json.loads(capsys.readouterr().out)] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["AAPL_1d_split_and_dividend_2020", "MSFT_1d_year_dividends", "TSLA_1d_2010-2023"])
def test_recorded_charts_are_adjusted_as_yahoo_did_itself(house, recordings: Path, name: str):
    payload = (recordings / "yahoo" / "chart" / f"{name}.json").read_bytes()
    result = json.loads(payload)["chart"]["result"][0]
    pipeline = house(feeds={"yahoo": {}})
    fill(pipeline, payload, "2025-12-01", "load:recorded")
    table = Reader(pipeline).bars(Query((result["meta"]["symbol"],), "1d", adjust="all"))
    close, theirs = table["close"].to_numpy(), np.array(result["indicators"]["adjclose"][0]["adjclose"])
    assert len(close) == len(theirs)
    # What was paid after the recording is in theirs and not in it: a factor of all days alike.
    np.testing.assert_allclose(close / close[-1], theirs / theirs[-1], rtol=2e-6)
