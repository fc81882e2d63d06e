"""A lake that is waited for while it is away, as a server may be: the archive and the engine must not lose their place."""

import logging
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any, TypeVar, cast

from tickhouse.core import observe
from tickhouse.core.batches import Record, TickBatch
from tickhouse.core.errors import Temporary
from tickhouse.core.retry import Retry
from tickhouse.lake import Lake, LakeObject

LINE = "lake"
T = TypeVar("T")


def awaited(lake: Lake, ended: Event) -> Lake:
    """The lake, whose `write`, `end` and `ticks` are asked again while trying again can help, until `ended`; then they raise
    `Temporary`. It is told once when the lake goes away and once when it is back."""
    return cast(Lake, _Awaited(lake, ended))


class _Awaited:
    def __init__(self, lake: Lake, ended: Event) -> None:
        self._lake, self._ended, self._away = lake, ended, False
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
        failures = 0
        while True:
            try:
                answer = ask()
            except Temporary as error:
                failures += 1
                if failures == 1 and not self._away:
                    self._away = True
                    observe.tell("lake", "line is down", logging.WARNING, line=LINE, error=str(error))
                if self._ended.wait(error.retry_after or self._retry.backoff(failures)):
                    raise
            else:
                if self._away:
                    self._away = False
                    observe.tell("lake", "connected again", line=LINE, host=f"the {LINE}")
                return answer
