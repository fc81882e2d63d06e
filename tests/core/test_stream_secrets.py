"""A key in the address of a line reaches the server and nobody else; a provider that falls silent is not alive for its pongs."""

import asyncio
import contextlib
import io
import logging
import traceback
from pathlib import Path

import pytest
import structlog
from websockets.asyncio.server import ServerConnection, serve

from tests.core.test_stream import listening, serving, stay, wanted
from tickhouse.core import observe
from tickhouse.core.errors import BadCredentials, Final
from tickhouse.core.marks import Event
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import LogSettings

KEY = "hush-k3y"


@contextlib.contextmanager
def logged():
    """Everything that is logged meanwhile, as one text in the end."""
    out, hooks = io.StringIO(), observe.hooks
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    observe.setup(LogSettings(level="debug"), out)
    try:
        yield out
    finally:
        observe.hooks, root.handlers[:] = hooks, handlers
        root.setLevel(level)
        structlog.reset_defaults()


@pytest.mark.parametrize("query", ["", "?x=1"])
async def test_a_key_is_put_into_the_address_when_connecting(tmp_path: Path, query: str) -> None:
    paths: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        paths.append(str(connection.request.path) if connection.request else "")
        await connection.send("fine")
        await stay(connection)

    with logged() as log:
        async with serving(handler) as (_, url):
            subscription = wanted(url + query, secret_params={"token": Secret("a b&c")})
            async with listening(tmp_path, subscription) as heard:
                await heard.until(lambda: heard.frames == [b"fine"])
                said = f"{heard.transport.health} {heard.items} {subscription} {log.getvalue()}"
    assert paths == [f"/ws{query}{'&' if query else '?'}token=a+b%26c"]
    assert "a b&c" not in said and "a+b%26c" not in said
    assert "connected" in log.getvalue()


async def test_a_server_that_repeats_the_key_when_it_hangs_up_does_not_make_us_say_it(tmp_path: Path) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("x")
        await connection.close(1008, f"token {KEY} is used twice")

    with logged() as log:
        async with contextlib.AsyncExitStack() as stack:
            _, url = await stack.enter_async_context(serving(handler))
            subscription = wanted(url, secret_params={"token": Secret(KEY)})
            heard = await stack.enter_async_context(listening(tmp_path, subscription))
            await heard.until(lambda: heard.events().count(Event.DISCONNECTED) >= 2)
            health = heard.transport.health["one"]
    lost = next(mark for mark in heard.after() if mark.event == Event.DISCONNECTED)
    assert "token ******** is used twice" in lost.detail["reason"]
    assert KEY not in f"{health} {heard.items} {log.getvalue()}"


@pytest.mark.parametrize("status", [401, 404])
async def test_a_refused_key_is_not_in_the_error_nor_in_what_led_to_it(tmp_path: Path, status: int) -> None:
    async with serve(stay, "127.0.0.1", 0, process_request=lambda c, r: c.respond(status, r.path)) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        async with listening(tmp_path, wanted(url, secret_params={"token": Secret(KEY)})) as heard:
            with pytest.raises(BadCredentials if status == 401 else Final) as caught:
                await heard.until(lambda: False)
            assert KEY not in f"{heard.transport.health} {heard.items}"
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["nonsense://h/", "ws://", "ws://127.0.0.1:1/"])
async def test_an_address_that_cannot_be_reached_is_told_without_the_key(tmp_path: Path, url: str) -> None:
    with logged() as log:
        async with listening(tmp_path, wanted(url, secret_params={"token": Secret(KEY)})) as heard:
            with contextlib.suppress(Final):
                await heard.until(lambda: heard.transport.health["one"].attempts >= 2)
            health = heard.transport.health["one"]
    assert health.error
    trace = "".join(traceback.format_exception(heard.task.exception())) if not heard.task.cancelled() else ""
    assert KEY not in f"{health} {heard.items} {log.getvalue()} {trace}"


async def test_a_provider_that_speaks_by_itself_is_mute_when_it_only_answers_pings(tmp_path: Path) -> None:
    connections = 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        while connections > 1:
            await connection.send("ping")
            await asyncio.sleep(0.05)
        await connection.send("first")
        await stay(connection)

    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, mute_after=0.25, speaks=True)) as heard:
        await heard.until(lambda: heard.frames.count(b"ping") > 10)
    events = heard.events()
    assert events[:5] == [Event.CONNECTED, Event.ALIVE, Event.MUTE, Event.DISCONNECTED, Event.CONNECTED]
    assert events.count(Event.MUTE) == 1, "while it speaks it is not mute"
    mute = next(mark for mark in heard.marks if mark.event == Event.MUTE)
    alive = [mark.at for mark in heard.marks[: heard.marks.index(mute)] if mark.event == Event.ALIVE]
    assert mute.at == alive[0] < alive[-1], "blind from the last frame on, whatever the pongs said"


async def test_a_line_without_an_end_has_one_connection_for_ever(tmp_path: Path) -> None:
    open_now, most = 0, 0

    async def handler(connection: ServerConnection) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await connection.send("x")
        await stay(connection)
        open_now -= 1

    subscription = {"lifetime": float("inf"), "mute_after": 0.1, "speaks": True}
    async with serving(handler) as (_, url), listening(tmp_path, wanted(url, **subscription)) as heard:
        await heard.until(lambda: heard.events().count(Event.CONNECTED) >= 3)
    assert most == 1, "a second connection is made only after the first is gone"
