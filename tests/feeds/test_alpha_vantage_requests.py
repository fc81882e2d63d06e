"""What is asked of Alpha Vantage, and which error an answer stands for."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.feeds.alpha_vantage_messages import DAY, PREMIUM, QUOTE, RATE, body, economic, forex, series
from tests.feeds.conversations import asked
from tickhouse.core.errors import (
    BadCredentials,
    BadMessage,
    BadSetting,
    NoData,
    RateLimited,
    SettingsError,
    UnknownSymbol,
    Unreachable,
)  # fmt: skip
from tickhouse.core.model import Hole, Want
from tickhouse.core.requests import Answer, Request
from tickhouse.core.secrets import Secret
from tickhouse.feeds import alpha_vantage

TODAY = date(2026, 1, 2)
NOON = 1_767_374_000_000_000
"""2026-01-02 12:13 in New York."""
DAY_US = 86_400_000_000


class Server:
    """Alpha Vantage at a moment: so many days of history, some symbols unknown, its paid functions refused."""

    def __init__(self, days: int = 400, free: bool = True) -> None:
        self.days, self.free = days, free

    def __call__(self, request: Request) -> Answer:
        assert request.secret_params["apikey"].reveal() == "k123"
        function, params = str(request.params["function"]), dict(request.params)
        return Answer(200, {}, body(self.answer(function, params)), NOON)

    def answer(self, function: str, params: dict[str, Any]) -> Any:
        if "NOPE" in (params.get("symbol"), params.get("from_symbol")):
            return {"Error Message": "Invalid API call. Please retry or visit the documentation"}
        if self.free and params.get("outputsize") == "full":
            return {"Information": "This is a premium endpoint"}
        if function == "GLOBAL_QUOTE":
            return {"Global Quote": QUOTE}
        if function == "CURRENCY_EXCHANGE_RATE":
            return {"Realtime Currency Exchange Rate": RATE}
        if "INTRADAY" in function:
            return series({"2026-01-02 09:30:00": DAY}, f"Time Series ({params['interval']})")
        if "DAILY" in function:
            most = 100 if params.get("outputsize") == "compact" else self.days
            days = [TODAY - timedelta(days=i) for i in range(min(most, self.days))]
            return (
                forex({str(day): DAY for day in days}) if "FX" in function else series({str(day): DAY for day in days})
            )
        return economic(("2023-01-01", "1"))


def want(channel: str, *symbols: str, start: int | None = None, end: int | None = None) -> Want:
    """Symbols on a channel, for a range in days before today."""
    begin, stop = (None if days is None else NOON - days * DAY_US for days in (start, end))
    return Want(symbols or ("IBM",), channel, begin, stop)


def params(requests: list[Request]) -> list[dict[str, Any]]:
    return [dict(request.params) for request in requests]


def opened(**options: Any) -> alpha_vantage.AlphaVantage:
    return alpha_vantage.open(**{"key": "k123", **options})


def test_one_call_a_symbol_and_pairs_with_their_own_functions() -> None:
    feed = opened(rest_url="http://127.0.0.1:9/")
    requests, kept, error = asked(feed, feed.poll(want("", "IBM", "BRK.B", "EUR-USD", "BTC-USD")), Server())
    assert error is None
    assert params(requests) == [
        {"function": "GLOBAL_QUOTE", "symbol": "IBM"},
        {"function": "GLOBAL_QUOTE", "symbol": "BRK-B"},
        {"function": "CURRENCY_EXCHANGE_RATE", "from_currency": "EUR", "to_currency": "USD"},
        {"function": "CURRENCY_EXCHANGE_RATE", "from_currency": "BTC", "to_currency": "USD"},
    ]
    assert [request.channel for request in requests] == ["global_quote"] * 2 + ["exchange_rate"] * 2
    assert {request.url for request in requests} == {"http://127.0.0.1:9/query"}
    assert len(kept) == 4
    assert "k123" not in str(requests)


def test_an_unknown_symbol_does_not_end_the_round_and_is_said_after_it() -> None:
    feed = opened()
    requests, kept, error = asked(feed, feed.poll(want("global_quote", "NOPE", "IBM")), Server())
    assert (len(requests), len(kept), type(error)) == (2, 1, UnknownSymbol)
    assert str(error).startswith("NOPE: ")


def test_a_spent_day_ends_the_round() -> None:
    feed = opened()
    spent = Answer(200, {}, body({"Information": "our standard API rate limit is 25 requests per day."}), NOON)
    requests, _, error = asked(feed, feed.poll(want("global_quote", "IBM", "MSFT")), lambda _: spent)
    assert (len(requests), type(error)) == (1, RateLimited)


def test_a_hundred_days_are_asked_for_first_and_all_only_where_these_do_not_reach() -> None:
    feed = opened()
    for start, days, sizes in (
        (50, 400, ["compact"]),
        (99, 400, ["compact"]),
        (101, 400, ["compact", "full"]),
        (101, 60, ["compact"]),
    ):
        for channel, symbol in (("daily", "IBM"), ("fx_daily", "EUR-USD"), ("daily_adjusted", "IBM")):
            requests, _, error = asked(feed, feed.history(want(channel, symbol, start=start)), Server(days, free=False))
            assert ([request.params["outputsize"] for request in requests], error) == (sizes, None)
            assert {request.channel for request in requests} == {channel}
    requests, kept, error = asked(feed, feed.history(want("daily", start=101)), Server())
    assert (len(kept), type(error)) == (1, BadCredentials), "a free key keeps what it could have"
    requests, _, _ = asked(feed, feed.history(want("daily", start=4000, end=1)), Server(free=False))
    assert [request.params["outputsize"] for request in requests] == ["full"], "one call where it is clear"
    requests, _, _ = asked(feed, feed.history(want("daily")), Server())
    assert [request.params["outputsize"] for request in requests] == ["compact"]


def test_a_range_of_pairs_on_a_channel_of_shares() -> None:
    feed = opened()
    requests, _, _ = asked(feed, feed.history(want("daily", "EUR-USD", "BTC-USD", start=10)), Server())
    assert params(requests) == [
        {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "outputsize": "compact"},
        {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD"},
    ]
    assert [request.channel for request in requests] == ["fx_daily", "crypto_daily"]


def test_minutes_come_month_by_month_of_new_york_as_traded_and_no_further_than_now() -> None:
    feed = opened(prepost="true")
    requests, _, error = asked(feed, feed.history(want("intraday:5m", start=40, end=0)), Server(free=False))
    assert error is None
    assert params(requests)[0] == {
        "function": "TIME_SERIES_INTRADAY", "symbol": "IBM", "interval": "5min", "adjusted": "false", "extended_hours": "true",
        "outputsize": "full", "month": "2025-11",
    }  # fmt: skip
    assert [request.params["month"] for request in requests] == ["2025-11", "2025-12", "2026-01"]
    for later in (want("intraday", start=40), want("intraday", start=40, end=-400)):
        requests, _, _ = asked(feed, feed.history(later), Server(free=False))
        assert [request.params["month"] for request in requests] == ["2025-11", "2025-12", "2026-01"]
    utc_february = Want(("IBM",), "intraday", 1_769_904_000_000_000, 1_769_910_000_000_000)
    requests, _, _ = asked(feed, feed.history(utc_february), Server(free=False))
    assert [request.params["month"] for request in requests] == ["2026-01"], "in New York it is still January"
    requests, _, _ = asked(feed, feed.history(Want(("IBM",), "intraday", 0, NOON - 9400 * DAY_US)), Server(free=False))
    assert [request.params["month"] for request in requests] == ["2000-01", "2000-02", "2000-03", "2000-04"]


def test_minutes_of_pairs_and_the_newest_minutes_are_one_call() -> None:
    feed = opened()
    requests, _, _ = asked(feed, feed.history(want("intraday:1h", "EUR-USD", "BTC-USD", start=40)), Server(free=False))
    assert params(requests) == [
        {
            "function": "FX_INTRADAY",
            "from_symbol": "EUR",
            "to_symbol": "USD",
            "interval": "60min",
            "outputsize": "full",
        },
        {"function": "CRYPTO_INTRADAY", "symbol": "BTC", "market": "USD", "interval": "60min", "outputsize": "full"},
    ]
    requests, _, _ = asked(feed, feed.history(Want(("IBM",), "intraday", options={"interval": "15m"})), Server())
    assert (requests[0].params["interval"], requests[0].params["outputsize"]) == ("15min", "compact")


def test_an_economic_series_is_one_call_and_the_channel_says_which() -> None:
    feed = opened()
    names = ("REAL_GDP", "REAL-GDP.QUARTERLY", "TREASURY_YIELD.DAILY.2YEAR", "TREASURY_YIELD.30YEAR")
    for asking in (feed.poll(want("economic", *names)), feed.history(want("economic", *names, start=9))):
        requests, kept, error = asked(feed, asking, Server())
        assert error is None and len(kept) == 4
        spelled = [name.replace("-", "_") for name in names]
        assert [request.channel for request in requests] == [f"economic:{name}" for name in spelled]
        assert params(requests)[2] == {"function": "TREASURY_YIELD", "interval": "daily", "maturity": "2year"}


@pytest.mark.parametrize(
    "options", [{"channel": "trade"}, {"stamped": "middle"}, {"prepost": "perhaps"}, {"symbols": "a;b"}, {"x": 1}]
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadSetting):
        alpha_vantage.open(**options)


def test_what_alpha_vantage_cannot_do_is_said_at_once() -> None:
    feed = opened(symbols="IBM", ws_url="ws://x", key=Secret("k123"))
    for call in (
        lambda: feed.subscriptions(want("daily")),
        lambda: feed.poll(want("trade")),
        lambda: feed.poll(want("daily:5m")),
        lambda: feed.history(want("global_quote")),
        lambda: feed.history(want("intraday:2m")),
        lambda: feed.history(want("fx_daily", "IBM")),
        lambda: feed.history(want("fx_daily", "BTC-USD")),
        lambda: feed.history(want("crypto_daily", "IBM")),
        lambda: feed.poll(want("exchange_rate", "IBM")),
        lambda: feed.poll(want("economic", "IBM")),
        lambda: feed.poll(want("economic", "CPI.DAILY")),
        lambda: feed.poll(want("economic", "TREASURY_YIELD.1YEAR")),
        lambda: alpha_vantage.open().poll(want("global_quote")),
    ):
        with pytest.raises(SettingsError):
            call()
    with pytest.raises(BadSetting, match=r"feeds\.alpha_vantage\.key"):
        alpha_vantage.open(key="").history(want("daily"))
    with pytest.raises(NoData, match="no trades"):
        feed.refill(Hole("alpha_vantage", "IBM", 1, 2, 0, 1))


SPREAD = (
    "Thank you for using Alpha Vantage! Consider spreading out your free API requests more sparingly (1 request per second). "
    "You may subscribe to any of the premium plans to lift the free key rate limit (25 requests per day), raise the per-second "
    "burst limit, and instantly unlock all premium endpoints"
)
DAILY = (
    "We have detected your API key as SECRETKEY and our standard API rate limit is 25 requests per day. Please subscribe to any "
    "of the premium plans to instantly remove all daily rate limits."
)
PAID = "This is a premium endpoint. Plans start at 75 requests per minute, your plan has 25 requests per day"


@pytest.mark.parametrize(
    ("answer", "kind", "seconds"),
    [
        ({"Information": SPREAD}, RateLimited, 1.0),
        ({"Note": SPREAD}, RateLimited, 1.0),
        ({"Information": DAILY}, RateLimited, 42_460.0),
        ({"Information": f"{DAILY} It unlocks all premium endpoints too."}, RateLimited, 42_460.0),
        ({"Information": PAID}, BadCredentials, None),
        (PREMIUM, BadCredentials, None),
        (
            {"Information": "The outputsize=full parameter value is a premium feature for this endpoint"},
            BadCredentials,
            None,
        ),
        ({"Note": "Our standard API call frequency is 5 calls per minute and 500 calls per day."}, RateLimited, 60.0),
        ({"Error Message": "Invalid API call. Please retry"}, UnknownSymbol, None),
        (
            {"Error Message": "the parameter apikey is invalid or missing. Please claim your free API key"},
            BadCredentials,
            None,
        ),
        ({"Information": "The **demo** API key is for demo purposes only."}, BadCredentials, None),
        ({"message": "Internal server error"}, Unreachable, None),
        ({"Information": "SECRETKEY has a birthday"}, BadMessage, None),
        ({"Information": ["SECRETKEY"]}, BadMessage, None),
        ({"Global Quote": {}}, UnknownSymbol, None),
        ({}, UnknownSymbol, None),
        (series({}), NoData, None),
        (economic(), NoData, None),
        (series({"2026-01-02": DAY}), None, None),
        ({"Global Quote": QUOTE}, None, None),
        ({"bestMatches": [{"1. symbol": "IBM"}]}, None, None),
    ],
)
def test_what_a_body_stands_for(answer: Any, kind: type[Exception] | None, seconds: float | None) -> None:
    found = alpha_vantage.open().classify(Answer(200, {}, body(answer), NOON))
    assert type(found) is (kind or type(None))
    assert getattr(found, "retry_after", None) == seconds
    assert "SECRETKEY" not in f"{found} {found!r} {getattr(found, 'sent', '')!r}"


@pytest.mark.parametrize(
    ("payload", "status", "kind"),
    [
        (b"<html>blocked</html>", 200, Unreachable),
        (b"<html>bad gateway</html>", 502, Unreachable),
        (b"", 200, BadMessage),
        (b"timestamp,open,high,low,close,volume", 200, BadMessage),
        (b"[]", 200, BadMessage),
        (b"denied", 403, BadCredentials),
        (b"slow", 429, RateLimited),
        (b"no page", 404, BadSetting),
        (b'{"half', 200, None),
    ],
)
def test_what_a_status_and_another_body_stand_for(payload: bytes, status: int, kind: type[Exception] | None) -> None:
    assert type(alpha_vantage.open().classify(Answer(status, {}, payload, NOON))) is (kind or type(None))


def test_a_spent_day_is_over_at_the_next_midnight_of_new_york() -> None:
    body_ = body({"Information": DAILY})
    for now, hours in (
        ("2026-07-02T03:00", 1),
        ("2026-07-02T04:00", 24),
        ("2026-03-08T05:00", 23),
        ("2026-11-01T04:00", 25),
    ):
        year, month, day, hour = int(now[:4]), int(now[5:7]), int(now[8:10]), int(now[11:13])
        at = (date(year, month, day) - date(1970, 1, 1)).days * DAY_US + hour * 3_600_000_000
        found = alpha_vantage.open().classify(Answer(200, {}, body_, at))
        assert isinstance(found, RateLimited)
        assert found.retry_after == hours * 3600 + 60, now
