"""One WebSocket line: a subscription kept open for ever, with the evidence of when it was heard and when not."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from urllib.parse import urlencode, urlsplit

from tickhouse.core import observe
from tickhouse.core.clock import Clock
from tickhouse.core.dial import opened
from tickhouse.core.errors import Final, Temporary, TickhouseError, Unreachable
from tickhouse.core.foreign import NETWORK, host_of, scrubbed, translated
from tickhouse.core.inbox import Inbox
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.requests import Subscription
from tickhouse.core.retry import Retry
from tickhouse.core.socket import Closed, Socket

PLANNED_CLOSES = (1001, 1012, 1013)
"""Close codes of a server that goes away on purpose and is back soon."""
JOINED_A_TICK = 4
"""So many symbols join an open connection between two looks at it: providers allow few messages a second."""


@dataclass(frozen=True, slots=True)
class LineOptions:
    """How a line is kept. All times in seconds; tests make them small.

    `tick` is how often evidence is written, `stable_after` how long a connection must hold before failures are forgotten,
    `renew_before` how long before the end of its lifetime a connection is replaced. `user_agent` is who we say we are.
    """

    tick: float = 1.0
    connect_timeout: float = 10.0
    close_timeout: float = 2.0
    user_agent: str = "tickhouse"
    stable_after: float = 10.0
    renew_before: float = 60.0
    retry: Retry = field(default_factory=lambda: Retry(attempts=2**31, first=1.0, most=30.0))


@dataclass(frozen=True, slots=True)
class Health:
    """How a line is: `state` is connecting, connected, down or stopped, since `since` (UTC us).

    `attempts` counts connections tried since it was last connected, `connections` those made, `error` is the last problem in one
    sentence, `heard` the moment of the last sign of life (UTC us, 0 for never).
    """

    line: str
    host: str
    state: str
    since: int
    error: str = ""
    attempts: int = 0
    connections: int = 0
    heard: int = 0


class Line:
    """Keeps one socket of one subscription open until cancelled, and puts its frames and its evidence into the inbox.

    Marks: CONNECTED once subscribed (with channel and symbols); ALIVE each tick when something was heard since the last
    one, with the moment it was heard; MUTE when nothing was heard for `mute_after`; DISCONNECTED at a loss and each tick while
    down, with the moment last heard. Belongs to one event loop.
    """

    def __init__(self, name: str, subscription: Subscription, inbox: Inbox, clock: Clock, options: LineOptions) -> None:
        self.name, self.subscription, self.inbox = name, subscription, inbox
        self._clock, self._options, self._host = clock, options, host_of(subscription.url)
        self.health = Health(name, self._host, "connecting", clock.now())
        self._heard = self._spoken = 0
        self._waiting = False
        self._pinged = False
        self._only_pongs = False
        self._next_send = 0.0
        self._asked_to_wait = 0.0
        self._renewals: deque[str] = deque()
        self._subscribed: tuple[str, ...] = ()
        self._announced = False

    async def run(self, admit: Callable[[str], Awaitable[None]]) -> None:
        """Keep the line until cancelled. `admit` waits until the host may be connected to once more.

        Raises `Final` when trying again cannot help.
        """
        self._heard = self._clock.now()
        failures = 0
        connection: Socket | None = None
        try:
            while True:
                if connection is None:
                    connection = await self._reconnect(admit, failures)
                began = self._clock.monotonic()
                connection, planned = await self._hold(connection, admit)
                stable = self._clock.monotonic() - began >= self._options.stable_after
                failures = 0 if planned and (stable or connection) else 1 if stable else failures + 1
        except Final as error:
            self.health = replace(self.health, error=str(error))
            raise
        finally:
            self._stop()

    def renew(self, symbol: str) -> bool:
        """Subscribe one symbol anew because it alone fell mute; false when the provider has no way to or the line is down."""
        frames = self.subscription.renew.get(symbol, ())
        if not frames or self.health.state != "connected" or frames[0] in self._renewals:
            return False
        self._renewals.extend(frames)
        return True

    def extend(self, subscription: Subscription) -> None:
        """Hear more symbols: on the connection that is open, and on those to come."""
        self.subscription = subscription

    async def _reconnect(self, admit: Callable[[str], Awaitable[None]], failures: int) -> Socket:
        """A new subscribed connection, tried again with backoff until it works; evidence goes on meanwhile."""
        down = asyncio.create_task(self._say_down())
        try:
            while True:
                if failures:
                    observe.count("retries", host=self._host)
                    await asyncio.sleep(self._pause(failures))
                try:
                    return await self._open(admit)
                except Temporary as error:
                    failures += 1
                    self._down(error, failures)
        finally:
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)

    def _pause(self, failures: int) -> float:
        """Seconds to wait before trying again: the backoff, or longer when the provider asked for it."""
        return max(self._options.retry.backoff(failures), self._asked_to_wait)

    async def _open(self, admit: Callable[[str], Awaitable[None]]) -> Socket:
        """One try: connect, and send the hello frames at the allowed pace."""
        await admit(self._host)
        connection, subscription = None, self.subscription
        try:
            connection = await opened(
                _address(subscription),
                self._taken,
                max_bytes=subscription.max_message_bytes,
                seconds=self._options.connect_timeout,
                headers={"User-Agent": self._options.user_agent},
            )
            for frame in subscription.hello:
                await self._send(connection, frame)
        except NETWORK as error:
            if connection is not None:
                connection.abort()
            # What the library says of an address may repeat it, secrets included.
            raise self._told(error) from (None if subscription.secret_params else error)
        except BaseException:
            if connection is not None:
                connection.abort()
            raise
        observe.count("connections", host=self._host)
        self._subscribed = subscription.symbols
        return connection

    async def _hold(self, connection: Socket, admit: Callable[[str], Awaitable[None]]) -> tuple[Socket | None, bool]:
        """Read a connection until it is lost or replaced: what to go on with, and whether the end was planned."""
        await self._up()
        reading = asyncio.create_task(self._read(connection))
        successor = asyncio.create_task(self._succeed(admit))
        try:
            lost = await self._watch(connection, reading, successor)
            if lost is None:
                await self._drained(connection, reading)
                return successor.result(), True
            self._down(lost, 0)
            await self._say(Event.DISCONNECTED, str(lost))
            cause = lost.__cause__
            return None, isinstance(cause, Closed) and not cause.ours and cause.code in PLANNED_CLOSES
        finally:
            await _discarded(reading, successor)
            await connection.close(self._options.close_timeout)

    async def _watch(
        self, connection: Socket, reading: asyncio.Task[None], successor: asyncio.Task[Socket]
    ) -> TickhouseError | None:
        """Write evidence each tick; returns why the connection is over, or None when its successor is ready."""
        said, spoken, silent = self._heard, self._spoken, 0.0
        while True:
            began = self._clock.monotonic()
            await asyncio.wait({reading, successor}, timeout=self._options.tick, return_when=asyncio.FIRST_COMPLETED)
            # A pause of this process (a busy machine, a laptop asleep) is no silence of the provider.
            passed = min(self._clock.monotonic() - began, 2 * self._options.tick)
            if successor.done():
                return None
            if reading.done():
                return self._loss(reading)
            fresh = self._waiting or self._heard != said
            sound = fresh and (not self.subscription.speaks or self._waiting or self._spoken != spoken)
            silent, spoken = 0.0 if sound else silent + passed, self._spoken
            if silent >= self.subscription.mute_after:
                self._heard = self._spoken if self.subscription.speaks else self._heard
                await self._say(Event.MUTE)
                connection.abort()
                return Unreachable(f"{self._host} sent nothing for {self.subscription.mute_after:g} s")
            if self._heard != said and not self._waiting:
                said = self._heard
                await self._say(Event.ALIVE)
            await self._speak(connection, quiet=not fresh or self._only_pongs)

    async def _speak(self, connection: Socket, quiet: bool) -> None:
        """Send what is to be sent on an open connection: renewals, some new symbols, and a ping when it is quiet."""
        with contextlib.suppress(Closed):  # the reader sees it too, and tells
            while self._renewals:
                await self._send(connection, self._renewals.popleft())
            await self._join(connection)
            if quiet and not self._pinged and self._clock.monotonic() >= self._next_send:
                self._next_send = self._clock.monotonic() + 1.0 / self.subscription.sends_per_second
                self._pinged = True
                connection.ping().add_done_callback(self._ponged)

    async def _join(self, connection: Socket) -> None:
        """Subscribe some of the symbols that came after the connection was opened."""
        subscription, had = self.subscription, set(self._subscribed)
        fresh = tuple(islice((symbol for symbol in subscription.symbols if symbol not in had), JOINED_A_TICK))
        for symbol in fresh:
            await self._send(connection, subscription.renew[symbol][-1])
        if fresh:
            self._subscribed += fresh
            await self.inbox.mark(Mark(Event.CONNECTED, self._clock.now(), self.name, subscription.channel, fresh))

    def _ponged(self, pong: asyncio.Future[None]) -> None:
        self._pinged = False
        if not pong.cancelled() and not self._waiting:
            self._heard, self._only_pongs = self._clock.now(), True

    def _taken(self, payload: bytes) -> bool:
        """Put a message into the inbox; false when that is full."""
        at = self._clock.now()
        if not self.inbox.offer(self.subscription.channel, payload, at):
            self._waiting = True
            return False
        self._heard, self._spoken, self._only_pongs = at, at, False
        return True

    async def _read(self, connection: Socket) -> None:
        """Take messages until the connection is over, and raise why it is. While the inbox is full the socket is not read."""
        self._waiting = False
        while True:
            connection.resume()
            await connection.refused()
            await self.inbox.room()
            self._waiting = False

    async def _succeed(self, admit: Callable[[str], Awaitable[None]]) -> Socket:
        """Shortly before the end of a connection's lifetime: the subscribed connection that takes over."""
        lifetime = self.subscription.lifetime
        await asyncio.sleep(max(lifetime - self._options.renew_before, 0.5 * lifetime))
        failures = 0
        while True:
            try:
                return await self._open(admit)
            except Temporary as error:
                failures += 1
                observe.tell("transport", "successor failed", logging.WARNING, line=self.name, error=str(error))
                await asyncio.sleep(self._options.retry.backoff(failures))

    async def _drained(self, connection: Socket, reading: asyncio.Task[None]) -> None:
        """Close a connection that has a successor, taking in all that is still on its way, however long the inbox is full."""
        connection.leave()
        while not reading.done():
            done, _ = await asyncio.wait({reading}, timeout=self._options.close_timeout)
            if not done and not self._waiting:
                connection.abort()

    async def _send(self, connection: Socket, frame: str) -> None:
        """Send one text frame, not before the pace allows it."""
        gap = 1.0 / self.subscription.sends_per_second
        now = self._clock.monotonic()
        at = max(now, self._next_send)
        self._next_send = at + gap
        if at > now:
            await asyncio.sleep(at - now)
        connection.send(frame)

    async def _up(self) -> None:
        now = self._clock.now()
        first = not self.health.connections
        self._heard = self._spoken = now
        self._announced, self._pinged = True, False
        self.health = replace(
            self.health, state="connected", since=now, attempts=0, error="", connections=self.health.connections + 1
        )
        observe.gauge("lines_up", 1, line=self.name)
        observe.tell("transport", "connected" if first else "connected again", line=self.name, host=self._host)
        await self.inbox.mark(Mark(Event.CONNECTED, now, self.name, self.subscription.channel, self._subscribed))

    def _down(self, error: TickhouseError, attempts: int) -> None:
        self._asked_to_wait = getattr(error, "retry_after", None) or 0.0
        if self.health.state != "down":
            self.health = replace(self.health, state="down", since=self._clock.now())
            observe.count("disconnects", host=self._host, reason=type(error).__name__)
        self.health = replace(self.health, error=str(error), attempts=attempts, heard=self._heard)
        observe.gauge("lines_up", 0, line=self.name)
        observe.tell("transport", "line is down", logging.WARNING, line=self.name, error=str(error), attempts=attempts)

    async def _say_down(self) -> None:
        """DISCONNECTED each tick, until cancelled."""
        while True:
            await asyncio.sleep(self._options.tick)
            await self._say(Event.DISCONNECTED, self.health.error)

    async def _say(self, event: Event, why: str = "") -> None:
        await self.inbox.mark(self._mark(event, why))
        self.health = replace(self.health, heard=self._heard)

    def _mark(self, event: Event, why: str = "") -> Mark:
        """A mark of this line; the first one ever also names what the line is about."""
        detail = {"reason": why} if why else {}
        if self._announced:
            return Mark(event, self._heard, self.name, detail=detail)
        self._announced = True
        return Mark(event, self._heard, self.name, self.subscription.channel, self.subscription.symbols, detail)

    def _stop(self) -> None:
        """Leave a last mark without waiting: a stopped line is blind until it is started again."""
        mark = self._mark(Event.DISCONNECTED, "stopped")
        self.inbox.offer(LINK, mark.encode(), self._clock.now())
        self.health = replace(self.health, state="stopped", since=self._clock.now(), heard=self._heard)
        observe.gauge("lines_up", 0, line=self.name)

    def _loss(self, reading: asyncio.Task[None]) -> TickhouseError:
        """Why reading ended. An error that is not the network's is not ours to hide."""
        error = reading.exception()
        if not isinstance(error, NETWORK):
            raise error or RuntimeError("reading a line ended without an error")
        loss = self._told(error)
        loss.__cause__ = error
        return loss

    def _told(self, error: BaseException) -> TickhouseError:
        """A network error in our words, without the secrets that a server may repeat."""
        told = translated(error, self._host)
        scrubbed(told, self.subscription.secret_params.values())
        return told


def _address(subscription: Subscription) -> str:
    """Where to connect; here alone its secrets are revealed."""
    if not subscription.secret_params:
        return subscription.url
    query = urlencode({name: secret.reveal() for name, secret in subscription.secret_params.items()})
    return f"{subscription.url}{'&' if urlsplit(subscription.url).query else '?'}{query}"


async def _discarded(reading: asyncio.Task[None], successor: asyncio.Task[Socket]) -> None:
    """End both tasks; a successor that was made and is not used is closed."""
    taken = successor.done()
    for task in (reading, successor):
        task.cancel()
    results = await asyncio.gather(reading, successor, return_exceptions=True)
    if not taken and isinstance(results[1], Socket):
        results[1].abort()
