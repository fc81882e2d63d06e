"""What the servers of a house lack is made, once each of them answers: topics and tables; the lake and the hot store are asked."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from tickhouse.core import observe
from tickhouse.core.errors import Temporary

if TYPE_CHECKING:
    from tickhouse.pipeline import Pipeline

AGAIN_SECONDS = 1.0


def prepared(opened: "Callable[[], Pipeline]", seconds: float) -> dict[str, str]:
    """What became of each part. Servers that do not answer yet are asked again for so long; then raises the `Temporary`.

    Raises `SettingsError` at once for what waiting does not help.
    """
    until, told = time.monotonic() + seconds, ""
    while True:
        try:
            return _made(opened)
        except Temporary as away:
            if time.monotonic() > until:
                raise
            if told != str(away):
                told = str(away)
                observe.tell("prepare", "waiting", reason=told)
            time.sleep(AGAIN_SECONDS)


def _made(opened: "Callable[[], Pipeline]") -> dict[str, str]:
    with closing(opened()) as house:
        tables, seen = house.warm.upgrade(), next(house.lake.objects(), None)
        return {
            "journal": f"next position {house.journal.end()}",
            "warm store": f"tables at {tables}",
            "lake": "answers, and has objects" if seen else "answers, and is empty",
            "hot store": house.hot.check(),
        }
