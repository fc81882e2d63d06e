"""Messages of every channel of Yahoo."""

from tests.feeds.samples import Samples
from tests.feeds.yahoo_messages import NEW_YORK_OPEN, body, chart, frame, pricing, quotes, refusal
from tickhouse.feeds import yahoo

NASTY = (b'"', b",", b"null", b"[]", b"{}", b"9" * 25, b"-", b"1e308", b"\xff", b"true", b"\\u0000", b"=X", b"^")
EVENTS = {
    "dividends": {"1767364200": {"amount": 0.25, "date": NEW_YORK_OPEN}},
    "splits": {"1767364200": {"date": NEW_YORK_OPEN, "numerator": 4, "denominator": 1, "splitRatio": "4:1"}},
}
CHARTS = (
    chart([NEW_YORK_OPEN, NEW_YORK_OPEN + 86_400]),
    chart([NEW_YORK_OPEN], events=EVENTS),
    chart([NEW_YORK_OPEN], [(None,) * 5], events=EVENTS),
    chart([NEW_YORK_OPEN, NEW_YORK_OPEN + 60, NEW_YORK_OPEN + 120], dataGranularity="1m", symbol="EURUSD=X"),
    chart([NEW_YORK_OPEN, 1_767_387_601], dataGranularity="5m"),
)
QUOTES = (
    quotes({}),
    quotes({"symbol": "BRK-B"}, {"symbol": "JPY=X", "bid": 1.5, "ask": 0}),
    quotes({"postMarketPrice": 245, "postMarketTime": 1_739_581_198}, {"symbol": "^GSPC"}),
)
PRICES = (
    pricing(_1="AAPL", _2=232.35, _3=1_785_937_395_000, _9=5_422_202, _22=49),
    pricing(_1="BTC-USD", _2=94745.08, _3=1_736_509_140_000, _6=41, _12=-3.5, _32=1e9),
)
FRAMES = tuple(frame(message, wrapped) for message in PRICES for wrapped in (True, False))


def samples() -> list[Samples]:
    """One a channel."""
    feed, end = yahoo.open(), 1_768_000_000_000_000
    nothing = body(refusal("Not Found", "No data found, symbol may be delisted"))
    stale = body(refusal("Unauthorized", "Invalid Crumb", "finance"))
    no_bars = body(
        {"chart": {"result": [{"meta": {"symbol": "A", "dataGranularity": "1m", "exchangeTimezoneName": "UTC"}}]}}
    )
    bad = {"chart": (b"[]", b"{}", b"<html>"), "quote": (b"[]", body(quotes({"symbol": "a b"})))}
    return [
        Samples(feed, "chart", tuple(map(body, CHARTS)), (nothing, no_bars), bad["chart"], end, NASTY),
        Samples(feed, "quote", tuple(map(body, QUOTES)), (body(quotes()), stale), bad["quote"], end, NASTY),
        Samples(feed, "stream", FRAMES, (b'{"type":"heartbeat"}',), (b"[]", b"Too Many Requests"), end, NASTY),
    ]
