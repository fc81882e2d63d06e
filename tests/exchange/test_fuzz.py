"""Whatever is asked or said, the answer is a proper one: no failure of the server, always JSON of the known shapes."""

import json
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.exchange.talk import START
from tickhouse.exchange import Request
from tickhouse.exchange.binance import METHODS, Binance
from tickhouse.exchange.history import History
from tickhouse.exchange.limits import Doorman, Limits
from tickhouse.exchange.market import Market
from tickhouse.exchange.world import World


def spoken() -> Binance:
    """A dialect with a minute of trades to speak of."""
    market = Market(seed=1, symbols=3, rate=50)
    history, dialect = History(market), Binance()
    for block in market.play(START).blocks:
        history.add(block)
        if block.time[0] > START + 60_000_000:
            break
    history.visible = START + 60_000_000
    dialect.use(World(history, Doorman(Limits(weight=10**9)), lambda: START + 60_000_000))
    return dialect


DIALECT = spoken()
PATHS = st.sampled_from(
    ["ping", "time", "exchangeInfo", "klines", "aggTrades", "trades", "historicalTrades", "ticker/price", "x", ""]
)
NAMES = st.sampled_from(
    ["symbol", "symbols", "interval", "limit", "fromId", "startTime", "endTime", "timeZone", "other"]
)
NUMBERS = st.integers(0, 2**70).map(str) | st.integers(START // 1000 - 10**8, START // 1000 + 10**8).map(str)
VALUES = (
    st.sampled_from(["BTCUSDT", "ETHUSDT", "1m", "1M", "1s", "1w", "0", "7", '["BTCUSDT"]', "[[", ""])
    | NUMBERS
    | st.text(max_size=8)
)


@settings(max_examples=tried(300), deadline=None)
@given(PATHS, st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_any_request_is_answered_or_refused(path, given_):
    query = "&".join(f"{name}={quote(value, errors='replace')}" for name, value in given_)
    answer = DIALECT.answer(Request("GET", f"/api/v3/{path}", query))
    assert answer.status in (200, 400, 404)
    if answer.status != 404:
        body = json.loads(answer.body)
        assert answer.status == 200 or list(body) == ["code", "msg"]
        assert not isinstance(body, list) or len(body) <= 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
STREAMS = (
    st.lists(
        st.sampled_from(["btcusdt@trade", "ethusdt@kline_1m", "nope@trade", "", "@", "btcusdt"]) | JSON, max_size=4
    )
    | JSON
)
SAID = st.fixed_dictionaries({}, optional={"method": st.sampled_from(METHODS) | JSON, "params": STREAMS, "id": JSON})


@settings(max_examples=tried(300), deadline=None)
@given(st.lists(SAID.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30), max_size=5))
def test_anything_said_is_answered(messages):
    desk = DIALECT.welcome("/stream", "streams=btcusdt@trade/nope@x")
    assert desk is not None
    for message in [*messages, b"[" * 100_000]:
        answer = json.loads(DIALECT.hear(desk, message)[0])
        assert "result" in answer or (answer["code"] in (0, 1, 2, 3) and answer["msg"])
    DIALECT.updates(desk, START, START + 60_000_000, [])


@settings(max_examples=tried(100), deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_address_is_welcomed_or_not(path, query):
    desk = DIALECT.welcome("/" + path, query)
    assert desk is None or path.startswith(("ws", "stream"))
