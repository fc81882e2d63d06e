"""Finnhub on answers and frames that others captured from the live service."""

import json
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.feeds.asking import quotes, read
from tests.feeds.recorded import answer, frames, index
from tickhouse.core.batches import TickBatch
from tickhouse.core.errors import BadCredentials, RateLimited, UnknownSymbol
from tickhouse.core.model import Kind
from tickhouse.feeds import finnhub

TRADES = {
    "ws/trade_without_conditions_doc.ndjson": ("BTC-USDT", 1),
    "ws/trades_AAPL_2021-04-14.ndjson": ("AAPL", 4),
    "ws/trades_AAPL_2023-03-31.ndjson": ("AAPL", 61),
    "ws/trades_BTC_2021-06-29.ndjson": ("BTC-USDT", 5),
    "ws/trades_BTC_2024_2026.ndjson": ("BTC-USDT", 2),
}
QUOTES: dict[str, tuple[Any, ...]] = {
    "quote/AAPL_2020-04-11_no_d_dp.json": (1586611898, 267.99, None, None, 268.7, 270.07, 264.7, 266.07),
    "quote/AAPL_2026-08-06.json": (1786038273, 311.55, 0.55, 0.1768, 313.73, 316.2894, 309.23, 311.0),
    "quote/AAPL_2026-10-01.json": (1790884800, 328.655, -0.36, -0.11, 330.0, 332.47, 328.37, 329.02),
}
ERRORS = {
    "errors/401_no_token.json": (BadCredentials, None),
    "errors/403_no_access.json": (BadCredentials, None),
    "errors/429_limit.json": (RateLimited, 60.0),
    "quote/unknown_symbol_zeros.json": (UnknownSymbol, None),
}
OTHERS = {"ws/control_frames.ndjson", "market_status_US_2026-08-31.json"}


def ticks(recordings: Path, name: str) -> tuple[TickBatch, list[dict[str, Any]]]:
    """Our reading of recorded frames, and the plain one."""
    recorded = frames(recordings, "finnhub", name)
    parsed = read(finnhub.open(), "trade", *recorded)
    assert parsed.ticks is not None and not parsed.rejects
    assert parsed.count(Kind.PARSED) == len(recorded)
    return parsed.ticks, list(chain.from_iterable(json.loads(frame)["data"] for frame in recorded))


def test_every_recording_is_tested(recordings: Path) -> None:
    assert set(index(recordings, "finnhub")) == {*TRADES, *QUOTES, *ERRORS, *OTHERS}


@pytest.mark.parametrize("name", TRADES)
def test_every_trade_of_a_capture_is_a_tick(recordings: Path, name: str) -> None:
    symbol, count = TRADES[name]
    batch, plain = ticks(recordings, name)
    assert len(batch) == len(plain) == count
    assert list(batch.symbols) == [symbol]
    assert batch.price.tolist() == [trade["p"] for trade in plain]
    assert batch.size.tolist() == [trade["v"] for trade in plain]
    assert batch.event_time.tolist() == [trade["t"] * 1000 for trade in plain]
    assert [batch.conditions[code] for code in batch.condition] == [",".join(trade.get("c") or []) for trade in plain]
    assert (batch.first_id == -1).all()


def test_equal_trades_are_real_and_all_kept(recordings: Path) -> None:
    batch, _ = ticks(recordings, "ws/trades_AAPL_2023-03-31.ndjson")
    columns = zip(
        batch.event_time.tolist(), batch.price.tolist(), batch.size.tolist(), batch.condition.tolist(), strict=True
    )
    repeats = Counter(columns)
    assert len(batch) - len(repeats) == 4, "a merge by content would lose four trades"
    assert batch.size.sum() == sum(trade["v"] for trade in ticks(recordings, "ws/trades_AAPL_2023-03-31.ndjson")[1])


def test_condition_12_is_the_odd_lot(recordings: Path) -> None:
    seen = 0
    for name in ("ws/trades_AAPL_2023-03-31.ndjson", "ws/trades_AAPL_2021-04-14.ndjson"):
        batch, _ = ticks(recordings, name)
        odd = np.array(["12" in text.split(",") for text in batch.conditions])[batch.condition]
        assert (odd == (batch.size < 100)).all()
        seen += len(batch)
    assert seen == 65


def test_pings_and_errors_are_control(recordings: Path) -> None:
    parsed = read(finnhub.open(), "trade", *frames(recordings, "finnhub", "ws/control_frames.ndjson"))
    assert parsed.kinds.tolist() == [Kind.CONTROL, Kind.CONTROL]


@pytest.mark.parametrize("name", QUOTES)
def test_quotes(recordings: Path, name: str) -> None:
    time, *expected = QUOTES[name]
    given = answer(recordings, "finnhub", name)
    assert finnhub.open().classify(given) is None
    parsed = read(finnhub.open(), "quote:AAPL", given.body, at=given.received_at)
    columns = ("price", "change", "change_percent", "day_open", "day_high", "day_low", "previous_close")
    assert quotes(parsed, "symbol", "event_time", *columns) == [("AAPL", time * 1_000_000, *expected)]


@pytest.mark.parametrize("name", ERRORS)
def test_refusals_are_the_same_errors_with_their_status_and_without(recordings: Path, name: str) -> None:
    kind, after = ERRORS[name]
    for given in (answer(recordings, "finnhub", name), answer(recordings, "finnhub", name, status=200, headers={})):
        error = finnhub.open().classify(given)
        assert type(error) is kind
        assert getattr(error, "retry_after", None) == after


def test_an_unknown_symbol_is_no_price_of_zero(recordings: Path) -> None:
    parsed = read(finnhub.open(), "quote:NOPE", answer(recordings, "finnhub", "quote/unknown_symbol_zeros.json").body)
    assert parsed.quotes is None
    assert [reject.reason for reject in parsed.rejects] == ["unknown_symbol"]


def test_the_state_of_the_market_is_no_quote(recordings: Path) -> None:
    body = answer(recordings, "finnhub", "market_status_US_2026-08-31.json").body
    for channel in ("quote:AAPL", "candle:AAPL:1d"):
        parsed = read(finnhub.open(), channel, body)
        assert (parsed.quotes, parsed.bars) == (None, None)
        assert parsed.rejects
