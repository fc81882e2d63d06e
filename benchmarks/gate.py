"""A way to an address that can be shut: what is on it breaks and nobody gets through, or it stays open and says nothing."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 1 << 16


class Gate:
    """Passes bytes on to a port of this machine. Every method but `shut`, `hush`, `open` and `close` belongs to its event loop."""

    def __init__(self, port: int) -> None:
        self.port, self._to = 0, port
        self._hushed = threading.Event()
        self._shut = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._streams: set[asyncio.StreamWriter] = set()

    def shut(self) -> None:
        """Break every connection, and every new one at once. Safe from any thread, as the next three."""
        self._shut = True
        assert self._loop
        self._loop.call_soon_threadsafe(self._break)

    def hush(self) -> None:
        """Let connections be, and pass nothing on to those who listen."""
        self._hushed.set()

    def open(self) -> None:
        """Pass everything on again."""
        self._shut = False
        self._hushed.clear()

    def close(self) -> None:
        """Listen no more."""
        assert self._loop and self._stop
        self._loop.call_soon_threadsafe(self._stop.set)

    async def serve(self, ready: threading.Event) -> None:
        """Listen until closed."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        self._break()
        await asyncio.sleep(0.05)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._shut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._streams |= {writer, far_writer}
        await asyncio.gather(self._copy(reader, far_writer, False), self._copy(far_reader, writer, True))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if not (back and self._hushed.is_set()):
                    writer.write(data)
                    await writer.drain()
        self._streams.discard(writer)
        writer.close()

    def _break(self) -> None:
        for writer in self._streams:
            writer.transport.abort()
        self._streams.clear()


@contextmanager
def gate(port: int) -> Iterator[Gate]:
    """A gate to a port, in a thread of its own while the block lasts."""
    made, ready = Gate(port), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(made.serve(ready)), daemon=True, name="gate")
    thread.start()
    ready.wait(10)
    try:
        yield made
    finally:
        made.close()
        thread.join(10)
