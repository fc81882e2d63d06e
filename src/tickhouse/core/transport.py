"""The only code that reaches the network: asks over HTTP at the pace allowed, and keeps WebSocket lines open.

It knows no provider. A feed says what to ask (generators of requests, subscriptions) and what an answer stands for.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from tickhouse.core import observe
from tickhouse.core.breaker import Breaker
from tickhouse.core.budget import Budget
from tickhouse.core.clock import Clock
from tickhouse.core.errors import BadMessage, Final, RateLimited, Temporary, Unreachable
from tickhouse.core.foreign import NETWORK, host_of, refusal, scrubbed, translated
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import Health, Line, LineOptions
from tickhouse.core.requests import Answer, Pace, Request, Subscription
from tickhouse.core.retry import Retry

Classify = Callable[[Answer], Exception | None]
Conversation = Generator[Request, Answer, None]


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How the network is treated. Times in seconds.

    `total_timeout` bounds one answer from first to last byte. `breaker_failures` failures in a row that a feed had with a
    host open their breaker for `breaker_rest`. `dials_per_minute` bounds the WebSocket connections to one host, over all processes.
    """

    user_agent: str = "tickhouse"
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    total_timeout: float = 300.0
    max_body_bytes: int = 32 << 20
    retry: Retry = field(default_factory=Retry)
    breaker_failures: int = 5
    breaker_rest: float = 30.0
    dials_per_minute: int = 40
    line: LineOptions = field(default_factory=LineOptions)


class Transport:
    """One per process. Belongs to one event loop; close it there."""

    def __init__(
        self,
        clock: Clock,
        budget_dir: Path,
        options: TransportOptions | None = None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        simulated: Callable[[], object] = lambda: None,
    ) -> None:
        self.options, self.simulated = options or TransportOptions(), simulated
        """`simulated` is called whenever somebody at the other end says that he is a simulated exchange."""
        self.lines: dict[str, Line] = {}
        """The lines there are, by name; one that ended is `stopped` and says why."""
        self._clock, self._sleep = clock, sleep
        self._budget = Budget(budget_dir / "budget.db", clock)
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._client: httpx.AsyncClient | None = None
        observe.quiet_libraries()

    async def ask(
        self, feed: str, pace: Pace, classify: Classify, conversation: Conversation
    ) -> AsyncIterator[tuple[Request, Answer]]:
        """Drive a conversation: send each request it yields, give it the answer, and yield both if the request has a channel.

        Temporary failures are tried again with backoff, within the quota of `feed`. What `classify` says of an answer is
        thrown into the conversation when it is final: a feed that knows what to do about it asks something else, from
        any other it comes out here. Raises a `Temporary` when trying again did not help or the wait would be too long.
        """
        try:
            request = next(conversation, None)
            while request is not None:
                try:
                    answer = await self._answered(feed, pace, classify, request)
                except Final as refused:
                    request = _instead(conversation, refused)
                    continue
                if request.channel:
                    yield request, answer
                request = _following(conversation, answer)
        finally:
            conversation.close()

    async def introduce(self, url: str) -> bool:
        """Ask an address for a word, of whatever kind, only to hear whether it is a simulated exchange; false when nothing came."""
        try:
            await self._answer(Request(url, ""), host_of(url))
        except (Temporary, BadMessage):
            return False
        return True

    async def stream(self, subscription: Subscription, inbox: Inbox, *, line: str) -> None:
        """Keep a subscription open until cancelled; frames and marks go to the inbox, under the name of the line.

        Raises `Final` when trying again cannot help.
        """
        options = replace(self.options.line, user_agent=self.options.user_agent)
        kept = self.lines[line] = Line(line, subscription, inbox, self._clock, options)
        await kept.run(self._admit)

    def renew(self, symbol: str) -> bool:
        """Subscribe a symbol anew on the lines that have it, because it alone fell mute; whether any could."""
        renewed = [line.renew(symbol) for line in self.lines.values()]
        return any(renewed)

    @property
    def health(self) -> Mapping[str, Health]:
        """How each line is."""
        return {name: line.health for name, line in self.lines.items()}

    async def quota(self, feed: str, pace: Pace) -> dict[str, int]:
        """What is left of a feed's quota, by `minute` and `day`."""
        return await asyncio.to_thread(self._budget.left, feed, pace)

    async def close(self) -> None:
        """Let go of connections and files."""
        if self._client is not None:
            await self._client.aclose()
        self._budget.close()

    async def __aenter__(self) -> "Transport":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _answered(self, feed: str, pace: Pace, classify: Classify, request: Request) -> Answer:
        """The answer to one request, tried again as long as that may help."""
        failures = 0
        while True:
            try:
                return await self._once(feed, pace, classify, request)
            except Temporary as error:
                failures += 1
                observe.count("requests", feed=feed, outcome=type(error).__name__)
                wait = self.options.retry.wait(failures, error)
                if wait is None:
                    raise
                observe.count("retries", host=host_of(request.url))
                observe.tell(
                    "transport", "trying again", logging.WARNING, feed=feed, wait=round(wait, 3), error=str(error)
                )
                await self._sleep(wait)

    async def _once(self, feed: str, pace: Pace, classify: Classify, request: Request) -> Answer:
        """One try, past the breaker and the quota."""
        host = host_of(request.url)
        breaker = self._breaker(feed, host)
        await self._pass(breaker, host)
        await self._afford(feed, pace, request.weight, breaker)
        try:
            answer = await self._answer(request, host)
            error = _judged(answer, classify, host)
            if error is not None:
                raise scrubbed(error, (*request.secret_params.values(), *request.secret_headers.values()))
        except Unreachable as error:
            breaker.failed(str(error))
            raise
        except RateLimited as limited:
            breaker.succeeded()
            await self._obey(feed, breaker, limited)
            raise
        except BaseException as other:
            # Any proper answer, even a refusal, shows that the host is well; only cancelling shows nothing.
            breaker.succeeded() if isinstance(other, Exception) else breaker.left()
            raise
        finally:
            observe.gauge("breaker_open", float(breaker.state == "open"), host=host)
        breaker.succeeded()
        observe.count("requests", feed=feed, outcome="ok")
        return answer

    async def _pass(self, breaker: Breaker, host: str) -> None:
        """Wait until the breaker lets one through. Raises `Unreachable` when that takes longer than a retry may wait."""
        while (wait := breaker.enter()) > 0:
            if wait > self.options.retry.patience:
                raise Unreachable(f"{host} is left alone for {wait:.0f} s: {breaker.reason}", retry_after=wait)
            await self._sleep(wait)

    async def _afford(self, feed: str, pace: Pace, weight: int, breaker: Breaker) -> None:
        """Wait until the quota has room. Raises `RateLimited` when that takes longer than a retry may wait."""
        try:
            while (wait := await asyncio.to_thread(self._budget.take, feed, pace, weight)) > 0:
                if wait > self.options.retry.patience:
                    raise RateLimited(
                        f"the quota of {feed} is spent; there is room again in {wait:.0f} s", retry_after=wait
                    )
                await self._sleep(wait)
            for window, left in (await self.quota(feed, pace)).items():
                observe.gauge("quota_left", left, feed=feed, window=window)
        except BaseException:
            breaker.left()
            raise

    async def _obey(self, feed: str, breaker: Breaker, error: RateLimited) -> None:
        """Stay away from a host as long as it asks, in every process and over restarts."""
        if error.retry_after:
            breaker.open_for(error.retry_after, str(error))
            await asyncio.to_thread(self._budget.ban, feed, error.retry_after)

    async def _admit(self, host: str) -> None:
        """Wait until a host may be connected to once more."""
        pace = Pace(per_minute=self.options.dials_per_minute)
        while (wait := await asyncio.to_thread(self._budget.take, f"connect {host}", pace)) > 0:
            observe.tell("transport", "too many connections", logging.WARNING, host=host, wait=round(wait, 1))
            await self._sleep(wait)

    async def _answer(self, request: Request, host: str) -> Answer:
        """Send one request and read its answer. Raises only errors of ours."""
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(self.options.total_timeout), self._stream(request) as response:
                body = await self._body(response, host)
                headers = {name.lower(): value for name, value in response.headers.items()}
                answer = Answer(response.status_code, headers, body, self._clock.now())
                if answer.simulated:
                    self.simulated()
        except NETWORK as error:
            raise translated(error, host) from error
        observe.timing("request_seconds", self._clock.monotonic() - began, host=host)
        return answer

    def _stream(self, request: Request) -> Any:
        """The response of a request, to be read in parts; here alone secrets are revealed."""
        params = {**request.params, **{name: secret.reveal() for name, secret in request.secret_params.items()}}
        headers = {**request.headers, **{name: secret.reveal() for name, secret in request.secret_headers.items()}}
        return self._http().stream("GET", request.url, params=params or None, headers=headers)

    async def _body(self, response: httpx.Response, host: str) -> bytes:
        """The whole body. Raises `BadMessage` as soon as it is larger than allowed."""
        parts, size, most = [], 0, self.options.max_body_bytes
        announced = response.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > most:
            raise BadMessage(f"the answer of {host} is larger than the {most} bytes allowed")
        async for part in response.aiter_bytes():
            size += len(part)
            if size > most:
                raise BadMessage(f"the answer of {host} is larger than the {most} bytes allowed")
            parts.append(part)
        return b"".join(parts)

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            options = self.options
            self._client = httpx.AsyncClient(
                headers={"user-agent": options.user_agent},
                timeout=httpx.Timeout(options.read_timeout, connect=options.connect_timeout),
                limits=httpx.Limits(max_connections=16, max_keepalive_connections=8),
                follow_redirects=False,
            )
        return self._client

    def _breaker(self, feed: str, host: str) -> Breaker:
        """That of a feed at a host: several may be served by one, and what ails one is no fault of the others."""
        if (feed, host) not in self._breakers:
            options = self.options
            made = Breaker(self._clock, failures=options.breaker_failures, rest=options.breaker_rest)
            self._breakers[feed, host] = made
        return self._breakers[feed, host]


def _following(conversation: Conversation, answer: Answer) -> Request | None:
    """The next request of a conversation, or None when it is over."""
    try:
        return conversation.send(answer)
    except StopIteration:
        return None


def _instead(conversation: Conversation, refused: Final) -> Request | None:
    """What a conversation asks after a refusal, or None when it is over. Raises the refusal when it has no answer to it."""
    try:
        return conversation.throw(refused)
    except StopIteration:
        return None


def _judged(answer: Answer, classify: Classify, host: str) -> Exception | None:
    """What is wrong with an answer: the feed's word first, then what no feed can take for data."""
    error = classify(answer) or refusal(answer, host)
    if isinstance(error, Temporary) and error.retry_after is None:
        error.retry_after = answer.retry_after
    return error
