"""The stream to 1,000 WebSocket clients: how old changes are when they arrive, beside one client alone. Prints JSON.

    python -m benchmarks.fanout [--clients 1000] [--rate 20] [--seconds 10]

`tickhouse up` follows a simulated exchange of 12 symbols; every client hears all prices (`topics=ticks`), in one
process of its own that reads plain sockets. An age is from the receipt of the tick by tickhouse (received_at) to its
receipt by the client; exchange, pipeline and clients share the processors.
"""

import argparse
import re
import selectors
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import LEAN, Wrong, exchange, free_port, process, quantiles, settings_file, show
from tickhouse.core.times import instant

RECEIVED = re.compile(rb'"received_at":"([^"]+)"')
HELLO = (
    "GET /v1/stream?topics=ticks HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Crowd:
    """Many clients, read by one selector."""

    def __init__(self, port: int, clients: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.sockets = [self._join(port) for _ in range(clients)]

    def _join(self, port: int) -> socket.socket:
        end = time.monotonic() + 60
        while True:
            try:
                one = socket.create_connection(("127.0.0.1", port), timeout=30)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        one.sendall(HELLO.format(port=port).encode())
        one.setblocking(False)
        self.selector.register(one, selectors.EVENT_READ)
        return one

    def read(self, seconds: float) -> list[tuple[int, int, bytes]]:
        """(who, when, what) of everything that came in a time."""
        found, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in self.selector.select(0.2):
                data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                if not data:
                    raise Wrong("the server ended a stream")
                found.append((key.fd, time.time_ns() // 1000, data))
        return found

    def close(self) -> None:
        """Let go of the sockets."""
        for one in self.sockets:
            one.close()


def measured(port: int, clients: int, warm: float, seconds: float) -> dict[str, Any]:
    """The ages of what so many clients hear."""
    crowd = Crowd(port, clients)
    try:
        crowd.read(warm)
        found = crowd.read(seconds)
    finally:
        crowd.close()
    ages: list[float] = []
    known: dict[bytes, int] = {}
    first: set[tuple[int, bytes]] = set()
    heard = dict.fromkeys((s for s, _, _ in found), 0)
    for who, at, data in found:
        texts = RECEIVED.findall(data)
        fresh = [text for text in texts if (who, text) not in first]
        first.update((who, text) for text in fresh)
        heard[who] += len(fresh)
        for text in fresh:
            received = known.get(text)
            if received is None:
                received = known[text] = instant(text.decode(), 0)
            ages.append((at - received) / 1e6)
    if len(heard) < clients:
        raise Wrong(f"only {len(heard)} of {clients} clients heard anything")
    return {
        "clients": clients, **quantiles(ages), "prices_heard_per_s": round(len(ages) / seconds),
        "least": min(heard.values()), "most": max(heard.values()),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=1000)
    options.add_argument("--rate", type=float, default=20.0)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--warm", type=float, default=8.0, help="seconds before the measuring")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as place, exchange(given.rate, 12, 600) as market:
        port = free_port()
        config = settings_file(Path(place), market, port)
        with process(*LEAN, "up", "--config", str(config), "--json"):
            alone = measured(port, 1, given.warm, given.seconds)
            crowd = measured(port, given.clients, given.warm, given.seconds)
    show({"ticks_per_s": given.rate, "alone": alone, "crowd": crowd})


if __name__ == "__main__":
    main()
