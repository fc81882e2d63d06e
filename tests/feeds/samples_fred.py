"""Messages of every channel of FRED."""

import json
from collections.abc import Iterator
from typing import Any

from tests.feeds.samples import Samples
from tickhouse.feeds import fred

REFUSAL = b'{"error_code":400,"error_message":"Bad Request.  The series does not exist."}'
LISTS = {
    "vintagedates": ("vintage_dates", ["1991-12-04", "1991-12-20"]),
    "series": ("seriess", [{"id": "GDP", "title": "Gross Domestic Product", "last_updated": "2024-10-30 07:54:01-05"}]),
    "series_release": ("releases", [{"id": 53, "name": "Gross Domestic Product"}]),
    "series_search": ("seriess", []),
    "series_updates": ("seriess", []),
    "releases": ("releases", [{"id": 9}]),
    "release_dates": ("release_dates", [{"release_id": 10, "date": "1949-03-24"}]),
    "sources": ("sources", [{"id": 11, "name": "Dow Jones & Company, Inc."}]),
    "category_children": ("categories", []),
    "category_series": ("seriess", []),
}


def observation(date: str, value: Any, since: str = "2024-10-30", until: str = "9999-12-31") -> dict[str, Any]:
    return {"realtime_start": since, "realtime_end": until, "date": date, "value": value}


def observations(*rows: dict[str, Any], units: str = "lin", **more: Any) -> bytes:
    head = {"realtime_start": "2024-10-30", "realtime_end": "2024-10-30", "units": units, "output_type": 1}
    return json.dumps(
        head | {"count": len(rows), "offset": 0, "limit": 100_000} | more | {"observations": rows}
    ).encode()


GOOD = (
    observations(observation("1946-01-01", "."), observation("2024-07-01", "29349.924")),
    observations(observation("2024-07-01", "-1e3"), observation("2024-07-01", "much")),
    b" " + observations(observation("2024-07-01", "5", "1992-01-29", "1992-02-27")) + b"\n",
)
BAD = (
    b"{", b"\xff\xfe", b"[]", b"{}", REFUSAL, observations(observation("2024-07-01", "much")),
    observations(observation("2024-07-01", 5.5)), observations(observation("2024-13-01", "5")),
    observations(observation("2024-07-01", "5"), units="pch"),
)  # fmt: skip


def samples() -> list[Samples]:
    """One a channel, and one for each way to read vintages."""
    feed = fred.open()
    found = [
        Samples(feed, name, GOOD, (observations(),), BAD) for name in ("observations:GDP", "observations:GDP:vintages")
    ]
    later = (observations(observation("2024-07-01", "5", "2024-10-31")),)
    before = observations(observation("2024-07-01", "4"))
    found.append(Samples(feed, "observations:GDP:vintages:2024-10-30", later, (before,), BAD[:5]))
    found.append(Samples(feed, "observations", Rowless(GOOD), (), GOOD))
    for channel, (name, rows) in LISTS.items():
        body = json.dumps({"realtime_start": "2024-11-03", "count": len(rows), name: rows}).encode()
        found.append(Samples(feed, channel, Rowless((body,)), (body, body + b" "), (b"{", b"[]", b"{}", REFUSAL)))
    return found


class Rowless(tuple[bytes, ...]):
    """Messages of a channel that never has rows, for where the suite draws messages to mix and to damage: they can be drawn,
    and none of them is said to have rows."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(())
