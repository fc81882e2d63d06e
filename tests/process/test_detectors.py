"""The detectors equal their definitions, and judge each bar by the bars before it alone."""

import math

import numpy as np
import pytest

from tests.process.shelf import walk
from tickhouse.core.kernels.window import deviation_reference, mean_reference
from tickhouse.process.catalog import apply, detector, indicator


def test_returns_are_judged_by_the_volatility_of_the_bar_before() -> None:
    bars = walk(np.random.default_rng(5), 500)
    bars["close"][300:] *= 1.5
    verdict, volatility = apply(detector("returns(20,3)"), **bars), apply(indicator("volatility(20)"), **bars)["value"]
    assert np.isnan(verdict["value"][:21]).all() and np.isnan(verdict["threshold"][:21]).all()
    assert verdict["threshold"][21:].tobytes() == (3 * volatility[20:-1]).tobytes()
    np.testing.assert_allclose(verdict["value"][21:], np.log(bars["close"][21:] / bars["close"][20:-1]), rtol=1e-14)
    found = np.flatnonzero(np.abs(verdict["value"]) > verdict["threshold"])
    assert 300 in found and 301 not in found


def test_volume_is_judged_by_the_bars_before() -> None:
    bars = walk(np.random.default_rng(6), 200)
    bars["volume"][150] = 500
    verdict = apply(detector("volume(20,3)"), **bars)
    assert np.isnan(verdict["value"][:20]).all() and not np.isnan(verdict["value"][20])
    for i in (20, 21, 150, 199):
        before = bars["volume"][i - 20 : i].tolist()
        assert verdict["value"][i] == pytest.approx(bars["volume"][i] - mean_reference(before), rel=1e-12)
        assert verdict["threshold"][i] == pytest.approx(3 * deviation_reference(before, 0), rel=1e-12)
    assert abs(verdict["value"][150]) > verdict["threshold"][150]


def test_equal_volumes_are_no_anomaly() -> None:
    verdict = apply(detector("volume(20,3)"), volume=np.full(50, 0.1))
    assert not (np.abs(verdict["value"]) > verdict["threshold"]).any()


def test_the_anomalies_are_those_of_the_plain_definition() -> None:
    """A loop over Python lists, as a person would write the rule down."""
    random = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(random.standard_t(2, 2000) * 1e-3))
    expected, returns = [], []
    for i in range(1, len(close)):
        r = math.log(close[i] / close[i - 1])
        if len(returns) >= 20 and abs(r) > 3 * deviation_reference(returns[-20:], 1):
            expected.append(i)
        returns.append(r)
    verdict = apply(detector("returns(20,3)"), close=close)
    assert np.flatnonzero(np.abs(verdict["value"]) > verdict["threshold"]).tolist() == expected
    assert len(expected) > 20
