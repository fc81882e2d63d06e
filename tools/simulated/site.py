"""Small real servers: scripted HTTP answers, byte by byte."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Script = Callable[[int, str], "bytes | Awaitable[bytes | None] | None"]


def response(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """The bytes of a whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Site:
    """A running HTTP server: its address and the request lines with headers that it got."""

    url: str
    requests: list[str] = field(default_factory=list)


@asynccontextmanager
async def site(script: Script) -> AsyncIterator[Site]:
    """Answer request number i (from 0) with `script(i, request)`, which may take its time; None never answers; short bytes break
    off."""
    here, over, writers = Site(""), asyncio.Event(), set[asyncio.StreamWriter]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            here.requests.append(head.decode())
            said = script(len(here.requests) - 1, head.decode())
            payload = await said if inspect.isawaitable(said) else said
            if payload is None:
                await over.wait()
                return
            writer.write(payload)
            await writer.drain()
            if b"content-length" not in payload.lower() or broken(payload):
                return

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    here.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield here
    finally:
        server.close()
        over.set()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0)
        await server.wait_closed()


def broken(payload: bytes) -> bool:
    """Whether an answer has fewer bytes than it announces."""
    head, _, body = payload.partition(b"\r\n\r\n")
    announced = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(announced) and len(body) < int(announced[0].split(b":")[1])
