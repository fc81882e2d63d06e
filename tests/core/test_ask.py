"""Asking over HTTP: retries, quotas, the breaker, limits, and errors that a person understands."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tools.simulated.site import Script, response, site

from tickhouse.core import observe
from tickhouse.core.clock import ManualClock, SystemClock
from tickhouse.core.errors import BadCredentials, BadMessage, Final, NoData, RateLimited, TickhouseError, Unreachable
from tickhouse.core.requests import Answer, Pace, Request
from tickhouse.core.retry import Retry
from tickhouse.core.secrets import Secret
from tickhouse.core.transport import Transport, TransportOptions

OPTIONS = TransportOptions(
    connect_timeout=1.0, read_timeout=0.2, total_timeout=1.0, max_body_bytes=1 << 20, retry=Retry(random=Random(1))
)


class Asked:
    """What became of a conversation: answers, waits, requests as the server saw them."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.waits: list[float] = []
        self.requests: list[str] = []


def one(request: Request) -> Generator[Request, Answer, None]:
    """A conversation of one request."""
    yield request


def fine(answer: Answer) -> None:
    """A feed that takes every answer for data."""


async def asked(
    tmp_path: Path,
    script: Script,
    *,
    options: TransportOptions = OPTIONS,
    pace: Pace = Pace(),  # noqa: B008
    classify: Callable[[Answer], Exception | None] = fine,
    result: Asked | None = None,
    times: int = 1,
) -> Asked:
    """Ask a scripted server on a manual clock that moves when the transport waits."""
    clock, got = ManualClock(1_767_225_600_000_000), result or Asked()

    async def sleep(seconds: float) -> None:
        got.waits.append(seconds)
        clock.move(seconds)

    async with site(script) as here, Transport(clock, tmp_path, options, sleep=sleep) as transport:
        got.requests = here.requests
        secret = Request(f"{here.url}/x", "c", {"a": 1}, secret_params={"apikey": Secret("hush-hush")})
        for _ in range(times):
            async for _, answer in transport.ask("feed", pace, classify, one(secret)):
                got.answers.append(answer)
    return got


async def test_a_conversation_gets_each_answer_and_asks_on(tmp_path: Path) -> None:
    def pages(url: str) -> Generator[Request, Answer, None]:
        answer = yield Request(f"{url}/0", "history", {"limit": 5})
        for page in (1, 2):
            assert answer.body == f"page {page - 1}".encode()
            answer = yield Request(f"{url}/{page}", "history", headers={"x-unit": "us"})

    script: Script = lambda i, _: response(200, f"page {i}".encode(), X_Used="7")  # noqa: E731
    async with site(script) as here, Transport(SystemClock(), tmp_path) as transport:
        seen = [pair async for pair in transport.ask("f", Pace(), fine, pages(here.url))]
    assert [(r.channel, a.status, a.body, a.headers["x-used"]) for r, a in seen] == [
        ("history", 200, f"page {i}".encode(), "7") for i in range(3)
    ]
    assert here.requests[0].startswith("GET /0?limit=5 HTTP/1.1")
    assert "x-unit: us" in here.requests[2]
    assert "user-agent: tickhouse" in here.requests[2].lower()


async def test_429_is_waited_for_as_long_as_it_asks(tmp_path: Path) -> None:
    got = await asked(tmp_path, lambda i, _: response(429, retry_after="7") if i == 0 else response(200))
    assert [a.status for a in got.answers] == [200]
    assert 7.0 <= sum(got.waits) <= 8.0


async def test_418_opens_the_breaker_and_the_ban_outlives_the_process(tmp_path: Path) -> None:
    got = Asked()
    with pytest.raises(RateLimited, match=r"127\.0\.0\.1:\d+ asks for fewer requests \(418\)") as caught:
        await asked(tmp_path, lambda *_: response(418, retry_after="7200"), result=got)
    assert caught.value.retry_after == 7200.0
    assert (len(got.requests), got.waits) == (1, [])
    again = Asked()
    with pytest.raises(RateLimited, match="there is room again in 7200 s"):
        await asked(tmp_path, lambda *_: response(200), result=again)
    assert again.requests == []


async def test_a_server_error_is_tried_again(tmp_path: Path) -> None:
    got = await asked(tmp_path, lambda i, _: response(503) if i < 3 else response(200))
    assert [a.status for a in got.answers] == [200]
    assert len(got.waits) == 3
    assert all(wait <= 0.5 * 2**i for i, wait in enumerate(got.waits))


async def test_what_ails_one_feed_at_a_host_is_no_fault_of_another_there(tmp_path: Path) -> None:
    script: Script = lambda i, text: response(429, b"", Retry_After="900") if "/one" in text else response()  # noqa: E731
    limited = RateLimited("no", retry_after=900.0)

    def judge(answer: Answer) -> Exception | None:
        return limited if answer.status == 429 else None

    async with site(script) as here, Transport(ManualClock(), tmp_path, OPTIONS) as transport:
        for _ in range(2):
            with pytest.raises((RateLimited, Unreachable)):
                [pair async for pair in transport.ask("one", Pace(), judge, one(Request(f"{here.url}/one", "c")))]
        other = [pair async for pair in transport.ask("other", Pace(), judge, one(Request(f"{here.url}/other", "c")))]
    assert len(other) == 1 and len(here.requests) == 2


async def test_trying_again_is_bounded_and_the_breaker_leaves_the_host_alone(tmp_path: Path) -> None:
    got = Asked()
    with pytest.raises(Unreachable, match=r"failed \(500\)"):
        await asked(tmp_path, lambda *_: response(500), result=got)
    assert len(got.requests) == 6
    assert got.waits[-1] >= 29, "five failures in a row open the breaker for 30 s"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (None, "no answer in time"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", "the answer broke off"),
        (b"SMTP ready\r\ncontent-length: 9\r\n\r\n", "the answer broke off or was not understood"),
    ],
)
async def test_a_timeout_and_a_half_answer_are_tried_again(tmp_path: Path, payload: bytes | None, message: str) -> None:
    got = await asked(tmp_path, lambda i, _: payload if i == 0 else response(200, b"whole"))
    assert got.answers[0].body == b"whole"
    with pytest.raises(Unreachable, match=rf"^cannot reach 127\.0\.0\.1:\d+: {message}"):
        await asked(tmp_path, lambda *_: payload, options=replace(OPTIONS, retry=Retry(attempts=1)))


async def test_a_slow_trickle_ends_at_the_total_timeout(tmp_path: Path) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        try:
            while True:
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.05)
        except (ConnectionError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    options = replace(OPTIONS, total_timeout=0.3, retry=Retry(attempts=1))
    async with Transport(SystemClock(), tmp_path, options) as transport:
        began = time.perf_counter()
        with pytest.raises(Unreachable, match="no answer in time"):
            _ = [a async for a in transport.ask("f", Pace(), fine, one(Request(url, "c")))]
        assert time.perf_counter() - began < 2
    server.close()
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_refused_and_not_read_whole(tmp_path: Path, announced: bool) -> None:
    body = b"x" * (50 << 20)
    whole = response(200, body)
    if not announced:
        whole = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + body
    got = Asked()
    with pytest.raises(BadMessage, match=r"the answer of 127\.0\.0\.1:\d+ is larger than the 1048576 bytes allowed"):
        await asked(tmp_path, lambda *_: whole, result=got)
    assert len(got.requests) == 1


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(Final, match=r"redirects \(302\) to evil\.example:443, which is not followed") as caught:
        await asked(tmp_path, lambda *_: response(302, location="https://evil.example/?apikey=hush"))
    assert "hush" not in str(caught.value)


async def test_the_feed_judges_before_the_status(tmp_path: Path) -> None:
    def classify(answer: Answer) -> Exception | None:
        return NoData("nothing there") if b"none" in answer.body else None

    with pytest.raises(NoData):
        await asked(tmp_path, lambda *_: response(200, b"none"), classify=classify)
    got = await asked(tmp_path, lambda *_: response(404, b"[]"), classify=classify)
    assert got.answers[0].status == 404


async def test_a_temporary_refusal_by_the_feed_takes_the_retry_after_of_the_answer(tmp_path: Path) -> None:
    def classify(answer: Answer) -> Exception | None:
        return RateLimited("slow down") if answer.body == b"note" else None

    got = await asked(
        tmp_path, lambda i, _: response(200, b"note", retry_after="3") if i == 0 else response(200), classify=classify
    )
    assert len(got.answers) == 1
    assert 3.0 <= sum(got.waits) <= 4.0


async def test_no_server_and_no_name_are_said_in_plain_words(tmp_path: Path) -> None:
    options = replace(OPTIONS, retry=Retry(attempts=1))
    async with Transport(SystemClock(), tmp_path, options) as transport:
        for url, message in (
            (
                "http://127.0.0.1:1/x?apikey=hush",
                "cannot reach 127.0.0.1:1: connection refused; is the server running?",
            ),
            (
                "https://no-such-host.invalid/",
                "cannot reach no-such-host.invalid:443: name not resolved; is there a network",
            ),
        ):
            with pytest.raises(Unreachable) as caught:
                _ = [a async for a in transport.ask("f", Pace(), fine, one(Request(url, "c")))]
            assert str(caught.value).startswith(message)
            assert caught.value.__cause__ is not None
        for url in ("", "ftp://x/", "http://[::1", "no url"):
            with pytest.raises(Final, match="is not a URL that can be asked"):
                _ = [a async for a in transport.ask("f", Pace(), fine, one(Request(url, "c")))]


async def test_the_quota_is_waited_for(tmp_path: Path) -> None:
    got = await asked(tmp_path, lambda *_: response(200), pace=Pace(per_minute=2), times=5)
    assert len(got.answers) == 5
    assert got.waits == pytest.approx([60.0, 60.0])


async def test_a_spent_day_is_not_waited_for(tmp_path: Path) -> None:
    got = Asked()
    with pytest.raises(RateLimited, match="the quota of feed is spent; there is room again in 86400 s"):
        await asked(tmp_path, lambda *_: response(200), pace=Pace(per_day=2), times=5, result=got)
    assert len(got.answers) == 2


async def test_secrets_are_sent_and_never_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    def classify(answer: Answer) -> Exception | None:
        return BadCredentials(f"refused: {answer.body.decode()}", sent=answer.body) if answer.status == 401 else None

    got = Asked()
    with pytest.raises(BadCredentials) as caught:
        await asked(tmp_path, lambda *_: response(401, b"the key hush-hush is wrong"), classify=classify, result=got)
    assert "apikey=hush-hush" in got.requests[0]
    shown = f"{caught.value} {caught.value!r} {caught.value.sent!r} {caplog.text} {capsys.readouterr()}"
    for script in (
        lambda *_: response(500),
        lambda *_: None,
        lambda *_: b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
    ):
        with pytest.raises(TickhouseError) as failed:
            await asked(tmp_path, script, options=replace(OPTIONS, retry=Retry(attempts=2)))
        chain: BaseException | None = failed.value
        while chain is not None:
            shown += f"{chain} {chain!r}"
            chain = chain.__cause__
    out = capsys.readouterr()
    assert "hush-hush" not in shown + caplog.text + out.out + out.err
    assert "hush-hush" not in observe.exposition().decode()


async def test_a_final_refusal_goes_to_the_conversation_which_may_ask_something_else(tmp_path: Path) -> None:
    def classify(answer: Answer) -> Exception | None:
        return BadCredentials("stale") if answer.status == 401 else None

    def renewing(url: str) -> Generator[Request, Answer, None]:
        try:
            yield Request(f"{url}/data", "data")
        except BadCredentials:
            yield Request(f"{url}/token", "")
            yield Request(f"{url}/data", "data")

    script: Script = lambda i, _: response(401) if i == 0 else response(200, b"%d" % i)  # noqa: E731
    async with site(script) as here, Transport(SystemClock(), tmp_path) as transport:
        seen = [(r.channel, a.body) async for r, a in transport.ask("f", Pace(), classify, renewing(here.url))]
        assert [head.split()[1] for head in here.requests] == ["/data", "/token", "/data"]
        assert seen == [("data", b"2")], "what has no channel is for the conversation alone"
        with pytest.raises(BadCredentials, match="stale"):
            await asked(tmp_path, lambda *_: response(401), classify=classify)


async def test_a_conversation_that_ends_at_a_refusal_ends_quietly(tmp_path: Path) -> None:
    def content(url: str) -> Generator[Request, Answer, None]:
        with contextlib.suppress(NoData):
            yield Request(url, "data")

    async with site(lambda *_: response(200)) as here, Transport(SystemClock(), tmp_path) as transport:
        assert [_ async for _ in transport.ask("f", Pace(), lambda _: NoData("none"), content(here.url))] == []


async def test_cancelling_closes_the_conversation(tmp_path: Path) -> None:
    closed = []

    def conversation(url: str) -> Generator[Request, Answer, None]:
        try:
            yield Request(url, "c")
        finally:
            closed.append(True)

    async with site(lambda *_: None) as here, Transport(SystemClock(), tmp_path) as transport:

        async def go() -> None:
            async for _ in transport.ask("f", Pace(), fine, conversation(here.url)):
                pass

        task = asyncio.create_task(go())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert closed == [True]
