"""What is asked of FMP, and which error an answer stands for."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.feeds.fmp_server import RECEIVED, TODAY, Server
from tests.feeds.polled_talk import parsed, talk
from tests.feeds.samples_fmp import QUOTE, body
from tickhouse.core.errors import (
    BadCredentials,
    BadMessage,
    BadSetting,
    NoData,
    RateLimited,
    SettingsError,
    Temporary,
    UnknownSymbol,
    Unreachable,
)  # fmt: skip
from tickhouse.core.model import Hole, Want
from tickhouse.core.requests import Answer, Request
from tickhouse.core.secrets import Secret
from tickhouse.feeds import fmp
from tickhouse.feeds._fmp_names import Names

DAY = 86_400_000_000
JAN, FEB = 20_454 * DAY, 20_485 * DAY
"""2026-01-01 and 2026-02-01."""
BASE = "https://financialmodelingprep.com/stable"


def requests(feed: fmp.Fmp, want: Want) -> list[Request]:
    """What a poll asks, each answered with a quote."""
    return [request for request, _ in talk(feed, feed.poll(want), lambda request: Answer(200, {}, body(QUOTE), 0))]


def test_a_free_key_asks_one_symbol_a_call() -> None:
    asked = requests(fmp.open(key=Secret("s3cret")), Want(("AAPL", "BRK.B", "EUR-USD"), "quote"))
    assert [(r.url, dict(r.params), r.channel) for r in asked] == [
        (f"{BASE}/quote", {"symbol": "AAPL"}, "quote:AAPL"),
        (f"{BASE}/quote", {"symbol": "BRK-B"}, "quote:BRK.B"),
        (f"{BASE}/quote", {"symbol": "EURUSD"}, "quote:EUR-USD"),
    ]
    assert asked[0].secret_params["apikey"].reveal() == "s3cret"
    assert "s3cret" not in repr(asked[0])


@pytest.mark.parametrize("batch", [True, "yes", "true"])
def test_a_paid_key_asks_a_hundred_symbols_a_call(batch: Any) -> None:
    symbols = tuple(f"S{i}" for i in range(250))
    asked = requests(fmp.open(batch=batch), Want(symbols, ""))
    assert [len(str(r.params["symbols"]).split(",")) for r in asked] == [100, 100, 50]
    assert {(r.url, r.channel) for r in asked} == {(f"{BASE}/batch-quote", "batch_quote")}
    (short,) = requests(fmp.open(batch=batch), Want(("AAPL", "MSFT"), "quote_short"))
    assert (short.url, short.params["symbols"]) == (f"{BASE}/batch-quote-short", "AAPL,MSFT")
    (named,) = requests(fmp.open(), Want(("AAPL", "MSFT"), "batch_aftermarket_quote"))
    assert (named.url, named.channel) == (f"{BASE}/batch-aftermarket-quote", "batch_aftermarket_quote")


def test_the_days_of_a_range_are_one_call_a_symbol() -> None:
    feed = fmp.open(rest_url="http://127.0.0.1:9/")
    want = Want(("AAPL", "BTC-USD"), "historical", JAN, FEB)
    asked = [r for r, _ in talk(feed, feed.history(want), lambda request: Answer(200, {}, body(QUOTE), 0))]
    assert [(dict(r.params), r.channel) for r in asked] == [
        ({"symbol": "AAPL", "from": "2026-01-01", "to": "2026-01-31"}, "historical:AAPL"),
        ({"symbol": "BTCUSD", "from": "2026-01-01", "to": "2026-01-31"}, "historical:BTC-USD"),
    ]
    assert asked[0].url == "http://127.0.0.1:9/stable/historical-price-eod/full"
    newest = next(feed.history(Want(("AAPL",), "")))
    assert (newest.channel, newest.params) == ("historical:AAPL", {"symbol": "AAPL"})
    assert next(feed.history(Want(("AAPL",), "historical_chart:1d"))).channel == "historical:AAPL"
    for channel in ("historical", "economic", "historical_chart:5m"):
        assert list(feed.history(Want(("AAPL",), channel, JAN, JAN))) == []


@pytest.mark.parametrize("fit", [1, 2, 5, 100])
def test_a_chart_is_asked_backwards_until_its_range_is_whole(fit: int) -> None:
    """The range begins on a holiday, so the last answer is empty where a fit ends with the first day of trading."""
    days = [date(2026, 1, 2) + timedelta(days=i) for i in range(30) if (i + 4) % 7 < 5]
    feed, server = fmp.open(), Server(minutes={"AAPL": days, "MSFT": days}, fit=fit)
    want = Want(("AAPL", "MSFT"), "historical_chart:5m", JAN, FEB)
    talked = talk(feed, feed.history(want), server.answer)
    starts = [int(at) // DAY for one in parsed(feed, talked) if one.bars is not None for at in one.bars.start]
    assert sorted(starts) == sorted(2 * [on.toordinal() - date(1970, 1, 1).toordinal() for on in days])
    assert {r.channel for r in server.asked} == {"historical_chart:AAPL:5m", "historical_chart:MSFT:5m"}
    assert server.asked[0].url == f"{BASE}/historical-chart/5min"
    assert len(server.asked) <= 2 * (-(-len(days) // fit) + 1)


def test_a_chart_that_stands_still_ends() -> None:
    feed, count = fmp.open(), 0

    def same(request: Request) -> Answer:
        nonlocal count
        count += 1
        return Answer(200, {}, b'[{"date":"2026-01-20 09:30:00"}]', RECEIVED)

    talk(feed, feed.history(Want(("AAPL",), "historical_chart", JAN, FEB)), same)
    assert count == 2


@pytest.mark.parametrize("end", [None, 20_730 * DAY])
@pytest.mark.parametrize("days", [30, 84, 86, 400, 2000])
@pytest.mark.parametrize("step", [1, 31, 92])
def test_an_economic_series_is_asked_in_windows_that_leave_no_gap(end: int | None, days: int, step: int) -> None:
    """Ninety days at a time; a quarterly series has windows without a date. The range ends today, said or not."""
    dates = [TODAY - timedelta(days=i) for i in range(0, 3000, step)]
    feed, server = fmp.open(), Server(series={"realGDP": dates})
    start = (TODAY - timedelta(days=days)).toordinal() - date(1970, 1, 1).toordinal()
    talked = talk(feed, feed.history(Want(("REALGDP",), "economic", start * DAY, end)), server.answer)
    rows = [row for one in parsed(feed, talked) if one.observations is not None for row in one.observations.to_pylist()]
    wanted = {on for on in dates if on >= TODAY - timedelta(days=days)}
    assert wanted <= {row["date"] for row in rows}
    assert {(row["series"], row["vintage"]) for row in rows} == {("REALGDP", TODAY - timedelta(days=1))}
    assert {r.channel for r in server.asked} == {"economic:REALGDP"}
    assert len(server.asked) <= -(-days // 85) + 1


def test_a_series_that_has_nothing_is_said_to_have_nothing() -> None:
    feed, server = fmp.open(), Server()
    with pytest.raises(NoData):
        talk(feed, feed.history(Want(("CPI",), "economic", JAN, FEB + 200 * DAY)), server.answer)
    assert len(server.asked) == 3
    with pytest.raises(NoData):
        talk(feed, feed.poll(Want(("CPI",), "economic")), server.answer)
    with pytest.raises(NoData):
        talk(feed, feed.history(Want(("AAPL",), "historical_chart:1m", JAN, FEB)), server.answer)


def test_what_is_not_there_of_one_symbol_does_not_cost_the_others() -> None:
    feed, asked = fmp.open(), []

    def answer(request: Request) -> Answer:
        asked.append(request.params["symbol"])
        plan = (
            b"Premium Query Parameter: 'Special Endpoint : This value set for 'symbol' is not available under your plan"
        )
        if request.params["symbol"] == "FEW":
            return Answer(402, {}, plan, 0)
        return Answer(200, {}, b"[]" if request.params["symbol"] == "NOPE" else body(QUOTE), 0)

    with pytest.raises(NoData):
        talk(feed, feed.poll(Want(("NOPE", "FEW", "AAPL"), "quote")), answer)
    with pytest.raises(UnknownSymbol):
        talk(feed, feed.poll(Want(("FEW", "NOPE", "AAPL"), "quote")), answer)
    assert asked == ["NOPE", "FEW", "AAPL", "FEW", "NOPE", "AAPL"]


def test_a_refused_key_ends_the_round_at_once() -> None:
    refused = Answer(401, {}, b'{"Error Message":"Invalid API KEY."}', 0)
    answers = [refused]
    with pytest.raises(BadCredentials):
        talk(fmp.open(), fmp.open().poll(Want(("AAPL", "MSFT"), "quote")), lambda request: answers.pop())


def test_what_fmp_cannot_do_is_a_settings_error() -> None:
    feed = fmp.open()
    with pytest.raises(SettingsError):
        feed.subscriptions(Want(("AAPL",), "quote"))
    with pytest.raises(BadSetting, match="batch_quote"):
        feed.poll(Want(("AAPL",), "trade"))
    with pytest.raises(BadSetting, match="historical"):
        feed.history(Want(("AAPL",), "quote"))
    with pytest.raises(BadSetting, match="interval"):
        feed.history(Want(("AAPL",), "historical_chart:7m"))
    with pytest.raises(NoData):
        feed.refill(Hole("fmp", "AAPL", 0, 1, 0, 1))


@pytest.mark.parametrize(
    "options", [{"speed": 1}, {"channel": "trade"}, {"batch": "perhaps"}, {"spellings": "A,B"}, {"symbols": "a;b"}]
)
def test_an_option_that_cannot_be_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(BadSetting, match=next(iter(options)).rstrip("s")):
        fmp.open(**options)


symbols = st.sampled_from(
    ("AAPL", "BRK.B", "BF.A", "VOD.L", "7203.T", "MKC-V", "EUR-USD", "XAU-USD", "BTC-USD", "1INCH-USD")
)


@given(st.lists(symbols, max_size=5))
def test_a_symbol_is_read_back_as_it_was_written_also_by_a_feed_that_never_asked(asked: list[str]) -> None:
    here, there = Names({}), Names({})
    here.learn(asked)
    for symbol in asked:
        assert here.of(here.spelled(symbol)) == there.of(here.spelled(symbol)) == symbol


def test_a_symbol_against_the_rules_is_read_back_when_it_was_asked_for_or_given() -> None:
    names = Names({"MKC.V": "MKC-V", "BRK.B": "BRK.B"})
    assert (names.of("OPUSD"), names.of("BRK.B"), names.spelled("BRK.B")) == ("OPUSD", "BRK.B", "BRK.B")
    names.learn(["OP-USD"])
    assert (names.of("OPUSD"), names.spelled("MKC.V"), names.of("MKC-V")) == ("OP-USD", "MKC-V", "MKC.V")
    assert (names.spelled("REALGDP"), names.series("realGDP"), names.series("newThing")) == (
        "realGDP",
        "REALGDP",
        "NEWTHING",
    )


LIMIT = b'{"Error Message":"Limit Reach . Please upgrade your plan or visit our documentation"}'


@pytest.mark.parametrize(
    ("given", "expected", "after"),
    [
        (Answer(429, {}, LIMIT, 0), RateLimited, 3600),
        (Answer(200, {}, LIMIT, 0), RateLimited, 3600),
        (Answer(429, {}, b"Limit Reach", 0), RateLimited, 3600),
        (Answer(429, {"retry-after": "9"}, LIMIT, 0), RateLimited, 9),
        (Answer(429, {}, b"", 0), RateLimited, 3600),
        (Answer(429, {}, b'{"Error Message":"Bandwidth Limit Reach . Please upgrade"}', 0), RateLimited, 86_400),
        (Answer(402, {}, b"Restricted Endpoint: This endpoint is not available", 0), BadCredentials, None),
        (Answer(402, {}, b"Premium Query Parameter: 'to' is too old for your plan", 0), BadCredentials, None),
        (
            Answer(402, {}, b"Premium Query Parameter: the value set for 'symbol' is not available", 0),
            UnknownSymbol,
            None,
        ),
        (Answer(402, {}, b"Pay", 0), BadCredentials, None),
        (Answer(402, {}, b"[]", 0), BadCredentials, None),
        (Answer(403, {}, b'{"Error Message":"Legacy Endpoint : Due to"}', 0), BadCredentials, None),
        (Answer(401, {}, b'{"Error Message":"Invalid API KEY. Feel free"}', 0), BadCredentials, None),
        (Answer(200, {}, b'{"Error Message":"Invalid API KEY. Feel free"}', 0), BadCredentials, None),
        (Answer(200, {}, b'{"Error Message":"Something new"}', 0), BadMessage, None),
        (Answer(404, {}, b"[]", 0), BadMessage, None),
        (Answer(200, {}, b"[]", 0), NoData, None),
        (Answer(200, {}, b" [ ]\n", 0), NoData, None),
        (Answer(200, {}, b"{ }", 0), NoData, None),
        (Answer(200, {}, b"", 0), Unreachable, None),
        (Answer(200, {}, b"<html>log in</html>", 0), Unreachable, None),
        (Answer(403, {}, b"<html>Attention Required</html>", 0), RateLimited, 300),
        (Answer(502, {"retry-after": "3"}, b"<html>Bad Gateway</html>", 0), Unreachable, 3),
        (Answer(500, {}, b'{"Error Message":"oops"}', 0), Unreachable, None),
        (Answer(200, {}, b"hello", 0), BadMessage, None),
        (Answer(302, {}, b"[1]", 0), BadMessage, None),
    ],
)
def test_an_answer_that_is_no_data_is_the_right_error(
    given: Answer, expected: type[Exception], after: float | None
) -> None:
    found = fmp.open().classify(given)
    assert type(found) is expected
    assert str(found)
    if isinstance(found, Temporary):
        assert found.retry_after == after


def test_a_paid_plan_counts_by_the_minute() -> None:
    found = fmp.open(batch="yes").classify(Answer(429, {}, LIMIT, 0))
    assert isinstance(found, RateLimited)
    assert found.retry_after == 60


def test_a_key_in_a_refusal_is_not_shown() -> None:
    key = "aB3" * 11
    for status, text in ((200, f'{{"Error Message":"The key {key} is odd"}}'), (402, f"The key {key} is odd")):
        found = fmp.open().classify(Answer(status, {}, text.encode(), 0))
        assert found is not None
        assert key not in str(found)
        assert "is odd" in str(found)


@pytest.mark.parametrize("data", [body(QUOTE), b'{"symbol":"AAPL","historical":[]}', b" [1]"])
def test_data_is_no_error(data: bytes) -> None:
    assert fmp.open().classify(Answer(200, {}, data, 0)) is None
