"""Binance's spot market in its own words: paths, JSON shapes, weights, refusals (`_binance_rest`), and streams.

The shapes, the order of keys and the texts are those of recorded messages. Not spoken: depth, bookTicker, streams of tickers.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import I64, MS, Bools, Desk, Rendered, Request, Response, Topic, Trades
from tickhouse.exchange._binance_rest import Rest, failure, json_bytes, kline_texts
from tickhouse.exchange.klines import INTERVALS, floor_to, next_after
from tickhouse.exchange.world import World

E8 = 100_000_000
LAG = 1000
"""The event time of a message is its trade's time or, for every other trade, this much (us) later."""
MOST_CLOSES = 1000
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_TRADE = b'{"e":"trade","E":%%d,"s":"%s","t":%%d,"p":"%%d.%%08d","q":"%%d.%%08d","T":%%d,"m":%%s,"M":true}'
_AGGREGATE = b'{"e":"aggTrade","E":%%d,"s":"%s","a":%%d,"p":"%%d.%%08d","q":"%%d.%%08d","f":%%d,"l":%%d,"T":%%d,"m":%%s,"M":true}'
_WRAPPED = b'{"stream":"%s","data":%s}'
_BOOLS = (b"false", b"true")
_CHANGES = (
    (b'"p":"', b'"price":"'), (b'"T":', b'"tradeTime":'), (b'"s":"', b'"symbol":"'), (b'"q":"', b'"Q":"'),
)  # fmt: skip
_BAD_PRICES = (b"0.00000000", b"-1.00000000", b"NaN", b"1e308", b"")


class Binance:
    """The dialect of Binance."""

    name = "binance"

    def use(self, world: World) -> None:
        """Speak of these trades: those of coins, which are all that is traded here."""
        history = world.history
        self._history, self._limits = history, world.doorman
        self._rest = Rest(history, world.doorman, world.now)
        self._codes = {symbol.lower(): code for symbol, code in self._rest.codes.items()}
        decimals = [(one.price_decimals, one.quantity_decimals) for one in history.instruments]
        self._scales = 10 ** (8 - np.array(decimals, np.int64).reshape(-1, 2).T)
        self._templates: dict[Topic, list[bytes]] = {}

    def answer(self, request: Request) -> Response:
        """An HTTP request answered from the history, weight and refusals included."""
        return self._rest.answer(request)

    def refusal(self, kind: str, variant: int) -> Response:
        """An answer of a server in trouble."""
        return failure(kind, variant)

    def welcome(self, path: str, query: str) -> Desk | None:
        """`/ws`, `/ws/<stream>`, `/ws/<a>/<b>` give bare messages, `/stream?streams=<a>/<b>` wrapped ones."""
        given = dict(parse_qsl(query))
        unit = 1 if given.get("timeUnit", "").upper() == "MICROSECOND" else MS
        if path == "/ws" or path.startswith("/ws/"):
            desk, names = Desk(unit=unit), path[4:].split("/")
        elif path == "/stream":
            desk, names = Desk(wrapped=True, unit=unit), given.get("streams", "").split("/")
        else:
            return None
        self._subscribe(desk, [name for name in names if name])
        return desk

    def hear(self, desk: Desk, text: bytes) -> list[bytes]:
        """A control message: SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY."""
        return [self._heard(desk, text)]

    def _heard(self, desk: Desk, text: bytes) -> bytes:
        try:
            said = json.loads(text)
            json_bytes(said)
        except (ValueError, OverflowError, RecursionError) as error:
            return _error(3, f"Invalid JSON: expected value at line 1 column {getattr(error, 'pos', 0) + 1}")
        if not isinstance(said, dict) or "method" not in said:
            return _error(2, "Invalid request: missing field `method` at line 1 column " + str(len(text)))
        number, method, params = said.get("id"), said["method"], said.get("params", [])
        if number is not None and not (isinstance(number, int | str) and not isinstance(number, bool)):
            return _error(2, "Invalid request: request ID must be an unsigned integer")
        if method not in METHODS:
            known = ", ".join(f"`{one}`" for one in METHODS)
            return _error(2, f"Invalid request: unknown variant `{method}`, expected one of {known}", number)
        if not isinstance(params, list):
            return _error(2, "Invalid request: invalid type: expected a sequence of params", number)
        return self._obey(desk, method, params, number)

    def render(self, topic: Topic, trades: Trades, wanted: Bools) -> Rendered | None:
        """A block as `trade` or `aggTrade` messages."""
        if topic.name not in ("trade", "aggTrade"):
            return None
        at = np.flatnonzero(wanted[trades.code])
        part = trades.take(at)
        if topic.name == "trade":
            return Rendered(part.code, part.id, part.id, at, self._trades(topic, part))
        return self._aggregates(topic, part, at)

    def updates(self, desk: Desk, before: int, now: int, muted: Sequence[int]) -> list[bytes]:
        """Klines: every two seconds (`1s`: every second) when there were trades, and when they close."""
        silent, out = set(muted), []
        for stream, known in desk.streams.items():
            if known and known[0].startswith("kline_") and known[1] not in silent:
                for text in self._klines(known[1], known[0].removeprefix("kline_"), before, now):
                    out.append(_WRAPPED % (stream.encode(), text) if desk.wrapped else text)
        return out

    def spoiled(self, text: bytes, kind: str, variant: int) -> bytes:
        """A key that is called otherwise, a number that was a text, or a price that cannot be."""
        if kind == "changed_fields":
            if variant % 3 == 0 and b'"p":' in text:
                return re.sub(rb'"p":"([^"]*)"', rb'"p":[\1]', text)
            found = [pair for pair in _CHANGES if pair[0] in text]
            return text.replace(*found[variant % len(found)], 1) if found else b"[" + text + b"]"
        price = _BAD_PRICES[variant % len(_BAD_PRICES)]
        return re.sub(rb'"p":"[^"]*"', b'"p":"' + price + b'"', text)

    def parting(self, desk: Desk, now: int) -> bytes:
        """The notice of a shutdown."""
        text = b'{"e":"serverShutdown","E":%d}' % (now // desk.unit)
        return _WRAPPED % (b"!serverShutdown", text) if desk.wrapped else text

    def _subscribe(self, desk: Desk, names: Sequence[str]) -> None:
        for name in names:
            symbol, _, topic = name.partition("@")
            code = self._codes.get(symbol)
            good = topic in ("trade", "aggTrade") or topic.removeprefix("kline_") in INTERVALS
            known = (topic, code) if code is not None and good else None
            desk.streams[name] = known
            if known:
                desk.renewed.add(known[1])
        desk.version += 1

    def _obey(self, desk: Desk, method: str, params: list[Any], number: object) -> bytes:
        if method == "LIST_SUBSCRIPTIONS":
            return json_bytes({"result": list(desk.streams), "id": number})
        if method.endswith("PROPERTY"):
            return self._property(desk, method, params, number)
        if not all(isinstance(name, str) for name in params):
            return _error(2, "Invalid request: stream names must be strings", number)
        if method == "UNSUBSCRIBE":
            for name in params:
                desk.streams.pop(name, None)
            desk.version += 1
        elif len(desk.streams) + len(params) > self._limits.limits.streams:
            return _error(2, "Invalid request: too many parameters", number)
        else:
            self._subscribe(desk, params)
        return json_bytes({"result": None, "id": number})

    def _property(self, desk: Desk, method: str, params: list[Any], number: object) -> bytes:
        if not params or not isinstance(params[0], str):
            return _error(2, "Invalid request: property name must be a string", number)
        if params[0] != "combined":
            return _error(0, "Unknown property", number)
        if method == "GET_PROPERTY":
            return json_bytes({"result": desk.wrapped, "id": number})
        if len(params) != 2 or not isinstance(params[1], bool):
            return _error(1, "Invalid value type: expected Boolean", number)
        desk.wrapped = params[1]
        desk.version += 1
        return json_bytes({"result": None, "id": number})

    def _trades(self, topic: Topic, part: Trades) -> list[bytes]:
        templates, code = self._template(topic, _TRADE), part.code
        whole, cents = np.divmod(part.price * self._scales[0][code], E8)
        size, dust = np.divmod(part.quantity * self._scales[1][code], E8)
        said = (part.time + LAG * (part.id & 1)) // topic.unit
        columns = (code, said, part.id, whole, cents, size, dust, part.time // topic.unit, part.maker.astype(np.int64))
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            templates[c] % (e, i, w, f, s, d, t, _BOOLS[m]) for c, e, i, w, f, s, d, t, m in rows
        ]  # fmt: skip

    def _aggregates(self, topic: Topic, part: Trades, at: I64) -> Rendered:
        """Fills of one order at one price as one message, which follows the last of them."""
        by_code = np.argsort(part.code, kind="stable")
        code, order = part.code[by_code], part.order[by_code]
        new = np.ones(len(code), np.bool_)
        new[1:] = (np.diff(code) != 0) | (np.diff(order) != 0)
        first = np.flatnonzero(new)
        last = np.append(first[1:], len(code)) - 1
        total = np.add.reduceat(part.quantity[by_code], first) if len(first) else part.quantity
        sent = np.argsort(by_code[last] if len(last) else last, kind="stable")
        first, last, total = by_code[first][sent], by_code[last][sent], total[sent]
        head = part.take(first)
        texts = self._aggregate_texts(topic, head, total, part.id[last])
        return Rendered(head.code, head.id, part.id[last], at[last], texts)

    def _aggregate_texts(self, topic: Topic, head: Trades, total: I64, last: I64) -> list[bytes]:
        templates, code = self._template(topic, _AGGREGATE), head.code
        whole, cents = np.divmod(head.price * self._scales[0][code], E8)
        size, dust = np.divmod(total * self._scales[1][code], E8)
        said = (head.time + LAG * (head.id & 1)) // topic.unit
        columns = (
            code, said, head.order, whole, cents, size, dust, head.id, last, head.time // topic.unit, head.maker.astype(np.int64)
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            templates[c] % (e, a, w, f, s, d, i, n, t, _BOOLS[m]) for c, e, a, w, f, s, d, i, n, t, m in rows
        ]  # fmt: skip

    def _template(self, topic: Topic, shape: bytes) -> list[bytes]:
        """The message of each instrument with places for the numbers."""
        if topic not in self._templates:
            made = []
            for one in self._history.instruments:
                text = shape % one.symbol.replace("%", "%%").encode()
                stream = f"{one.symbol.lower()}@{topic.name}".replace("%", "%%").encode()
                made.append(_WRAPPED % (stream, text) if topic.wrapped else text)
            self._templates[topic] = made
        return self._templates[topic]

    def _klines(self, code: int, interval: str, before: int, now: int) -> Iterator[bytes]:
        """Bars that closed after `before` and up to `now`, then the open one if it is time."""
        start, closed = floor_to(before, interval), 0
        while next_after(start, interval) <= now and closed < MOST_CLOSES:
            yield self._kline(code, interval, start, now)
            start, closed = next_after(start, interval), closed + 1
        period = SECOND if interval == "1s" else 2 * SECOND
        tick = now // period * period
        if tick > before // period * period and floor_to(now, interval) < now:
            times = self._history.columns(code).time
            if len(times) and times[-1] >= max(tick - period, floor_to(now, interval)):
                yield self._kline(code, interval, floor_to(now, interval), now)

    def _kline(self, code: int, interval: str, start: int, now: int) -> bytes:
        end = next_after(start, interval)
        edges = np.array([start, end], np.int64)
        one, bars = self._history.instruments[code], self._history.klines(code, edges)
        before = self._history.price_before(code, start)
        (text,) = kline_texts(one, bars, before)
        (row,) = bars.rows()
        k = {
            "t": start // MS, "T": end // MS - 1, "s": one.symbol, "i": interval, "f": row[10], "L": row[11],
            "o": text.open, "c": text.close, "h": text.high, "l": text.low, "v": text.volume, "n": row[7],
            "x": end <= now, "q": text.quote, "V": text.taker_volume, "Q": text.taker_quote, "B": "0",
        }  # fmt: skip
        return json_bytes({"e": "kline", "E": now // MS, "s": one.symbol, "k": k})


def _error(code: int, message: str, number: object = None) -> bytes:
    body = {"code": code, "msg": message}
    return json_bytes(body if number is None else body | {"id": number})
