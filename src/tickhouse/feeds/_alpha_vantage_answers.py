"""Which error an answer of Alpha Vantage stands for. The status is always 200; a refusal is a text under one of four keys.

{"Information":"... our standard API rate limit is 25 requests per day. ..."}
{"Information":"... Please consider spreading out your free API requests more sparingly (1 request per second). ..."}
{"Note":"... Our standard API call frequency is 5 calls per minute and 500 calls per day. ..."}
{"message":"This is a premium endpoint ...","data":[invented rows]}
{"Error Message":"Invalid API call. ..."}

The texts may repeat the key, so none of them is ever shown.
"""

import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from msgspec import Raw

from tickhouse.core.errors import (
    BadCredentials,
    BadMessage,
    BadSetting,
    NoData,
    RateLimited,
    UnknownSymbol,
    Unreachable,
)  # fmt: skip
from tickhouse.core.requests import Answer
from tickhouse.feeds._zones import DAY, FIRST, LAST, from_local, local_days

REFUSALS = ("Information", "Note", "Error Message", "message")
NEW_YORK = ZoneInfo("America/New_York")
MINUTE, MARGIN = 60.0, 60.0
_PREMIUM = re.compile(r"premium endpoint(?!s)|premium feature")
_decoder = msgspec.json.Decoder(dict[str, Raw])


def classify(answer: Answer) -> Exception | None:
    """The error that an answer stands for, None when it is data."""
    text, parts = answer.body.strip(), parts_of(answer.body)
    for key in REFUSALS:
        if parts and key in parts:
            return _refusal(key, bytes(parts[key]).decode("utf-8", "replace").lower(), answer)
    if answer.status == 429:
        return RateLimited("Alpha Vantage was asked too often", retry_after=answer.retry_after or MINUTE)
    if answer.status >= 500:
        return Unreachable(f"Alpha Vantage fails on its side (status {answer.status})", retry_after=answer.retry_after)
    if text[:1] == b"<":
        return Unreachable(
            f"a web page came back instead of data (status {answer.status}): something between us answered"
        )
    if answer.status in (401, 403):
        return BadCredentials(f"Alpha Vantage does not let this key in (status {answer.status})")
    if answer.status == 404:
        return BadSetting("feeds.alpha_vantage.rest_url", 404, "a host that answers /query as Alpha Vantage does")
    if answer.status != 200 or text[:1] != b"{":
        return BadMessage(f"Alpha Vantage answered {answer.status} with something that is not a JSON object")
    return None if parts is None else _empty(parts)


def parts_of(body: bytes) -> dict[str, Raw] | None:
    """The parts of an answer by their names, None when it is no JSON object."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def refuses(parts: Mapping[str, Raw]) -> bool:
    """Whether an answer is a refusal, whatever else may be in it: some come with invented rows."""
    return any(key in parts for key in REFUSALS)


def _refusal(key: str, text: str, answer: Answer) -> Exception:
    if "spreading out" in text:
        return RateLimited("Alpha Vantage wants its requests a second apart", retry_after=1.0)
    if _PREMIUM.search(text):
        return BadCredentials("the plan of this Alpha Vantage key does not have this; see the channels that are free")
    if "per minute" in text or "call frequency" in text:
        return RateLimited("Alpha Vantage's calls of this minute are used up", retry_after=MINUTE)
    if "per day" in text:
        wait = until_tomorrow(answer.received_at)
        return RateLimited(
            f"Alpha Vantage's calls of today are used up; there are new ones in {wait:.0f} s", retry_after=wait
        )
    if "demo** api key" in text or "apikey is invalid or missing" in text:
        return BadCredentials("Alpha Vantage wants a key of your own; set feeds.alpha_vantage.key")
    if key == "Error Message" or "invalid api call" in text:
        return UnknownSymbol(
            "Alpha Vantage does not know the symbol, or not with these parameters; is it spelled as in TSCO.LON?"
        )
    if answer.status >= 500 or "internal" in text:
        return Unreachable("Alpha Vantage fails on its side", retry_after=answer.retry_after)
    return BadMessage(f"Alpha Vantage refused under {key!r} in words that are not known, which may hold the key")


def until_tomorrow(now: int) -> float:
    """Seconds from a moment (us) to a minute after the next midnight in New York, where the quota seems to begin anew.

    >>> until_tomorrow(1_767_225_600_000_000)
    18060.0
    """
    second = min(max(now // 1_000_000, FIRST), LAST - 2 * DAY)
    day = local_days(np.array([second], np.int64), NEW_YORK)
    return float(from_local((day + 1) * DAY, NEW_YORK)[0] - second) + MARGIN


def _empty(parts: Mapping[str, Raw]) -> Exception | None:
    """What an answer without anything in it stands for."""
    filled = {
        name: part
        for name, part in parts.items()
        if bytes(part).translate(None, b" \t\r\n") not in (b"{}", b"[]", b"null")
    }
    if not filled:
        return UnknownSymbol("Alpha Vantage does not know the symbol: its answer is empty")
    if any(name.startswith("Time Series") or name == "data" for name in parts.keys() - filled.keys()):
        return NoData("Alpha Vantage has the series, and no values in it")
    return None
