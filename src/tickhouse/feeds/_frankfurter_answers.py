"""Which error an answer of Frankfurter stands for.

{"status":422,"message":"invalid currency: XXX"}    a code or parameter that is not known; none of the request is served
{"message":"not found"}                             404
{"amount":1.0,"base":"EUR","date":...,"rates":{}}   200 of the old interface: codes that are not known are left out
"""

import re

import msgspec
from msgspec import Raw, Struct

from tickhouse.core.errors import BadMessage, NoData, UnknownSymbol
from tickhouse.core.requests import Answer
from tickhouse.feeds._polled_answers import KEPT, Judge

JUDGE = Judge("Frankfurter", "feeds.frankfurter")
_CODE = re.compile(r"currency: ([A-Z]{3})\b")


class _Refusal(Struct):
    message: str
    status: int = 0


class _Map(Struct):
    rates: dict[str, Raw]


_refusal, _map = msgspec.json.Decoder(_Refusal), msgspec.json.Decoder(_Map)
BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def classify(answer: Answer) -> Exception | None:
    """The error that an answer stands for, None when it is data."""
    said = refusal(answer.body)
    return (
        JUDGE.unreadable(answer)
        or JUDGE.too_fast(answer)
        or (_meant(answer, said) if said else None)
        or JUDGE.by_status(answer)
        or _empty(answer.body)
    )


def refusal(body: bytes) -> _Refusal | None:
    """A body that is a refusal."""
    try:
        return _refusal.decode(body)
    except BAD_JSON:
        return None


def _meant(answer: Answer, said: _Refusal) -> Exception:
    text, status = said.message.lower(), said.status or answer.status
    if status in (418, 429) or "too many" in text or "rate limit" in text:
        return JUDGE.limited(answer)
    if "currency" in text or "symbol" in text or "base" in text:
        code = _CODE.search(said.message)
        return UnknownSymbol(
            f"Frankfurter does not know the currency {code[1]}" if code else "Frankfurter does not know a currency"
        )
    if status == 404 or "not found" in text:
        return NoData("Frankfurter has nothing under what was asked for")
    if status >= 500:
        return JUDGE.failing(answer)
    return JUDGE.by_status(answer) or BadMessage("Frankfurter does not take the request", sent=answer.body[:KEPT])


def _empty(body: bytes) -> Exception | None:
    if body.strip() in (b"[]", b"{}"):
        return NoData("Frankfurter has no rates for what was asked")
    try:
        rates = _map.decode(body).rates
    except BAD_JSON:
        return None
    return None if rates else UnknownSymbol("Frankfurter knows none of the currencies that were asked for")
