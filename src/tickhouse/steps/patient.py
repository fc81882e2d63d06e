"""A warm store that is waited for while it is away, as a server may be: what processes the journal must not lose its place."""

import logging
from collections.abc import Callable
from functools import partial
from threading import Event, Timer
from typing import Any, cast

from tickhouse.core import observe
from tickhouse.core.errors import Temporary
from tickhouse.stores import Warm

LINE = "warm store"
AGAIN_SECONDS = 1.0
SILENT_SECONDS = 10.0
"""A store that says nothing for so long while it is written to is told of."""


def patient(warm: Warm, ended: Event) -> Warm:
    """The store, each question of which is asked again while trying again can help, until `ended`; then it raises `Temporary`.

    It is told once when the store goes away and once when it is back.
    """
    return cast(Warm, _Patient(warm, ended))


class _Patient:
    def __init__(self, warm: Warm, ended: Event) -> None:
        self._warm, self._ended, self._away = warm, ended, ""

    def __getattr__(self, name: str) -> Any:
        return partial(self._insist, getattr(self._warm, name))

    def write(self, *given: Any) -> None:
        """As `Warm.write`."""
        timer = Timer(SILENT_SECONDS, self._tell, (f"the warm store has not answered for {SILENT_SECONDS:g} s",))
        timer.daemon = True
        timer.start()
        try:
            self._insist(self._warm.write, *given)
        finally:
            timer.cancel()

    def _insist(self, ask: Callable[..., Any], *given: Any) -> Any:
        while True:
            try:
                answer = ask(*given)
            except Temporary as error:
                self._tell(str(error))
                if self._ended.wait(error.retry_after or AGAIN_SECONDS):
                    raise
            else:
                if self._away:
                    self._away = ""
                    observe.tell("stores", "connected again", line=LINE, host=f"the {LINE}")
                return answer

    def _tell(self, reason: str) -> None:
        """Once for each time it is away: what is said of it may change from one try to the next."""
        if not self._away:
            self._away = reason
            observe.tell("stores", "line is down", logging.WARNING, line=LINE, error=reason)
