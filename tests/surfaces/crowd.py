"""Many listeners in one process: `python -m tests.surfaces.crowd PORT CLIENTS SECONDS` prints what they heard as JSON.

Each message carries the sender's monotonic time as the price of a tick, so the age of a message on arrival is known.
"""

import json
import re
import selectors
import socket
import sys
import time
from typing import Any

SNAPSHOT, END = 2.0, 0.5
"""Prices up to the first are no times; the second says that no more will come."""

PRICE = re.compile(rb'"ticks":\[\{"symbol":"[^"]*","source":"[^"]*","price":([0-9.]+)')


def hello(port: int, question: str) -> bytes:
    """The request that opens a stream."""
    lines = [
        f"GET /v1/stream?{question} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


def listen(port: int, clients: int, seconds: float) -> dict[str, Any]:
    """Open so many streams, read them for so long, and say how old messages were on arrival (ms) and how many came."""
    selector = selectors.DefaultSelector()
    sockets = []
    for _ in range(clients):
        one = socket.create_connection(("127.0.0.1", port), timeout=30)
        one.sendall(hello(port, "topics=ticks&symbols=BTC-USDT"))
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ)
        sockets.append(one)
    ages: list[float] = []
    heard: dict[int, int] = dict.fromkeys((s.fileno() for s in sockets), 0)
    open_, end = set(heard), time.monotonic() + seconds
    while open_ and time.monotonic() < end:
        for key, _ in selector.select(0.2):
            data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
            now = time.monotonic()
            sent = [float(text) for text in PRICE.findall(data)]
            ages += [now - price for price in sent if price > SNAPSHOT]
            heard[key.fd] += sum(price > SNAPSHOT for price in sent)
            if END in sent:
                open_.discard(key.fd)
    ages.sort()
    found = {
        "messages": len(ages),
        "ended": clients - len(open_),
        "least": min(heard.values()),
        "most": max(heard.values()),
    }
    quantiles = {f"p{q}": round(ages[int(len(ages) * q / 100)] * 1000, 2) for q in (50, 90, 99)} if ages else {}
    for one in sockets:
        one.close()
    return {**found, **quantiles}


if __name__ == "__main__":
    print(json.dumps(listen(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))  # noqa: T201
