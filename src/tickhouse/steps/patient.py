"""A warm store that is waited for while it is away, as a server may be: what processes the journal must not lose its place."""

import logging
import time
import weakref
from collections.abc import Callable
from functools import partial
from threading import Event, Thread
from typing import Any, cast

from tickhouse.core import observe
from tickhouse.core.errors import Temporary
from tickhouse.stores import Remote, Warm

LINE = "warm store"
AGAIN_SECONDS = 1.0
SILENT_SECONDS, LOOK_SECONDS = 10.0, 1.0
"""A store that hangs for so long is told of; how often that is looked at."""
LEAVE_SECONDS = 5.0
"""How long it may hang when we are to end."""


def patient(warm: Warm, ended: Event) -> Warm:
    """The store, each question of which is asked again while trying again can help, until `ended`; then it raises `Temporary`, also
    where the store hangs.

    It is told once when the store goes away and once when it is back.
    """
    made = _Patient(warm, ended)
    Thread(target=_watch, args=(weakref.ref(made),), name=LINE, daemon=True).start()
    return cast(Warm, made)


class _Patient:
    def __init__(self, warm: Warm, ended: Event) -> None:
        self._warm, self._ended, self._away = warm, ended, ""
        self._since: float | None = None

    def __getattr__(self, name: str) -> Any:
        return partial(self._insist, getattr(self._warm, name))

    def look(self) -> None:
        """Tell of a question that has had no answer for long, and let go of it when we are to end."""
        since = self._since
        waited = 0.0 if since is None else time.monotonic() - since
        if waited > SILENT_SECONDS:
            self._tell(f"the warm store has not answered for {SILENT_SECONDS:g} s")
        if waited > LEAVE_SECONDS and self._ended.is_set() and isinstance(self._warm, Remote):
            self._warm.cut()

    def _insist(self, ask: Callable[..., Any], *given: Any) -> Any:
        while True:
            self._since = time.monotonic()
            try:
                answer = ask(*given)
            except Temporary as error:
                self._since = None
                if self._ended.is_set():
                    raise
                self._tell(str(error))
                if self._ended.wait(error.retry_after or AGAIN_SECONDS):
                    raise
            else:
                self._back()
                return answer
            finally:
                self._since = None

    def _tell(self, reason: str) -> None:
        """Once for each time it is away: what is said of it may change from one try to the next."""
        if not self._away:
            self._away = reason
            observe.tell("stores", "line is down", logging.WARNING, line=LINE, error=reason)

    def _back(self) -> None:
        self._since = None
        if self._away:
            self._away = ""
            observe.tell("stores", "connected again", line=LINE, host=f"the {LINE}")


def _watch(made: "weakref.ref[_Patient]") -> None:
    """Look after a store for as long as it is used."""
    while (store := made()) is not None:
        store.look()
        del store
        time.sleep(LOOK_SECONDS)
