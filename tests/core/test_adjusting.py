"""Factors for splits and dividends against a loop over days, and against prices that a provider adjusted itself."""

import csv
from itertools import takewhile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.adjusting import Events, adjusted, adjustment, dividend_factors, split_factors
from tickhouse.core.errors import BadSetting
from tickhouse.core.model import BAR

LENGTH = 40


def events(found: dict[int, float]) -> Events:
    days = np.array(sorted(found), np.int64)
    return Events(days, np.array([found[day] for day in days.tolist()], np.float64), days)


def walked(closes: list[float], ratios: dict[int, float], paid: dict[int, float]) -> list[float]:
    """The adjusted closes of prices as traded, day by day backwards."""
    found, split, factor = [], 1.0, 1.0
    for day in reversed(range(len(closes))):
        found.append(closes[day] * split * factor)
        if day in paid and day and paid[day] < closes[day - 1] / ratios.get(day, 1.0):
            factor *= 1 - paid[day] / (closes[day - 1] / ratios.get(day, 1.0))
        split /= ratios.get(day, 1.0)
    return found[::-1]


DAYS = st.integers(0, LENGTH - 1)


@settings(max_examples=tried(100))
@given(
    st.lists(st.floats(1, 1000), min_size=LENGTH, max_size=LENGTH),
    st.dictionaries(DAYS, st.sampled_from([0.1, 0.5, 1.5, 2.0, 7.0]), max_size=4),
    st.dictionaries(DAYS, st.floats(0.01, 20), max_size=6),
)
def test_factors_are_those_of_a_walk_backwards_from_the_newest_day(closes, ratios, paid):
    day, close = np.arange(LENGTH), np.array(closes)
    splits, dividends = events(ratios), events(paid)
    factor = split_factors(day, splits) * dividend_factors(day, dividends, splits, Events(day, close, day))
    np.testing.assert_allclose(close * factor, walked(closes, ratios, paid), rtol=1e-12)


def test_a_price_that_has_a_split_in_it_is_not_split_again():
    """As of a provider that states old prices in the shares of the day on which it answers."""
    split, day, asked = events({20: 4.0}), np.array([10, 10]), np.array([10, 25])
    assert split_factors(asked, split).tolist() == [0.25, 1.0]
    paid, stated = np.array([15]), Events(np.array([15]), np.array([0.2]), np.array([25]))
    both = [
        dividend_factors(day, dividends, split, Events(paid - 1, np.array([close]), np.array([counted])))
        for dividends, close, counted in ((events({15: 0.8}), 40.0, 14), (stated, 10.0, 25), (stated, 40.0, 14))
    ]
    assert [factor.tolist() for factor in both] == [[0.98, 0.98]] * 3


def test_prices_and_volume_change_and_nothing_else():
    row = dict.fromkeys(BAR.names) | {"open": 1.0, "high": 4.0, "low": 1.0, "close": 2.0, "volume": 10.0, "trades": 3}
    table = pa.Table.from_pylist([row], schema=BAR)
    assert adjusted(table, np.array([0.25]), np.array([4.0])).to_pylist() == [
        row | {"open": 0.25, "high": 1.0, "low": 0.25, "close": 0.5, "volume": 40.0}
    ]
    with pytest.raises(BadSetting, match="none, splits or all"):
        adjustment("dividends")


@pytest.mark.parametrize(("symbol", "count"), [("AAPL", 2), ("NVDA", 4)])
def test_prices_as_traded_are_split_as_their_provider_did(recordings: Path, symbol: str, count: int):
    """Alpha Vantage gives its own adjusted close beside close and split of each day; here until the first dividend, since it takes
    dividends as reinvested at the close of their ex-date, which is another formula."""
    with (recordings / "alpha_vantage" / "daily_adjusted_full" / f"{symbol}.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["timestamp"])
    rows = list(takewhile(lambda row: float(row["dividend_amount"]) == 0, rows))
    day, close = np.arange(len(rows)), np.array([float(row["close"]) for row in rows])
    splits = {n: float(row["split_coefficient"]) for n, row in enumerate(rows) if float(row["split_coefficient"]) != 1}
    assert len(splits) == count
    theirs = np.array([float(row["adjusted_close"]) for row in rows])
    found = close * split_factors(day, events(splits))
    np.testing.assert_allclose(found / close[-1], theirs / theirs[-1], rtol=2e-4)
