"""Messages as Binance sends them, and the ways in which they go wrong, for every test that needs some."""

import json
import random
from typing import Any

from hypothesis import strategies as st

TRADE = (
    b'{"e":"trade","E":1767225600124,"s":"BTCUSDT","t":4001,"p":"58001.03000000","q":"0.08620500",'
    b'"T":1767225600123,"m":true,"M":true}'
)
OLD_TRADE = (
    b'{"e":"trade","E":1767225600124,"s":"ETHUSDT","t":7001,"p":"4149.74000000","q":"0.43870000",'
    b'"b":9001,"a":9002,"T":1767225600123,"m":false,"M":true}'
)
AGGREGATE = (
    b'{"e":"aggTrade","E":1767225600124,"s":"BTCUSDT","a":665,"p":"58001.04000000","q":"0.02627600",'
    b'"f":4002,"l":4005,"T":1767225600123456,"m":false,"M":true}'
)
KLINE = (
    b'{"e":"kline","E":1767225660001,"s":"BTCUSDT","k":{"t":1767225600000,"T":1767225659999,"s":"BTCUSDT","i":"1m",'
    b'"f":4001,"L":4100,"o":"58000.1","c":"58003.0","h":"58010.0","l":"57990.0","v":"2.0","n":100,"x":true,'
    b'"q":"116000.0","V":"1.0","Q":"58000.0","B":"0"}}'
)
BOOK_TICKER = b'{"u":400900217,"s":"BNBUSDT","b":"25.3519","B":"31.21","a":"25.3652","A":"40.66"}'
DEPTH = b'{"e":"depthUpdate","E":1767225600124,"s":"BNBUSDT","U":157,"u":160,"b":[["0.0024","10"]],"a":[]}'
PARTIAL_DEPTH = b'{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[]}'
ACK = b'{"result":null,"id":1}'
REFUSED = b'{"code":2,"msg":"Invalid request: unknown method"}'
REFUSED_NESTED = b'{"error":{"code":-1121,"msg":"Invalid symbol."},"id":1}'
SHUTDOWN = b'{"e":"serverShutdown","E":1770123456789}'
TICKERS = b'[{"e":"24hrMiniTicker","E":1767225600124,"s":"BTCUSDT","c":"1"},{"e":"24hrMiniTicker","s":"ETHUSDT"}]'

WITH_TICKS = (TRADE, OLD_TRADE, AGGREGATE)
CONTROL = (KLINE, BOOK_TICKER, DEPTH, PARTIAL_DEPTH, ACK, REFUSED, REFUSED_NESTED, SHUTDOWN, TICKERS)


def wrapped(payload: bytes, stream: str = "btcusdt@trade") -> bytes:
    """The payload as a combined stream sends it."""
    return b'{"stream":"' + stream.encode() + b'","data":' + payload + b"}"


def trade(number: int, symbol: str = "BTCUSDT", price: str = "100.5", size: str = "0.25", **changed: Any) -> bytes:
    """One trade whose id and time follow from its number."""
    time = 1_767_225_600_000 + number
    fields = {"e": "trade", "E": time + 1, "s": symbol, "t": number, "p": price, "q": size, "T": time}
    return json.dumps({**fields, "m": True, "M": True, **changed}, separators=(",", ":")).encode()


def words(*lines: str) -> tuple[str, ...]:
    """The words of some lines."""
    return tuple(" ".join(lines).split())


NASTY = (
    *(
        word.encode("latin-1")
        for word in words('" \\ , : { } [ ] \0 \x7f \xff \xc3\xa9 - + . 0 00 1 e E5 1e308 NaN -0 / u A')
    ),
    *(word.encode() for word in words(r"null true false \u0041 \n aggTrade trade")),
    *(
        word.encode()
        for word in words('"e":"trade", "p":"1.5", "t":1.0, "s":"ETHUSDT", "stream":"x", "data":{}, "T":1,')
    ),
    *(b" ", b"\n", b"\t", b"9" * 20),
)


def mutated(message: bytes, choose: random.Random, times: int) -> bytes:
    """The message with bytes taken out, put in, changed, doubled or moved."""
    data = bytearray(message)
    for _ in range(times):
        at = choose.randrange(len(data) + 1)
        length = choose.choice((1, 1, 1, 2, 4, 10, 30))
        what = choose.randrange(6)
        if what == 0:
            del data[at : at + length]
        elif what == 1:
            data[at:at] = choose.choice(NASTY)
        elif what == 2 and at < len(data):
            data[at] = choose.randrange(256)
        elif what == 3:
            data[at:at] = data[at : at + length]
        elif what == 4:
            data[at : at + length] = choose.choice(NASTY)
        elif at < len(data):
            data[at] ^= 1 << choose.randrange(8)
    return bytes(data)


def with_fields_changed(message: bytes, choose: random.Random) -> bytes:
    """The message with one field renamed, doubled, moved or with another value, as JSON text."""
    fields = [[json.dumps(k), json.dumps(v)] for k, v in json.loads(message).items()]
    at, other = choose.randrange(len(fields)), choose.randrange(len(fields))
    what = choose.randrange(4)
    if what == 0:
        fields[at], fields[other] = fields[other], fields[at]
    elif what == 1:
        fields.insert(other, list(fields[at]))
    elif what == 2:
        fields[at][1] = choose.choice(VALUES)
    else:
        fields[at][0] = choose.choice(('"x"', '"p"', '"\\u0070"', '"e"', '""'))
    return ("{" + ",".join(f"{key}:{value}" for key, value in fields) + "}").encode()


VALUES = (
    *words("0 -0 -1 1 01 1.0 1e3 9223372036854775807 9223372036854775808 123456789012345678 1234567890123456789"),
    *words("1767225600123 1767225600123456 17672256001234 true false null [] {}"),
    *words('"0" "-1" "1e308" "1e400" "NaN" "Infinity" "007.50" "1." ".5" "+1" "1_0" "0.1234567890123456789"'),
    *words('"9007199254740993" "9007199254740993.00000000" "99999999.99999999" "123456789012345678901234567890.5"'),
    *words('"" "btcusdt" "BTC-USDT" "币安人生USDT" "trade" "aggTrade" "kline"', r'"\u0042TCUSDT" "A\u0000B"'),
    *('" 1"', '"' + "A" * 31 + '"', '"' + "A" * 32 + '"'),
)

seeds = st.integers(0, 2**48).map(random.Random)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message with ticks, damaged in one of the ways above or not at all, bare or wrapped."""
    message = draw(st.sampled_from(WITH_TICKS))
    choose = draw(seeds)
    if choose.random() < 0.5:
        message = with_fields_changed(message, choose)
    if choose.random() < 0.4:
        message = wrapped(message, choose.choice(("btcusdt@trade", "x\\u0041", "é", "")))
    return mutated(message, choose, choose.choice((0, 0, 1, 1, 2, 5)))
