"""Yahoo's words: charts, quotes for those with a cookie and its crumb, and the pricing socket."""

import json
from functools import cached_property
from typing import Any
from urllib.parse import unquote
from zlib import crc32

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import Bools, Desk, HangUp, Rendered, Request, Response, Row, Topic, Trades
from tickhouse.exchange._polled import JSON, TEXT, Params, Polled, given, in_trouble, quote_row, said, whole
from tickhouse.exchange._yahoo_chart import Charts, Refused
from tickhouse.exchange._yahoo_frames import damaged, frame
from tickhouse.exchange._yahoo_names import HABITS, canonical, spelled
from tickhouse.exchange.snapshots import Snapshot
from tickhouse.exchange.terms import Terms

MOST_SYMBOLS, SLOW = 100, 5
"""Symbols of one connection to the stream; the rest is cut without a word. Coins come every five seconds, the rest each second."""
EDGE = b"Edge: Too Many Requests"


class Yahoo(Polled):
    """The dialect of Yahoo Finance."""

    name = "yahoo"
    TERMS = Terms(per_minute=120)
    CHANGES = ((b'"timestamp":', b'"times":'), (b'"close":', b'"closing":'), (b'"symbol":', b'"ticker":'))

    @cached_property
    def charts(self) -> Charts:
        """The charts."""
        return Charts(self.chronicle, self.snapshots)

    def answer(self, request: Request) -> Response:
        """`/` gives a cookie, `/v1/test/getcrumb` its crumb, `/v7/finance/quote` quotes, `/v8/finance/chart/<symbol>` charts."""
        if self.clerk.spend(request.peer):
            return Response(429, EDGE, TEXT)
        if request.path == "/":
            cookie = f"A3=d=sim{self.clerk.version}; Expires=Thu, 1 Jan 2099 00:00:00 GMT; Path=/; HttpOnly"
            return Response(404, b"", TEXT, {"set-cookie": cookie})
        if request.path == "/v1/test/getcrumb":
            crumb = self._crumb(request)
            return (
                Response(200, crumb.encode(), TEXT)
                if crumb
                else _refused(401, "finance", "Unauthorized", "Invalid Cookie")
            )
        if request.path == "/v7/finance/quote":
            return self._quotes(request, given(request))
        if request.path.startswith("/v8/finance/chart/"):
            return self._chart(unquote(request.path.rpartition("/")[2]), given(request))
        return _refused(404, "finance", "Not Found", "No such path")

    def refusal(self, kind: str, variant: int) -> Response:
        """The edge's refusal, an error told with 200, or a proxy in trouble."""
        if kind == "too_many":
            return Response(429, EDGE if variant % 2 else b"Too Many Requests\r\n", TEXT, {"Retry-After": "1"})
        if kind == "error_bodies":
            return _refused(200, "chart", "Internal Server Error", "internal-error")
        return in_trouble(variant)

    def _crumb(self, request: Request) -> str:
        """The crumb that belongs to the cookie of a request, empty where that is none or too old."""
        good = f"A3=d=sim{self.clerk.version}"
        return f"s.{crc32(good.encode()):x}Xy" if good in request.headers.get("cookie", "") else ""

    def _chart(self, text: str, params: Params) -> Response:
        try:
            value, rows = self.charts.told(text, params)
        except Refused as refused:
            return _refused(refused.status, "chart", refused.code, refused.description)
        return said(value, rows)

    def _quotes(self, request: Request, params: Params) -> Response:
        """Symbols that are not known are left out."""
        crumb = self._crumb(request)
        if not crumb:
            return _refused(
                401,
                "finance",
                "Unauthorized",
                "User is unable to access this feature - https://bit.ly/yahoo-finance-api-feedback",
            )
        if params.get("crumb") != crumb:
            return _refused(401, "finance", "Unauthorized", "Invalid Crumb")
        shown, rows = [], list[Row]()
        for text in params.get("symbols", "").split(","):
            code = self.chronicle.code(canonical(text))
            one = None if code is None else self.snapshots.of(code)
            if code is not None and one is not None:
                shown.append(self._quote(text, code, one))
                rows += _said_of(canonical(text), one)
        return said({"quoteResponse": {"result": shown, "error": None}}, rows)

    def _quote(self, text: str, code: int, one: Snapshot) -> dict[str, Any]:
        habit = HABITS[self.chronicle.instrument(code).market]
        volume = one.money if habit.kind == "CRYPTOCURRENCY" else one.volume
        late = {}
        if one.late:
            name = "preMarket" if one.phase == "PRE" else "postMarket"
            change = one.late[0] - one.price
            late = {f"{name}Change": change, f"{name}ChangePercent": 100.0 * change / one.price,
                    f"{name}Time": one.late[1] // SECOND, f"{name}Price": one.late[0]}  # fmt: skip
        prices = {
            "Price": one.price, "DayHigh": one.high, "DayLow": one.low, "PreviousClose": one.previous, "Open": one.open,
        }  # fmt: skip
        regular = {f"regularMarket{name}": whole(value) for name, value in prices.items()} | {
            "regularMarketTime": one.time // SECOND, "regularMarketChange": one.change,
            "regularMarketChangePercent": one.percent, "regularMarketVolume": round(volume),
        }  # fmt: skip
        return {
            "language": "en-US", "region": "US", "quoteType": habit.kind, "quoteSourceName": "Simulated",
            "currency": habit.currency, "marketState": one.phase, **late, **regular, "bid": 0, "ask": 0, "bidSize": 0,
            "askSize": 0, "exchange": habit.exchange, "exchangeTimezoneName": habit.zone, "shortName": one.symbol,
            "longName": one.symbol, "symbol": text,
        }  # fmt: skip

    def welcome(self, path: str, query: str) -> Desk | Response | None:
        """Anybody; frames are wrapped with `version=2`."""
        return Desk(wrapped="version=2" in query, chatty=True) if path == "/" else None

    def hear(self, desk: Desk, text: bytes) -> list[bytes]:
        """`{"subscribe":[...]}`, answered by the last known prices, and `{"unsubscribe":[...]}`. Raises `HangUp` for all else."""
        try:
            message = json.loads(text)
            wanted, unwanted = message.get("subscribe", []), message.get("unsubscribe", [])
        except (ValueError, AttributeError, RecursionError):
            raise HangUp from None
        if not all(
            isinstance(names, list) and all(isinstance(one, str) for one in names) for names in (wanted, unwanted)
        ):
            raise HangUp
        for name in unwanted:
            desk.streams.pop(name, None)
        known = []
        for name in wanted:
            if name in desk.streams or len(desk.streams) < MOST_SYMBOLS:
                code = self._streamed(name)
                desk.streams[name] = None if code is None else ("pricing", code)
                known += [code] if code is not None else []
        desk.renewed |= set(known)
        desk.version += 1
        frames = [self._frame(code, self.now(), desk.wrapped) for code in known]
        return [one for one in frames if one]

    def render(self, topic: Topic, trades: Trades, wanted: Bools) -> Rendered:
        """A snapshot after the first trade of each second and symbol, of five seconds of coins."""
        at = np.flatnonzero(wanted[trades.code])
        coins = np.array([one.market == "crypto" for one in self.chronicle.history.instruments])
        step = np.where(coins[trades.code[at]], SLOW, 1) * SECOND
        by = np.lexsort((at, trades.time[at] // step, trades.code[at]))
        code, slot = trades.code[at][by], (trades.time[at] // step)[by]
        new = np.ones(len(by), np.bool_)
        new[1:] = (np.diff(code) != 0) | (np.diff(slot) != 0)
        place = np.sort(at[by][new])
        place = place[[self._is_first(trades, one, SLOW if coins[trades.code[one]] else 1) for one in place.tolist()]]
        part = trades.take(place)
        rows = zip(part.code.tolist(), part.time.tolist(), strict=True)
        texts = [self._frame(code, time, topic.wrapped) for code, time in rows]
        return Rendered(part.code, part.id, part.id, place, texts)

    def _is_first(self, trades: Trades, place: int, seconds: int) -> bool:
        """Whether no trade of the same symbol came before one in its second or seconds."""
        time, step = int(trades.time[place]), seconds * SECOND
        past = self.chronicle.history.until(int(trades.code[place]), time)
        return int(past.id[np.searchsorted(past.time, time // step * step)]) == int(trades.id[place])

    def spoiled(self, text: bytes, kind: str, variant: int) -> bytes:
        """A frame or an answer in which something is other than it was."""
        if text[:8] == b'{"type":' or text[:1] not in (b"{", b"["):
            return damaged(text, kind, variant)
        return super().spoiled(text, kind, variant)

    def _streamed(self, name: str) -> int | None:
        """The instrument of a name that the stream knows; of others it accepts any and says nothing."""
        code = self.chronicle.code(canonical(name))
        return code if code is not None and spelled(self.chronicle.instrument(code)) == name else None

    def _frame(self, code: int, at: int, wrapped: bool) -> bytes:
        one, found = self.chronicle.instrument(code), self.snapshots.of(code, at)
        if found is None:
            return b""
        return frame(spelled(one), found, HABITS[one.market], one.price_decimals, wrapped)


def _said_of(symbol: str, one: Snapshot) -> list[Row]:
    """The price of regular hours, and the newer one of others."""
    rows = [quote_row(symbol, one.time // SECOND * SECOND, one.price)]
    return [*rows, quote_row(symbol, one.late[1] // SECOND * SECOND, one.late[0])] if one.late else rows


def _refused(status: int, part: str, code: str, description: str) -> Response:
    body = {part: {"result": None, "error": {"code": code, "description": description}}}
    return Response(status, json.dumps(body, separators=(",", ":")).encode(), JSON)


def open() -> Yahoo:
    """The dialect."""
    return Yahoo()
