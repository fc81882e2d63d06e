"""Waiting for a server that is away: said once when it begins and once when it is over."""

import logging
import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from tickhouse.core import observe
from tickhouse.core.errors import Temporary

PAUSE = 0.5
"""Seconds to wait where the error does not say how long."""
ASK_SECONDS = 1.0
"""How often a server is asked of which nothing is heard."""
T = TypeVar("T")


class Patience:
    """What is known of a server that somebody cannot do without. `away` is true from the first failure to the next success.

    What is said is of a `room` and names a `line`; `host` is who is back. A step that waits for the journal is a line itself.
    """

    def __init__(self, line: str, room: str = "journal", host: str = "") -> None:
        self.line = line
        self.away = False
        self._room, self._host = room, host or f"the journal; {line} goes on"
        self._asked = time.monotonic()

    def note(self, error: Temporary) -> float:
        """It did not answer; returns for how many seconds to wait."""
        self.tell(str(error))
        return error.retry_after or PAUSE

    def tell(self, reason: str) -> None:
        """It is away: said once, whatever the reason for the next failure is."""
        if not self.away:
            observe.tell(self._room, "line is down", logging.WARNING, line=self.line, error=reason)
        self.away = True

    def wait(self, error: Temporary) -> None:
        """It did not answer: wait a moment."""
        time.sleep(self.note(error))

    def prove(self, ask: Callable[[], object]) -> None:
        """Ask a server that was away, and now and then any: that nothing came, or what was in memory, proves nothing."""
        if self.away or time.monotonic() - self._asked > ASK_SECONDS:
            ask()
            self._asked = time.monotonic()

    def over(self) -> None:
        """It answered."""
        if self.away:
            observe.tell(self._room, "connected again", line=self.line, host=self._host)
        self.away = False

    def insist(self, ask: Callable[[], T], ended: Event, pause: Callable[[int], float]) -> T:
        """The answer, asked for again while trying again can help, until `ended`; then it raises `Temporary`.

        `pause` says how many seconds to wait after so many failures where the error does not.
        """
        failures = 0
        while True:
            try:
                answer = ask()
            except Temporary as error:
                failures += 1
                if ended.is_set():
                    raise
                self.tell(str(error))
                if ended.wait(error.retry_after or pause(failures)):
                    raise
            else:
                self.over()
                return answer
