"""Those who use the API while its process goes and comes: somebody who asks again and again, and somebody who listens."""

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

PAUSE = 0.1


@dataclass
class Gap:
    """The longest time without a word, in seconds."""

    longest: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def heard(self) -> None:
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now


class Asking:
    """Asks one address again and again: how long it went without an answer, and every refusal that was not "not there"."""

    def __init__(self, url: str) -> None:
        self.url, self.gap, self.answers, self.absent, self.wrong = url, Gap(), 0, 0, list[str]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ended.wait(PAUSE):
            try:
                answer = httpx.get(self.url, timeout=10)
            except httpx.TransportError:
                self.absent += 1
                continue
            if answer.status_code == 200:
                self.answers += 1
                self.gap.heard()
            else:
                self.wrong.append(f"{answer.status_code}: {answer.text[:200]}")

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


class Listening:
    """Listens to the bars, and comes again where it left off: every bar that it was told is closed, in its newest version."""

    def __init__(self, url: str) -> None:
        self.url, self.gap, self.connections = url, Gap(), 0
        self.bars: dict[tuple[str, str], dict[str, Any]] = {}
        self._seq: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ended.is_set():
            resume = "" if self._seq is None else f"&resume={self._seq}"
            try:
                with connect(self.url + resume, open_timeout=10, max_size=None) as socket:
                    self.connections += 1
                    while not self._ended.is_set():
                        self._take(json.loads(socket.recv(timeout=15)))
            except (OSError, TimeoutError, WebSocketException):
                self._ended.wait(PAUSE)

    def _take(self, said: dict[str, Any]) -> None:
        self.gap.heard()
        self._seq = said["seq"]
        for bar in said.get("bars", ()):
            key = bar["symbol"], bar["start"]
            if bar["state"] != "forming" and bar["version"] >= self.bars.get(key, bar)["version"]:
                self.bars[key] = bar

    def __enter__(self) -> "Listening":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
