"""Every indicator equals its definition, and going on equals starting over."""

import itertools
import math

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.examples import tried
from tests.process.shelf import DAY, MINUTE, T0, Columns, walk
from tickhouse.core import plugins
from tickhouse.core.kernels import objects, window
from tickhouse.core.settings import INDICATORS
from tickhouse.process import Detector, Indicator
from tickhouse.process.catalog import apply, default_indicators, detector, indicator

EVERY = [
    *INDICATORS,
    "ema(20,seed=first)",
    "sma(1)",
    "ema(1)",
    "bollinger(5,1.5)",
    "volatility(2)",
    "rsi(2)",
    "macd(3,5,4)",
    "atr(1)",
]


@pytest.fixture
def bars() -> Columns:
    """400 one-minute bars of a price walk."""
    return walk(np.random.default_rng(1), 400)


def values(text: str, bars: Columns) -> dict[str, NDArray[np.float64]]:
    return apply(indicator(text), **bars)


def same(ours: NDArray[np.float64], theirs: NDArray[np.float64], rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=0, equal_nan=True)


@pytest.mark.parametrize("period", [2, 3, 20, 50])
def test_moving_averages_bands_rsi_and_atr_equal_ta_lib(bars: Columns, period: int) -> None:
    high, low, close = bars["high"], bars["low"], bars["close"]
    same(values(f"sma({period})", bars)["value"], talib.SMA(close, period))
    same(values(f"ema({period})", bars)["value"], talib.EMA(close, period))
    same(values(f"rsi({period})", bars)["value"], talib.RSI(close, period))
    same(values(f"atr({period})", bars)["value"], talib.ATR(high, low, close, period))
    bands = values(f"bollinger({period},2)", bars)
    for name, theirs in zip(("upper", "middle", "lower"), talib.BBANDS(close, period, 2, 2), strict=True):
        same(bands[name], theirs, rtol=1e-7)


@pytest.mark.parametrize("lengths", [(12, 26, 9), (3, 5, 4), (5, 35, 5), (2, 3, 1)])
def test_macd_equals_ta_lib_from_its_first_value_on(bars: Columns, lengths: tuple[int, int, int]) -> None:
    ours = values(f"macd({lengths[0]},{lengths[1]},{lengths[2]})", bars)
    for name, theirs in zip(("macd", "signal", "histogram"), talib.MACD(bars["close"], *lengths), strict=True):
        np.testing.assert_allclose(ours[name], theirs, rtol=1e-9, atol=1e-12, equal_nan=True)


@given(st.lists(st.sampled_from([-0.5, 0.0, 0.0, 0.25, 1.0]), min_size=3, max_size=80), st.integers(2, 15))
@settings(max_examples=tried(60), deadline=None)
def test_flat_and_stepping_prices_equal_ta_lib(steps: list[float], period: int) -> None:
    close = 50 + np.cumsum(np.array(steps))
    bars = {"close": close, "high": close + 0.5, "low": close - 0.5}
    np.testing.assert_allclose(values(f"rsi({period})", bars)["value"], talib.RSI(close, period), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(values(f"ema({period})", bars)["value"], talib.EMA(close, period), rtol=1e-9)
    same(values(f"atr({period})", bars)["value"], talib.ATR(bars["high"], bars["low"], close, period))


def test_ema_seeded_with_the_first_close_is_never_absent(bars: Columns) -> None:
    close, alpha = bars["close"].tolist(), 2 / 21
    expected = close[:1]
    for price in close[1:]:
        expected.append(alpha * price + (1 - alpha) * expected[-1])
    same(values("ema(20,seed=first)", bars)["value"], np.array(expected))


def test_bands_and_volatility_equal_exact_sums(bars: Columns) -> None:
    """The job's definitions with correctly rounded sums: population deviation of closes, sample deviation of log returns."""
    close = bars["close"].tolist()
    returns = [math.log(b / a) for a, b in itertools.pairwise(close)]
    bands, volatility = values("bollinger(20,2)", bars), values("volatility(20)", bars)["value"]
    assert np.isnan(bands["middle"][:19]).all() and np.isnan(volatility[:20]).all()
    for i in range(19, len(close)):
        last = close[i - 19 : i + 1]
        reach = 2 * window.deviation_reference(last, 0)
        assert bands["upper"][i] == pytest.approx(window.mean_reference(last) + reach, rel=1e-13)
        assert bands["lower"][i] == pytest.approx(window.mean_reference(last) - reach, rel=1e-13)
        if i >= 20:
            assert volatility[i] == pytest.approx(window.deviation_reference(returns[i - 20 : i], 1), rel=1e-12)


def test_windows_keep_their_digits_where_running_sums_lose_them() -> None:
    """A million added to every close changes no digit of the deviation that was representable."""
    close = 1e6 + np.tile([0.0, 0.25, 0.5, 0.25], 50)
    bands = values("bollinger(4,2)", {"close": close})
    assert set((bands["upper"] - bands["lower"])[3:].round(9)) == {round(4 * math.sqrt(0.03125), 9)}
    assert set(values("bollinger(20,2)", {"close": np.full(60, 0.1)})["upper"][19:]) == {0.1}


def test_vwap_begins_anew_each_utc_day_and_skips_bars_without_volume() -> None:
    bars = walk(np.random.default_rng(2), 3000)
    bars["volume"][[0, 7, 1440]] = 0
    bars["vwap"][[7, 9]] = np.nan
    ours = values("vwap", bars)["value"]
    price = np.where(np.isnan(bars["vwap"]), (bars["high"] + bars["low"] + bars["close"]) / 3, bars["vwap"])
    for i in [0, 1, 8, 9, 1439, 1440, 1441, 2999]:
        today = slice(i - i % 1440, i + 1)
        volume = bars["volume"][today]
        expected = math.fsum(price[today] * volume) / math.fsum(volume) if volume.sum() else math.nan
        assert ours[i] == pytest.approx(expected, rel=1e-13, nan_ok=True)
    assert T0 % DAY == 0


def test_vwap_and_ranges_work_before_1970() -> None:
    bars = walk(np.random.default_rng(3), 10, begin=-3 * DAY - 5 * MINUTE)
    ours = values("vwap", bars)["value"]
    assert ours[5] == pytest.approx(bars["vwap"][5], rel=1e-15)


@pytest.mark.parametrize("text", EVERY)
@given(data=st.data())
@settings(max_examples=tried(12), deadline=None)
def test_chunks_and_interleaved_series_give_the_whole_bit_for_bit(text: str, data: st.DataObject) -> None:
    one, seed = indicator(text), data.draw(st.integers(0, 1000))
    random = np.random.default_rng(seed)
    series = [walk(random, n, begin=T0 - 30 * MINUTE) for n in (90, 60, 75)]
    rows = random.permutation(np.repeat([0, 1, 2], [90, 60, 75]))
    place = np.array([np.count_nonzero(rows[:i] == r) for i, r in enumerate(rows)])
    mixed = {name: np.array([series[r][name][p] for r, p in zip(rows, place, strict=True)]) for name in series[0]}
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    ours = np.concatenate(fed(one, rows, mixed, [0, *cuts, len(rows)]))
    for r, alone in enumerate(series):
        whole = np.column_stack(list(apply(one, **alone).values()))
        assert ours[rows == r].tobytes() == whole.tobytes()


def fed(one: Indicator, rows: NDArray[np.int64], bars: Columns, cuts: list[int]) -> list[NDArray[np.float64]]:
    """The outputs of calls cut at those places."""
    state = np.zeros((3, one.width))
    parts = [slice(a, b) for a, b in itertools.pairwise(cuts)]
    return [one.update(state, rows[part], {name: values[part] for name, values in bars.items()}) for part in parts]


@pytest.mark.parametrize("text", EVERY)
def test_the_state_forgets_how_it_came_about(text: str) -> None:
    """Windows hold the same bits whatever came before them, so two histories that end alike end in the same window."""
    one, random = indicator(text), np.random.default_rng(4)
    tail, state = walk(random, 300), np.zeros((2, one.width))
    for row, n in enumerate((17, 40)):
        start = walk(random, n, begin=T0 - 100 * MINUTE)
        bars = {name: np.concatenate((start[name], tail[name])) for name in tail}
        one.update(state, np.full(n + 300, row), bars)
    np.testing.assert_allclose(state[0], state[1], rtol=1e-6)


MEMBERS = [*map(indicator, EVERY), *map(detector, ("returns(20,3)", "returns(2,1)", "volume(20,3)", "volume(1,3)"))]


@pytest.mark.parametrize("one", [one for one in MEMBERS if one.memory is not None], ids=lambda one: one.label)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 120))
@settings(max_examples=tried(40), deadline=None)
def test_memory_is_how_many_of_the_newest_bars_decide_the_state(one: Indicator | Detector, seed: int, n: int) -> None:
    """Fed no more than these it has the same bits and goes on with the same values; fed one bar less it has not."""
    random = np.random.default_rng(seed)
    bars = walk(random, n + 30)
    bars["close"][random.random(n + 30) < random.choice([0.0, 0.1])] = 0.0

    def after(first: int) -> tuple[bytes, bytes]:
        state = np.zeros((1, one.width))
        parts = [{name: values[a:b] for name, values in bars.items()} for a, b in ((first, n), (n, n + 30))]
        values = [(one.update(state, np.zeros(len(part["close"]), np.int64), part), state.tobytes()) for part in parts]
        return values[0][1], values[1][0].tobytes()

    assert one.memory is not None
    assert after(max(0, n - one.memory)) == after(0)
    assert n < one.memory or after(n - one.memory + 1) != after(0)


def test_averages_that_never_forget_have_no_memory_of_a_few_bars(bars: Columns) -> None:
    for text in ("ema(20)", "rsi(14)", "macd(12,26,9)", "atr(14)", "vwap"):
        one, states = indicator(text), np.zeros((2, indicator(text).width))
        one.update(states[:1], np.zeros(400, np.int64), bars)
        one.update(states[1:], np.zeros(200, np.int64), {name: values[200:] for name, values in bars.items()})
        assert one.memory is None and states[0].tobytes() != states[1].tobytes()


def test_a_close_of_zero_has_no_return_after_it() -> None:
    """Bands of bars that know no return are absent, and come back when it is forgotten."""
    close = 100 + np.arange(40.0)
    close[[0, 10, 11]] = 0
    volatility = values("volatility(3)", {"close": close})["value"]
    assert np.flatnonzero(~np.isnan(volatility)).tolist() == [*range(4, 10), *range(15, 40)]


def test_there_is_a_test_for_every_indicator_and_every_default_is_one() -> None:
    assert {text.partition("(")[0] for text in EVERY} == set(plugins.names("process.indicators"))
    judges = {one.label.partition("(")[0] for one in MEMBERS[len(EVERY) :]}
    assert judges == set(plugins.names("process.detectors"))
    assert [one.label for one in default_indicators()] == list(INDICATORS)


@given(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=30), st.integers(0, 20))
@settings(max_examples=tried(60), deadline=None)
def test_window_kernels_equal_their_references(values: list[float], before: int) -> None:
    size, state = len(values), np.zeros(2 + len(values))
    full = [window.push(state, 1, size, x) for x in [7.0] * before + values]
    assert full[-1] and sum(full) == before + 1
    middle = window.mean(state, 1, size)
    scale = max(map(abs, values))
    assert middle == pytest.approx(window.mean_reference(values), rel=1e-12, abs=1e-15 * scale)
    deviation = window.deviation(state, 1, size, middle, 1)
    assert deviation == pytest.approx(window.deviation_reference(values, 1), rel=1e-9, abs=1e-14 * scale)


@given(st.lists(st.lists(st.floats(), min_size=3, max_size=3), min_size=1, max_size=20))
@settings(max_examples=tried(60), deadline=None)
def test_json_rows_equal_one_dictionary_a_row(rows: list[list[float]]) -> None:
    names = ['a"b', "é", "c"]
    values = np.array(rows)
    assert objects.objects(names, values).to_pylist() == objects.objects_reference(names, values)


def test_json_of_many_rows_and_of_none() -> None:
    values = np.arange(3.0 * (objects.ROWS + 5)).reshape(-1, 3)
    assert objects.objects(["x", "y", "z"], values).to_pylist() == objects.objects_reference(["x", "y", "z"], values)
    assert objects.objects(["x"], np.empty((0, 1))).to_pylist() == []
