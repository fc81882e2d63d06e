"""How objects are named, and what a name says."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.lake import LakeObject

SUFFIXES = {"bronze": ".ndjson.gz", "ticks": ".parquet"}

_FOLDER = re.compile(
    r"(?P<kind>bronze|ticks)/source=(?P<source>[^/]*)(/channel=(?P<channel>[^/]*))?/date=(?P<date>\d{4}-\d\d-\d\d)"
)
_FILE = re.compile(r"(\d{20})-(\d{20})(\.ndjson\.gz|\.parquet)")


def folder(kind: str, source: str, channel: str | None = None) -> str:
    """The folder of a source's objects of a kind, or of those of one channel.

    >>> folder("bronze", "binance", "trade"), folder("ticks", "a/b")
    ('bronze/source=binance/channel=trade', 'ticks/source=a%2Fb')
    """
    return f"{kind}/source={_safe(source)}" + ("" if channel is None else f"/channel={_safe(channel)}")


def name(kind: str, about: tuple[str, str], received_at: int, span: tuple[int, int]) -> str:
    """The name of an object of (source, channel), received from `received_at` on, with positions first to last.

    >>> name("ticks", ("csv", ""), 0, (3, 14))
    'ticks/source=csv/date=1970-01-01/00000000000000000003-00000000000000000014.parquet'
    """
    day = datetime.fromtimestamp(received_at // SECOND, UTC).date().isoformat()
    return inside(f"{folder(kind, about[0], about[1] if kind == 'bronze' else None)}/date={day}", *span)


def inside(folder: str, first: int, last: int) -> str:
    """The name of an object in a folder, with positions first to last.

    >>> inside("ticks/source=csv/date=1970-01-01", 3, 14)
    'ticks/source=csv/date=1970-01-01/00000000000000000003-00000000000000000014.parquet'
    """
    return f"{folder}/{first:020d}-{last:020d}{SUFFIXES[folder.partition('/')[0]]}"


def is_day(folder: str) -> bool:
    """Whether a folder is one that objects are in."""
    return _FOLDER.fullmatch(folder) is not None


def is_of(folder: str, channel: str) -> bool:
    """Whether a folder of objects is of a channel."""
    return f"/channel={_safe(channel)}/" in folder


def held(folder: str, file: str) -> tuple[int, int] | None:
    """The first and last position of a file in a folder of objects, or None when it is none of ours."""
    match = _FILE.fullmatch(file)
    if match is None or match[3] != SUFFIXES.get(folder.partition("/")[0]):
        return None
    return int(match[1]), int(match[2])


def parsed(name: str, size: int) -> LakeObject | None:
    """The object of a name, or None when it is none of ours."""
    folder, _, file = name.rpartition("/")
    match, span = _FOLDER.fullmatch(folder), held(folder, file)
    if not match or not span:
        return None
    said: dict[str, Any] = match.groupdict()
    source, channel = unquote(said["source"]), unquote(said["channel"] or "")
    return LakeObject(name, said["kind"], source, channel, said["date"], *span, size)


def made(name: str, size: int) -> LakeObject:
    """The object of a name that we gave."""
    item = parsed(name, size)
    if item is None:
        raise BadSetting("received_at", name, "a time between the years 0001 and 9999")
    return item


def _safe(text: str) -> str:
    """A text as a part of a path."""
    return quote(text, safe="").replace(".", "%2E") if set(text) <= {"."} else quote(text, safe="")
