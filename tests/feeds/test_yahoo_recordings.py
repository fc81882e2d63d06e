"""The feed on every message that others captured from the live service, against values read out in another way."""

import base64
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadCredentials, BadSetting, NoData, RateLimited, UnknownSymbol
from tickhouse.core.model import Kind, interval_us
from tickhouse.core.requests import Answer
from tickhouse.feeds import csv, yahoo
from tickhouse.feeds._csv_files import blocks
from tickhouse.feeds._csv_sniff import sniff

NOW = 1_792_000_000_000_000
SYMBOLS = {"EURUSD=X": "EUR-USD"}
CHARTS = {
    "AAPL_1d_1bar": 1, "AAPL_1d_split_and_dividend_2020": 49, "BABA_1d": 1, "BTC-USD_1d": 3, "EURUSD=X_1d": 3, "GC=F_1d": 1,
    "MSFT_1d_year_dividends": 252, "OCDO.L_1d_pence": 1, "QQQ_1d": 1, "TSLA_1d_2010-2023": 3303, "WSU.DE_1d": 3,
    "pricehist_ibm-long-partial": 10, "pricehist_tsla-recent": 5,
}  # fmt: skip
ERRORS = {
    "400_no_data_for_range.txt": (400, NoData), "401_invalid_crumb.json": (401, BadCredentials),
    "404_delisted.json": (404, UnknownSymbol), "422_intraday_60_days.json": (422, NoData), "429_edge.txt": (429, RateLimited),
}  # fmt: skip
LIVE = "AAPL_5m_live_last_bar_2026-10-05"


def parsed(channel: str, payload: bytes, at: int = NOW) -> Parsed:
    feed = yahoo.open()
    assert feed.classify(Answer(200, {}, payload, at)) is None
    return feed.parse(RawBatch.of("yahoo", channel, [payload], at))


def test_all_recordings_are_used(recordings: Path) -> None:
    folder = recordings / "yahoo"
    assert {p.stem for p in (folder / "chart").iterdir()} == {*CHARTS, LIVE, "AAPL_1m_weekend_no_timestamps"}
    assert {p.name for p in (folder / "errors").iterdir()} == set(ERRORS)
    assert {p.name for p in folder.iterdir()} == {
        "chart",
        "csv_history",
        "download",
        "errors",
        "index.json",
        "quote",
        "search",
        "ws",
    }


@pytest.mark.parametrize("name", CHARTS)
def test_every_daily_chart_is_its_bars(recordings: Path, name: str) -> None:
    """Each row by Python's own JSON and calendar: the date in the exchange's zone, the numbers as they stand."""
    payload = (recordings / "yahoo" / "chart" / f"{name}.json").read_bytes()
    result = json.loads(payload)["chart"]["result"][0]
    columns, zone = result["indicators"]["quote"][0], ZoneInfo(result["meta"]["exchangeTimezoneName"])
    days = [datetime.fromtimestamp(t, zone).date() for t in result["timestamp"]]
    found = parsed("chart", payload)
    bars = found.bars
    assert bars is not None
    assert (len(bars), found.rejects, found.quotes) == (CHARTS[name], (), None)
    assert list(bars.symbols) == [SYMBOLS.get(result["meta"]["symbol"], result["meta"]["symbol"])]
    assert bars.start.tolist() == [(day - date(1970, 1, 1)).days * 86_400_000_000 for day in days]
    for column in ("open", "high", "low", "close", "volume"):
        assert getattr(bars, column).tolist() == [float(value) for value in columns[column]], column
    assert set(bars.interval.tolist()) == {interval_us("1d")}


@pytest.mark.parametrize("name", CHARTS)
def test_every_event_is_an_action_on_its_date(recordings: Path, name: str) -> None:
    payload = (recordings / "yahoo" / "chart" / f"{name}.json").read_bytes()
    result = json.loads(payload)["chart"]["result"][0]
    events, zone = result.get("events", {}), ZoneInfo(result["meta"]["exchangeTimezoneName"])
    expected = set()
    for event in events.get("dividends", {}).values():
        expected.add((datetime.fromtimestamp(event["date"], zone).date(), "dividend", event["amount"]))
    for event in events.get("splits", {}).values():
        ratio = event["numerator"] / event["denominator"]
        expected.add((datetime.fromtimestamp(event["date"], zone).date(), "split", ratio))
    actions = parsed("chart", payload).actions
    rows = [] if actions is None else actions.to_pylist()
    assert {(row["date"], row["kind"], row["value"]) for row in rows} == expected
    assert len(rows) == len(expected)


def test_known_bars_and_actions(recordings: Path) -> None:
    """Numbers that can be looked up elsewhere: Apple's 4:1 split of August 2020, Tesla's first day in today's shares."""
    chart = recordings / "yahoo" / "chart"
    apple = parsed("chart", (chart / "AAPL_1d_split_and_dividend_2020.json").read_bytes())
    assert apple.actions is not None
    plain = [(row["symbol"], str(row["date"]), row["kind"], row["value"]) for row in apple.actions.to_pylist()]
    assert plain == [("AAPL", "2020-08-31", "split", 4.0), ("AAPL", "2020-11-06", "dividend", 0.205)]
    tesla = parsed("chart", (chart / "TSLA_1d_2010-2023.json").read_bytes()).bars
    assert tesla is not None
    assert str(tesla.start[:1].view("datetime64[us]")[0])[:10] == "2010-06-29"
    assert round(tesla.close[0] * 15, 2) == 23.89, "listed at 23.89 dollars before splits of 5:1 and 3:1"
    ibm = parsed("chart", (chart / "pricehist_ibm-long-partial.json").read_bytes())
    assert ibm.bars is not None and ibm.actions is not None
    assert str(ibm.bars.start[:1].view("datetime64[us]")[0])[:10] == "1962-01-02"
    assert (str(ibm.actions.to_pylist()[0]["date"]), len(ibm.actions)) == ("1962-02-06", 17)


def test_the_live_bar_of_a_session_is_a_quote(recordings: Path) -> None:
    payload = (recordings / "yahoo" / "chart" / f"{LIVE}.json").read_bytes()
    times = json.loads(payload)["chart"]["result"][0]["timestamp"]
    for at, count in ((times[-1] * 1_000_000, 5), (NOW, 6)):
        found = parsed("chart", payload, at)
        assert found.bars is not None and found.quotes is not None
        assert found.bars.start.tolist() == [t * 1_000_000 for t in times[:count]]
        (quote,) = found.quotes.to_pylist()
        assert (quote["price"], quote["event_time"].timestamp()) == (333.923, times[-1])
        assert (quote["day_high"], quote["day_low"], quote["day_volume"], quote["previous_close"]) == (
            336.19,
            331.65,
            3_907_731,
            333.69,
        )


def test_a_weekend_has_no_data(recordings: Path) -> None:
    payload = (recordings / "yahoo" / "chart" / "AAPL_1m_weekend_no_timestamps.json").read_bytes()
    assert isinstance(yahoo.open().classify(Answer(200, {}, payload, NOW)), NoData)
    assert yahoo.open().parse(RawBatch.of("yahoo", "chart", [payload], NOW)).kinds.tolist() == [Kind.CONTROL]


def test_every_quote_is_its_snapshots(recordings: Path) -> None:
    names = {
        "change": "Change", "change_percent": "ChangePercent", "day_open": "Open", "day_high": "DayHigh", "day_low": "DayLow",
        "day_volume": "Volume", "previous_close": "PreviousClose",
    }  # fmt: skip
    seen: dict[str, int] = {}
    for path in sorted((recordings / "yahoo" / "quote").glob("*.json")):
        payload = path.read_bytes()
        results = json.loads(payload)["quoteResponse"]["result"]
        if not results:
            assert isinstance(yahoo.open().classify(Answer(200, {}, payload, NOW)), UnknownSymbol)
            continue
        found = parsed("quote", payload)
        assert found.quotes is not None and not found.rejects
        rows = found.quotes.to_pylist()
        seen[path.stem] = len(rows)
        for result in results:
            mine = [row for row in rows if row["symbol"] == SYMBOLS.get(result["symbol"], result["symbol"])]
            phases = ["regularMarket", *(p for p in ("preMarket", "postMarket") if f"{p}Price" in result)]
            assert [row["price"] for row in mine] == [result[f"{phase}Price"] for phase in phases]
            assert [row["event_time"].timestamp() for row in mine] == [result[f"{phase}Time"] for phase in phases]
            assert {c: mine[0][c] for c in names} == {
                c: result.get(f"regularMarket{name}") for c, name in names.items()
            }
            assert (mine[-1]["bid"], mine[-1]["ask"]) == (result.get("bid") or None, result.get("ask") or None)
    assert seen == {
        "AAPL_BABA_closed_post": 4, "AAPL_TSLA_premarket_2022-02-24": 4, "AAPL_closed_post": 2, "ABBV_regular_2021-02-19": 1,
        "BTC-USD": 1, "EURUSD=X": 1, "GC=F_no_longname": 1, "MSFT_fields_filter": 1, "ORSTED.CO_utf8": 1, "QQQ": 2, "SPOT": 2,
    }  # fmt: skip


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_frame_of_the_stream_is_as_it_was_decoded_by_others(recordings: Path, version: str) -> None:
    names = {
        "price": "price", "change": "change", "change_percent": "change_percent", "day_open": "open_price", "day_high": "day_high",
        "day_low": "day_low", "previous_close": "previous_close",
    }  # fmt: skip
    folder = recordings / "yahoo" / "ws"
    frames = [
        json.loads(line)["raw"] for line in (folder / f"pricing_{version}_frames.ndjson").read_text().splitlines()
    ]
    decoded = [
        json.loads(line) for line in (folder / f"pricing_{version}_frames.decoded.ndjson").read_text().splitlines()
    ]
    assert len(frames) == len(decoded) == {"v1": 4, "v2": 3}[version]
    for frame, values in zip(frames, decoded, strict=True):
        found = parsed("stream", frame.encode())
        assert found.quotes is not None
        (row,) = found.quotes.to_pylist()
        assert row["symbol"] == SYMBOLS.get(values["id"], values["id"])
        assert round(row["event_time"].timestamp() * 1000) == values["time"]
        assert row["day_volume"] == values.get("day_volume")
        for column, name in names.items():
            assert (row[column] is None) == (name not in values), column
            if name in values:
                assert float(np.float32(row[column])) == values[name], "the same 32-bit float"
                assert len(repr(row[column]).replace("-", "").replace(".", "").lstrip("0")) <= 8, (
                    "and no digit more than that"
                )
    assert base64.b64decode(frames[0] if version == "v1" else json.loads(frames[0])["message"])[:6] == b"\x0a\x04AAPL"


@pytest.mark.parametrize("name", ERRORS)
def test_every_refusal_is_classified_with_its_status_and_without(recordings: Path, name: str) -> None:
    payload, (status, kind) = (recordings / "yahoo" / "errors" / name).read_bytes(), ERRORS[name]
    for given in (status, 200):
        assert type(yahoo.open().classify(Answer(given, {}, payload, NOW))) is kind


def test_an_answer_of_the_search_holds_no_prices_and_is_refused_as_such(recordings: Path) -> None:
    payload = (recordings / "yahoo" / "search" / "AAPL.json").read_bytes()
    for channel in ("quote", "chart"):
        found = parsed(channel, payload)
        assert found.kinds.tolist() == [Kind.REJECTED]
        assert "this one has not" in found.rejects[0].detail


def loaded(path: Path, **declared: Any) -> Parsed:
    """A file through the feed of files, as `tickhouse load` takes it in."""
    layout = sniff(path, **declared)
    parts = blocks(path, 1 << 26)
    lines = [bytes(data[a:b]) for data, offsets, ends in parts for a, b in zip(offsets, ends, strict=True)]
    return csv.Csv(layout).parse(RawBatch.of("csv", layout.kind, lines[1:], NOW))


def test_the_saved_histories_and_downloads_load_through_the_feed_of_files(recordings: Path) -> None:
    folder = recordings / "yahoo"
    files = [*sorted((folder / "csv_history").glob("*.csv")), *sorted((folder / "download").glob("*.csv"))]
    assert len(files) == 14
    for path in files:
        interval = {"interval": "1d"} if path.name == "AAPL_1d.csv" else {}
        bars = loaded(path, symbol="AAPL", **interval).bars
        lines = path.read_text().splitlines()[1:]
        whole = [line.split(",") for line in lines if all(line.split(",")[1:5])]
        assert bars is not None
        assert len(bars) == len(whole), path.name
        assert bars.close.tolist() == [float(fields[4]) for fields in whole], "the close and not the adjusted one"
        assert set(bars.interval.tolist()) == {interval_us("15m" if "15m" in path.name else "1d")}
        first = datetime.fromisoformat(whole[0][0])
        first = first if first.tzinfo else first.replace(tzinfo=UTC)
        assert bars.start[0] == round(first.timestamp() * 1e6)


def test_a_file_of_one_bar_says_what_it_lacks(recordings: Path) -> None:
    with pytest.raises(BadSetting, match="the length of the bars"):
        sniff(recordings / "yahoo" / "download" / "AAPL_1d.csv", symbol="AAPL")
