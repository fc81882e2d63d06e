"""What dialects have in common: parameters in, JSON out, the answers of a proxy in trouble, and no socket unless one says so."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from tickhouse.exchange import (
    Bools,
    Desk,
    HangUp,
    Instrument,
    Rendered,
    Request,
    Response,
    Row,
    Topic,
    Trades,
)
from tickhouse.exchange.klines import Klines
from tickhouse.exchange.snapshots import Snapshot, Snapshots
from tickhouse.exchange.terms import Terms
from tickhouse.exchange.world import World

JSON, TEXT, HTML = "application/json; charset=utf-8", "text/plain; charset=utf-8", "text/html"
Params = Mapping[str, str]
_DASHED = re.compile(r"([A-Z]+)-([A-Z])")


class Polled:
    """A dialect without sockets. Those below give it a name, terms, answers and refusals, some of them a socket.

    `CHANGES` are pairs of texts; the first of a pair is written as the second where an answer is to be changed.
    """

    name = ""
    TERMS = Terms()
    CHANGES: Sequence[tuple[bytes, bytes]] = ()

    def use(self, world: World) -> None:
        """Speak of this world."""
        self.world, self.chronicle, self.clerk = world, world.chronicle, world.clerk(self.name, self.TERMS)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Symbols as they are now."""
        return Snapshots(self.chronicle)

    def now(self) -> int:
        """Up to when prices are public (us)."""
        return self.world.moment()

    def snapshot(self, symbol: str) -> Snapshot | None:
        """A canonical symbol now; None for one that is not listed."""
        code = self.chronicle.code(symbol)
        return None if code is None else self.snapshots.of(code)

    def welcome(self, path: str, query: str) -> Desk | Response | None:
        """Nobody: there is no socket."""
        return None

    def hear(self, desk: Desk, text: bytes) -> Sequence[bytes]:
        """Nothing is said on a socket that there is not."""
        raise HangUp

    def answer(self, request: Request) -> Response:
        """An HTTP request answered."""
        raise NotImplementedError

    def refusal(self, kind: str, variant: int) -> Response:
        """An answer of a server in trouble."""
        raise NotImplementedError

    def render(self, topic: Topic, trades: Trades, wanted: Bools) -> Rendered | None:
        """Nothing: there is no socket."""
        return None

    def updates(self, desk: Desk, before: int, now: int, muted: Sequence[int]) -> list[bytes]:
        """Nothing follows the clock."""
        return []

    def spoiled(self, text: bytes, kind: str, variant: int) -> bytes:
        """An answer in which a field is called otherwise."""
        found = [pair for pair in self.CHANGES if pair[0] in text]
        return text.replace(*found[variant % len(found)]) if found else b"[" + text + b"]"

    def parting(self, desk: Desk, now: int) -> bytes:
        """No notice."""
        return b""


def given(request: Request) -> dict[str, str]:
    """The parameters of a request."""
    return dict(parse_qsl(request.query, keep_blank_values=True))


def number(params: Params, name: str, usual: int) -> int:
    """A parameter that is a whole number, the usual one where it is absent or none."""
    text = params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 13 else usual


def said(value: Any, rows: Sequence[Row] = (), status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(status, msgspec.json.encode(value), JSON, headers or {}, rows)


def in_trouble(variant: int) -> Response:
    """5xx of a proxy or of what is behind it."""
    status, words = ((500, "Internal Server Error"), (502, "Bad Gateway"), (503, "Service Unavailable"))[variant % 3]
    return Response(status, f"<html><head><title>{status} {words}</title></head></html>\n".encode(), HTML)


def whole(number: float) -> float | int:
    """The number, without a point where it is a whole one.

    >>> whole(330.0), whole(328.655)
    (330, 328.655)
    """
    return int(number) if number == int(number) else number


def share(text: str) -> str:
    """The canonical symbol of a share whose class stands behind a dash.

    >>> share("BRK-B"), share("AAPL")
    ('BRK.B', 'AAPL')
    """
    found = _DASHED.fullmatch(text)
    return f"{found[1]}.{found[2]}" if found else text


class Bar(NamedTuple):
    """A bar in numbers; `start` in us, `over` says whether it is."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    over: bool


def bars_of(bars: Klines, one: Instrument, now: int, length: int) -> list[Bar]:
    """Bars of a length (us) at a moment; currencies have no volume."""
    unit, size = 10.0**one.price_decimals, 10.0**one.quantity_decimals
    prices = [column / unit for column in (bars.open, bars.high, bars.low, bars.close)]
    volume = bars.volume / size * (one.market != "forex")
    columns = (bars.start, *prices, volume, bars.start + length <= now)
    return [Bar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def bar_rows(bars: Sequence[Bar], symbol: str, interval: str) -> list[Row]:
    """What bars say; those that are not over are `forming`."""
    return [
        {"kind": "bar", "symbol": symbol, "interval": interval, "start": bar.start, "open": bar.open, "high": bar.high,
         "low": bar.low, "close": bar.close, "volume": bar.volume} | ({} if bar.over else {"forming": True})
        for bar in bars
    ]  # fmt: skip


def quote_row(symbol: str, time: int, price: float, **more: object) -> Row:
    """What a quote says; times in us."""
    return {"kind": "quote", "symbol": symbol, "time": time, "price": price, **more}
