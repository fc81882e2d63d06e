"""A warm store for those who only show it: its replicas are asked, and the server itself while none of them is fit.

Nobody waits for a replica. Each is looked at once a second, in a thread of its own; it is fit if it said within the last three
that it is not too far behind. A question that a replica cannot answer, or is at when it stops being fit, is asked of the server.
"""

import logging
import math
import time
import weakref
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, cast
from urllib.parse import urlsplit

from tickhouse.core import observe
from tickhouse.core.errors import BadQuery, TickhouseError
from tickhouse.core.plugins import open_url
from tickhouse.core.replicas import Places
from tickhouse.stores import Warm

LOOK_SECONDS, FRESH_SECONDS, WAIT_SECONDS = 1.0, 3.0, 0.1


class Replica:
    """One of them, and what is known of it."""

    def __init__(self, url: str, lag: float) -> None:
        self.url, self.lag = url, lag
        self.host = urlsplit(url).netloc.rpartition("@")[2]
        self.store = open_url("stores", url, upgrade=False)
        self._seen, self._told, self._left = -math.inf, True, False

    @property
    def fit(self) -> bool:
        """Whether it may be asked."""
        return time.monotonic() - self._seen < FRESH_SECONDS and not self._left

    def look(self, mark: str | None) -> None:
        """Ask how far it is behind a mark of the server, and say so where that changes whether it is asked."""
        try:
            behind = self.store.behind(mark)
        except TickhouseError as error:
            self.leave(str(error))
            return
        if behind > self.lag:
            self.leave(f"it is {behind:,.0f} s behind, the most is {self.lag:g} s")
            return
        self._seen = time.monotonic()
        if not self._told and not self._left:
            observe.tell("stores", "connected again", line="replica", host=self.host)
        self._told = True

    def leave(self, reason: str) -> None:
        """Ask it no more until it is fit again."""
        self._seen = -math.inf
        if self._told and not self._left:
            observe.tell("stores", "line is down", logging.WARNING, line=f"replica {self.host}", error=reason)
        self._told = False

    def cut(self) -> None:
        """Have nobody wait for it any longer, nor ask it: we are to end."""
        self._left = True
        self.store.cut()

    def answer(self, name: str, *given: Any) -> tuple[Any] | None:
        """The answer to a question; None when it cannot tell, or is no longer fit."""
        answers: SimpleQueue[tuple[Any] | Exception] = SimpleQueue()
        Thread(target=_ask, args=(getattr(self.store, name), given, answers), name="replica", daemon=True).start()
        while self.fit:
            try:
                found = answers.get(timeout=WAIT_SECONDS)
            except Empty:
                continue
            if isinstance(found, tuple):
                return found
            if isinstance(found, BadQuery) or not isinstance(found, TickhouseError):
                raise found
            self.leave(str(found))
        return None


class Replicated:
    """`Warm` for questions alone."""

    def __init__(self, warm: Warm, places: Places) -> None:
        self._warm, self._url = warm, places.url
        self._replicas = [Replica(url, places.lag) for url in places.replicas]
        self._mark: tuple[float, str] = (-math.inf, "")
        self._turn, self._began, self._ended, self._lock = 0, False, Event(), Lock()
        self._threads: list[Thread] = []

    @property
    def url(self) -> str:
        """Where to ask now."""
        return found.url if (found := self._fit()) else self._url

    def cut(self) -> None:
        """See `stores.Remote.cut`, of the replicas: whoever waits for one asks the store, which belongs to another."""
        self._ended.set()
        for one in self._replicas:
            one.cut()

    def close(self) -> None:
        """Let go of the replicas, also of one that hangs."""
        self.cut()
        for thread in self._threads:
            thread.join(LOOK_SECONDS)  # it may ask the store itself, or try to connect
        for one in self._replicas:
            one.store.close()

    def __getattr__(self, name: str) -> Any:
        return partial(self._ask, name)

    def _ask(self, name: str, *given: Any) -> Any:
        replica = self._fit()
        found = replica.answer(name, *given) if replica else None
        return found[0] if found else getattr(self._warm, name)(*given)

    def _begin(self) -> None:
        """Look after them from now on."""
        with self._lock:
            if self._began:
                return
            self._began = True
        for look in (_mark, *(partial(_look, replica=one) for one in self._replicas)):
            given = (weakref.ref(self), self._ended, look)
            self._threads.append(Thread(target=_watch, args=given, name="replicas", daemon=True))
            self._threads[-1].start()

    def _fit(self) -> Replica | None:
        """One that is fit, each in its turn; none before they were looked at, which the first question brings about."""
        if not self._began:
            self._begin()
        fit = [one for one in self._replicas if one.fit]
        self._turn += 1
        return fit[self._turn % len(fit)] if fit else None

    def _mark_now(self) -> str | None:
        at, mark = self._mark
        return mark if time.monotonic() - at < FRESH_SECONDS else None


def _mark(owner: Replicated) -> None:
    """Note how far the server is; one that is away has no mark."""
    try:
        mark = cast(Any, owner._warm).mark()
    except TickhouseError:
        return
    owner._mark = time.monotonic(), mark


def _look(owner: Replicated, replica: Replica) -> None:
    replica.look(owner._mark_now())


def _watch(owner: "weakref.ref[Replicated]", ended: Event, look: Callable[[Replicated], None]) -> None:
    """Look again and again for as long as the replicas are used."""
    while (found := owner()) is not None and not ended.is_set():
        look(found)
        del found
        ended.wait(LOOK_SECONDS)


def _ask(question: Callable[..., Any], given: tuple[Any, ...], answers: SimpleQueue[Any]) -> None:
    try:
        answers.put((question(*given),))
    except Exception as error:
        answers.put(error)
