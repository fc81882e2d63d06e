"""Whatever Alpha Vantage sends becomes rows, control or a reason, and no refusal is ever shown."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.feeds.alpha_vantage_messages import DAY, adjusted, body, series
from tests.feeds.changed import changed, places
from tests.feeds.samples_alpha_vantage import GOOD
from tests.feeds.sound import LATER, sound
from tickhouse.core.batches import Parsed
from tickhouse.core.model import Kind
from tickhouse.core.requests import Answer
from tickhouse.feeds import alpha_vantage
from tickhouse.feeds._alpha_vantage_answers import REFUSALS
from tickhouse.feeds._alpha_vantage_economic import SERIES, series_params
from tickhouse.feeds._alpha_vantage_values import number

FEED = alpha_vantage.open()
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "-",
    "NaN",
    "1e999",
    "1_0",
    "٣",
    [],
    {},
    {"1. open": 1},
    "\x00",
    "名",
)


def parsed(channel: str, payload: bytes) -> Parsed:
    """Parses and holds what holds for every message; no moment has two bars."""
    found = sound(FEED, channel, payload)
    assert found.bars is None or (np.diff(found.bars.start) > 0).all()
    return found


@pytest.mark.parametrize("channel", GOOD)
def test_any_value_in_any_place_of_an_answer(channel: str) -> None:
    for message in GOOD[channel]:
        for path in places(message):
            for value in VALUES:
                parsed(channel, body(changed(message, path, value)))


@settings(max_examples=tried(200), deadline=None)
@given(st.binary(max_size=120))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"Meta Data":' * 50_000)
def test_any_bytes(payload: bytes) -> None:
    for channel in GOOD:
        parsed(channel, payload)


@settings(max_examples=tried(100), deadline=None)
@given(st.text(max_size=12), st.text(max_size=20))
@example("٢٠٢٦-٠١-٠٢", "٣")
@example("2026-01-02", "9" * 400)
@example("2026-01-02T00:00+01", "1")
@example("NaT", "nan")
@example("0000-00-00", "-0")
def test_any_text_as_a_time_and_as_a_price(time: str, price: str) -> None:
    found = parsed("daily", body(series({"2025-12-31": DAY, time: DAY | {"4. close": price}})))
    if found.bars is not None and len(found.bars) == 2:
        assert found.bars.close[1 if found.bars.start[1] != 1_767_139_200_000_000 else 0] == float(price)


@settings(max_examples=tried(100), deadline=None)
@given(st.floats(0.01, 1e6), st.floats(0.01, 50), st.booleans())
def test_both_ways_of_reading_give_the_same_numbers(price: float, split: float, odd: bool) -> None:
    """A row that is not as usual makes all rows be read one by one; that changes none of the others."""
    rows = {"2026-01-02": adjusted("0.25", repr(split)) | {"4. close": repr(price)}}
    plain = parsed("daily_adjusted", body(series(rows)))
    slow = parsed("daily_adjusted", body(series(rows | {"2026-01-01": {"1. open": "x"}})))
    assert plain.bars is not None and slow.bars is not None and plain.actions is not None and slow.actions is not None
    for column in ("open", "high", "low", "close", "volume", "start"):
        assert getattr(plain.bars, column).tolist() == getattr(slow.bars, column).tolist()
    assert plain.bars.close.tolist() == [price]
    assert plain.actions.to_pylist() == slow.actions.to_pylist()
    assert [reject.reason for reject in slow.rejects] == ["open"]


@settings(max_examples=tried(100), deadline=None)
@given(st.sampled_from(REFUSALS), st.text(max_size=60))
def test_no_refusal_is_shown_whatever_its_words(key: str, words: str) -> None:
    secret = "Q7SECRET7Q"
    error = FEED.classify(Answer(200, {}, body({key: f"{words} {secret}"}), LATER))
    assert error is not None
    assert secret not in f"{error} {error!r} {getattr(error, 'sent', b'')!r}"
    for channel in GOOD:
        found = parsed(channel, body({key: f"{words} {secret}"}))
        assert found.kinds.tolist() == [Kind.CONTROL] and secret not in str(found.rejects)


@settings(max_examples=tried(100), deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9), st.booleans())
def test_numbers_are_those_that_are_written(value: Any, percent: bool) -> None:
    assert number({"x": f"{value}{'%' if percent else ''}"}, "x") == float(value)


def test_every_series_in_its_own_spelling_is_asked_for_as_such() -> None:
    for function, intervals in SERIES.items():
        for name in (function, *(f"{function}.{interval.upper()}" for interval in intervals)):
            spelling, params = series_params(name)
            assert (spelling, params["function"]) == (name, function)
            assert series_params(name.replace("_", "-").lower()) == (spelling, params)


def test_messages_that_are_whole_still_have_rows() -> None:
    """So that the tests above mean something."""
    for channel, messages in GOOD.items():
        for message in messages:
            assert json.loads(body(message))
            assert parsed(channel, body(message)).kinds[0] == Kind.PARSED
