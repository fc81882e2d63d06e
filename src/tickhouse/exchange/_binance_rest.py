"""Binance's REST answers, weights and refusals."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import numpy as np

from tickhouse.core.model import interval_us
from tickhouse.exchange import MS, Instrument, Now, Request, Response
from tickhouse.exchange.history import History
from tickhouse.exchange.klines import INTERVALS, Columns, Klines, edges_between, floor_to, next_after
from tickhouse.exchange.limits import Doorman, Verdict

MOST, USUAL = 1000, 500
"""Rows of a page: at most, and when no limit is given."""
INTERNAL = b'{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}'
_TOO_MUCH = (
    "Too much request weight used; current limit is %d request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)
_BANNED = (
    "Way too much request weight used; IP banned until %d. Please use the websocket for live updates to avoid bans."
)
_IN_TROUBLE = (
    INTERNAL,
    b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}',
    b'{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status unknown; execution status unknown."}',
    b'{"code":-1008,"msg":"Server is currently overloaded with other requests. Please try again in a few minutes."}',
)
_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_NUMBER = re.compile(r"[0-9]{1,20}")
DAY = 86_400_000_000
Params = Mapping[str, str]


class Refusal(Exception):
    """A request that is answered with 400."""

    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is known of one path: its weight, its parameters, and what answers it."""

    weight: Callable[[Params], int]
    params: tuple[str, ...]
    answer: Callable[[Params], Any]


class Rest:
    """Everything below /api/v3."""

    def __init__(self, history: History, doorman: Doorman, now: Now) -> None:
        self._history, self._doorman, self._now = history, doorman, now
        self.codes = {one.symbol: code for code, one in enumerate(history.instruments) if one.market == "crypto"}
        trades = ("symbol", "limit")
        self._endpoints = {
            "ping": Endpoint(lambda _: 1, (), lambda _: {}),
            "time": Endpoint(lambda _: 1, (), lambda _: {"serverTime": now() // MS}),
            "exchangeInfo": Endpoint(lambda _: 20, ("symbol", "symbols", "permissions"), self._exchange_info),
            "klines": Endpoint(
                lambda _: 2, ("symbol", "interval", "startTime", "endTime", "timeZone", "limit"), self._klines
            ),
            "aggTrades": Endpoint(
                lambda _: 4, ("symbol", "fromId", "startTime", "endTime", "limit"), self._aggregates
            ),
            "trades": Endpoint(lambda _: 25, trades, self._trades),
            "historicalTrades": Endpoint(lambda _: 25, (*trades, "fromId"), self._trades),
            "ticker/24hr": Endpoint(_weight_of_tickers, ("symbol", "symbols", "type"), self._tickers),
            "ticker/price": Endpoint(lambda p: 2 if "symbol" in p else 4, ("symbol", "symbols"), self._prices),
        }  # fmt: skip

    def answer(self, request: Request) -> Response:
        """Charge the weight, then answer or refuse."""
        endpoint = self._endpoints.get(request.path.removeprefix("/api/v3/"))
        if endpoint is None or not request.path.startswith("/api/v3/"):
            return Response(404, b"<html><body><h2>404 Not found</h2></body></html>\n", "text/html")
        given = parse_qsl(request.query, keep_blank_values=True)
        params = dict(given)
        verdict = self._doorman.weigh(request.peer, endpoint.weight(params), self._now())
        used = {"X-MBX-USED-WEIGHT": str(verdict.used), "X-MBX-USED-WEIGHT-1M": str(verdict.used)}
        if verdict.status != 200:
            return _too_much(verdict, self._doorman.limits.weight, used)
        if request.method != "GET":
            return Response(405, json_bytes({"code": -1, "msg": "Request method not supported"}), headers=used)
        try:
            _expected(given, endpoint.params)
            return Response(200, json_bytes(endpoint.answer(params)), headers=used)
        except Refusal as refusal:
            return Response(400, refused(refusal.code, refusal.message), headers=used)

    def _klines(self, params: Params) -> list[list[Any]]:
        code, interval = self._code(params), _mandatory(params, "interval")
        if interval not in INTERVALS:
            raise Refusal(-1120, "Invalid interval.")
        limit, start, end = _limit(params), _time(params, "startTime"), _time(params, "endTime")
        last = self._history.visible if end is None else min(end, self._history.visible)
        earliest = self._history.earliest(code)
        if earliest is None:
            return []
        first = floor_to(earliest, interval)
        if start is not None:
            begin = floor_to(start, interval)
            first = max(first, begin if begin == start else next_after(begin, interval))
        elif interval != "1M":
            first = max(first, floor_to(last, interval) - (limit - 1) * interval_us(interval))
        edges = edges_between(first, floor_to(last, interval), interval, 10**6 if start is None else limit)
        edges = edges[-limit - 1 :]
        if len(edges) < 2:
            return []
        one, bars = self._history.instruments[code], self._history.klines(code, edges)
        texts = kline_texts(one, bars, self._history.price_before(code, int(edges[0])))
        ends = (edges[1:] // MS - 1).tolist()
        return [
            [
                row[0] // MS,
                t.open,
                t.high,
                t.low,
                t.close,
                t.volume,
                end,
                t.quote,
                row[7],
                t.taker_volume,
                t.taker_quote,
                "0",
            ]
            for row, t, end in zip(bars.rows(), texts, ends, strict=True)
        ]

    def _trades(self, params: Params) -> list[dict[str, Any]]:
        """The newest trades, or those from an id on."""
        code, limit, from_id = self._code(params), _limit(params), _number(params, "fromId")
        trades = self._history.columns(code)
        first = max(len(trades) - limit, 0) if from_id is None else int(np.searchsorted(trades.id, from_id))
        return list(self._trade_rows(code, trades[first : first + limit]))

    def _aggregates(self, params: Params) -> list[dict[str, Any]]:
        """Aggregate trades from an id or a time on; without either the newest."""
        code, limit, from_id = self._code(params), _limit(params), _number(params, "fromId")
        start, end = _time(params, "startTime"), _time(params, "endTime")
        if from_id is not None and (start is not None or end is not None):
            raise Refusal(-1128, "Combination of optional parameters invalid.")
        trades = self._history.columns(code)
        if end is not None:
            trades = trades[: int(np.searchsorted(trades.time, end + MS - 1, "right"))]
        if from_id is not None:
            trades = trades[int(np.searchsorted(trades.order, from_id)) :]
        elif start is not None:
            trades = trades[int(np.searchsorted(trades.time, start)) :]
        elif len(trades):
            trades = trades[int(np.searchsorted(trades.order, trades.order[-1] - limit + 1)) :]
        if len(trades):
            trades = trades[: int(np.searchsorted(trades.order, trades.order[0] + limit))]
        return list(self._aggregate_rows(code, trades))

    def _prices(self, params: Params) -> Any:
        if "symbol" in params:
            return self._price(self._code(params))
        return [self._price(code) for code in self._chosen(params)]

    def _price(self, code: int) -> dict[str, str]:
        one = self._history.instruments[code]
        return {"symbol": one.symbol, "price": decimal(self._history.last_price(code), one.price_decimals)}

    def _tickers(self, params: Params) -> Any:
        if "symbol" in params:
            return self._ticker(self._code(params))
        return [self._ticker(code) for code in self._chosen(params)]

    def _ticker(self, code: int) -> dict[str, Any]:
        """The last 24 hours of a pair."""
        one, until = self._history.instruments[code], self._history.visible
        edges = np.array([until - DAY, until + 1])
        bars = self._history.klines(code, edges)
        (text,) = kline_texts(one, bars, self._history.last_price(code))
        change, last = float(text.close) - float(text.open), self._price(code)["price"]
        return {
            "symbol": one.symbol, "priceChange": f"{change:.8f}",
            "priceChangePercent": f"{100 * change / float(text.open):.3f}",
            "weightedAvgPrice": f"{float(text.quote) / (float(text.volume) or 1):.8f}", "prevClosePrice": text.open,
            "lastPrice": last, "lastQty": "0.00000000", "bidPrice": last, "bidQty": "0.00000000", "askPrice": last,
            "askQty": "0.00000000", "openPrice": text.open, "highPrice": text.high, "lowPrice": text.low,
            "volume": text.volume, "quoteVolume": text.quote, "openTime": (until - DAY) // MS, "closeTime": until // MS,
            "firstId": int(bars.first[0]), "lastId": int(bars.last[0]), "count": int(bars.trades[0]),
        }  # fmt: skip

    def _exchange_info(self, params: Params) -> dict[str, Any]:
        codes = [self._code(params)] if "symbol" in params else self._chosen(params)
        limits = [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": self._doorman.limits.weight,
            },
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
            {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
        ]
        listed = [_listing(self._history.instruments[code]) for code in codes]
        return {
            "timezone": "UTC", "serverTime": self._now() // MS, "rateLimits": limits, "exchangeFilters": [],
            "symbols": listed, "simulated": True,
        }  # fmt: skip

    def _code(self, params: Params) -> int:
        return self._known(_mandatory(params, "symbol"))

    def _known(self, symbol: str) -> int:
        if not _SYMBOL.fullmatch(symbol):
            raise Refusal(
                -1100, "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."
            )
        if symbol not in self.codes:
            raise Refusal(-1121, "Invalid symbol.")
        return self.codes[symbol]

    def _chosen(self, params: Params) -> list[int]:
        """The instruments of `symbols=["A","B"]`; all without it."""
        if "symbols" not in params:
            return list(self.codes.values())
        try:
            names = msgspec.json.decode(params["symbols"], type=list[str])
        except msgspec.DecodeError:
            raise Refusal(-1100, "Illegal characters found in parameter 'symbols'; legal range is "
                          "'^\\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\\]$'.") from None  # fmt: skip
        return [self._known(name) for name in names]

    def _trade_rows(self, code: int, part: Columns) -> Iterator[dict[str, Any]]:
        one = self._history.instruments[code]
        both = one.price_decimals + one.quantity_decimals
        for id_, price, quantity, time, maker in _rows(part.id, part.price, part.quantity, part.time, part.maker):
            yield {
                "id": id_, "price": decimal(price, one.price_decimals), "qty": decimal(quantity, one.quantity_decimals),
                "quoteQty": decimal(price * quantity, both), "time": time // MS, "isBuyerMaker": bool(maker),
                "isBestMatch": True,
            }  # fmt: skip

    def _aggregate_rows(self, code: int, part: Columns) -> Iterator[dict[str, Any]]:
        one = self._history.instruments[code]
        first = np.flatnonzero(np.diff(part.order, prepend=-1))
        last = np.append(first[1:], len(part)) - 1
        total = np.add.reduceat(part.quantity, first) if len(first) else first
        rows = _rows(part.order[first], part.price[first], total, part.id[first], part.id[last], part.time[first],
                     part.maker[first]) if len(first) else ()  # fmt: skip
        for order, price, quantity, f, l, time, maker in rows:  # noqa: E741
            yield {
                "a": order, "p": decimal(price, one.price_decimals), "q": decimal(quantity, one.quantity_decimals),
                "f": f, "l": l, "T": time // MS, "m": bool(maker), "M": True,
            }  # fmt: skip


@dataclass(frozen=True, slots=True)
class KlineText:
    """The decimals of a bar as Binance writes them."""

    open: str
    high: str
    low: str
    close: str
    volume: str
    quote: str
    taker_volume: str
    taker_quote: str


def kline_texts(one: Instrument, bars: Klines, before: int) -> Iterator[KlineText]:
    """The texts of bars; one without trades stays at the close of the one before (`before` for the first), with no volume."""
    both = one.price_decimals + one.quantity_decimals
    for row in bars.rows():
        _, *prices, volume, quote, trades, taken, taken_quote, _, _ = row
        if not trades:
            prices = [before] * 4
        before = prices[3]
        sums = [(volume, one.quantity_decimals), (quote, both), (taken, one.quantity_decimals), (taken_quote, both)]
        amounts = [(price, one.price_decimals) for price in prices] + sums
        yield KlineText(*[decimal(units, decimals) for units, decimals in amounts])


def _weight_of_tickers(params: Params) -> int:
    """2 for up to twenty pairs, 40 for up to a hundred, 80 for more and for all."""
    several = params["symbols"].count(",") + 1 if "symbols" in params else 101
    return 2 if "symbol" in params or several <= 20 else 40 if several <= 100 else 80


def decimal(units: int, decimals: int) -> str:
    """Whole units as a decimal with 8 places, cut off there.

    >>> decimal(6075960, 2)
    '60759.60000000'
    """
    scaled = units * 10 ** (8 - decimals) if decimals <= 8 else units // 10 ** (decimals - 8)
    whole, part = divmod(scaled, 100_000_000)
    return f"{whole}.{part:08d}"


def json_bytes(value: Any) -> bytes:
    """Compact JSON, keys in their order."""
    return msgspec.json.encode(value)


def refused(code: int, message: str) -> bytes:
    """The body of a refusal."""
    return json_bytes({"code": code, "msg": message})


def failure(kind: str, variant: int) -> Response:
    """An answer of a server in trouble: `error_bodies` (200), `too_many` (429) or `server_errors` (5xx)."""
    if kind == "too_many":
        return Response(429, refused(-1003, _TOO_MUCH % 6000), headers={"Retry-After": "1"})
    if kind == "error_bodies":
        return Response(200, _IN_TROUBLE[variant % len(_IN_TROUBLE)])
    status = (500, 502, 503, 504)[variant % 4]
    if status == 502:
        return Response(status, b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>\r\n", "text/html")
    return Response(status, _IN_TROUBLE[variant // 4 % len(_IN_TROUBLE)])


def _too_much(verdict: Verdict, limit: int, used: dict[str, str]) -> Response:
    banned = verdict.status == 418
    body = refused(-1003, _BANNED % (verdict.until // MS) if banned else _TOO_MUCH % limit)
    return Response(verdict.status, body, headers={**used, "Retry-After": str(verdict.wait)})


def _expected(given: list[tuple[str, str]], known: tuple[str, ...]) -> None:
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise Refusal(-1101, "Duplicate values for a parameter detected.")
    read = [name for name in names if name in known]
    if len(read) < len(names):
        raise Refusal(
            -1104, f"Not all sent parameters were read; read '{len(read)}' parameter(s) but was sent '{len(names)}'."
        )


def _mandatory(params: Params, name: str) -> str:
    if not params.get(name):
        raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return params[name]


def _number(params: Params, name: str) -> int | None:
    if name not in params:
        return None
    if not params[name]:
        raise Refusal(-1105, f"Parameter '{name}' was empty.")
    if not _NUMBER.fullmatch(params[name]):
        raise Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return min(int(params[name]), 2**62)


def _time(params: Params, name: str) -> int | None:
    """A time in ms as us."""
    number = _number(params, name)
    return None if number is None else min(number, 2**52) * MS


def _limit(params: Params) -> int:
    limit = _number(params, "limit")
    if limit == 0:
        raise Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
    return USUAL if limit is None else min(limit, MOST)


def _rows(*columns: Any) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)


def _listing(one: Instrument) -> dict[str, Any]:
    """One symbol of exchangeInfo."""
    tick, step = decimal(1, one.price_decimals), decimal(1, one.quantity_decimals)
    size, best = decimal(9_000_000, 0), decimal(1_000_000, 0)
    filters: list[dict[str, Any]] = [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": best, "tickSize": tick},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "5", "multiplierDown": "0.2", "avgPriceMins": 5},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": size, "stepSize": step},
        {"filterType": "MIN_NOTIONAL", "minNotional": "10.00000000", "applyToMarket": True, "avgPriceMins": 5},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": size, "stepSize": "0.00000000"},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]
    return {
        "symbol": one.symbol, "status": "TRADING", "baseAsset": one.base, "baseAssetPrecision": 8, "quoteAsset": one.quote,
        "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"], "icebergAllowed": True,
        "ocoAllowed": True, "quoteOrderQtyMarketAllowed": True, "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "filters": filters, "permissions": ["SPOT"],
    }  # fmt: skip
