"""What is asked of Yahoo, and which error an answer stands for."""

import json
from pathlib import Path
from typing import Any

import pytest
from tools.simulated.site import response, site

from tests.feeds.conversations import asked
from tests.feeds.yahoo_messages import NEW_YORK_OPEN, body, chart, quotes, refusal
from tickhouse.core.clock import SystemClock
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
from tickhouse.core.requests import Answer, Pace, Request
from tickhouse.core.transport import Transport
from tickhouse.feeds import yahoo

NOW = 1_767_225_600
DAY = 86_400
HTML = b"<!DOCTYPE html><html>"


class Server:
    """Yahoo at a moment: keeps bars for so many days, knows some symbols, and takes one crumb."""

    def __init__(self, kept: int | None = None, known: tuple[str, ...] = ("AAPL", "MSFT", "JPY=X", "BRK-B")) -> None:
        self.kept, self.known, self.crumb, self.cookies = kept, known, "Cr/u.mb1", 0
        self.empty: list[tuple[int, int]] = []
        self.gives_cookie = True

    def __call__(self, request: Request) -> Answer:
        path = request.url.removeprefix("https://query1.finance.yahoo.com")
        if path == "https://fc.yahoo.com":
            self.cookies += 1
            headers = {"set-cookie": f"A1=x; Path=/, A3=d=c{self.cookies}&S=q; Expires=Thu, 1 Jan 2099 00:00:00 GMT"}
            return self.answer(HTML, 404, headers if self.gives_cookie else {})
        if path == "/v1/test/getcrumb":
            return self.answer(self.crumb.encode())
        if path == "/v7/finance/quote":
            return self.quote(request)
        return self.chart(path.rsplit("/", 1)[1], dict(request.params))

    def quote(self, request: Request) -> Answer:
        cookie, crumb = request.secret_headers["Cookie"].reveal(), request.secret_params["crumb"].reveal()
        if crumb != self.crumb or cookie != f"A3=d=c{self.cookies}&S=q":
            return self.answer(body(refusal("Unauthorized", "Invalid Crumb", "finance")), 401)
        asked_for = str(request.params["symbols"]).split(",")
        return self.answer(body(quotes(*({"symbol": name} for name in asked_for if name in self.known))))

    def chart(self, symbol: str, params: dict[str, Any]) -> Answer:
        if symbol not in self.known:
            return self.answer(body(refusal("Not Found", "No data found, symbol may be delisted")), 404)
        if "range" in params:
            return self.answer(body(chart([NEW_YORK_OPEN], dataGranularity=params["interval"])))
        if self.kept is not None and params["period1"] < NOW - self.kept * DAY:
            said = f"5m data not available. The requested range must be within the last {self.kept} days."
            return self.answer(body(refusal("Unprocessable Entity", said)), 422)
        if (params["period1"], params["period2"]) in self.empty:
            return self.answer(body({"chart": {"result": [{"meta": {"symbol": symbol}}], "error": None}}))
        return self.answer(body(chart([NEW_YORK_OPEN], dataGranularity=params["interval"])))

    @staticmethod
    def answer(payload: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
        return Answer(status, headers or {}, payload, NOW * 1_000_000)


def windows(requests: list[Request]) -> list[Any]:
    """The range or period that each chart was asked for, in days before now."""
    return [
        request.params.get("range") or tuple((NOW - int(request.params[name])) / DAY for name in ("period1", "period2"))
        for request in requests
    ]


def want(channel: str, *symbols: str, days: tuple[float | None, float | None] = (None, None)) -> Want:
    """Symbols on a channel, for a range in days before now."""
    start, end = (None if day is None else round((NOW - day * DAY) * 1e6) for day in days)
    return Want(symbols or ("AAPL",), channel, start, end)


def test_one_socket_serves_at_most_a_hundred_symbols() -> None:
    symbols = (*(f"S{i}" for i in range(240)), "USD-JPY", "BRK.B")
    lines = yahoo.open(ws_url="ws://127.0.0.1:9/").subscriptions(Want(symbols, ""))
    assert [len(line.symbols) for line in lines] == [100, 100, 42]
    assert {line.url for line in lines} == {"ws://127.0.0.1:9/?version=2"}
    assert all(len(line.hello) == 1 and line.channel == "stream" for line in lines)
    subscribed = [name for line in lines for name in json.loads(line.hello[0])["subscribe"]]
    assert subscribed == [*(f"S{i}" for i in range(240)), "JPY=X", "BRK-B"]
    off, on = (json.loads(text) for text in lines[2].renew["USD-JPY"])
    assert (off, on) == ({"unsubscribe": ["JPY=X"]}, {"subscribe": ["JPY=X"]})


def test_quotes_need_a_cookie_and_a_crumb_which_are_kept() -> None:
    server, feed = Server(), yahoo.open()
    requests, kept, error = asked(feed, feed.poll(want("quote", "AAPL", "BRK.B", "USD-JPY")), server)
    assert error is None
    assert [(r.url.rsplit("/", 1)[1], r.channel) for r in requests] == [
        ("fc.yahoo.com", ""),
        ("getcrumb", ""),
        ("quote", "quote"),
    ]
    assert requests[2].params["symbols"] == "AAPL,BRK-B,JPY=X"
    assert requests[2].secret_params["crumb"].reveal() == "Cr/u.mb1"
    assert "Cr/u.mb1" not in str(requests) and "d=c1" not in str(requests)
    assert len(kept) == 1
    again, _, error = asked(feed, feed.poll(want("quote")), server)
    assert (len(again), error) == (1, None)


def test_many_symbols_are_asked_together() -> None:
    feed = yahoo.open()
    symbols = tuple(f"S{i}" for i in range(450))
    requests, _, _ = asked(feed, feed.poll(want("quote", *symbols)), Server(known=symbols))
    assert [len(str(r.params["symbols"]).split(",")) for r in requests[2:]] == [200, 200, 50]


def test_a_refused_crumb_is_fetched_again_once() -> None:
    server, feed = Server(), yahoo.open()
    asked(feed, feed.poll(want("quote")), server)
    server.crumb = "other"
    requests, kept, error = asked(feed, feed.poll(want("quote")), server)
    assert ([r.url.rsplit("/", 1)[1] for r in requests], len(kept), error) == (
        ["quote", "fc.yahoo.com", "getcrumb", "quote"], 1, None,
    )  # fmt: skip
    refusing = Server()
    refusing.quote = lambda _: refusing.answer(body(refusal("Unauthorized", "Invalid Crumb", "finance")), 401)  # type: ignore[method-assign]
    feed = yahoo.open()
    requests, _, error = asked(feed, feed.poll(want("quote")), refusing)
    assert (len(requests), type(error)) == (3, BadCredentials), "a crumb that is new is not fetched again"


@pytest.mark.parametrize("text", ["Too Many Requests", "<html>no</html>", "", "a b", "x" * 99])
def test_a_refusal_is_never_taken_for_a_crumb(text: str) -> None:
    server, feed = Server(), yahoo.open()
    server.crumb = text
    _, kept, error = asked(feed, feed.poll(want("quote")), server)
    assert isinstance(error, RateLimited | BadCredentials | BadMessage | Unreachable)
    assert not kept
    server.crumb = "good.1"
    requests, kept, error = asked(feed, feed.poll(want("quote")), server)
    assert (len(requests), len(kept), error) == (3, 1, None)


def test_no_cookie_is_said_and_charts_do_not_need_one() -> None:
    server, feed = Server(), yahoo.open()
    server.gives_cookie = False
    _, _, error = asked(feed, feed.poll(want("quote")), server)
    assert isinstance(error, Unreachable)
    requests, kept, error = asked(feed, feed.poll(want("chart:5m", "AAPL", "MSFT")), server)
    assert (windows(requests), len(kept), error) == (["1d", "1d"], 2, None)
    assert requests[0].params == {
        "range": "1d", "interval": "5m", "includePrePost": "false", "events": "div,splits,capitalGains",
    }  # fmt: skip


def test_an_unknown_symbol_does_not_end_the_round_and_is_said_after_it() -> None:
    feed = yahoo.open()
    requests, kept, error = asked(feed, feed.poll(want("chart", "NOPE", "AAPL", "GONE", "MSFT")), Server())
    assert (len(requests), len(kept)) == (4, 2)
    assert isinstance(error, UnknownSymbol)
    assert str(error).startswith("NOPE: Yahoo does not know the symbol") and "GONE" in str(error)
    _, kept, error = asked(feed, feed.poll(want("quote", "NOPE")), Server())
    assert (len(kept), type(error)) == (0, UnknownSymbol)


def test_all_days_come_in_one_answer() -> None:
    feed = yahoo.open(prepost=True)
    requests, kept, error = asked(feed, feed.history(want("chart:1d", "AAPL", days=(4000, 10))), Server(kept=30))
    assert isinstance(error, NoData), "the server of this test keeps 30 days of everything"
    requests, kept, error = asked(feed, feed.history(want("chart:1d", "AAPL", days=(4000, 10))), Server())
    assert (windows(requests), len(kept), error) == ([(4000, 10)], 1, None)
    assert requests[0].params["includePrePost"] == "true"
    requests, _, _ = asked(feed, feed.history(want("chart", "^GSPC")), Server(known=("%5EGSPC",)))
    assert requests[0].url.endswith("/v8/finance/chart/%5EGSPC")
    assert requests[0].params["interval"] == "1d"
    assert requests[0].params["period1"] < -252_322_200, "before the first bar of the oldest share"


def test_minutes_come_in_windows_of_eight_days_the_newest_first() -> None:
    feed = yahoo.open()
    requests, kept, error = asked(feed, feed.history(want("chart:1m", "AAPL", days=(20, 1))), Server(kept=30))
    assert (windows(requests), len(kept), error) == ([(9, 1), (17, 9), (20, 17)], 3, None)


def test_a_range_older_than_what_is_kept_is_cut_and_that_is_said() -> None:
    feed = yahoo.open()
    requests, _, error = asked(feed, feed.history(want("chart:1m", "AAPL", days=(60, 20))), Server(kept=30))
    assert windows(requests) == [(28, 20), (29, 28)]
    assert isinstance(error, NoData)
    assert str(error) == "AAPL: Yahoo keeps bars of 1m for 29 days: none before 2025-12-03T00:00:00Z can be had"


def test_where_nothing_of_the_first_window_is_kept_the_time_is_asked_for_once() -> None:
    feed = yahoo.open()
    requests, kept, error = asked(feed, feed.history(want("chart:5m", "AAPL", days=(90, 40))), Server(kept=60))
    assert windows(requests) == [(90, 40), "1d", (59, 40)]
    assert (len(kept), type(error)) == (2, NoData)
    requests, _, error = asked(feed, feed.history(want("chart:5m", "AAPL", days=(90, 70))), Server(kept=60))
    assert (windows(requests), type(error)) == ([(90, 70), "1d"], NoData)


def test_without_an_end_the_first_answer_tells_the_time() -> None:
    feed = yahoo.open()
    requests, _, error = asked(feed, feed.history(want("chart:1m", "AAPL", days=(10, None))), Server(kept=30))
    assert (windows(requests), error) == (["1d", (8, 0), (10, 8)], None)
    requests, _, error = asked(feed, feed.history(want("chart:1m", "AAPL")), Server(kept=30))
    assert (windows(requests), error) == (["1d"], None)
    requests, _, error = asked(feed, feed.history(want("chart:1h", "AAPL", days=(None, 3))), Server(kept=730))
    assert (windows(requests), error) == ([(732, 3), "1d", (729, 3)], None)


def test_an_empty_window_does_not_end_a_range_but_an_empty_range_is_said() -> None:
    server, feed = Server(kept=30), yahoo.open()
    ends = [(NOW - a * DAY, NOW - b * DAY) for a, b in ((9, 1), (17, 9), (20, 17))]
    server.empty = ends[:1]
    requests, kept, error = asked(feed, feed.history(want("chart:1m", "AAPL", days=(20, 1))), server)
    assert (len(requests), len(kept), error) == (3, 2, None)
    server.empty = ends
    requests, kept, error = asked(feed, feed.history(want("chart:1m", "AAPL", days=(20, 1))), server)
    assert (len(requests), len(kept), type(error)) == (3, 0, NoData)


def test_an_empty_range_asks_nothing() -> None:
    feed = yahoo.open()
    assert asked(feed, feed.history(want("chart:1d", "AAPL", days=(1, 1))), Server()) == ([], [], None)


@pytest.mark.parametrize(
    "options",
    [
        {"channel": "trade"}, {"channel": "quote:1m"}, {"symbols_per_connection": 101}, {"symbols_per_connection": "none"},
        {"prepost": "perhaps"}, {"symbols": "a b,c d;"}, {"nonsense": 1},
    ],
)  # fmt: skip
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadSetting):
        yahoo.open(**options)


def test_what_yahoo_cannot_do_is_said_at_once() -> None:
    feed = yahoo.open(channel="quote", key=None, prepost="false")
    for call in (
        lambda: feed.subscriptions(want("quote")),
        lambda: feed.subscriptions(want("")),
        lambda: feed.poll(want("stream")),
        lambda: feed.history(want("quote")),
        lambda: feed.history(want("chart:3m")),
        lambda: feed.poll(Want(("AAPL",), "chart", options={"interval": "1mo"})),
    ):
        with pytest.raises(SettingsError):
            call()
    with pytest.raises(NoData, match="no trades"):
        feed.refill(Hole("yahoo", "AAPL", 1, 2, 0, 1))


def test_another_rest_url_keeps_all_requests_there() -> None:
    seen: list[str] = []

    def answers(request: Request) -> Answer:
        seen.append(request.url)
        return Answer(404, {"set-cookie": "A3=x"}, HTML, 0) if len(seen) == 1 else Answer(200, {}, b"crumb", 0)

    feed = yahoo.open(rest_url="http://127.0.0.1:9/")
    asked(feed, feed.poll(want("quote")), answers)
    assert seen == ["http://127.0.0.1:9", "http://127.0.0.1:9/v1/test/getcrumb", "http://127.0.0.1:9/v7/finance/quote"]


def test_the_client_says_who_it_is() -> None:
    feed = yahoo.open(user_agent="tickhouse (me@example.org)")
    requests, _, _ = asked(feed, feed.poll(want("quote")), Server())
    assert {request.headers["User-Agent"] for request in requests} == {"tickhouse (me@example.org)"}


@pytest.mark.parametrize(
    ("payload", "status", "kind"),
    [
        (body(refusal("Not Found", "No data found, symbol may be delisted")), 404, UnknownSymbol),
        (body(refusal("Unauthorized", "Invalid Crumb", "finance")), 401, BadCredentials),
        (body(refusal("Unauthorized", "User is unable to access this feature", "finance")), 401, BadCredentials),
        (body(refusal("Unprocessable Entity", "The requested range must be within the last 60 days.")), 422, NoData),
        (body(refusal("Bad Request", "Data doesn't exist for startDate = 1, endDate = 2")), 400, NoData),
        (body(refusal("Too Many Requests", "slow", "finance")), 429, RateLimited),
        (body(refusal("internal-error", "", "finance")), 500, Unreachable),
        (body(refusal("Bad Request", "Invalid input - interval=7m is not supported.")), 400, BadSetting),
        (body({"chart": {"result": None, "error": "Not Found"}}), 404, UnknownSymbol),
        (body({"chart": {"result": [], "error": None}}), 200, UnknownSymbol),
        (body(quotes()), 200, UnknownSymbol),
        (b"Edge: Too Many Requests", 429, RateLimited),
        (b"Too Many Requests\r\n", 200, RateLimited),
        (b"400 Bad Request: Data doesn't exist for startDate = 1", 400, NoData),
        (b"{}", 999, RateLimited),
        (HTML, 200, Unreachable),
        (HTML, 503, Unreachable),
        (HTML, 403, BadCredentials),
        (b"no such page", 404, BadMessage),
        (b"what is this", 200, BadMessage),
        (b"", 200, BadMessage),
        (body(quotes({})), 200, None),
        (body(chart([NEW_YORK_OPEN])), 200, None),
        (b"CgRBQVBMFexhnUM=", 200, None),
        (b"Cr.u/mb", 200, None),
    ],
)
def test_what_an_answer_stands_for(payload: bytes, status: int, kind: type[Exception] | None) -> None:
    found = yahoo.open().classify(Answer(status, {}, payload, 0))
    assert type(found) is (kind or type(None))


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (body(refusal("Not Found", "No data found, symbol may be delisted")), UnknownSymbol),
        (body(refusal("Unauthorized", "Invalid Crumb", "finance")), BadCredentials),
        (body(refusal("Unprocessable Entity", "The requested range must be within the last 60 days.")), NoData),
        (body(refusal("Too Many Requests", "slow", "finance")), RateLimited),
        (b"Edge: Too Many Requests", RateLimited),
        (b"400 Bad Request: Data doesn't exist for startDate = 1", NoData),
    ],
)
def test_a_body_that_refuses_needs_no_status(payload: bytes, kind: type[Exception]) -> None:
    assert type(yahoo.open().classify(Answer(200, {}, payload, 0))) is kind


def test_a_refused_client_waits_a_quarter_of_an_hour_or_as_long_as_it_is_told() -> None:
    for headers, seconds in (({}, 900.0), ({"retry-after": "7"}, 7.0)):
        found = yahoo.open().classify(Answer(429, headers, b"Edge: Too Many Requests", 0))
        assert isinstance(found, RateLimited)
        assert found.retry_after == seconds


def test_a_page_of_consent_is_for_a_person() -> None:
    found = yahoo.open().classify(Answer(302, {"location": "https://guce.yahoo.com/consent?x=1"}, b"", 0))
    assert isinstance(found, BadCredentials)


async def test_over_real_http_the_cookie_travels_and_only_quotes_are_journaled(tmp_path: Path) -> None:
    def script(number: int, head: str) -> bytes:
        if number == 0:
            cookies = b"Set-Cookie: A1=one; Path=/\r\nSet-Cookie: A3=d=abc&S=q; Expires=Thu, 1 Jan 2099 00:00:00 GMT; Secure\r\n"
            return response(404, HTML).replace(b"\r\n", b"\r\n" + cookies, 1)
        if "getcrumb" in head:
            return response(200, b"Cr/u.mb")
        good = "cookie: A3=d=abc&S=q\r\n" in head.replace("Cookie", "cookie") and "crumb=Cr%2Fu.mb" in head
        return response(200, body(quotes({}))) if good else response(401, b"{}")

    async with site(script) as here, Transport(SystemClock(), tmp_path) as transport:
        feed = yahoo.open(rest_url=here.url)
        seen = [r.channel async for r, _ in transport.ask("yahoo", Pace(), feed.classify, feed.poll(want("quote")))]
    assert seen == ["quote"]
    assert len(here.requests) == 3
    assert "user-agent: tickhouse" in here.requests[2].lower()
