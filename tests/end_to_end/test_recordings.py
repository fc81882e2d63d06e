"""Recorded market data through the command line, compared with what others computed from them."""

import json
from pathlib import Path

import polars as pl
import pytest

import tickhouse as th
from tests.cli.inside import good

CAPTURES = [
    "combined_dot_btc_eth_usdt_2021-04-04", "combined_4_pairs_2021-08-14", "combined_10_pairs_2021-04-17",
    "binance_us_4_pairs_2021-08-14",
]  # fmt: skip


def frames(path: Path) -> list[dict]:
    return [json.loads(json.loads(line)["raw"])["data"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", CAPTURES)
def test_a_recorded_socket_gives_bars_that_equal_its_own_klines(name, recordings, tmp_path):
    """Trades of the capture, grouped by the trade ids of its klines, equal the klines; so do the bars that are complete."""
    path = recordings / "binance" / "ws" / f"{name}.ndjson"
    good("load", path, "--as", "binance", "--data", tmp_path / "house")
    seen = frames(path)
    trades = [f for f in seen if f.get("e") == "aggTrade"]
    klines = {(k["s"], k["t"]): k for f in seen if f.get("e") == "kline" for k in [f["k"]] if k["i"] == "1m" and k["x"]}
    with th.open(tmp_path / "house") as house:
        ledger = house.status()["ledger"]["binance"]
        bars = [row for one in house.reader.symbols() for row in house.bars(one["symbol"], "1m").to_dicts()]
    assert ledger["received"] == len(seen)
    assert ledger["parsed"] == len(trades) == ledger["accepted"] + ledger["late"]
    assert ledger["rejected"] == ledger["duplicate"] == ledger["pending"] == 0
    assert sum(bar["trades"] for bar in bars) == sum(t["l"] - t["f"] + 1 for t in trades)
    for bar in bars:
        kline = klines.get((bar["symbol"].replace("-", ""), round(bar["start"].timestamp() * 1000)))
        if kline is None:
            continue
        if bar["completeness"] < 1.0:
            assert bar["trades"] <= kline["n"]
            continue
        assert (bar["open"], bar["high"], bar["low"], bar["close"]) == tuple(float(kline[k]) for k in "ohlc")
        assert bar["trades"] == kline["n"]
        assert bar["volume"] == pytest.approx(float(kline["v"]), rel=1e-12)


def test_a_bar_of_a_capture_that_began_in_its_middle_is_partial(recordings, tmp_path):
    """The first minute of each capture holds only part of the trades its kline counts, and says so."""
    path = recordings / "binance" / "ws" / f"{CAPTURES[0]}.ndjson"
    good("load", path, "--as", "binance", "--data", tmp_path / "house")
    with th.open(tmp_path / "house") as house:
        first = house.bars("BTC-USDT", "1m").to_dicts()[0]
    assert 0 < first["completeness"] < 1


@pytest.mark.slow
def test_a_day_of_spy_prints_gives_the_vendors_minute_bars(recordings, tmp_path):
    """Volume of all prints; prices of the prints that may set one; equal to the vendor's bars as FACTS.md says."""
    day = recordings / "bulk" / "equity_ticks" / "SPY_trades_20131008.parquet"
    house_path = tmp_path / "house"
    answer = json.loads(
        good("load", day, "--source", "tape", "--conditions", "us-equities", "--json", "--data", house_path)
    )
    prints = pl.read_parquet(day)
    assert answer[0]["rows"] == prints.height and answer[0]["rejected"] == answer[0]["invalid"] == 0
    with th.open(house_path) as house:
        bars = house.bars("SPY", "1m").select("start", "open", "high", "low", "close", "volume")
    vendor = pl.read_parquet(recordings / "bulk" / "bars" / "US_equity_1m_2013.parquet").with_columns(
        pl.col("symbol").cast(pl.String), pl.col("ts").dt.cast_time_unit("us")
    )
    vendor = vendor.filter(symbol="SPY").rename({"ts": "start"})
    both = bars.join(vendor, on="start", suffix="_vendor")
    assert both.height == 828
    close = {
        n: ((both[n] - both[f"{n}_vendor"]).abs() < 1e-9).sum() for n in ("open", "high", "low", "close", "volume")
    }
    assert min(close[n] for n in ("open", "high", "low", "close")) >= 827
    assert close["volume"] >= 825


def test_a_csv_of_bars_loads_and_comes_back(recordings, tmp_path):
    """45,000 bars with microsecond times."""
    path = recordings / "csv" / "btc_perp_ftx_1m_2022-01.csv"
    good("load", path, "--symbol", "BTC-PERP", "--interval", "1m", "--data", tmp_path / "house")
    out = good("bars", "BTC-PERP", "--format", "json", "--last", 3, "--data", tmp_path / "house")
    rows = json.loads(out)
    last = pl.read_csv(path).tail(1).to_dicts()[0]
    assert rows[-1]["close"] == last["close"] and rows[-1]["start"].endswith("Z") and len(rows) == 3
    assert rows[-1]["state"] == "final" and rows[-1]["source"] == "csv"
