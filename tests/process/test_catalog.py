"""Texts of settings become indicators and detectors, and every mistake is named."""

import pytest

from tickhouse.core.errors import BadSetting, UnknownName
from tickhouse.process import sale_conditions
from tickhouse.process.catalog import detector, indicator, names_of


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("sma(20)", "sma(20)"), ("sma", "sma(20)"), (" sma( 5 ) ", "sma(5)"), ("ema(9,seed=first)", "ema(9,seed=first)"),
        ("ema(9, seed = sma)", "ema(9)"), ("ema(seed=first, period=3)", "ema(3,seed=first)"), ("ema(9,first)", "ema(9,seed=first)"),
        ("bollinger(20,2)", "bollinger(20,2)"), ("bollinger(20,2.50)", "bollinger(20,2.5)"), ("macd", "macd(12,26,9)"),
        ("rsi(14)", "rsi(14)"), ("vwap", "vwap"), ("vwap()", "vwap"), ("bollinger(20,0.1234567891)", "bollinger(20,0.1234567891)"),
    ],
)  # fmt: skip
def test_a_text_and_its_label(text: str, label: str) -> None:
    assert indicator(text).label == label
    assert indicator(label) == indicator(text)


def test_detectors_have_labels_too() -> None:
    assert detector("volume(10,2.5)").label == "volume(10,2.5)"
    assert names_of([indicator("vwap"), indicator("macd")])[1] == "macd(12,26,9).macd"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sma(x)", "sma(x): period: got 'x', expected a whole number"), ("sma(2.5)", "a whole number"),
        ("sma(0)", "from 1 to 10000"),
        ("sma(20,3)", "the parameters of sma(period)"), ("sma(20,period=3)", "each once"), ("ema(20,seed=last)", "sma or first"),
        ("bollinger(20,-1)", "above 0"), ("bollinger(20,nan)", "above 0"), ("macd(26,12)", "less than slow"),
        ("vwap(3)", "no parameters"),
        ("sma(", "such as sma(20)"), ("", "such as sma(20)"), ("../sma", "such as sma(20)"), ("rsi(1)", "from 2"),
        ("bollinger(20,wide=2)", "bollinger(period, deviations)"), ("sma(,)", "a whole number"), ("sma(99999)", "10000"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(text: str, says: str) -> None:
    with pytest.raises(BadSetting) as error:
        indicator(text)
    assert says in str(error.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean 'bollinger'"):
        indicator("bolinger(20)")
    with pytest.raises(UnknownName, match="known: returns, volume"):
        detector("sma(20)")
    with pytest.raises(UnknownName):
        indicator("_sma(20)")


def test_sale_conditions_are_versioned_data() -> None:
    rule = sale_conditions.load("us-equities")
    assert rule.no_price == {"20", "20000020", "20040200", "20100000", "20100200"}
    assert (rule.name, rule.version, rule.no_volume) == ("us-equities", 1, frozenset())
    with pytest.raises(UnknownName, match="us-equities"):
        sale_conditions.load("us-equity")
    with pytest.raises(UnknownName):
        sale_conditions.load("../conditions/us-equities")
