"""Which error an HTTP answer of FRED stands for.

FRED says `{"error_code":400,"error_message":"Bad Request.  The series does not exist."}`, and without `file_type=json` the same as
`<error code="400" message="..." />`. A key that it does not know is a 400 too, so the words decide before the status does.
"""

import re
from collections.abc import Callable
from html import unescape

import msgspec
from msgspec import Struct

from tickhouse.core.errors import BadCredentials, BadMessage, NoData, RateLimited, UnknownSymbol, Unreachable
from tickhouse.core.requests import Answer

TOO_FAST_SECONDS = 60.0
"""How long to wait when FRED does not say, and nobody saw it say: it counted by the minute, lately by the second."""
TOO_FAST = (420, 429)
_XML_ERROR = re.compile(r'<error\s+code="(\d{3})"\s+message="([^"]*)"')
_KEY = re.compile(r"[0-9A-Za-z]{32,}")

NO_VINTAGES = "FRED keeps no vintages of this series; name it in the option without_vintages"
REFUSALS: tuple[tuple[str, Callable[[str], Exception], str], ...] = (
    ("does not exist in alfred", NoData, NO_VINTAGES),
    ("series does not exist", UnknownSymbol, "FRED has no series of this id; ids are written like GDP or DGS10"),
    (
        "api_key is not registered", BadCredentials,
        "FRED does not know the API key. It says so now and then of a good one: try once more, then correct feeds.fred.key",
    ),
    ("api_key", BadCredentials, "FRED needs an API key of 32 lower-case letters and digits in feeds.fred.key"),
    (
        "can not be after today", NoData,
        "the day that was asked for has not begun in St. Louis; ask some hours later, or without a date",
    ),
)  # fmt: skip
"""Words of a refusal, the error they stand for, and what to tell. The first that fits counts."""


class _Refusal(Struct):
    error_code: int
    error_message: str = ""


_decoder = msgspec.json.Decoder(_Refusal)


def classify(answer: Answer) -> Exception | None:
    """The error that an answer stands for, None when it is data."""
    text = answer.body.lstrip()
    markup = text[:1] == b"<"
    refusal = _in_xml(text) if markup else _in_json(text)
    if refusal is not None:
        return _refused(refusal, answer)
    if answer.status in TOO_FAST:
        return _too_fast(answer)
    if answer.status >= 500 or (markup and b"<html" in text[:1000].lower()):
        return Unreachable(
            f"FRED fails on its side, or something between us answered (status {answer.status})",
            retry_after=answer.retry_after,
        )
    if answer.status in (401, 403):
        return BadCredentials(f"FRED refuses the request (status {answer.status}); is feeds.fred.key right?")
    if answer.status >= 400:
        return BadMessage(f"FRED has nothing at this address (status {answer.status}); is feeds.fred.url right?")
    if not text:
        return Unreachable("FRED sent an empty answer, which it does when it is asked too fast", retry_after=None)
    if answer.status != 200 or text[:1] != b"{":
        return BadMessage(f"FRED answered {answer.status} with something that is not JSON", sent=answer.body[:4096])
    return None


def _refused(refusal: _Refusal, answer: Answer) -> Exception:
    said = refusal.error_message.lower()
    if refusal.error_code in TOO_FAST or answer.status in TOO_FAST or "exceeded rate limit" in said:
        return _too_fast(answer)
    for words, error, sentence in REFUSALS:
        if words in said:
            return error(sentence)
    if refusal.error_code >= 500:
        return Unreachable(f"FRED fails on its side (code {refusal.error_code})", retry_after=answer.retry_after)
    return BadMessage(f"FRED refuses the request: {_KEY.sub('********', refusal.error_message)[:200]}")


def _too_fast(answer: Answer) -> RateLimited:
    wait = answer.retry_after or TOO_FAST_SECONDS
    return RateLimited(f"FRED was asked too often; the next request may go out in {wait:.0f} s", retry_after=wait)


def _in_json(text: bytes) -> _Refusal | None:
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _in_xml(text: bytes) -> _Refusal | None:
    found = _XML_ERROR.search(text[:4096].decode(errors="replace"))
    return _Refusal(int(found[1]), unescape(found[2])) if found else None
