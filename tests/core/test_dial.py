"""Making a WebSocket connection: what is asked of the server, what is said when it fails, proxies, and giving up."""

import asyncio
import base64
import contextlib
import hashlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.core.loops import on_both_loops
from tickhouse.core.dial import opened
from tickhouse.core.errors import BadCredentials, Final, RateLimited, TickhouseError, Unreachable
from tickhouse.core.foreign import NETWORK, translated
from tickhouse.core.socket import Closed, Socket

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]
CERTIFICATE = Path(__file__).with_name("localhost.pem")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("ws", "wss", "http", "https", "all", "socks", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A TCP server of that behaviour: its port."""

    async def connected(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.02)


async def heads(reader: asyncio.StreamReader) -> dict[str, str]:
    """The lines of a request by lower-case name; the first one is under the empty name."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    return {"": first, **{name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}}


def agreed(head: dict[str, str], spoil: str = "") -> bytes:
    """The answer that opens a WebSocket."""
    key = head["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" + spoil
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    lines = ("HTTP/1.1 101 Yes", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}", "\r\n")
    return "\r\n".join(lines).encode()


async def dial(url: str, seconds: float = 2.0, **more) -> Socket:
    return await opened(url, lambda message: True, max_bytes=1000, seconds=seconds, **more)


async def failed(url: str, seconds: float = 2.0) -> TickhouseError:
    """The error of ours that a try ends with."""
    with pytest.raises(NETWORK) as caught:
        await dial(url, seconds)
    return translated(caught.value, "host:1")


@on_both_loops
async def test_the_request_and_what_comes_with_the_answer():
    asked = {}

    async def talk(reader, writer):
        asked.update(await heads(reader))
        writer.write(agreed(asked) + b"\x81\x05early\x88\x02\x03\xe8")
        await reader.read()

    async with listening(talk) as port:
        got = []
        url = f"ws://127.0.0.1:{port}/stream/ws?streams=a@trade/b&key=%20x"
        socket = await opened(
            url,
            lambda message: got.append(message) is None,
            max_bytes=10,
            seconds=2,
            headers={"User-Agent": "tickhouse"},
        )
        with pytest.raises(Closed):
            socket.resume()
            await socket.refused()
        await socket.close(0.2)
    assert got == [b"early"]
    assert asked[""] == "GET /stream/ws?streams=a@trade/b&key=%20x HTTP/1.1"
    assert asked["host"] == f"127.0.0.1:{port}"
    assert asked["user-agent"] == "tickhouse"
    assert "sec-websocket-extensions" not in asked


ANSWERS = {
    "429": (b"HTTP/1.1 429 No\r\nretry-after: 7\r\n\r\n", RateLimited, "asks for fewer requests (429)"),
    "503": (b"HTTP/1.1 503 No\r\nRetry-After: 7\r\n\r\n", Unreachable, "failed (503)"),
    "521": (b"HTTP/1.1 521\r\nretry-after: 7\r\nodd\r\n\r\n", Unreachable, "failed (521)"),
    "403": (b"HTTP/1.1 403 No\r\nretry-after: 7\r\n\r\n", Unreachable, "it may do so only for a while"),
    "401": (b"HTTP/1.1 401 No\r\n\r\n", BadCredentials, "is the key right?"),
    "404": (b"HTTP/1.1 404 No\r\ncontent-length: 3\r\n\r\nno!", Final, "is ws_url right?"),
    "200": (b"HTTP/1.1 200 OK\r\n\r\n<html>", Final, "refused the WebSocket connection with status 200"),
    "302": (b"HTTP/1.1 302 Go\r\n\r\n", Final, "redirects (302)"),
    "html": (b"<html></html>\r\n\r\n", Unreachable, "the answer broke off or was not understood"),
    "half": (b"HTTP/1.1 101 Yes\r\nUpgr", Unreachable, "the answer broke off or was not understood"),
    "nothing": (b"", Unreachable, "the answer broke off or was not understood"),
    "long": (b"HTTP/1.1 101 Yes\r\n" + b"a: b\r\n" * 4000, Unreachable, "the answer broke off or was not understood"),
    "no upgrade": (b"HTTP/1.1 101 Yes\r\n\r\n", Unreachable, "it does not speak WebSocket there"),
}


@pytest.mark.parametrize("name", ANSWERS)
@on_both_loops
async def test_an_answer_that_does_not_agree_is_told_in_plain_words(name):
    answer, kind, words = ANSWERS[name]

    async def talk(reader, writer):
        await heads(reader)
        writer.write(answer)
        await writer.drain()

    async with listening(talk) as port:
        error = await failed(f"ws://127.0.0.1:{port}/")
    assert type(error) is kind
    assert words in str(error)
    if b"retry-after: 7" in answer.lower():
        assert error.retry_after == 7.0


@on_both_loops
async def test_an_agreement_to_something_else_is_none():
    async def talk(reader, writer):
        writer.write(agreed(await heads(reader), spoil="x"))
        await reader.read()

    async with listening(talk) as port:
        assert "it does not speak WebSocket there" in str(await failed(f"ws://127.0.0.1:{port}/"))


@on_both_loops
async def test_a_redirect_is_followed_as_long_as_it_does_not_lead_in_a_circle():
    asked = []

    async def talk(reader, writer):
        asked.append((await heads(reader))[""].split()[1])
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: /round\r\n\r\n")
        await reader.read()

    async with listening(talk) as port:
        assert "redirects (307)" in str(await failed(f"ws://127.0.0.1:{port}/"))
    assert asked[0] == "/" and set(asked[1:]) == {"/round"} and len(asked) < 20


ADDRESSES = [
    "http://127.0.0.1/ws",
    "ws:///ws",
    "ws://127.0.0.1:99999/ws",
    f"ws://{'a' * 70}.example/ws",
    "",
    "ws://[::1/ws",
]


@pytest.mark.parametrize("url", ADDRESSES)
@on_both_loops
async def test_what_is_no_address_is_final(url):
    error = await failed(url)
    assert type(error) is Final
    assert "is not a URL that can be asked" in str(error)


@on_both_loops
async def test_nobody_there():
    async with listening(asyncio.sleep) as port:
        pass
    assert "connection refused; is the server running?" in str(await failed(f"ws://127.0.0.1:{port}/"))


@pytest.mark.parametrize("how", ["timeout", "cancelled"])
@on_both_loops
async def test_a_try_that_is_given_up_leaves_nothing_open(how):
    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def talk(reader, writer):
        await heads(reader)
        asked.set()
        assert await reader.read() == b""
        hung_up.set()

    async with listening(talk) as port:
        url = f"ws://127.0.0.1:{port}/"
        if how == "timeout":
            assert "no answer in time" in str(await failed(url, seconds=0.2))
        else:
            trying = asyncio.create_task(dial(url))
            await asked.wait()
            trying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await trying
        async with asyncio.timeout(1):
            await hung_up.wait()


@pytest.mark.parametrize("trusted", [True, False])
@on_both_loops
async def test_a_certificate_has_to_be_trusted(monkeypatch, trusted):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)

    async def talk(reader, writer):
        writer.write(agreed(await heads(reader)))
        await reader.read()

    async with listening(talk, tls) as port:
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
            await (await dial(f"wss://localhost:{port}/")).close(0.1)
        else:
            error = await failed(f"wss://localhost:{port}/")
            assert type(error) is Final
            assert "is not trusted" in str(error)


@on_both_loops
async def test_tls_where_there_is_none():
    async def talk(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 No\r\n\r\n")

    async with listening(talk) as port:
        assert "is it https or wss there?" in str(await failed(f"wss://127.0.0.1:{port}/"))


async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy that is the server too."""
    head = await heads(reader)
    assert head[""].startswith("CONNECT stream.invalid:80 ")
    writer.write(b"HTTP/1.1 200 Yes\r\n\r\n")
    writer.write(agreed(await heads(reader)))
    await reader.read()


@pytest.mark.parametrize("name", ["ws_proxy", "HTTP_PROXY", "all_proxy"])
@on_both_loops
async def test_the_proxy_of_the_environment_is_used(monkeypatch, name):
    async with listening(through) as port:
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}" if name != "HTTP_PROXY" else f"127.0.0.1:{port}")
        await (await dial("ws://stream.invalid/ws")).close(0.1)


@on_both_loops
async def test_no_proxy_for_hosts_that_want_none(monkeypatch):
    async def talk(reader, writer):
        writer.write(agreed(await heads(reader)))
        await reader.read()

    monkeypatch.setenv("ws_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with listening(talk) as port:
        await (await dial(f"ws://127.0.0.1:{port}/ws")).close(0.1)


BAD_PROXIES = ("http://127.0.0.1:9", "gopher://127.0.0.1:9", "socks5h://127.0.0.1", "http://h:x", "refuses", "socks")


@pytest.mark.parametrize("proxy", BAD_PROXIES)
@on_both_loops
async def test_a_proxy_that_cannot_be_used_is_named_as_the_cause(monkeypatch, proxy):
    async def refuses(reader, writer):
        await reader.read(10)
        writer.write(b"HTTP/1.1 407 No\r\n\r\n" if proxy == "refuses" else b"\x05\xff")

    async with listening(refuses) as port:
        known = {"refuses": f"http://127.0.0.1:{port}", "socks": f"socks5h://127.0.0.1:{port}"}
        monkeypatch.setenv("wss_proxy", known.get(proxy, proxy))
        error = await failed("wss://stream.invalid/ws")
    assert type(error) is Unreachable
    assert "the proxy of this machine cannot be used; see HTTPS_PROXY" in str(error)


@on_both_loops
async def test_addresses_are_not_logged(caplog):
    async def talk(reader, writer):
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: /?token=hush\r\n\r\n")
        await reader.read()

    with caplog.at_level(logging.DEBUG):
        async with listening(talk) as port:
            await failed(f"ws://name:hush@127.0.0.1:{port}/ws?token=hush")
    assert "hush" not in caplog.text
