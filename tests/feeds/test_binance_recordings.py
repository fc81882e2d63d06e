"""The feed on messages that others captured from the live service."""

import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadSetting, RateLimited, UnknownSymbol
from tickhouse.core.model import Kind
from tickhouse.core.requests import Answer
from tickhouse.feeds import binance
from tickhouse.feeds._capture import read_ndjson

AGGREGATES = {
    "binance_us_4_pairs_2021-08-14": 3,
    "combined_10_pairs_2021-04-17": 24,
    "combined_4_pairs_2021-08-14": 28,
    "combined_dot_btc_eth_usdt_2021-04-04": 1910,
}


def captured(recordings: Path, name: str, channel: str = "trade") -> tuple[RawBatch, Parsed]:
    path = recordings / "binance" / "ws" / f"{name}.ndjson"
    ((raw, lines),) = read_ndjson(path, "binance", channel, "load:capture", 0)
    assert lines == len(raw) == len(path.read_bytes().splitlines())
    return raw, binance.open().parse(raw)


def frames(raw: RawBatch, event: str) -> list[dict[str, Any]]:
    found = (json.loads(payload)["data"] for payload in raw.payloads())
    return [frame for frame in found if frame.get("e") == event]


@pytest.mark.parametrize("name", AGGREGATES)
def test_every_aggregate_trade_of_a_capture_is_a_tick_and_nothing_else_is(recordings: Path, name: str) -> None:
    raw, parsed = captured(recordings, name)
    ticks, plain = parsed.ticks, frames(raw, "aggTrade")
    assert ticks is not None
    assert len(ticks) == len(plain) == parsed.count(Kind.PARSED) == AGGREGATES[name]
    assert parsed.count(Kind.CONTROL) == len(raw) - len(plain)
    assert not parsed.rejects
    assert ticks.price.tolist() == [float(frame["p"]) for frame in plain]
    assert ticks.size.tolist() == [float(frame["q"]) for frame in plain]
    assert ticks.first_id.tolist() == [frame["f"] for frame in plain]
    assert ticks.last_id.tolist() == [frame["l"] for frame in plain]
    assert ticks.event_time.tolist() == [frame["T"] * 1000 for frame in plain]
    assert [ticks.symbols[i].replace("-", "") for i in ticks.symbol] == [frame["s"] for frame in plain]


@pytest.mark.parametrize("name", AGGREGATES)
def test_the_trade_ids_of_a_capture_have_no_gap(recordings: Path, name: str) -> None:
    ticks = captured(recordings, name)[1].ticks
    assert ticks is not None
    for code in range(len(ticks.symbols)):
        mine = ticks.take(ticks.symbol == code)
        assert (mine.first_id[1:] == mine.last_id[:-1] + 1).all()


def test_bars_made_of_the_ticks_by_id_equal_the_klines_of_the_same_capture(recordings: Path) -> None:
    """A kline names the first and last trade id it counts; the trades with these ids give every one of its numbers."""
    name = "combined_dot_btc_eth_usdt_2021-04-04"
    raw, parsed = captured(recordings, name)
    bars, ticks = captured(recordings, name, "kline")[1].bars, parsed.ticks
    klines = [frame["k"] for frame in frames(raw, "kline")]
    assert bars is not None and ticks is not None
    assert len(bars) == len(klines) == 118
    exact: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for frame in frames(raw, "aggTrade"):
        exact[frame["s"]].append(frame)
    whole = 0
    for i, kline in enumerate(klines):
        code = ticks.symbols.index(bars.symbols[bars.symbol[i]])
        inside = (ticks.symbol == code) & (ticks.first_id >= kline["f"]) & (ticks.last_id <= kline["L"])
        mine = ticks.take(inside)
        if int((mine.last_id - mine.first_id + 1).sum()) != kline["n"]:
            continue
        whole += 1
        assert (bars.open[i], bars.close[i]) == (mine.price[0], mine.price[-1])
        assert (bars.high[i], bars.low[i]) == (mine.price.max(), mine.price.min())
        assert bars.trades[i] == kline["n"]
        volume = sum(Decimal(f["q"]) for f in exact[kline["s"]] if kline["f"] <= f["f"] and f["l"] <= kline["L"])
        assert bars.volume[i] == float(volume)
        np.testing.assert_allclose(mine.size.sum(), bars.volume[i], rtol=1e-12)
    assert whole == 51


def test_pages_of_trades_aggregates_and_klines(recordings: Path) -> None:
    rest = recordings / "binance" / "rest"
    for file, channel in (
        ("trades_BTCUSDT.json", "trades:BTCUSDT"),
        ("aggTrades_BTCUSDT.json", "aggTrades:BTCUSDT"),
        ("klines_BTCUSDT_1m.json", "klines:BTCUSDT:1m"),
    ):
        body = (rest / file).read_bytes()
        plain = json.loads(body)
        newest = plain[-1]
        received = newest[6] * 1000 if isinstance(newest, list) else 1_634_950_000_000_000
        parsed = binance.open().parse(RawBatch.of("binance", channel, [body], received))
        batch = parsed.ticks or parsed.bars
        open_rows = 1 if channel.startswith("klines") else 0
        assert batch is not None
        assert len(batch) == len(plain) - open_rows
        assert not parsed.rejects
        assert list(batch.symbols) == ["BTC-USDT"]


def test_refusals(recordings: Path) -> None:
    errors = recordings / "binance" / "errors"
    for file, status, error in (
        ("400_invalid_symbol.json", 400, UnknownSymbol),
        ("418_ip_banned.json", 418, RateLimited),
        ("429_request_weight.json", 429, RateLimited),
        ("451_restricted_location.json", 451, BadSetting),
    ):
        body = (errors / file).read_bytes()
        assert type(binance.open().classify(Answer(status, {}, body, 1_660_090_000_000_000))) is error


@pytest.mark.parametrize(
    "file", ["server_shutdown_combined.json", "subscribe_ack.json", "trade_ETHUSDT_2021-12-12.json"]
)
def test_single_frames(recordings: Path, file: str) -> None:
    parsed = binance.open().parse(
        RawBatch.of("binance", "trade", [(recordings / "binance" / "ws" / file).read_bytes()], 0)
    )
    if "trade_" not in file:
        assert parsed.kinds.tolist() == [Kind.CONTROL]
        return
    assert parsed.ticks is not None
    assert (parsed.ticks.symbols, parsed.ticks.price[0], parsed.ticks.last_id[0]) == (["ETH-USDT"], 4149.74, 705291099)
