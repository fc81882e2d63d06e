"""Which error an HTTP answer of FMP stands for.

FMP refuses with `{"Error Message": "..."}` or with plain text, at times with status 200, and says `[]` for what it does not know.
"""

import re
from collections.abc import Callable

import msgspec
from msgspec import Struct

from tickhouse.core.errors import BadCredentials, BadMessage, NoData, RateLimited, UnknownSymbol, Unreachable
from tickhouse.core.requests import Answer

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
FIREWALL_SECONDS = 300.0
"""How long to wait when a web page came back instead of an answer: a firewall's patience."""
_KEY = re.compile(r"[0-9A-Za-z]{24,}")

REFUSALS: tuple[tuple[str, Callable[[str], Exception], str], ...] = (
    ("invalid api key", BadCredentials, "FMP does not know the API key; correct feeds.fmp.key (there is no demo key)"),
    ("legacy endpoint", BadCredentials, "this key may not use FMP's old paths; leave feeds.fmp.url at its default"),
    ("value set for 'symbol'", UnknownSymbol, "the plan of this key does not have the symbol"),
    ("restricted endpoint", BadCredentials, "the plan of this key does not have this channel; batch = no, or another channel"),
    ("premium query parameter", BadCredentials, "the plan of this key does not allow what was asked for"),
    ("exclusive endpoint", BadCredentials, "the plan of this key does not have this channel"),
    ("special endpoint", BadCredentials, "the plan of this key does not have this channel"),
)  # fmt: skip
"""Words of a refusal, the error they stand for, and what to tell. The first that fits counts."""


class _Refusal(Struct):
    said: str = msgspec.field(name="Error Message")


_decoder = msgspec.json.Decoder(_Refusal)


def classify(answer: Answer, paid: bool) -> Exception | None:
    """The error that an answer stands for, None when it is data. `paid` plans count by the minute, the free one by the day."""
    text = answer.body.strip()
    said = _said(text)
    if answer.status == 429 or (said is not None and "limit reach" in said.lower()):
        return _too_fast(answer, said or "", paid)
    if said is not None:
        refused = _refused(said, answer.status)
        if refused is not None:
            return refused
    if answer.status >= 500:
        return Unreachable(f"FMP fails on its side (status {answer.status})", retry_after=answer.retry_after)
    if text[:1] == b"<":
        return _web_page(answer)
    if answer.status in (401, 402, 403):
        return BadCredentials(f"FMP refuses the request (status {answer.status}): the key, or its plan")
    if answer.status >= 400:
        return BadMessage(f"FMP has nothing at this address (status {answer.status}); is feeds.fmp.url right?")
    if not text:
        return Unreachable("FMP sent an empty answer", retry_after=answer.retry_after)
    if answer.status != 200 or text[:1] not in (b"[", b"{"):
        return BadMessage(f"FMP answered {answer.status} with something that is not data", sent=answer.body[:4096])
    if text.translate(None, b" \t\r\n") in (b"[]", b"{}"):
        return NoData(
            "FMP has nothing: it does not know the name, its plan has it not, or there is nothing in the range"
        )
    return None


def _said(text: bytes) -> str | None:
    """What a refusal says, be it JSON or plain text."""
    if text[:1] in (b"[", b"<", b""):
        return None
    if text[:1] != b"{":
        return text[:1000].decode(errors="replace")
    try:
        return _decoder.decode(text).said
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _refused(said: str, status: int) -> Exception | None:
    for words, error, sentence in REFUSALS:
        if words in said.lower():
            return error(sentence)
    if status >= 500 or not said.isascii() or not said.isprintable():
        return None
    if status in (401, 402, 403):
        return BadCredentials(f"FMP refuses the request ({status}): {_shown(said)}")
    return BadMessage(f"FMP refuses the request: {_shown(said)}")


def _too_fast(answer: Answer, said: str, paid: bool) -> RateLimited:
    if "bandwidth" in said.lower():
        wait = answer.retry_after or DAY
        return RateLimited(
            "the bytes that FMP allows in thirty days are used up; days go by until there are more", retry_after=wait
        )
    wait = answer.retry_after or (MINUTE if paid else HOUR)
    return RateLimited(f"the calls that FMP allows are used up; the next may go out in {wait:.0f} s", retry_after=wait)


def _web_page(answer: Answer) -> Exception:
    sentence = f"a web page came back instead of data (status {answer.status}): something between us answered"
    if answer.status == 403:
        return RateLimited(sentence, retry_after=answer.retry_after or FIREWALL_SECONDS)
    return Unreachable(sentence, retry_after=answer.retry_after)


def _shown(said: str) -> str:
    return _KEY.sub("********", said)[:200]
