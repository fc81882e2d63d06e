"""Every address, asked well: what comes back is what the house has."""

import csv
import math
from dataclasses import replace
from typing import Any

import httpx
import pyarrow as pa
import pytest

from tests.surfaces.conftest import client_of
from tests.surfaces.house import BLIND, MINUTE, START, MemoryHouse, busy
from tickhouse.core.model import BAR, Query
from tickhouse.core.times import rfc3339

BAR_NAMES = [
    "symbol",
    "interval",
    "start",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "vwap",
    "trades",
    "source",
    "completeness",
]


async def test_bars_are_objects_with_the_names_of_the_house(get: Any, house: MemoryHouse) -> None:
    body = await get("/v1/bars/BTC-USDT", limit=3)
    assert list(body["data"][0]) == [*BAR_NAMES, "state", "version", "known_at"]
    expected = house.bars(Query(("BTC-USDT",), "1m", limit=3)).to_pylist()
    for got, row in zip(body["data"], expected, strict=True):
        assert got["start"] == row["start"].strftime("%Y-%m-%dT%H:%M:%SZ")
        assert all(got[name] == row[name] for name in BAR_NAMES if name != "start")
    assert body["symbol"] == "BTC-USDT" and body["interval"] == "1m" and body["simulated"] is True and body["next"]


async def test_any_spelling_of_a_symbol_will_do(get: Any) -> None:
    assert (await get("/v1/bars/btc_usdt", limit=1))["symbol"] == "BTC-USDT"


async def test_the_forming_bar_comes_last_and_only_at_the_end(get: Any, house: MemoryHouse) -> None:
    whole = await get("/v1/bars/BTC-USDT", limit=10_000)
    assert [bar["state"] for bar in whole["data"]].count("forming") == 1
    assert whole["data"][-1]["state"] == "forming" and whole["next"] is None
    past = await get("/v1/bars/BTC-USDT", end=rfc3339(house.begin + 60 * MINUTE))
    assert {bar["state"] for bar in past["data"]} == {"final", "corrected"}


async def test_a_range_includes_its_start_and_not_its_end(get: Any) -> None:
    body = await get("/v1/bars/BTC-USDT", start="2026-01-01T00:10", end="2026-01-01T00:12:00Z")
    assert [bar["start"] for bar in body["data"]] == ["2026-01-01T00:10:00Z", "2026-01-01T00:11:00Z"]


async def test_last_is_a_number_or_a_length_of_time(get: Any) -> None:
    assert len((await get("/v1/bars/ETH-USDT", last=7))["data"]) == 7
    assert len((await get("/v1/bars/ETH-USDT", last="30m"))["data"]) == 30


async def test_as_of_gives_what_was_believed_then(get: Any) -> None:
    start = "2026-01-01T00:40"
    now = (await get("/v1/bars/BTC-USDT", start=start, limit=1))["data"][0]
    then = (await get("/v1/bars/BTC-USDT", start=start, limit=1, as_of="2026-01-01T00:41:10Z"))["data"][0]
    assert (now["version"], now["state"]) == (1, "corrected") and (then["version"], then["state"]) == (0, "final")
    both = await get("/v1/bars/BTC-USDT", start=start, end="2026-01-01T00:41", versions=True)
    assert [bar["version"] for bar in both["data"]] == [0, 1]


async def test_an_offset_in_a_time_counts_even_when_the_address_lost_its_plus(get: Any) -> None:
    body = await get("/v1/bars/BTC-USDT", start="2026-01-01T01:10:00 01:00", limit=1)
    assert body["data"][0]["start"] == "2026-01-01T00:10:00Z"


async def test_indicators_beside_bars_are_those_asked_for(get: Any) -> None:
    body = await get(
        "/v1/bars/BTC-USDT", start="2026-01-01T00:30", limit=2, indicators="bollinger(20,2),ema(20),sma(99)"
    )
    names = {"bollinger(20,2).upper", "bollinger(20,2).middle", "bollinger(20,2).lower", "ema(20)"}
    assert set(body["data"][0]["indicators"]) == names and body["absent"] == ["sma(99)"]
    short = await get("/v1/bars/BTC-USDT", limit=1, indicators="all")
    assert list(short["data"][0]["indicators"]) == ["ema(20)", "vwap"]


async def test_an_indicator_that_is_not_kept_is_computed_over_the_bars_before(get: Any) -> None:
    closes = [bar["close"] for bar in (await get("/v1/bars/BTC-USDT", limit=30))["data"]]
    body = await get("/v1/bars/BTC-USDT", start="2026-01-01T00:28", limit=2, indicators="sma(7)")
    found = [bar["indicators"]["sma(7)"] for bar in body["data"]]
    assert found == pytest.approx([sum(closes[i - 6 : i + 1]) / 7 for i in (28, 29)])


async def test_the_indicator_vwap_is_a_column_of_its_own(client: httpx.AsyncClient, get: Any) -> None:
    """Everywhere but in JSON it would have the name of the bar's own vwap."""
    bar = (await get("/v1/bars/BTC-USDT", limit=1, indicators="all"))["data"][0]
    answer = await client.get("/v1/bars/BTC-USDT?limit=1&indicators=all&format=csv")
    assert answer.status_code == 200, answer.text
    row = next(csv.DictReader(answer.text.splitlines()))
    assert float(row["vwap"]) == bar["vwap"] and float(row["vwap()"]) == bar["indicators"]["vwap"] != bar["vwap"]


async def test_indicator_rows_are_objects(get: Any) -> None:
    row = (await get("/v1/indicators/BTC-USDT", last=1, indicators="sma"))["data"][0]
    assert list(row["values"]) == ["sma(20)"] and row["interval"] == "1m"


async def test_ticks_without_a_range_are_the_newest(get: Any, house: MemoryHouse) -> None:
    body = await get("/v1/ticks/BTC-USDT", limit=5)
    assert [row["raw"] for row in body["data"]] == [1595, 1596, 1597, 1598, 1599]
    assert body["data"][-1]["event_time"] == rfc3339(house.now)


async def test_nan_and_null_are_null(house: MemoryHouse, get: Any) -> None:
    row = {**house.tables["bars"].slice(0, 1).to_pylist()[0], "start": START - MINUTE, "vwap": math.nan, "volume": None}
    house.tables["bars"] = pa.concat_tables([pa.Table.from_pylist([row], schema=BAR), house.tables["bars"]])
    bar = (await get("/v1/bars/BTC-USDT", limit=1))["data"][0]
    assert bar["vwap"] is None and bar["volume"] is None


async def test_latest_and_symbols(get: Any, house: MemoryHouse) -> None:
    rows = (await get("/v1/latest", symbols="eth-usdt,btc-usdt"))["data"]
    assert [row["symbol"] for row in rows] == ["BTC-USDT", "ETH-USDT"]
    assert rows[0]["event_time"] == rfc3339(house.now)
    known = (await get("/v1/symbols"))["data"]
    assert [row["symbol"] for row in known] == sorted(house.prices)
    assert known[0]["first"] == "2026-01-01T00:00:00Z" and known[0]["intervals"] == ["1m", "5m"]
    assert known[0]["in_use"] is None, "it is in no group"


async def test_anomalies_of_some_symbols(get: Any) -> None:
    rows = (await get("/v1/anomalies", symbols="BTC-USDT", interval="1m"))["data"]
    assert rows and {row["symbol"] for row in rows} == {"BTC-USDT"}
    assert {row["detector"] for row in rows} == {"returns(20,3)", "volume(20,3)"}


async def test_coverage_tells_the_blind_stretch(get: Any) -> None:
    rows = (await get("/v1/coverage/BTC-USDT"))["data"]
    blind = next(row for row in rows if row["state"] == "blind")
    assert blind["start"] == rfc3339(START + BLIND[0] * MINUTE) and blind["missing"] == 812


async def test_quality_has_findings_and_the_newest_metrics(get: Any) -> None:
    body = await get("/v1/quality", symbols="BTC-USDT")
    assert len(body["data"]) == 7 and {row["name"]: row["value"] for row in body["metrics"]} == {
        "received": 39,
        "rejected": 39,
    }
    assert len((await get("/v1/quality/metrics", limit=100))["data"]) == 80
    assert (await get("/v1/quality", source="another"))["metrics"] == []


async def test_a_trace_has_versions_and_raw_messages(get: Any) -> None:
    body = await get("/v1/trace/BTC-USDT", start="2026-01-01T00:40:30Z", limit=3)
    assert [one["version"] for one in body["versions"]] == [0, 1] and body["bar"]["start"] == "2026-01-01T00:40:00Z"
    assert body["raw"]["count"] == 12 and len(body["raw"]["messages"]) == 3
    assert body["raw"]["messages"][0]["received_at"] == "2026-01-01T00:40:00Z"


async def test_status_keeps_positions_as_numbers(get: Any, house: MemoryHouse) -> None:
    body = await get("/v1/status")
    assert body["journal"]["end"] == 5000 and body["ledger"]["binance"]["late"] == 30
    assert body["at"] == rfc3339(house.now) and body["stream"]["clients"] == 0


async def test_health_asks_nothing_of_the_house(house: MemoryHouse, get: Any) -> None:
    house.broken = busy()
    house.calls.clear()
    assert await get("/v1/health") == {"ok": True}
    assert house.calls == []


async def test_readiness_is_503_with_the_reasons(house: MemoryHouse, client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/ready")).json()["ready"] is True
    house.broken = busy()
    answer = await client.get("/v1/ready")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "5"
    assert answer.json()["detail"] == "warm: the store is being moved"


async def test_metrics_are_what_the_house_measures(house: MemoryHouse) -> None:
    async with client_of(house, metrics=lambda: b"ticks_total 5\n") as client:
        answer = await client.get("/metrics")
    assert answer.text == "ticks_total 5\n" and answer.headers["content-type"].startswith("text/plain")


async def test_an_answer_the_client_has_is_not_sent_again(client: httpx.AsyncClient, house: MemoryHouse) -> None:
    first = await client.get("/v1/bars/BTC-USDT?last=5")
    again = await client.get("/v1/bars/BTC-USDT?last=5", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    house.tick("BTC-USDT", 68_100.0)
    changed = await client.get("/v1/bars/BTC-USDT?last=5", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200


async def test_head_has_the_headers_and_no_body(client: httpx.AsyncClient) -> None:
    answer = await client.head("/v1/bars/BTC-USDT?last=5")
    assert answer.status_code == 200 and answer.content == b"" and answer.headers["etag"]


async def test_a_house_that_begins_has_symbols_by_their_prices_alone() -> None:
    """Before the first bar has closed, a symbol is known by its newest price and has a forming bar."""
    house = MemoryHouse(1)
    empty = {name: table.slice(0, 0) for name, table in house.tables.items()}
    house.tables = empty
    house.symbols = list  # type: ignore[method-assign]
    async with client_of(house) as client:
        known = (await client.get("/v1/symbols")).json()["data"]
        bars = (await client.get("/v1/bars/BTC-USDT?interval=1m")).json()["data"]
    assert [row["intervals"] for row in known] == [[]] * 4 and [bar["state"] for bar in bars] == ["forming"]


def test_the_house_of_these_tests_pages_by_key() -> None:
    """`after` of the test house means what it means in a store, or the paging tests would prove nothing."""
    house = MemoryHouse(60)
    query = Query(("BTC-USDT",), "1m", versions=True, limit=5)
    first = house.bars(query).to_pylist()
    last = first[-1]
    key = ("BTC-USDT", "1m", round(last["start"].timestamp() * 1e6), "binance", last["version"])
    following = house.bars(replace(query, after=key)).to_pylist()
    assert following[0]["start"] > last["start"]


async def test_a_series_is_told_as_it_is_known_now_or_was_known_then(get: Any, client: httpx.AsyncClient) -> None:
    now = await get("/v1/series/CPI")
    assert now["series"] == "CPI" and now["simulated"] is True
    assert now["data"][0] == {
        "series": "CPI", "source": "fred", "date": "2025-01-01", "value": 301.5, "vintage": "2025-02-25", "raw": 1,
    }  # fmt: skip
    then = await get("/v1/series/cpi", as_of="2025-03-12")
    assert [(row["date"], row["value"]) for row in then["data"]] == [("2025-01-01", 301.5), ("2025-02-01", 302.0)]
    assert len((await get("/v1/series/CPI", versions=True))["data"]) == 24
    csv = await client.get("/v1/series/CPI", params={"format": "csv", "end": "2025-02-01"})
    assert csv.text.splitlines()[1] == '"CPI","fred",2025-01-01,301.5,2025-02-25,1'
    absent = await client.get("/v1/series/NOPE")
    assert absent.status_code == 404 and "NOPE" in absent.json()["detail"]
    assert (await get("/v1/series/CPI", start="2030-01-01"))["data"] == [], "known, and nothing in that range"
