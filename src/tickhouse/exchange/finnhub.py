"""Finnhub's words: quotes, candles for those who pay, and a socket of trades with conditions and a ping a minute."""

import json
import re
from collections.abc import Sequence

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import MS, Bools, Desk, Rendered, Request, Response, Topic, Trades
from tickhouse.exchange._polled import (
    TEXT,
    Params,
    Polled,
    bar_rows,
    bars_of,
    given,
    in_trouble,
    number,
    quote_row,
    said,
    whole,
)  # fmt: skip
from tickhouse.exchange.floor import DAY, MINUTE
from tickhouse.exchange.terms import Spent, Terms

INTERVALS = {"1": "1m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "D": "1d", "W": "1w"}
LENGTHS = {
    "1m": MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": 60 * MINUTE,
    "1d": DAY,
    "1w": 7 * DAY,
}
MOST_SYMBOLS = 50
TOGETHER = 250 * MS
"""Trades of a symbol so close together come in one message."""
NO_ACCESS = {"error": "You don't have access to this resource."}
NO_KEY = {"error": "Please use an API key."}
PING = b'{"type":"ping"}'
_PLACED = re.compile(r"(\w[\w ]*):(.+)")
_BAD = (b"0", b"-1", b"1e308")


class Finnhub(Polled):
    """The dialect of Finnhub. A plan that is paid has candles."""

    name = "finnhub"
    TERMS = Terms(per_second=30, per_minute=60)
    CHANGES = (
        (b'"p":', b'"price":'), (b'"v":', b'"v":"x","w":'), (b'"s":', b'"symbol":'), (b'"c":', b'"close":'),
        (b'"t":', b'"time":'),
    )  # fmt: skip

    def answer(self, request: Request) -> Response:
        """`/api/v1/quote`, `/api/v1/stock|forex|crypto/candle`, `/api/v1/stock/market-status`."""
        params = given(request)
        key = request.headers.get("x-finnhub-token") or params.get("token", "")
        if not self.clerk.knows(key):
            return said(NO_KEY, status=401)
        spent = self.clerk.spend(key)
        if spent:
            return self._limited(spent)
        if request.path == "/api/v1/quote":
            return self._quote(params)
        if request.path in ("/api/v1/stock/candle", "/api/v1/forex/candle", "/api/v1/crypto/candle"):
            return self._candles(params) if self.clerk.paid else said(NO_ACCESS, status=403)
        if request.path == "/api/v1/stock/market-status":
            phase = self.snapshots.phase(self.chronicle.code("AAPL") or 0, self.now())
            session = {"REGULAR": "regular", "PRE": "pre-market", "POST": "post-market"}.get(phase)
            return said({"exchange": "US", "holiday": None, "isOpen": phase == "REGULAR", "session": session,
                         "t": self.now() // SECOND, "timezone": "America/New_York"})  # fmt: skip
        return Response(404, b"<html><body>404</body></html>", "text/html")

    def refusal(self, kind: str, variant: int) -> Response:
        """Too fast, a refusal told with 200, or a proxy in trouble."""
        if kind == "too_many":
            return self._limited(Spent("minute", 1.0))
        if kind == "error_bodies":
            return said({"error": "API limit reached. Please try again later. Remaining Limit: 0"})
        return in_trouble(variant)

    def welcome(self, path: str, query: str) -> Desk | Response | None:
        """One connection for each key, which stands in the address."""
        token = dict(part.partition("=")[::2] for part in query.split("&")).get("token", "")
        if path != "/":
            return None
        if not self.clerk.knows(token):
            return Response(401, b"invalid API key", TEXT)
        return Desk(owner=f"finnhub {token}", chatty=True)

    def hear(self, desk: Desk, text: bytes) -> list[bytes]:
        """`{"type":"subscribe","symbol":"AAPL"}` and `unsubscribe`; nothing is said to it but that there are too many."""
        try:
            message = json.loads(text)
            name, what = message["symbol"], message["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return [b'{"msg":"Invalid message","type":"error"}']
        if what == "unsubscribe":
            desk.streams.pop(str(name), None)
        elif len(desk.streams) >= MOST_SYMBOLS and not self.clerk.paid:
            return [b'{"msg":"Subscribing to too many symbols","type":"error"}']
        else:
            code = self._code(str(name))
            desk.streams[str(name)] = None if code is None else ("trades", code)
            desk.renewed |= {code} if code is not None else set()
        desk.version += 1
        return []

    def render(self, topic: Topic, trades: Trades, wanted: Bools) -> Rendered:
        """Trades of one symbol that are close together, in one message after the last of them."""
        at = np.flatnonzero(wanted[trades.code])
        by = at[np.lexsort((trades.id[at], trades.code[at]))]
        part = trades.take(by)
        new = np.ones(len(by), np.bool_)
        new[1:] = (np.diff(part.code) != 0) | (np.diff(part.time // TOGETHER) != 0)
        first = np.flatnonzero(new)
        last = np.append(first[1:], len(by)) - 1 if len(first) else first
        order = np.argsort(by[last], kind="stable")
        first, last = first[order], last[order]
        texts = [self._frame(part.take(slice(a, b + 1))) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
        return Rendered(part.code[first], part.id[first], part.id[last], by[last], texts)

    def updates(self, desk: Desk, before: int, now: int, muted: Sequence[int]) -> list[bytes]:
        """A ping a minute, which wants no answer."""
        return [PING] if now // MINUTE > before // MINUTE else []

    def spoiled(self, text: bytes, kind: str, variant: int) -> bytes:
        """A field that is called otherwise, or a price that cannot be."""
        if kind == "changed_fields":
            # The conditions and the size of a trade may be missing, so only the others tell that something changed.
            names = self.CHANGES[:3] if b'"data":' in text else self.CHANGES[3:]
            return text.replace(*names[variant % len(names)])
        return re.sub(rb'"p":[^,}]*', b'"p":' + _BAD[variant % len(_BAD)], text)

    def _quote(self, params: Params) -> Response:
        code = self._code(params.get("symbol", ""))
        one = None if code is None else self.snapshots.of(code)
        if one is None:
            return said({"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0})
        shown = {
            "c": whole(one.price), "d": whole(round(one.change, 5)), "dp": whole(round(one.percent, 4)), "h": whole(one.high),
            "l": whole(one.low), "o": whole(one.open), "pc": whole(one.previous), "t": one.time // SECOND,
        }  # fmt: skip
        rows = [quote_row(self._canonical(params["symbol"], one.symbol), one.time // SECOND * SECOND, one.price)]
        return said(shown, rows, headers={"X-Ratelimit-Limit": str(self.clerk.terms.per_minute)})

    def _candles(self, params: Params) -> Response:
        code, interval = self._code(params.get("symbol", "")), INTERVALS.get(params.get("resolution", ""))
        if code is None or interval is None:
            return said({"s": "no_data"})
        start, end = number(params, "from", 0) * SECOND, (number(params, "to", 0) + 1) * SECOND
        made = {"1d": self.chronicle.days, "1w": self.chronicle.weeks}.get(interval)
        found = made(code, start, end) if made else self.chronicle.bars(code, interval, start, end)
        one = self.chronicle.instrument(code)
        bars = bars_of(found, one, self.now(), LENGTHS[interval])
        if not bars:
            return said({"s": "no_data"})
        names = {"c": "close", "h": "high", "l": "low", "o": "open", "v": "volume"}
        columns = {short: [whole(getattr(bar, name)) for bar in bars] for short, name in names.items()}
        times = {"s": "ok", "t": [bar.start // SECOND for bar in bars]}
        return said(columns | times, bar_rows(bars, self._canonical(params["symbol"], one.name), interval))

    def _limited(self, spent: Spent) -> Response:
        words = {"error": "API limit reached. Please try again later. Remaining Limit: 0"}
        reset = str(round(self.world.now() / SECOND + spent.wait + 0.5))
        return said(words, status=429, headers={"X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": reset})

    def _frame(self, part: Trades) -> bytes:
        """The trades of one symbol."""
        one = self.chronicle.instrument(int(part.code[0]))
        name = {"crypto": f"BINANCE:{one.symbol}", "forex": f"OANDA:{one.base}_{one.quote}"}.get(one.market, one.symbol)
        price, size = part.price / 10.0**one.price_decimals, part.quantity / 10.0**one.quantity_decimals
        rows = zip(price.tolist(), size.tolist(), (part.time // MS).tolist(), strict=True)
        data = [
            {"c": self._conditions(v, t) if one.market == "equities" else None, "p": whole(p), "s": name, "t": t,
             "v": 0 if one.market == "forex" else whole(v)}
            for p, v, t in rows
        ]  # fmt: skip
        return json.dumps({"data": data, "type": "trade"}, separators=(",", ":")).encode()

    def _conditions(self, size: float, time: int) -> list[str]:
        """Regular, an odd lot, before or after hours."""
        hours = self.chronicle.hours(self.chronicle.code("AAPL") or 0)
        late = hours is not None and not hours.open(time * MS)
        return ["1", *(["24"] if late else []), *(["12"] if size < 100 else [])]

    def _code(self, text: str) -> int | None:
        """`AAPL`, `BINANCE:BTCUSDT`, `COINBASE:BTC-USD`, `OANDA:EUR_USD`."""
        placed = _PLACED.fullmatch(text)
        if not placed:
            code = self.chronicle.code(text)
            return code if code is not None and self.chronicle.instrument(code).market == "equities" else None
        if placed[1] == "BINANCE":
            return self.chronicle.history.codes.get(placed[2])
        return self.chronicle.code(placed[2].replace("_", "-"))

    def _canonical(self, text: str, name: str) -> str:
        """The canonical symbol of what was asked for: a coin in dollars is not the same as one in Tether."""
        return text.partition(":")[2] if text.startswith("COINBASE:") else name


def open() -> Finnhub:
    """The dialect."""
    return Finnhub()
