"""A simulated exchange: a local server that speaks the providers' own protocols, with faults on demand.

The demo, the tests, the benchmarks and the chaos runs use the real feeds against it. What it serves is always
labelled as simulated.

A *source* makes trades (a seeded `market`, a recorded `tape`), the `server` plays them in time and keeps them in its
`history`, a *dialect* (`binance`, `yahoo`, ...) says them in a provider's words, `faults` spoil them on their way. `run` joins
them for the command line and for tests. Adding a provider is one file with a `Dialect`, named in `dialects`; adding a market is
one file with a `Source`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tickhouse.exchange.klines import Klines
    from tickhouse.exchange.world import World

Row = Mapping[str, object]
"""One thing that was said, in plain values: `kind` (quote, bar, observation, action), what it is about, and its values."""
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
MS = 1000
"""Microseconds in a millisecond; every time here is UTC microseconds."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is traded. Prices are whole numbers of 10^-price_decimals, quantities of 10^-quantity_decimals (at most 8).

    `symbol` is the spelling of the market, `BTCUSDT`; `first_price` (in units of the price) is what it costs at first. `market`
    is crypto, equities or forex, and says which hours it keeps.
    """

    symbol: str
    base: str
    quote: str
    price_decimals: int
    quantity_decimals: int
    first_price: int = 1
    market: str = "crypto"

    @property
    def name(self) -> str:
        """The canonical spelling.

        >>> Instrument("BTCUSDT", "BTC", "USDT", 2, 5).name, Instrument("AAPL", "AAPL", "USD", 2, 0, market="equities").name
        ('BTC-USDT', 'AAPL')
        """
        return f"{self.base}-{self.quote}" if self.quote and self.market != "equities" else self.symbol


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades in order of time, a column each, all of shape (n,).

    `code` is the index of the instrument, `id` the trade id (gapless per instrument), `price` and `quantity` in units of
    the instrument, `time` in us, `maker` whether the buyer was the maker (the aggressor sold), `order` the id of the
    aggregate trade: fills of one taker at one price and time.
    """

    code: I64
    id: I64
    price: I64
    quantity: I64
    time: I64
    maker: Bools
    order: I64

    def __len__(self) -> int:
        return len(self.code)

    def take(self, index: I64 | Bools | slice) -> "Trades":
        """Some of the trades."""
        columns = (self.code, self.id, self.price, self.quantity, self.time, self.maker, self.order)
        return Trades(*(column[index] for column in columns))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Play:
    """A source that has begun: its blocks in order of time, the event time of the moment of beginning (us), and how many
    seconds of event time pass in a second; speed 0 is as fast as clients read."""

    blocks: Iterator[Trades]
    start: int
    speed: float = 1.0


class Source(Protocol):
    """Where trades come from. `waits` says that it begins with the first subscription, so that a tape is heard whole."""

    @property
    def instruments(self) -> Sequence[Instrument]: ...

    @property
    def waits(self) -> bool: ...

    def play(self, now: int) -> Play:
        """Begin at the clock time `now` (us). The same source begun at the same time makes the same trades."""

    def past(self, code: int) -> "Klines | None":
        """Bars of one minute from before the first trade, made on demand; None where nothing is made up."""

    def about(self) -> dict[str, object]:
        """What it is, in a few words and numbers."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. Header names are in lower case; `peer` is the address of the client."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer. `rows` is what it says, for those who compare it later with what was understood."""

    status: int
    body: bytes
    kind: str = "application/json;charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Topic:
    """One sort of message in one wrapping, for any number of instruments: `name` is `trade`, `aggTrade` or `kline_1m`; `dialect`
    the name of the one who says it."""

    name: str
    wrapped: bool = False
    unit: int = MS
    dialect: str = "binance"


@dataclass(frozen=True, slots=True)
class Rendered:
    """Messages made of a block: message i is about instrument `code[i]` and trades from `id[i]` to `last[i]`, and follows
    the trade at place `at[i]` (ascending) of the block. `texts` are the messages."""

    code: I64
    id: I64
    last: I64
    at: I64
    texts: list[bytes]


@dataclass(slots=True)
class Desk:
    """What one client has subscribed to: the streams by their provider names, each the name of a topic and an instrument
    (None: a stream that does not exist, which is accepted and silent).

    `version` rises with every change. `renewed` are instruments subscribed since it was last emptied. `owner` is a key that may
    have one connection only. One that is `chatty` may say as much as it likes.
    """

    streams: dict[str, tuple[str, int] | None] = field(default_factory=dict)
    wrapped: bool = False
    unit: int = MS
    version: int = 0
    renewed: set[int] = field(default_factory=set)
    owner: str = ""
    chatty: bool = False


class HangUp(Exception):
    """The provider ends the connection here, without a word."""


class Dialect(Protocol):
    """How one provider says it: paths, shapes, refusals. Provider-neutral parts call this and nothing else of its file."""

    @property
    def name(self) -> str: ...

    def welcome(self, path: str, query: str) -> Desk | Response | None:
        """The desk of a client that opens a WebSocket at this address, or its refusal; None where there is none."""

    def hear(self, desk: Desk, text: bytes) -> Sequence[bytes]:
        """A client's message changes its desk; what is answered. Raises `HangUp`."""

    def answer(self, request: Request) -> Response:
        """An HTTP request answered from what there is, quota and refusals included. Its path is the provider's own."""

    def render(self, topic: Topic, trades: Trades, wanted: Bools) -> Rendered | None:
        """A block as messages, of the instruments wanted; None for a topic that follows the clock."""

    def updates(self, desk: Desk, before: int, now: int, muted: Sequence[int]) -> list[bytes]:
        """Messages that follow the clock, due after `before` and up to `now` (us of event time)."""

    def spoiled(self, text: bytes, kind: str, variant: int) -> bytes:
        """A message or the body of an answer with a changed field or a bad value; `variant` chooses which."""

    def refusal(self, kind: str, variant: int) -> Response:
        """An answer of a server in trouble: kind is error_bodies, too_many or server_errors."""

    def parting(self, desk: Desk, now: int) -> bytes:
        """The notice that a connection will be closed, empty where the provider gives none."""

    def use(self, world: "World") -> None:
        """What it speaks of: given once, before anything is asked."""


class Now(Protocol):
    """Says the time of the exchange (us)."""

    def __call__(self) -> int: ...
