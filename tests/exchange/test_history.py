"""The history: bars equal a plain loop over the trades, pages are cut at what can be seen, memory is bounded."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.exchange.talk import START, Script
from tickhouse.core.errors import BadSetting
from tickhouse.exchange.history import History
from tickhouse.exchange.klines import edges_between, floor_to, next_after
from tickhouse.exchange.market import Market

MINUTE = 60_000_000
ROW = st.tuples(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(0, 400_000), st.booleans())


def filled(source) -> History:
    """A history that has seen everything a script holds."""
    history = History(source)
    for block in source.play(START).blocks:
        history.add(block)
    history.visible = 2**62
    return history


@settings(max_examples=tried(60), deadline=None)
@given(st.lists(ROW, max_size=40), st.sampled_from(["1s", "1m", "5m"]))
def test_bars_equal_a_plain_loop(rows, interval):
    rows = sorted(rows, key=lambda row: row[2])
    script = Script([(0, 100 + n, price, size, ms, maker, n) for n, (price, size, ms, maker) in enumerate(rows)])
    bars = filled(script).bars("BTC-USDT", interval, START, START + 10 * MINUTE)
    expected = {}
    for n, (price, size, ms, _) in enumerate(rows):
        expected.setdefault(floor_to(START + ms * 1000, interval), []).append((price, size, 100 + n))
    assert [bar["start"] for bar in bars] == sorted(expected)
    for bar in bars:
        trades = expected[bar["start"]]
        prices = [price for price, *_ in trades]
        assert (bar["open"], bar["close"]) == (prices[0] / 100, prices[-1] / 100)
        assert (bar["high"], bar["low"]) == (max(prices) / 100, min(prices) / 100)
        assert bar["volume"] == float(Decimal(sum(size for _, size, _ in trades)) / 10**5)
        money = sum(price * size for price, size, _ in trades)
        assert bar["vwap"] == pytest.approx(money / sum(size for _, size, _ in trades) / 100, rel=1e-12)
        assert (bar["trades"], bar["first_id"], bar["last_id"]) == (len(trades), trades[0][2], trades[-1][2])


def test_money_beyond_64_bits_is_exact():
    history = filled(Script([(0, 1, 10**15, 10**15, 0, 0, 1), (0, 2, 10**15, 10**15 + 1, 5, 0, 2)]))
    bars = history.klines(0, np.array([START, START + MINUTE]))
    assert bars.quote[0] == 10**15 * (2 * 10**15 + 1)


@pytest.mark.parametrize(
    ("interval", "moment", "start", "end"),
    [
        ("1w", "2026-01-01T12:00", "2025-12-29", "2026-01-05"),
        ("1M", "2026-02-10T00:00", "2026-02-01", "2026-03-01"),
        ("1h", "2026-02-10T05:59", "2026-02-10T05:00", "2026-02-10T06:00"),
    ],
)
def test_bars_begin_where_the_calendar_says(interval, moment, start, end):
    from tickhouse.core.times import instant

    assert floor_to(instant(moment, 0), interval) == instant(start, 0)
    assert next_after(instant(start, 0), interval) == instant(end, 0)


def test_months_are_edges():
    edges = edges_between(floor_to(START, "1M"), START + 100 * 24 * 60 * MINUTE, "1M", 100)
    assert len(edges) == 5


def test_nothing_is_seen_before_its_time():
    history = History(Script([(0, n, 100, 1, n * 10, 0, n) for n in range(1, 11)]))
    for block in history.source.play(START).blocks:
        history.add(block)
    history.visible = START + 50_000
    assert history.columns(0).id.tolist() == [1, 2, 3, 4, 5]
    assert len(history.truth()) == history.seen() == 5


def test_the_oldest_is_forgotten_and_counted():
    market = Market(seed=1, symbols=5, rate=20_000)
    history = History(market, keep=100_000)
    made = 0
    for block in market.play(START).blocks:
        history.add(block)
        history.visible = int(block.time[-1])
        made += len(block)
        if made > 500_000:
            break
    truth = history.truth()
    assert history.seen() == made and truth.forgotten == made - len(truth)
    assert 60_000 < len(truth) <= 100_000 + (1 << 16)
    assert truth.time.min() > START


def test_past_bars_and_trades_join_in_one_day():
    market = Market(seed=1, symbols=2, rate=100)
    history = History(market)
    for block in market.play(START + 30 * MINUTE).blocks:
        history.add(block)
        if block.time[-1] > START + 32 * MINUTE:
            break
    history.visible = START + 32 * MINUTE
    day = history.klines(0, np.array([floor_to(START, "1d"), next_after(START, "1d")]))
    minutes = history.klines(0, edges_between(START, START + 31 * MINUTE, "1m", 100))
    assert day.volume[0] == minutes.volume.sum() and day.trades[0] == minutes.trades.sum()
    assert day.open[0] == minutes.open[0] and day.high[0] == minutes.high.max()
    assert day.last[0] == history.columns(0).id[-1]


def test_an_unknown_symbol_is_a_bad_setting():
    with pytest.raises(BadSetting, match="symbol"):
        filled(Script([])).bars("NOPE", "1m", START, START + MINUTE)
