"""Frankfurter on answers that others captured; what other providers of currencies answer is never taken for its own."""

from pathlib import Path

import pytest

from tests.feeds.asking import quotes, read
from tests.feeds.recorded import answer, index
from tickhouse.core.errors import TickhouseError, UnknownSymbol
from tickhouse.feeds import frankfurter

RATES = {
    "frankfurter/v2_rates_EUR_2026-09-13.json": (
        "rates", 1789257600_000000,
        [("EUR-CHF", 0.94385), ("EUR-GBP", 0.8584), ("EUR-RUB", 98.07), ("EUR-SEK", 11.213), ("EUR-USD", 1.1618)],
    ),
    "frankfurter/v1_latest_EUR_2026-09-18.json": (
        "latest", 1789689600_000000, [("EUR-USD", 1.146), ("EUR-TRY", 55.9077), ("EUR-GBP", 0.8588)],
    ),
}  # fmt: skip
REFUSED = "errors/frankfurter_v2_422_invalid_currency.json"
OTHERS = (
    "bankofcanada/recent.json", "csv/truefx_usdjpy_ticks.csv", "ecb/eurofxref-hist-partial.xml",
    "errors/exchangerate_host_200_missing_key.json", "exchangerate_api/v6_pair_USD_MXN_2025-05-13.json",
    "open_er_api/latest_GBP_2026-03-02.json",
)  # fmt: skip


def test_every_recording_is_tested(recordings: Path) -> None:
    assert set(index(recordings, "forex")) == {*RATES, REFUSED, *OTHERS}


@pytest.mark.parametrize("name", RATES)
def test_rates(recordings: Path, name: str) -> None:
    channel, time, expected = RATES[name]
    given = answer(recordings, "forex", name)
    assert frankfurter.open().classify(given) is None
    parsed = read(frankfurter.open(), channel, given.body)
    assert quotes(parsed, "symbol", "price") == expected
    assert set(quotes(parsed, "event_time")) == {(time,)}
    assert not parsed.rejects


def test_a_refusal_is_the_same_error_with_its_status_and_without(recordings: Path) -> None:
    for given in (answer(recordings, "forex", REFUSED), answer(recordings, "forex", REFUSED, status=200)):
        error = frankfurter.open().classify(given)
        assert type(error) is UnknownSymbol
        assert "XXX" in str(error)


@pytest.mark.parametrize("name", OTHERS)
def test_answers_of_other_providers_are_never_rates_of_this_one(recordings: Path, name: str) -> None:
    given = answer(recordings, "forex", name)
    error = frankfurter.open().classify(given)
    assert error is None or isinstance(error, TickhouseError)
    for channel in ("rates", "latest"):
        parsed = read(frankfurter.open(), channel, given.body)
        assert parsed.quotes is None
        assert parsed.rejects
