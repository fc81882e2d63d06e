"""The feed on answers that others recorded from the live service, every one of them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadCredentials, RateLimited
from tickhouse.core.model import Kind
from tickhouse.core.requests import Answer
from tickhouse.feeds import fmp

AFTER = 1_790_985_600_000_000
CHANNELS = {
    "stable_batch_aftermarket_quote_2026-07-29.json": "batch_aftermarket_quote",
    "stable_batch_quote_AAPL_MSFT_2026-07-29.json": "batch_quote",
    "stable_batch_quote_short_2026-07-29.json": "batch_quote_short",
    "stable_economic_indicators_CPI_2026.json": "economic:CPI",
    "stable_historical_price_eod_full_AAPL_2023-01.json": "historical:AAPL",
    "stable_historical_price_eod_full_EURUSD_2023-01.json": "historical:EUR-USD",
    "stable_quote_AAPL_2025-09-23.json": "quote:AAPL",
    "v3_quote_AAPL_2023-11-24.json": "quote:AAPL",
}
QUOTES = {
    "stable_batch_aftermarket_quote_2026-07-29.json": [
        ("AAPL", 344.5, "2026-07-29T18:54:26", None, None, 30136225),
        ("MSFT", 400.005, "2026-07-29T18:54:25", None, None, 24968799),
    ],
    "stable_batch_quote_AAPL_MSFT_2026-07-29.json": [
        ("AAPL", 343.64, "2026-07-29T18:54:25", 3.55999, 340.08001, 30135126),
        ("MSFT", 400.93, "2026-07-29T18:54:25", 7.58, 393.35, 24968944),
    ],
    "stable_batch_quote_short_2026-07-29.json": [
        ("AAPL", 343.57001, None, 3.49, None, 30136678), ("MSFT", 400.93, None, 7.58, None, 24968944),
    ],
    "stable_quote_AAPL_2025-09-23.json": [("AAPL", 254.86, "2025-09-23T17:23:02", -1.22, 256.08, 32409702)],
    "v3_quote_AAPL_2023-11-24.json": [("AAPL", 191.31, "2023-11-22T21:00:01", 0.67, 190.64, 38239545)],
}  # fmt: skip
"""Symbol, price, time (None: of receipt), change, previous close and volume, read off the files by eye."""
REFUSED = {
    "errors/401_invalid_key.json": BadCredentials, "errors/402_restricted_endpoint.txt": BadCredentials,
    "errors/403_legacy_endpoint.json": BadCredentials, "errors/429_limit_reach.json": RateLimited,
}  # fmt: skip


def parsed(folder: Path, file: str, channel: str) -> tuple[Parsed, list[dict[str, Any]]]:
    """What the feed says of a recording, and what stands in it."""
    body = (folder / "fmp" / file).read_bytes()
    feed = fmp.open()
    assert feed.classify(Answer(200, {}, body, AFTER)) is None
    found = feed.parse(RawBatch.of("fmp", channel, [body], AFTER))
    assert found.kinds.tolist() == [Kind.PARSED]
    assert not found.rejects
    return found, json.loads(body)


def entries(folder: Path) -> dict[str, dict[str, Any]]:
    return {one["file"]: one for one in json.loads((folder / "fmp" / "index.json").read_text())["entries"]}


def test_every_recording_is_used(recordings: Path) -> None:
    assert set(entries(recordings)) == {*CHANNELS, *REFUSED}


@pytest.mark.parametrize("file", CHANNELS)
def test_a_recording_is_read_also_when_the_channel_does_not_say_its_symbol(recordings: Path, file: str) -> None:
    said, unsaid = (parsed(recordings, file, channel)[0] for channel in (CHANNELS[file], CHANNELS[file].split(":")[0]))
    assert said.quotes == unsaid.quotes
    assert said.observations == unsaid.observations
    assert (said.bars is None) == (unsaid.bars is None)
    if said.bars is not None and unsaid.bars is not None:
        assert said.bars.to_arrow().equals(unsaid.bars.to_arrow())


@pytest.mark.parametrize("file", QUOTES)
def test_quotes(recordings: Path, file: str) -> None:
    found, plain = parsed(recordings, file, CHANNELS[file])
    assert found.quotes is not None
    received = datetime.fromtimestamp(AFTER / 1e6, UTC)
    rows = found.quotes.to_pylist()
    for row, item, expected in zip(rows, plain, QUOTES[file], strict=True):
        symbol, price, time, change, previous, volume = expected
        assert (row["symbol"], row["change"], row["previous_close"], row["day_volume"]) == (
            symbol,
            change,
            previous,
            volume,
        )
        assert row["price"] == pytest.approx(price, rel=1e-12)
        assert row["event_time"] == (received if time is None else datetime.fromisoformat(time).replace(tzinfo=UTC))
        for ours, theirs in (("day_open", "open"), ("day_high", "dayHigh"), ("day_low", "dayLow"), ("bid", "bidPrice")):
            assert row[ours] == item.get(theirs)
        assert row["change_percent"] == item.get("changePercentage", item.get("changesPercentage"))


@pytest.mark.parametrize("file", [file for file, channel in CHANNELS.items() if channel.startswith("historical")])
def test_days(recordings: Path, file: str) -> None:
    """And what FMP calls vwap is the mean of the four prices, to the digits it gives."""
    found, plain = parsed(recordings, file, CHANNELS[file])
    assert found.bars is not None
    rows = found.bars.to_arrow().to_pylist()
    assert [row["start"].date().isoformat() for row in rows] == [item["date"] for item in plain[::-1]]
    for row, item in zip(rows, plain[::-1], strict=True):
        assert row["symbol"] == CHANNELS[file].split(":")[1]
        assert (row["start"].hour, row["interval"], row["trades"], row["version"]) == (0, "1d", 0, 0)
        assert all(row[name] == item[name] for name in ("open", "high", "low", "close", "volume", "vwap"))
        mean = (item["open"] + item["high"] + item["low"] + item["close"]) / 4
        assert row["vwap"] == pytest.approx(mean, rel=1e-5)


def test_an_economic_series(recordings: Path) -> None:
    found, _ = parsed(recordings, "stable_economic_indicators_CPI_2026.json", "economic:CPI")
    assert found.observations is not None
    rows = [
        (row["series"], str(row["date"]), row["value"], str(row["vintage"])) for row in found.observations.to_pylist()
    ]
    assert rows == [("CPI", "2026-06-01", 332.568, "2026-10-02"), ("CPI", "2026-05-01", 333.979, "2026-10-02")]


@pytest.mark.parametrize("with_status", [True, False])
@pytest.mark.parametrize("file", REFUSED)
def test_a_refusal_is_the_right_error_also_when_its_status_is_lost(
    recordings: Path, file: str, with_status: bool
) -> None:
    body = (recordings / "fmp" / file).read_bytes()
    status = entries(recordings)[file]["status"] if with_status else 200
    found = fmp.open().classify(Answer(status, {}, body, AFTER))
    assert type(found) is REFUSED[file]
    assert body.decode().strip() not in str(found)
