"""The seeded market: what is certain of every trade, and the habits of real markets in the mass."""

import itertools

import numpy as np
import pytest

from tests.exchange.talk import START
from tickhouse.core.symbols import canonical, split_pair
from tickhouse.exchange import Trades
from tickhouse.exchange._paths import daytime
from tickhouse.exchange.market import Market

HOUR = 3_600_000_000


def trades(seconds: float, start: int = START, **options) -> Trades:
    """The trades of the first seconds of a market."""
    blocks = itertools.takewhile(
        lambda block: block.time[0] < start + seconds * 1e6, Market(**options).play(start).blocks
    )
    parts = list(blocks)
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in Trades.__slots__]
    return Trades(*columns)


@pytest.fixture(scope="module")
def day() -> Trades:
    """An hour of 40 symbols."""
    return trades(3600, seed=5, symbols=40, rate=40)


def test_the_same_seed_and_start_make_the_same_trades_and_others_do_not():
    once, again = trades(20, seed=1), trades(20, seed=1)
    assert all(np.array_equal(getattr(once, name), getattr(again, name)) for name in Trades.__slots__)
    for other in (trades(20, seed=2), trades(20, seed=1, start=START + HOUR)):
        assert not np.array_equal(once.price[:500], other.price[:500])


def test_ids_are_gapless_and_time_never_goes_back(day):
    assert (np.diff(day.time) >= 0).all()
    for code in np.unique(day.code):
        rows = day.code == code
        assert (np.diff(day.id[rows]) == 1).all()
        assert set(np.diff(day.order[rows]).tolist()) <= {0, 1}


def test_fills_of_an_aggregate_share_time_price_and_side(day):
    by = np.lexsort((day.id, day.code))
    same = (np.diff(day.code[by]) == 0) & (np.diff(day.order[by]) == 0)
    assert same.sum() > 1000
    for column in (day.time, day.price, day.maker):
        assert (np.diff(column[by].astype(np.int64))[same] == 0).all()


def test_times_are_whole_milliseconds_and_numbers_are_positive(day):
    assert (day.time % 1000 == 0).all()
    assert (day.price > 0).all() and (day.quantity > 0).all()


def test_symbols_are_spelled_as_on_binance_and_read_back():
    listed = Market(symbols=600).instruments
    assert len({one.symbol for one in listed}) == 600
    assert [one.symbol for one in listed[:6]] == ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"]
    for one in listed:
        assert one.symbol == one.base + one.quote == one.symbol.upper()
        assert canonical(split_pair(one.symbol)) == f"{one.base}-{one.quote}"
        assert one.price_decimals + one.quantity_decimals <= 8


def test_a_few_symbols_have_most_trades(day):
    counts = np.sort(np.bincount(day.code, minlength=40))[::-1]
    assert counts[:4].sum() > 0.4 * counts.sum()
    assert counts[-1] > 0


def test_rate_is_met_on_the_mean_of_a_day_and_the_day_is_uneven():
    moments = START + np.arange(0, 24, 0.25) * HOUR
    shape = [daytime(int(at)) for at in moments]
    assert np.mean(shape) == pytest.approx(1, abs=0.01)
    assert max(shape) > 1.4 and min(shape) < 0.7
    assert len(trades(60, rate=500)) == pytest.approx(500 * 60 * daytime(START), rel=0.1)


def minutes(day: Trades, code: int, seconds: int = 60) -> np.ndarray:
    """Logarithmic returns of one symbol by minute."""
    rows = day.code == code
    grid = START + np.arange(1, 3600 // seconds) * seconds * 1_000_000
    place = np.searchsorted(day.time[rows], grid, "right") - 1
    return np.diff(np.log(day.price[rows][np.maximum(place, 0)]))


def test_returns_are_correlated(day):
    btc, eth, sol = (minutes(day, code, 30) for code in (0, 1, 3))
    assert np.corrcoef(btc, eth)[0, 1] > 0.3
    assert np.corrcoef(eth, sol)[0, 1] > 0.3


def test_large_moves_follow_large_moves_and_tails_are_heavy():
    """Over four days of thirty assets: absolute returns are autocorrelated, kurtosis is above the normal one."""
    from tickhouse.exchange._paths import STEPS, Paths
    from tickhouse.exchange.instruments import assets

    paths = Paths(assets(), np.random.default_rng(4))
    values = np.array([paths.advance(60.0, 1.0)[STEPS] for _ in range(4 * 1440)])
    returns = np.diff(values, axis=0)[:, :30]
    size = np.abs(returns)
    echo = [np.corrcoef(size[:-5, one], size[5:, one])[0, 1] for one in range(30)]
    kurtosis = (returns**4).mean(0) / (returns**2).mean(0) ** 2
    assert np.median(echo) > 0.05
    assert np.median(kurtosis) > 3.5


def test_pairs_agree_with_each_other(day):
    """ETHBTC is ETHUSDT over BTCUSDT: nobody can earn by going round."""
    names = {one.symbol: (code, one) for code, one in enumerate(Market(symbols=40).instruments)}
    last = {}
    for symbol in ("BTCUSDT", "ETHUSDT", "ETHBTC"):
        code, one = names[symbol]
        last[symbol] = day.price[day.code == code][-1] / 10**one.price_decimals
    assert last["ETHBTC"] == pytest.approx(last["ETHUSDT"] / last["BTCUSDT"], rel=0.01)


def test_sizes_are_round_or_odd(day):
    quantity = day.quantity[(day.code == 0) & (day.quantity >= 100)]
    digits = 10 ** np.floor(np.log10(quantity)).astype(np.int64)
    assert 0.15 < (quantity % digits == 0).mean() < 0.5


def test_the_past_ends_where_the_market_begins():
    market = Market(seed=2, symbols=3, rate=50)
    market.play(START + 90_000_000)
    past = market.past(0)
    assert len(past) == 1440 and past.start[-1] == START
    assert past.close[-1] == market.instruments[0].first_price
    assert (past.high >= np.maximum(past.open, past.close)).all() and (
        past.low <= np.minimum(past.open, past.close)
    ).all()
    assert np.array_equal(past.close, market.past(0).close)
