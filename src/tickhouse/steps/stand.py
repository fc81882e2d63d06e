"""The stand of the conformance suite: a feed on its dialect of the simulated exchange, over real HTTP and sockets.

Waiting moves the exchange's clock, so that nothing takes longer than it must.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tickhouse.core.batches import RawBatch
from tickhouse.core.clock import ManualClock
from tickhouse.core.errors import BadCredentials, NoData, RateLimited, SettingsError, TickhouseError, UnknownSymbol
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import LineOptions
from tickhouse.core.marks import LINK
from tickhouse.core.model import Want
from tickhouse.core.plugins import load
from tickhouse.core.retry import Retry
from tickhouse.core.secrets import Secret
from tickhouse.core.transport import Transport, TransportOptions
from tickhouse.exchange.faults import Faults
from tickhouse.exchange.floor import Floor
from tickhouse.exchange.limits import Limits
from tickhouse.exchange.market import Market
from tickhouse.exchange.server import Exchange
from tickhouse.exchange.terms import Terms
from tickhouse.feeds import Feed
from tickhouse.steps.laws import Message
from tickhouse.steps.simulated import ASKED, KEY

OPEN = 1_773_241_220_000_000
"""2026-03-11 15:00:20 UTC, a Wednesday on which everything is traded."""
DAY = 86_400_000_000
MOST = 12
"""Messages that are kept of a stream."""
CALM = Limits(messages_a_second=1000, ping_every=1e9, lifetime=1e9)


class Stand:
    """One feed on its dialect. Trials return what is wrong in a sentence, empty where nothing is, None for what cannot be tried."""

    def __init__(self, name: str, exchange: Exchange, clock: ManualClock, transport: Transport) -> None:
        self.name, self.exchange, self.clock, self.transport = name, exchange, clock, transport
        self.asked = ASKED[name]
        here = f"/{name}" if name != "binance" else ""
        urls: dict[str, Any] = {"rest_url": exchange.url + here, "ws_url": exchange.ws_url + here}
        self.feed: Feed = load("feeds", name).open(**urls, **({"key": Secret(KEY)} if name != "binance" else {}))

    async def messages(self) -> list[Message]:
        """Good messages of what is polled or streamed, and of the past; nothing is forbidden to whoever asks for them."""
        for clerk in self.exchange.world.clerks.values():
            clerk.terms = Terms(plan="paid")
        self.clock.move(61)
        await asyncio.sleep(0.05)
        found = (
            await self._heard(self._want(), 8) if self._streams() else await self._answers(self.feed.poll(self._want()))
        )
        if self.asked.past:
            start = OPEN - self.asked.days * DAY
            found += await self._answers(
                self.feed.history(Want(self.asked.symbols[:1], self.asked.past, start, OPEN + 5_000_000))
            )
        return found

    async def error_bodies(self) -> str | None:
        """A failure told with a good status, and answers that are damaged, are errors or rejects."""
        for kind in ("error_bodies", "server_errors", "half_answers", "bad_answers", "changed_answers"):
            for seed in range(2):
                self.exchange.change(Faults(seed=seed).changed(**{kind: 1.0}))
                before = self.exchange.account.counts[kind]
                outcome = await self._outcome(self._question())
                self.exchange.change(Faults())
                if self.exchange.account.counts[kind] == before:
                    return f"the exchange made no fault {kind}"
                if isinstance(outcome, str):
                    return f"{kind}: {outcome}"
                if not isinstance(outcome, TickhouseError) and not outcome:
                    return f"{kind} is taken for good data"
        return ""

    async def rate_limit(self) -> str | None:
        """Too many requests is `RateLimited`."""
        self.exchange.change(Faults(too_many=1.0))
        outcome = await self._outcome(self._question())
        self.exchange.change(Faults())
        return "" if isinstance(outcome, RateLimited) else f"too many requests is {_named(outcome)}, not RateLimited"

    async def bad_credentials(self) -> str | None:
        """A key that is not good is `BadCredentials`."""
        if self.feed.about.key != "required":
            return None
        clerk = self.exchange.world.clerks[self.name]
        clerk.revoke("*")
        outcome = await self._outcome(self._question())
        clerk.forgive()
        return "" if isinstance(outcome, BadCredentials) else f"a revoked key is {_named(outcome)}, not BadCredentials"

    async def unknown_symbol(self) -> str | None:
        """A symbol that there is not is `UnknownSymbol`, `NoData`, or refused before it is asked for."""
        outcome = await self._outcome(self._question((self.asked.unknown,)))
        good = (UnknownSymbol, NoData, SettingsError)
        return "" if isinstance(outcome, good) else f"an unknown symbol is {_named(outcome)}, not UnknownSymbol"

    async def reconnect(self) -> str | None:
        """A line that broke is dialled again, and its symbols are heard again."""
        if not self._streams():
            return None

        async def broken() -> None:
            old = dict(self.exchange.clients)
            for client in old.values():
                client.cut_off("broken")
            await _until(lambda: not old.keys() & self.exchange.clients.keys())

        return await self._interrupted(broken, self.asked.symbols, "after its connection broke nothing was heard again")

    async def mute(self) -> str | None:
        """A symbol that alone fell mute is heard again when it is subscribed anew."""
        if not self._streams():
            return None
        symbol = self.asked.symbols[0]
        subscription = self.feed.subscriptions(self._want())[0]
        if symbol not in subscription.renew:
            return f"there is no way to subscribe {symbol} anew when it alone falls mute"

        async def muted() -> None:
            code = self.exchange.history.code({"BTC-USD": "BTC-USDT"}.get(symbol, symbol))
            for client in self.exchange.clients.values():
                client.delivery.silence(code, 1 << 62)
            await _until(lambda: self.transport.renew(symbol))
            await _until(lambda: not any(client.delivery.muted for client in self.exchange.clients.values()))

        return await self._interrupted(
            muted, (symbol,), f"{symbol}, which alone fell mute and was subscribed anew, stays mute"
        )

    def _want(self) -> Want:
        return Want(self.asked.symbols, self.asked.channel)

    def _streams(self) -> bool:
        try:
            return bool(self.feed.subscriptions(self._want()))
        except SettingsError:
            return False

    def _question(self, symbols: tuple[str, ...] = ()) -> Callable[[], Any]:
        """A conversation about the present where that is asked for, else about the past."""
        chosen = symbols or self.asked.symbols[:1]
        if not self._streams():
            return lambda: self.feed.poll(Want(chosen, self.asked.channel))
        if self.asked.past:
            return lambda: self.feed.history(
                Want(chosen, self.asked.past, OPEN - (self.asked.days or 1) * DAY, OPEN + 5_000_000)
            )
        return lambda: self.feed.poll(Want(chosen, "quote"))

    async def _outcome(self, question: Callable[[], Any]) -> TickhouseError | str | bool:
        """The error that a conversation came to, whether anything in its answers was rejected, or what must not happen."""
        # What was refused before is no reason to be left alone now.
        async with _transport(self.clock) as transport:
            try:
                rejected = False
                async for request, answer in transport.ask(self.name, self.feed.pace, self.feed.classify, question()):
                    raw = RawBatch.of(self.name, request.channel, [answer.body], answer.received_at)
                    rejected |= bool(self.feed.parse(raw).rejects)
                return rejected
            except TickhouseError as error:
                return error
            except Exception as error:
                return f"raises {type(error).__name__}: {str(error)[:200]}"

    async def _answers(self, conversation: Any) -> list[Message]:
        found = []
        async for request, answer in self.transport.ask(self.name, self.feed.pace, self.feed.classify, conversation):
            raw = RawBatch.of(self.name, request.channel, [answer.body], answer.received_at)
            if self.feed.parse(raw).rejects or self._has_rows(raw):
                found.append(Message(request.channel, answer.body, answer.received_at))
        return found

    def _has_rows(self, raw: RawBatch) -> bool:
        from tickhouse.steps.laws import rows

        return bool(rows(self.feed.parse(raw)))

    async def _heard(self, want: Want, seconds: int) -> list[Message]:
        """Frames of the stream that have rows."""
        async with self._listening(want) as inbox:
            for _ in range(seconds):
                self.clock.move(1)
                await asyncio.sleep(0.03)
            await asyncio.sleep(0.1)
            raws = [raw for raw in inbox.drain() if raw.channel != LINK]
        messages = [Message(raw.channel, payload, self.clock.now()) for raw in raws for payload in raw.payloads()]
        return [one for one in messages if self._has_rows(RawBatch.of(self.name, one.channel, [one.payload], one.at))][
            :MOST
        ]

    async def _interrupted(self, how: Callable[[], Any], symbols: tuple[str, ...], problem: str) -> str:
        """Interrupt a stream; its symbols must be heard again within half a minute of the exchange's time."""
        async with self._listening(self._want()) as inbox:
            await how()
            await _until(self._subscribed)
            inbox.drain()
            for _ in range(60):
                self.clock.move(1)
                await asyncio.sleep(0.02)
                told = {
                    row.get("symbol") for raw in inbox.drain() if raw.channel != LINK for row in self._rows(raw)
                }  # fmt: skip
                if told & set(symbols):
                    return ""
        return problem

    def _rows(self, raw: RawBatch) -> list[dict[str, Any]]:
        from tickhouse.steps.laws import rows

        return rows(self.feed.parse(raw))

    def _subscribed(self) -> bool:
        return any(client.masks() for client in self.exchange.clients.values())

    @asynccontextmanager
    async def _listening(self, want: Want) -> AsyncIterator[Inbox]:
        """The feed's line, subscribed."""
        inbox = Inbox(self.name, clock=self.clock)
        await _until(lambda: not self.exchange.clients)
        line = asyncio.create_task(self.transport.stream(self.feed.subscriptions(want)[0], inbox, line=self.name))
        try:
            await _until(lambda: line.done() or self._subscribed())
            if line.done():
                line.result()
            await asyncio.sleep(0.7)
            yield inbox
        finally:
            line.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await line


@asynccontextmanager
async def standing(name: str) -> AsyncIterator[Stand]:
    """A stand for a feed that has a dialect."""
    clock = ManualClock(OPEN)
    market = Market(seed=7, symbols=8, rate=60, floor=Floor(7))
    exchange = Exchange(market, clock, limits=CALM)
    exchange.speak = (name,) if name != "binance" else ()
    async with exchange, _transport(clock) as transport:
        yield Stand(name, exchange, clock, transport)


@asynccontextmanager
async def _transport(clock: ManualClock) -> AsyncIterator[Transport]:
    async def sleep(seconds: float) -> None:
        clock.move(seconds)
        await asyncio.sleep(0)

    line = LineOptions(tick=0.02, close_timeout=0.1, retry=Retry(attempts=99, first=0.01, most=0.05))
    with tempfile.TemporaryDirectory(prefix="tickhouse-certify-") as folder:
        options = TransportOptions(retry=Retry(attempts=1), line=line)
        async with Transport(clock, Path(folder), options, sleep=sleep) as transport:
            yield transport


def _named(outcome: object) -> str:
    return (
        type(outcome).__name__
        if isinstance(outcome, Exception)
        else "taken for data"
        if outcome is False
        else str(outcome)
    )


async def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
