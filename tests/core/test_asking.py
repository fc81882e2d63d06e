"""What people write becomes a query; what cannot be is said."""

from datetime import UTC, datetime

import pytest

from tickhouse.core.asking import explain, listed, question
from tickhouse.core.errors import BadQuery, BadSetting, NoData, UnknownSymbol

ROWS = [
    {"symbol": "BTC-USDT", "intervals": ["1m", "5m"]},
    {"symbol": "BTC-USDT", "intervals": ["1d", "1m"]},
    {"symbol": "NEW", "intervals": []},
]


@pytest.mark.parametrize(
    "given",
    ["sma(20),rsi(14)", "sma(20) rsi(14)", " sma(20) , rsi(14) ", ["sma(20)", "rsi(14)"], ("sma(20),rsi(14)",)],
)
def test_names_are_apart_by_commas_or_blanks(given):
    assert listed(given) == ["sma(20)", "rsi(14)"]


def test_what_is_inside_brackets_stays_together():
    assert listed("bollinger(20, 2) macd(12,26,9).signal") == ["bollinger(20, 2)", "macd(12,26,9).signal"]
    assert listed("") == listed(" , ") == []


def test_a_question_has_canonical_symbols_and_times_in_microseconds():
    query = question(
        10_000_000, ["btc/usdt", "Aapl"], start="-5s", end=datetime(1970, 1, 1, 0, 1, tzinfo=UTC), as_of="now", interval="5m"
    )  # fmt: skip
    assert (query.symbols, query.start, query.end, query.as_of) == (
        ("BTC-USDT", "AAPL"),
        5_000_000,
        60_000_000,
        10_000_000,
    )
    assert question(0).symbols == ()


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"symbols": "no symbol!"}, BadSetting), ({"start": "soon"}, BadSetting), ({"interval": "7x"}, BadSetting),
        ({"start": "1970-01-02", "end": "1970-01-02"}, BadQuery),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(given, kind):
    with pytest.raises(kind):
        question(0, **given)


def test_an_empty_answer_is_explained_by_what_there_is():
    with pytest.raises(UnknownSymbol, match="did you mean BTC-USDT"):
        explain(ROWS, "BTCUSDT")
    with pytest.raises(UnknownSymbol, match="there are BTC-USDT, NEW"):
        explain(ROWS, "XYZ")
    with pytest.raises(UnknownSymbol, match="there are A, B, C, D, E, F, G, H and 2 more"):
        explain([{"symbol": name, "intervals": []} for name in "ABCDEFGHIJ"], "XYZ")
    with pytest.raises(UnknownSymbol, match="empty so far"):
        explain([], "XYZ")
    with pytest.raises(NoData, match="it has 1m, 5m, 1d"):
        explain(ROWS, "BTC-USDT", "7m")
    explain(ROWS, "BTC-USDT", "1d")
    explain(ROWS, "NEW", "1m")
