"""Serves a house: the API and the pages on one address, until told to stop."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn

from tickhouse.core.errors import BadSetting
from tickhouse.core.settings import ServeSettings
from tickhouse.surfaces import House
from tickhouse.surfaces.api import create_app
from tickhouse.surfaces.stream import MOST_TEXT
from tickhouse.surfaces.wire import Wire


class _Server(uvicorn.Server):
    """A server that leaves signals to the one who runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(house: House, rules: ServeSettings, stop: asyncio.Event, listening: Callable[[str], None]) -> None:
    """Serve until `stop` is set; `listening` is told the address once it answers.

    Raises `BadSetting` when the address cannot be had.
    """
    from tickhouse.core.observe import exposition

    app = create_app(house, key=rules.key, max_clients=rules.max_clients, metrics=exposition)
    with _socket(rules.host, rules.port) as bound:
        server = _Server(
            uvicorn.Config(
                app, log_config=None, log_level="warning", lifespan="on", timeout_graceful_shutdown=3,
                ws=Wire, ws_max_size=MOST_TEXT * 2, ws_per_message_deflate=False,
            )
        )  # fmt: skip
        task = asyncio.create_task(server.serve([bound]))
        host, port = bound.getsockname()[:2]
        listening(f"http://{host}:{port}")
        await asyncio.wait([task, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await task


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise BadSetting("serve.port", f"{host}:{port}", f"an address that is free ({error.strerror})") from error
    bound.listen(2048)
    return bound
