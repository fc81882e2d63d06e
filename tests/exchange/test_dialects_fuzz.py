"""Whatever a dialect is asked or told, it answers or hangs up; it never fails."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.exchange.asking import KEY, NOON
from tickhouse.core.clock import ManualClock
from tickhouse.exchange import Dialect, HangUp, Request, Response
from tickhouse.exchange.binance import Binance
from tickhouse.exchange.dialects import NAMES, Dialects
from tickhouse.exchange.floor import Floor
from tickhouse.exchange.history import History
from tickhouse.exchange.limits import Doorman, Limits
from tickhouse.exchange.market import Market
from tickhouse.exchange.pump import Pump
from tickhouse.exchange.terms import Terms
from tickhouse.exchange.world import World

PATHS = {
    "alpha_vantage": ["/query"],
    "coingecko": ["/api/v3/simple/price", "/api/v3/coins/markets", "/api/v3/coins/list", "/api/v3/coins/bitcoin/market_chart",
                  "/api/v3/coins/bitcoin/market_chart/range", "/api/v3/coins/bitcoin/ohlc", "/api/v3/coins/bitcoin/history"],
    "finnhub": ["/api/v1/quote", "/api/v1/stock/candle", "/api/v1/stock/market-status"],
    "fmp": ["/stable/quote", "/stable/batch-quote", "/stable/historical-price-eod/full", "/stable/historical-chart/5min",
            "/stable/historical-chart/x", "/stable/economic-indicators", "/stable/search-symbol", "/api/v3/quote/AAPL"],
    "frankfurter": ["/v1/latest", "/v1/2024-02-30", "/v1/2024-01-05..", "/v1/2026-01-01..2026-02-01", "/v2/rates",
                    "/v2/rate/eur/usd"],
    "fred": ["/fred/series", "/fred/series/observations", "/fred/series/vintagedates", "/fred/series/release"],
    "yahoo": ["/", "/v1/test/getcrumb", "/v7/finance/quote", "/v8/finance/chart/AAPL", "/v8/finance/chart/EURUSD=X",
              "/v8/finance/chart/"],
}  # fmt: skip
NAMED = """
symbol symbols interval range period1 period2 ids vs_currency vs_currencies days from to date function month outputsize from_symbol
to_symbol from_currency to_currency market maturity resolution series_id realtime_start realtime_end limit offset base quotes
providers name query page includePrePost
""".split()  # noqa: SIM905
GIVEN = """
AAPL BRK-B EURUSD BTCUSD EURUSD=X OANDA:EUR_USD BINANCE:BTCUSDT EUR USD BTC bitcoin usd 1d 1m 5min D 1 7 365 max GDP CPI full
TIME_SERIES_INTRADAY GLOBAL_QUOTE FX_DAILY DIGITAL_CURRENCY_DAILY TREASURY_YIELD CURRENCY_EXCHANGE_RATE 2026-02 2026-03-01
2026-13-45 9999-12-31 1776-07-04 1000000000 -1 0 true
""".split()  # noqa: SIM905
VALUES = st.sampled_from([*GIVEN, "", str(NOON // 10**6)]) | st.integers(-5, 2**63).map(str) | st.text(max_size=6)


def speaking() -> Dialects:
    """All dialects, of a market that has gone on for some seconds, for those who pay."""
    clock, market = ManualClock(NOON), Market(seed=1, symbols=8, rate=20, floor=Floor(1))
    history = History(market)
    pump = Pump(market, history, clock)
    pump.begin()
    found = Dialects(Binance(), World(history, Doorman(Limits()), clock.now))
    for name in NAMES:
        found[name].clerk.terms = Terms(plan="paid")  # type: ignore[attr-defined]
    clock.move(5)
    list(pump.due())
    return found


DIALECTS: list[Dialects] = []


def dialect(name: str) -> Dialect:
    """One of them, all made at the first question."""
    if not DIALECTS:
        DIALECTS.append(speaking())
    return DIALECTS[0][name]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=tried(60), deadline=None)
@given(data=st.data())
def test_any_request_is_answered_or_refused(name, data):
    path = data.draw(st.sampled_from(PATHS[name]) | st.text(max_size=12).map(lambda text: f"/{text}"))
    params = data.draw(st.lists(st.tuples(st.sampled_from(NAMED), VALUES), max_size=6))
    key = {"apikey": KEY, "api_key": KEY, "token": KEY, "file_type": "json", **dict(params)}
    query = "&".join(f"{name}={quote(value, errors='replace')}" for name, value in key.items())
    answer = dialect(name).answer(Request("GET", path, query, {"cookie": "A3=d=sim0"}))
    assert 200 <= answer.status < 500 and isinstance(answer.body, bytes)
    if answer.status == 200 and answer.kind.startswith("application/json"):
        json.loads(answer.body)
    assert all(row["kind"] in ("quote", "bar", "observation", "action") for row in answer.rows)


KEYS = st.sampled_from(["subscribe", "unsubscribe", "type", "symbol"])
SAID = st.binary(max_size=30) | st.recursive(
    st.none() | st.integers() | st.sampled_from(["AAPL", "subscribe", "BTC-USD", "BINANCE:BTCUSDT", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("name", ["finnhub", "yahoo"])
@settings(max_examples=tried(60), deadline=None)
@given(st.lists(SAID, max_size=5))
def test_anything_said_is_obeyed_answered_or_ends_the_connection(name, messages):
    desk = dialect(name).welcome("/", f"token={KEY}&version=2")
    assert desk is not None and not isinstance(desk, Response)
    for message in [*messages, b"[" * 100_000]:
        try:
            answers = dialect(name).hear(desk, message)
        except HangUp:
            continue
        assert all(isinstance(answer, bytes) and answer for answer in answers)
