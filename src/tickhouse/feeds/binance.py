"""Binance spot: every trade by socket, holes refilled by trade id, bars and aggregate trades of the past by page.

Needs no key. Trade ids rise by exactly one per symbol, so a gap is a loss and a repeat a duplicate. The same protocol is
spoken by `api.binance.us`, and by the simulated exchange: point `rest_url` and `ws_url` there.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import msgspec

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadMessage, BadSetting
from tickhouse.core.model import Hole, Ids, Want, interval_us
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.core.secrets import Secret
from tickhouse.core.symbols import canonical
from tickhouse.feeds._binance_answers import classify
from tickhouse.feeds._binance_rows import Names, spelled
from tickhouse.feeds._polled_options import asking

MOST_STREAMS = 1024
"""Streams of one connection, at most."""
STREAMS_IN_URL = 100
PARAMS_A_FRAME = 200
PAGE = 1000
WEIGHTS = {"klines": 2, "aggTrades": 4, "historicalTrades": 25, "ticker/24hr": 2}
TICKERS_A_CALL = 20
"""For more the same call weighs twenty times as much."""
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
SOCKET_CHANNELS = ("trade", "aggTrade", "kline")
POLLED_CHANNELS = ("ticker",)
LIVE_CHANNELS = (*SOCKET_CHANNELS, *POLLED_CHANNELS)
HISTORY_CHANNELS = ("trade", "aggTrade", "aggTrades", "kline", "klines")
REFILLS = ("historicalTrades", "aggTrades")
MILLISECOND = 1000
Params = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the feed. `symbols` are canonical names that must be read back exactly as written; `key` is sent
    with requests, and nothing that is asked for here needs one."""

    channel: str = "trade"
    rest_url: str = "https://api.binance.com"
    ws_url: str = "wss://stream.binance.com:9443"
    symbols_per_connection: int = MOST_STREAMS
    refill: str = "historicalTrades"
    symbols: Sequence[str] = ()
    key: Secret | None = None

    def __post_init__(self) -> None:
        if self.channel.partition(":")[0] not in LIVE_CHANNELS:
            raise BadSetting("feeds.binance.channel", self.channel, f"one of {', '.join(LIVE_CHANNELS)}")
        if self.refill not in REFILLS:
            raise BadSetting("feeds.binance.refill", self.refill, f"one of {', '.join(REFILLS)}")


class Binance:
    """Binance's spot market, or any exchange that speaks its protocol."""

    name = "binance"
    about = About("Binance spot", "none", "crypto", "Binance's terms of use; market data need no key")
    channels: Mapping[str, str] = {
        "trade": "every single trade, by socket",
        "aggTrade": "trades of one taker order at one price as one message, by socket",
        "kline": "bars as they form, by socket; `kline:<interval>` chooses the interval",
        "ticker": "last price, change, high and low of the last 24 hours, bid and ask, polled",
        "historicalTrades": "single trades by id, by page",
        "trades": "the newest single trades, by page",
        "aggTrades": "aggregate trades by id or time, by page",
        "klines": "bars of the past, by page",
    }
    ways = Ways(
        socket=SOCKET_CHANNELS, polled=POLLED_CHANNELS, history=HISTORY_CHANNELS, bars=dict.fromkeys(INTERVALS, "kline")
    )
    pace = Pace(per_minute=6000)

    def __init__(self, options: "Options") -> None:
        self.options = options
        self._names = Names()
        self._names.learn(options.symbols)

    @property
    def channel(self) -> str:
        """The live channel that is taken where the settings name none."""
        return self.options.channel

    @property
    def ids(self) -> Ids:
        """Those of trades are dense; the polled snapshots of `ticker` have none."""
        return Ids.NONE if self.options.channel in POLLED_CHANNELS else Ids.DENSE

    def subscriptions(self, want: Want) -> list[Subscription]:
        """One socket for every `symbols_per_connection` symbols."""
        channel, _, interval = (want.channel or self.options.channel).partition(":")
        if channel not in SOCKET_CHANNELS:
            raise BadSetting("feeds.binance.channel", want.channel, f"one of {', '.join(SOCKET_CHANNELS)}")
        stream = channel
        if channel == "kline":
            stream = f"kline_{_interval(interval or want.options.get('interval', '1m'))}"
        self._learn(want.symbols)
        size = self.options.symbols_per_connection
        groups = [want.symbols[i : i + size] for i in range(0, len(want.symbols), size)]
        return [self._subscription(channel, stream, group) for group in groups]

    def _subscription(self, channel: str, stream: str, symbols: Sequence[str]) -> Subscription:
        streams = {symbol: f"{spelled(symbol).lower()}@{stream}" for symbol in symbols}
        names, base = list(streams.values()), self.options.ws_url.rstrip("/")
        hello: tuple[str, ...] = ()
        if len(names) == 1:
            url = f"{base}/ws/{names[0]}"
        elif len(names) <= STREAMS_IN_URL:
            url = f"{base}/stream?streams={'/'.join(names)}"
        else:
            url = f"{base}/stream"
            parts = [names[i : i + PARAMS_A_FRAME] for i in range(0, len(names), PARAMS_A_FRAME)]
            hello = tuple(_control("SUBSCRIBE", part, number) for number, part in enumerate(parts, 1))
        renew = {
            symbol: (_control("UNSUBSCRIBE", [name], 1000 + 2 * i), _control("SUBSCRIBE", [name], 1001 + 2 * i))
            for i, (symbol, name) in enumerate(streams.items())
        }
        return Subscription(url, channel, tuple(symbols), hello, renew)

    def poll(self, want: Want) -> Generator[Request, Answer, None]:
        """Snapshots of 24 hours, twenty pairs a call. Trades and bars come by socket."""
        channel, expected = want.channel or self.options.channel, ", ".join(POLLED_CHANNELS)
        if channel not in POLLED_CHANNELS:
            raise BadSetting(
                "feeds.binance.channel", channel, f"{expected}, which is polled; the others come by socket"
            )
        self._learn(want.symbols)
        firsts = range(0, len(want.symbols), TICKERS_A_CALL)
        return asking([self._tickers(want.symbols[first : first + TICKERS_A_CALL]) for first in firsts])

    def _tickers(self, symbols: Sequence[str]) -> Request:
        pairs = msgspec.json.encode([spelled(symbol) for symbol in symbols]).decode()
        return self._request("ticker/24hr", "ticker", {"symbols": pairs})

    def history(self, want: Want) -> Generator[Request, Answer, None]:
        """Pages of bars or aggregate trades of [start, end), oldest first; without a start the newest page alone."""
        channel, _, interval = want.channel.partition(":")
        if channel not in HISTORY_CHANNELS:
            raise BadSetting("channel", want.channel, f"one of {', '.join(HISTORY_CHANNELS)}")
        self._learn(want.symbols)
        for symbol in want.symbols:
            if channel.startswith("kline"):
                yield from self._klines(symbol, want, _interval(interval or want.options.get("interval", "1m")))
            else:
                yield from self._aggregates(symbol, want.start, want.end)

    def cost(self, want: Want) -> Cost:
        """Pages of a thousand bars; of trades a page, for nobody knows how many there are."""
        channel, _, interval = want.channel.partition(":")
        if not channel.startswith("kline"):
            return Cost(len(want.symbols), WEIGHTS["aggTrades"] * len(want.symbols))
        length = interval_us(_interval(interval or want.options.get("interval", "1m")))
        span = 0 if want.start is None or want.end is None else want.end - want.start
        calls = max(1, -(-span // (PAGE * length))) * len(want.symbols)
        return Cost(calls, WEIGHTS["klines"] * calls)

    def _klines(self, symbol: str, want: Want, interval: str) -> Generator[Request, Answer, None]:
        step, start = interval_us(interval) // MILLISECOND, _milliseconds(want.start)
        last = None if want.end is None else (want.end - 1) // MILLISECOND
        params: Params = {"symbol": spelled(symbol), "interval": interval, "limit": PAGE}
        while start is None or last is None or start <= last:
            answer = yield self._request("klines", f"klines:{spelled(symbol)}:{interval}", params | _range(start, last))
            opens = _page(answer, list[_Opening])
            if start is None or len(opens) < PAGE:
                return
            start = opens[-1].start + step

    def _aggregates(self, symbol: str, begin: int | None, end: int | None) -> Generator[Request, Answer, None]:
        """Aggregate trades of a range: the first page by time, the others by id, since many share a millisecond."""
        start = _milliseconds(begin)
        last = None if end is None else (end - 1) // MILLISECOND
        if start is not None and last is not None and start > last:
            return
        params: Params = {"symbol": spelled(symbol), "limit": PAGE}
        where = _range(start, last)
        while True:
            answer = yield self._request("aggTrades", f"aggTrades:{spelled(symbol)}", params | where)
            page = _page(answer, list[_Aggregate])
            if start is None or len(page) < PAGE or (last is not None and last < page[-1].T):
                return
            where = {"fromId": page[-1].a + 1}

    def refill(self, hole: Hole) -> Generator[Request, Answer, None]:
        """The trades of a hole by id; with the option refill = aggTrades, the aggregate trades of its time."""
        self._learn((hole.symbol,))
        if self.options.refill == "aggTrades":
            yield from self._refill_by_time(hole)
            return
        start, channel = hole.first_id, f"historicalTrades:{spelled(hole.symbol)}"
        while start <= hole.last_id:
            params: Params = {
                "symbol": spelled(hole.symbol),
                "fromId": start,
                "limit": min(PAGE, hole.last_id - start + 1),
            }
            answer = yield self._request("historicalTrades", channel, params)
            page = _page(answer, list[_Trade])
            if not page or page[-1].id < start:
                return
            start = page[-1].id + 1

    def _refill_by_time(self, hole: Hole) -> Generator[Request, Answer, None]:
        params: Params = {"symbol": spelled(hole.symbol), "limit": PAGE}
        where = _range(hole.start // MILLISECOND, None)
        while True:
            answer = yield self._request("aggTrades", f"aggTrades:{spelled(hole.symbol)}", params | where)
            page = _page(answer, list[_Aggregate])
            if len(page) < PAGE or page[-1].l >= hole.last_id:
                return
            where = {"fromId": page[-1].a + 1}

    def _request(self, path: str, channel: str, params: Params) -> Request:
        url, key = f"{self.options.rest_url.rstrip('/')}/api/v3/{path}", self.options.key
        return Request(url, channel, params, secret_headers={"X-MBX-APIKEY": key} if key else {}, weight=WEIGHTS[path])

    def classify(self, answer: Answer) -> Exception | None:
        """The error that an answer stands for, None when it is data."""
        return classify(answer, self.options.rest_url)

    def parse(self, raw: RawBatch) -> Parsed:
        """Trades as ticks, klines as bars, snapshots as quotes. A page's channel names its symbol: `klines:BTCUSDT:1m`."""
        read = self._readers.get(raw.channel.partition(":")[0])
        if read is not None:
            return read(raw)
        return Parsed.refused(raw, "unknown_channel", f"binance has no channel {raw.channel[:40]!r}")

    @cached_property
    def _frames(self) -> Any:
        from tickhouse.feeds._binance_frames import Frames

        return Frames(self._names)

    @cached_property
    def _readers(self) -> dict[str, Callable[[RawBatch], Parsed]]:
        from tickhouse.feeds._binance_pages import SECTIONS, parse_page
        from tickhouse.feeds._binance_tickers import read_tickers
        from tickhouse.feeds._messages import each

        pages: dict[str, Callable[[RawBatch], Parsed]] = {
            name: lambda raw: parse_page(raw, self._names) for name in SECTIONS
        }
        frames = {"trade": self._frames.ticks, "aggTrade": self._frames.ticks, "kline": self._frames.bars}
        tickers = {"ticker": lambda raw: each(raw, lambda text, at: read_tickers(text, at, self._names))}
        return pages | frames | tickers

    def _learn(self, symbols: Iterable[str]) -> None:
        if self._names.learn(symbols) and "_frames" in self.__dict__:
            self._frames.renamed()


class _Trade(msgspec.Struct):
    id: int


class _Aggregate(msgspec.Struct):
    a: int
    l: int  # noqa: E741
    T: int


class _Opening(msgspec.Struct, array_like=True):
    start: int


def _page(answer: Answer, kind: Any) -> Any:
    """What the paging needs of a page."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"a page of Binance is not understood: {error}", sent=answer.body[:4096]) from error


def _control(method: str, streams: Sequence[str], number: int) -> str:
    return msgspec.json.encode({"method": method, "params": streams, "id": number}).decode()


def _milliseconds(start: int | None) -> int | None:
    """The first millisecond at or after a time in microseconds."""
    return None if start is None else -(-start // MILLISECOND)


def _range(start: int | None, last: int | None) -> Params:
    """The time parameters of a page, both inclusive, in milliseconds."""
    return {name: value for name, value in (("startTime", start), ("endTime", last)) if value is not None}


def _interval(text: str) -> str:
    if text not in INTERVALS:
        raise BadSetting("interval", text, f"one of {', '.join(INTERVALS)}")
    return text


def open(**options: Any) -> Binance:
    """The feed of a section of the settings. Raises `BadSetting` for an option that is not of `Options`.

    >>> open(ws_url="ws://127.0.0.1:9000").subscriptions(Want(("BTC-USDT",), "trade"))[0].url
    'ws://127.0.0.1:9000/ws/btcusdt@trade'
    """
    known = [option.name for option in fields(Options)]
    for name, value in options.items():
        if name not in known:
            raise BadSetting(f"feeds.binance.{name}", value, f"one of the options {', '.join(known)}")
    size, symbols = str(options.get("symbols_per_connection", MOST_STREAMS)), options.get("symbols", ())
    if not size.isdecimal() or not 1 <= int(size) <= MOST_STREAMS:
        raise BadSetting("feeds.binance.symbols_per_connection", size, f"1 to {MOST_STREAMS}")
    listed = symbols.replace(",", " ").split() if isinstance(symbols, str) else symbols
    read = {"symbols_per_connection": int(size), "symbols": tuple(canonical(symbol) for symbol in listed)}
    return Binance(Options(**{**options, **read}))
