"""A lake and a warm store that are waited for while they are away, as servers may be: who asks them must not lose its place."""

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Event, Thread
from typing import Any, TypeVar, cast

from tickhouse.core.batches import Record, TickBatch
from tickhouse.core.retry import Retry
from tickhouse.lake import Lake, LakeObject
from tickhouse.steps.patience import Patience
from tickhouse.stores import Remote, Warm

LAKE, WARM = "lake", "warm store"
WARM_SECONDS = 1.0
"""After so long the store is asked again where the error does not say when."""
SILENT_SECONDS, LOOK_SECONDS = 10.0, 1.0
"""A store that hangs for so long is told of; how often that is looked at."""
LEAVE_SECONDS = 5.0
"""How long it may hang when we are to end."""
T = TypeVar("T")


def awaited_lake(lake: Lake, ended: Event) -> Lake:
    """The lake, whose `write`, `end` and `ticks` are asked again while trying again can help, until `ended`; then they raise
    `Temporary`. It is told once when the lake goes away and once when it is back."""
    return cast(Lake, _Lake(lake, ended))


def awaited_warm(warm: Warm, ended: Event) -> Warm:
    """The store, each question of which is asked again while trying again can help, until `ended`; then it raises `Temporary`, also
    where the store hangs.

    It is told once when the store goes away, or hangs, and once when it is back.
    """
    made = _Warm(warm, ended)
    Thread(target=_watch, args=(weakref.ref(made),), name=WARM, daemon=True).start()
    return cast(Warm, made)


class _Lake:
    def __init__(self, lake: Lake, ended: Event) -> None:
        self._lake, self._ended, self._patience = lake, ended, Patience(LAKE, "lake", f"the {LAKE}")
        self._retry = Retry(first=1.0, most=10.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lake, name)

    def write(self, records: Sequence[Record]) -> list[LakeObject]:
        """See `Lake.write`; what a try that failed has written is left as it is by the next."""
        return self._insist(lambda: self._lake.write(records))

    def end(self, source: str, channel: str) -> int:
        """See `Lake.end`."""
        return self._insist(lambda: self._lake.end(source, channel))

    def ticks(self, *asked: Any) -> Iterator[TickBatch]:
        """See `Lake.ticks`."""
        return iter(self._insist(lambda: list(self._lake.ticks(*asked))))

    def _insist(self, ask: Callable[[], T]) -> T:
        return self._patience.insist(ask, self._ended, self._retry.backoff)


class _Warm:
    def __init__(self, warm: Warm, ended: Event) -> None:
        self._warm, self._ended, self._patience = warm, ended, Patience(WARM, "stores", f"the {WARM}")
        self._since: float | None = None

    def __getattr__(self, name: str) -> Any:
        return partial(self._insist, getattr(self._warm, name))

    def look(self) -> None:
        """Tell of a question that has had no answer for long, and let go of it when we are to end."""
        since = self._since
        waited = 0.0 if since is None else time.monotonic() - since
        if waited > SILENT_SECONDS:
            self._patience.tell(f"the warm store has not answered for {SILENT_SECONDS:g} s")
        if waited > LEAVE_SECONDS and self._ended.is_set() and isinstance(self._warm, Remote):
            self._warm.cut()

    def _insist(self, ask: Callable[..., Any], *given: Any) -> Any:
        def timed() -> Any:
            self._since = time.monotonic()
            try:
                return ask(*given)
            finally:
                self._since = None

        return self._patience.insist(timed, self._ended, lambda failures: WARM_SECONDS)


def _watch(made: "weakref.ref[_Warm]") -> None:
    """Look after a store for as long as it is used."""
    while (store := made()) is not None:
        store.look()
        del store
        time.sleep(LOOK_SECONDS)
