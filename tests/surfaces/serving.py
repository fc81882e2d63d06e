"""A house served on a free port of this machine, in a thread of its own."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
import uvloop

from tickhouse.surfaces import House
from tickhouse.surfaces.api import create_app
from tickhouse.surfaces.wire import Wire


class Served:
    """A running server: its address, its application and its hub."""

    def __init__(self, port: int, app: Any, wire: bool) -> None:
        self.port, self.app, self.wire = port, app, wire
        self.url, self.ws = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"

    @property
    def hub(self) -> Any:
        return self.app.state.hub


@contextlib.contextmanager
def served(house: House, *, wire: bool = True, **options: Any) -> Iterator[Served]:
    """Serve a house until the end of the block."""
    app = create_app(house, **options)
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="error", lifespan="on", ws=Wire if wire else "auto", ws_per_message_deflate=False, ws_max_size=1 << 17,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: uvloop.run(server.serve([bound])), daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            thread.join(0.01)
        yield Served(bound.getsockname()[1], app, wire)
    finally:
        server.should_exit = True
        thread.join(15)
        bound.close()
