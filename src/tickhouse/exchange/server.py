"""The server: plays a source to its clients over HTTP and WebSocket, in the providers' dialects, with faults."""

import asyncio
import contextlib
import ipaddress
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from tickhouse.core.clock import SECOND, Clock
from tickhouse.core.errors import SettingsError
from tickhouse.exchange import Bools, Dialect, Request, Response, Source, Topic, Trades
from tickhouse.exchange.binance import Binance
from tickhouse.exchange.client import Client
from tickhouse.exchange.control import Control
from tickhouse.exchange.delivery import GARBAGE, Prepared
from tickhouse.exchange.dialects import Dialects
from tickhouse.exchange.faults import ANSWER, Account, Faults, mixed
from tickhouse.exchange.history import KEEP, History, Truth
from tickhouse.exchange.limits import Doorman, Limits
from tickhouse.exchange.pump import NAP, Due, Pump
from tickhouse.exchange.sent import Sent
from tickhouse.exchange.wire import Socket, Wire
from tickhouse.exchange.world import World

SETTLE = 0.3
"""A source that waits begins when no subscription has changed for so long (s)."""
HIGH_WATER = 1 << 20
"""At full speed it waits while a client has more bytes than this to take."""
_REST_SEED = 0x52455354


class Exchange:
    """A running exchange.

    `async with Exchange(Market(), SystemClock()) as exchange:` serves on `exchange.url` and `exchange.ws_url`: there `dialect`
    (Binance unless another is given), below them every other one under its name, as in `exchange.url + "/yahoo"`.
    Belongs to one event loop. A client that is too slow is cut off; all that was made can be asked for by REST.
    """

    def __init__(  # noqa: PLR0913
        self,
        source: Source,
        clock: Clock,
        faults: Faults = Faults(),  # noqa: B008
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        limits: Limits = Limits(),  # noqa: B008
        dialect: Dialect | None = None,
        keep: int = KEEP,
    ) -> None:
        self.source, self.clock, self.faults = source, clock, faults
        self.special: dict[str, Faults] = {}
        """The faults of single dialects, by name; the others have `faults`."""
        self.host, self.port = host, port
        self.history = History(source, keep)
        self.doorman = Doorman(limits)
        self.account = Account()
        self.stats: Counter[str] = Counter()
        self.sent = Sent()
        self.speak: tuple[str, ...] = ()
        """The dialects that are made before it listens; others when they are first asked for."""
        self.world = World(self.history, self.doorman, self.now)
        self.dialects = Dialects(dialect or Binance(), self.world)
        self.pump = Pump(source, self.history, clock)
        self.clients: dict[int, Client] = {}
        self._control = Control(self)
        self._opening = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._wires: set[Wire] = set()
        self._playing: asyncio.Task[None] | None = None
        self._prepared: dict[Topic, Prepared | None] = {}
        self._block: Trades | None = None
        self._wanted: dict[Topic, Bools] = {}
        self._seen = 0
        self._changed_at = clock.monotonic()

    @property
    def url(self) -> str:
        """The base address of REST."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The base address of WebSockets."""
        return f"ws://{self.host}:{self.port}"

    @property
    def finished(self) -> asyncio.Event:
        """Set when a tape has been played to its end."""
        return self.pump.finished

    def now(self) -> int:
        """The clock's time (us)."""
        return self.clock.now()

    async def start(self) -> None:
        """Listen and begin to play. Raises `SettingsError` when the port is taken."""
        loop = asyncio.get_running_loop()
        for name in self.speak:
            await asyncio.to_thread(self.dialects.way, f"/{name}")
        try:
            self._server = await loop.create_server(lambda: Wire(self), self.host, self.port)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {self.host}:{self.port} ({error.strerror}); choose another port"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._playing = asyncio.create_task(self._play())
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """Close every connection and stop. Raises what made it fail, if anything did."""
        for client in list(self.clients.values()):
            client.socket.close(1001, "the exchange stops")
        try:
            await self._ended()
        finally:
            await self._closed()

    async def _ended(self) -> None:
        """The end of playing."""
        if self._playing:
            self._playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._playing

    async def _closed(self) -> None:
        """The end of all connections: those that do not close at once are broken."""
        if self._server is None:
            return
        self._server.close()
        for _ in range(5):
            if self._wires:
                await asyncio.sleep(0.004)
        for wire in list(self._wires):
            wire.transport.abort()
        await asyncio.sleep(0)
        await self._server.wait_closed()

    async def over(self) -> None:
        """Wait for the end of playing, which is an error: a market never ends, and a finished tape still answers."""
        if self._playing:
            await asyncio.shield(self._playing)

    async def __aenter__(self) -> "Exchange":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def truth(self) -> Truth:
        """The trades really made public until now."""
        return self.history.truth()

    def counts(self) -> dict[str, Any]:
        """What was made and sent, and each fault that really happened."""
        return {
            "trades": self.history.seen(), "forgotten": self.history.forgotten, "clients": len(self.clients), **self.stats,
            "faults": dict(self.account.counts), "lag": self.pump.lag, "worst_lag": self.pump.worst,
            "finished": self.finished.is_set(),
        }  # fmt: skip

    def change(self, faults: Faults, dialect: str | None = None) -> None:
        """Other faults from now on: of one dialect, or of all of them."""
        if dialect is None:
            self.faults = faults
            self.special.clear()
        else:
            self.special[dialect] = faults
        self._prepared.clear()

    def faults_of(self, dialect: str) -> Faults:
        """The faults of a dialect."""
        return self.special.get(dialect, self.faults)

    async def answer(self, request: Request) -> Response:
        """One HTTP request."""
        if request.path.startswith("/_control/"):
            return self._control.answer(request, ipaddress.ip_address(request.peer).is_loopback)
        self.stats["requests"] += 1
        number = self.stats["requests"]
        if not self.dialects.made(request.path):
            async with self._opening:
                await asyncio.to_thread(self.dialects.way, request.path)
        dialect, path = self.dialects.way(request.path)
        faults = self.faults_of(dialect.name)
        fault, variant = self._trouble(faults, number)
        if fault:
            self.account.note(fault, path=request.path, request=number, dialect=dialect.name)
        if fault == "slow":
            await asyncio.sleep(faults.slow_ms / 1000)
        if fault in ("error_bodies", "too_many", "server_errors"):
            return dialect.refusal(fault, variant)
        response = self._spoiled(dialect, fault, variant, dialect.answer(replace(request, path=path)))
        if response.status in (418, 429):
            self.stats["refused"] += 1
        self.sent.add(dialect.name, response.rows)
        return response

    def _spoiled(self, dialect: Dialect, fault: str, variant: int, response: Response) -> Response:
        """An answer as it goes out; one that is damaged is not counted as said."""
        if fault == "half_answers":
            return replace(response, body=response.body[: variant % max(len(response.body), 1)], rows=())
        if fault == "bad_answers":
            return replace(response, body=GARBAGE[variant % len(GARBAGE)], rows=())
        if fault == "changed_answers":
            return replace(response, body=dialect.spoiled(response.body, "changed_fields", variant), rows=())
        return response

    def enter(self, request: Request, socket: Socket) -> Response | None:
        """A client opens a WebSocket."""
        if not self.doorman.dial(socket.peer, self.now()):
            self.stats["dials_refused"] += 1
            return Response(429, b"too many connections", headers={"Retry-After": "60"})
        dialect, path = self.dialects.way(request.path)
        desk = dialect.welcome(path, request.query)
        if isinstance(desk, Response):
            return desk
        if desk is None or len(desk.streams) > self.doorman.limits.streams:
            return Response(404 if desk is None else 400, b"no such stream, or too many of them")
        rivals = [one for one in self.clients.values() if desk.owner and one.desk.owner == desk.owner]
        for rival in rivals:
            rival.cut_off("second_connections")
        if rivals:
            return Response(409, b"one connection for each key")
        self.stats["connections"] += 1
        client = Client(self, self.stats["connections"], socket, desk, dialect)
        self.clients[client.number] = client
        self.subscribed()
        return None

    def joined(self, wire: Wire) -> None:
        self._wires.add(wire)

    def left(self, wire: Wire) -> None:
        self._wires.discard(wire)

    def subscribed(self) -> None:
        """The subscriptions of a client have changed, or a client came or went."""
        self._prepared.clear()
        self._wanted.clear()
        self._changed_at = self.clock.monotonic()
        for client in self.clients.values():
            for topic, mask in client.masks().items():
                known = self._wanted.get(topic)
                self._wanted[topic] = mask if known is None else known | mask

    def _trouble(self, faults: Faults, request: int) -> tuple[str, int]:
        """The fault of a request, by its number."""
        number = np.array([request], np.int64)
        share = int(mixed(number * 0, number, faults.seed ^ _REST_SEED)[0]) / 2**64
        variant = int(mixed(number * 0 + 1, number, faults.seed ^ _REST_SEED)[0]) >> 40
        for kind in ANSWER:
            share -= getattr(faults, kind)
            if share < 0:
                return kind, variant
        return "", variant

    async def _play(self) -> None:
        """Hand out what is due, for ever; then what was held back, and what follows the clock."""
        await self._audience()
        self.pump.begin()
        told = self.history.visible
        while True:
            for due in self.pump.due():
                self._send(due)
            now, over = self.history.visible, self.finished.is_set()
            turned = now // SECOND > told // SECOND
            for client in list(self.clients.values()):
                client.keep(now, over)
                if turned:
                    client.update(told, now)
            told = now if turned else told
            await self._breathe()

    async def _audience(self) -> None:
        """Wait for a first subscription where the source does."""
        while self.source.waits:
            heard = any(client.masks() or client.desk.streams for client in self.clients.values())
            if heard and self.clock.monotonic() - self._changed_at >= SETTLE:
                return
            await asyncio.sleep(NAP)

    def _send(self, due: Due) -> None:
        """A part of a block to everybody who wants some of it."""
        if due.trades is not self._block:
            self._block = due.trades
            self._prepared.clear()
        self.stats["trades_played"] += due.last - due.first
        for topic, wanted in self._wanted.items():
            if topic not in self._prepared:
                self._prepared[topic] = self._prepare(topic, due.trades, wanted)
        for client in list(self.clients.values()):
            client.deliver(self._prepared, due.first, due.last)

    def _prepare(self, topic: Topic, trades: Trades, wanted: Bools) -> Prepared | None:
        rendered = self.dialects[topic.dialect].render(topic, trades, wanted)
        return None if rendered is None else Prepared.of(rendered, trades, self.faults_of(topic.dialect))

    async def _breathe(self) -> None:
        """Let others work; at full speed until every client has taken what it was sent, or is given up."""
        await asyncio.sleep(self.pump.pause())
        if self.pump.timeline is not None or self.finished.is_set():
            return
        limit = self.clock.monotonic() + self.doorman.limits.stall
        while slow := [one for one in self.clients.values() if one.socket.pending > HIGH_WATER]:
            if self.clock.monotonic() >= limit:
                for client in slow:
                    client.cut_off("slow_clients")
            await asyncio.sleep(0.001)
