"""Shares, currencies and the longer past: prices hang together over time, between providers, and over intervals."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.exchange.asking import DAY, KEY, NOON, house, understood
from tests.exchange.talk import Script, ask, passed, served
from tickhouse.core.clock import ManualClock
from tickhouse.core.model import Want
from tickhouse.exchange._walk import path
from tickhouse.exchange.chronicle import Chronicle
from tickhouse.exchange.economy import SERIES, Economy
from tickhouse.exchange.floor import MINUTE, Floor
from tickhouse.exchange.history import History
from tickhouse.exchange.klines import Klines
from tickhouse.exchange.market import Market
from tickhouse.exchange.pump import Pump
from tickhouse.exchange.snapshots import Snapshots

HOUR = 60 * MINUTE


class Here:
    """A market with a floor, its history and chronicle, on a clock moved by hand."""

    def __init__(self, start: int = NOON, seed: int = 3) -> None:
        self.clock = ManualClock(start)
        self.market = Market(seed=seed, symbols=4, rate=20, floor=Floor(seed))
        self.history = History(self.market)
        self.pump = Pump(self.market, self.history, self.clock)
        self.pump.begin()
        self.chronicle = Chronicle(self.history, self.clock.now)

    def code(self, name: str) -> int:
        code = self.chronicle.code(name)
        assert code is not None
        return code

    def move(self, seconds: float) -> None:
        self.clock.move(seconds)
        while any(True for _ in self.pump.due()):
            pass


def rows(bars: Klines) -> list[tuple[int, ...]]:
    return [row[:8] for row in bars.rows()]


def test_a_walk_moves_by_one_in_a_day_and_by_two_in_four_and_is_the_same_however_it_is_asked():
    days = 1440.0 * np.arange(20_000, 24_000)
    value = path(5, 77, days)
    assert np.diff(value).std() == pytest.approx(1.0, abs=0.1)
    assert (value[4:] - value[:-4]).std() == pytest.approx(2.0, abs=0.25)
    some = np.array([3, 977, 2500])
    assert np.allclose(path(5, 77, days[some]), value[some], atol=1e-9)
    assert np.allclose(path(5, np.full(3, 77), days[some]), value[some], atol=1e-9)


def test_the_floor_sleeps_until_it_is_asked_for_and_then_trades_what_is_open():
    market = Market(seed=3, symbols=4, rate=20, floor=Floor(3))
    blocks = iter(market.play(NOON).blocks)
    assert int(next(blocks).code.max()) < 4
    market.floor.wake(NOON)
    awake = next(blocks)
    assert int(awake.code.max()) >= 4 and (np.diff(awake.time) >= 0).all()


@pytest.mark.parametrize(
    ("hours", "shares", "currencies"), [(0, True, True), (-4, True, True), (12, False, True), (24 * 3.5, False, False)]
)
def test_shares_and_currencies_keep_the_hours_of_their_markets(hours, shares, currencies):
    here = Here(NOON + round(hours * HOUR))
    here.move(120)
    counts = {name: len(here.history.columns(here.code(name))) for name in ("TSLA", "SPY", "EUR-USD")}
    assert (counts["TSLA"] + counts["SPY"] > 0) is shares and (counts["EUR-USD"] > 0) is currencies


@pytest.mark.parametrize("name", ["AAPL", "EUR-USD", "BTC-USDT"])
def test_trades_go_on_where_the_past_ended_and_ids_have_no_gap(name):
    here = Here()
    before = here.chronicle.minutes(here.code(name), NOON - HOUR, NOON)
    here.move(300)
    trades = here.history.columns(here.code(name))
    assert (np.diff(trades.id) == 1).all() and len(trades) > 20
    assert abs(trades.price[0] / before.close[-1] - 1) < 0.004


@pytest.mark.parametrize("name", ["AAPL", "EUR-USD", "BTC-USDT"])
def test_bars_that_are_over_never_change_and_longer_ones_are_made_of_shorter_ones(name):
    here = Here()
    code, span = here.code(name), (NOON - 3 * DAY, NOON)
    minutes, early = here.chronicle.bars(code, "1m", *span), here.chronicle.days(code, NOON - 30 * DAY, NOON - DAY)
    here.move(90)
    assert rows(here.chronicle.bars(code, "1m", *span))[: len(minutes) - 1] == rows(minutes)[:-1]
    assert rows(here.chronicle.days(code, NOON - 30 * DAY, NOON - DAY)) == rows(early)
    hours = here.chronicle.bars(code, "1h", *span)
    minutes = here.chronicle.bars(code, "1m", int(hours.start[0]), NOON + MINUTE)
    for start, opened, high, low, close, volume, *_ in rows(hours)[:-1]:
        inside = (minutes.start >= start) & (minutes.start < start + HOUR)
        part = [getattr(minutes, column)[inside] for column in ("open", "high", "low", "close", "volume")]
        assert (part[0][0], part[1].max(), part[2].min(), part[3][-1], part[4].sum()) == (
            opened,
            high,
            low,
            close,
            volume,
        )


def test_days_of_shares_are_regular_sessions_and_weeks_are_made_of_days():
    here = Here()
    days = here.chronicle.days(here.code("AAPL"), NOON - 40 * DAY, NOON)
    dates = [datetime.fromtimestamp(start / 1e6, UTC).date() for start in days.start.tolist()]
    assert all(day.isoweekday() < 6 for day in dates) and datetime(2026, 2, 16).date() not in dates
    weeks = here.chronicle.weeks(here.code("AAPL"), NOON - 40 * DAY, NOON)
    inside = (days.start >= weeks.start[1]) & (days.start < weeks.start[2])
    assert (weeks.high[1], weeks.volume[1]) == (days.high[inside].max(), days.volume[inside].sum())


def test_the_same_seed_makes_the_same_world_and_another_one_another():
    one, two, other = Here(), Here(), Here(seed=4)
    for here in (one, two, other):
        here.move(30)
    code = one.code("TSLA")
    assert one.history.columns(code).price.tolist() == two.history.columns(code).price.tolist()
    assert one.history.columns(code).price.tolist() != other.history.columns(code).price.tolist()


def test_cross_rates_fit_together():
    here = Here()
    at = np.array([NOON - 5 * DAY, NOON])
    worth = here.chronicle.money.worth
    prices = here.chronicle.prices
    euro, pound, cross = (prices(here.code(name), at) for name in ("EUR-USD", "GBP-USD", "EUR-GBP"))
    assert np.allclose(cross, euro / pound, rtol=2e-4) and np.allclose(
        euro, worth("EUR", at) / worth("USD", at), rtol=2e-4
    )


@pytest.mark.parametrize(("hours", "phase"), [(0, "REGULAR"), (-2, "PRE"), (7, "POST"), (12, "CLOSED")])
def test_a_snapshot_knows_the_phase_of_the_day_and_the_newer_price_outside_of_it(hours, phase):
    here = Here(NOON + hours * HOUR)
    here.move(60)
    found = Snapshots(here.chronicle).of(here.code("AAPL"))
    assert found.phase == phase and (found.late is None) is (phase == "REGULAR")
    assert found.low <= found.price <= found.high and found.low <= found.open <= found.high
    assert found.late is None or found.late[1] > found.time


async def test_all_providers_tell_of_one_market(tmp_path):
    async with house(tmp_path) as here:
        await passed(here.exchange, here.clock, 5)

        async def day(name: str, want: Want) -> dict[int, tuple]:
            feed = here.feed(name)
            bars = understood(await here.asked(feed, feed.history(want)))["bar"]
            return {row[2]: tuple(round(price, 2) for price in row[3:7]) for row in bars}

        for dialect in ("finnhub", "fmp"):
            here.exchange.dialects[dialect].clerk.terms = here.exchange.dialects[dialect].clerk.terms.changed(
                plan="paid"
            )
        span = (NOON - 20 * DAY, NOON - DAY)
        days = [
            await day("yahoo", Want(("AAPL",), "chart:1d", *span)), await day("finnhub", Want(("AAPL",), "candle:1d", *span)),
            await day("fmp", Want(("AAPL",), "historical", *span)), await day("alpha_vantage", Want(("AAPL",), "daily", *span)),
        ]  # fmt: skip
        shared = set.intersection(*map(set, days))
        assert len(shared) >= 11 and all(len({one[at] for one in days}) == 1 for at in shared)
        quotes = [
            (await ask(here.exchange, "/finnhub/api/v1/quote", symbol="AAPL", token=KEY)).json()["c"],
            (await ask(here.exchange, "/fmp/stable/quote", symbol="AAPL", apikey=KEY)).json()[0]["price"],
        ]
        binance = float((await ask(here.exchange, "/api/v3/ticker/price", symbol="BTCUSDT")).json()["price"])
        finnhub = (await ask(here.exchange, "/finnhub/api/v1/quote", symbol="BINANCE:BTCUSDT", token=KEY)).json()["c"]
        listed = (await ask(here.exchange, "/api/v3/exchangeInfo")).json()["symbols"]
    assert quotes[0] == quotes[1] and abs(finnhub / binance - 1) < 0.001
    assert not {"AAPL", "EURUSD"} & {one["symbol"] for one in listed}


@pytest.mark.parametrize("series", [one.id for one in SERIES])
def test_an_economic_series_is_told_again_until_it_is_settled_and_nothing_is_told_before_its_day(series):
    economy, today = Economy(3), datetime(2026, 3, 11).date()
    first, last = datetime(1776, 7, 4).date(), datetime(9999, 12, 31).date()
    every = economy.believed(series, first, last, today)
    assert max(row.since for row in every) <= today and {row.since for row in every} == set(
        economy.vintages(series, today)
    )
    assert all(row.since > row.period and row.until >= row.since for row in every)
    present = economy.believed(series, today, today, today)
    assert len(present) == len({row.period for row in every}) == len({row.period for row in present})
    newest = {row.period: row.value for row in every if row.until == last}
    assert {row.period: row.value for row in present} == newest
    assert (
        Economy(3).believed(series, today, today, today) == present != Economy(4).believed(series, today, today, today)
    )


async def test_a_source_without_a_floor_has_its_coins_alone(tmp_path):
    trades = [(0, 1, 6_000_000, 10, 0, 0, 1), (0, 2, 6_100_000, 10, 61_000, 0, 2)]
    clock = ManualClock(NOON)
    async with served(Script(trades), clock) as exchange:
        await passed(exchange, clock, 200)
        price = await ask(exchange, "/coingecko/api/v3/simple/price", ids="bitcoin,solana", vs_currencies="usd")
        share = await ask(exchange, "/yahoo/v8/finance/chart/AAPL")
        rates = await ask(exchange, "/frankfurter/v2/rates", base="EUR", quotes="USD")
        series = await ask(
            exchange, "/fred/fred/series/observations", series_id="GDP", api_key="a" * 32, file_type="json"
        )
    assert price.json() == {"bitcoin": {"usd": 61_000}} and share.status_code == 404
    assert rates.json()[0]["quote"] == "USD" and series.json()["count"] > 100


def test_an_exchange_that_speaks_as_binance_alone_loads_no_calendar():
    code = """
import asyncio, sys
from tickhouse.exchange import run
import httpx
async def main():
    async with run.open({"port": 0, "symbols": 3}) as exchange:
        async with httpx.AsyncClient(base_url=exchange.url) as http:
            assert (await http.get("/api/v3/ticker/price")).status_code == 200
    print(*sys.modules)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"exchange_calendars", "pandas", "tickhouse.exchange.yahoo"} & set(done.stdout.split())
