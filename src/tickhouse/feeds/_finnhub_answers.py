"""Which error an answer of Finnhub stands for.

{"error":"API limit reached. Please try again later. Remaining Limit: 0"}      429
{"error":"Please use an API key."}                                             401
{"error":"You don't have access to this resource."}                            403, the plan
... Please sign up for a free account ...                                      429, text: the token was empty
{"c":0,"d":null,"dp":null,"h":0,"l":0,"o":0,"pc":0,"t":0}                      200, a symbol that is not known
{"s":"no_data"}                                                                200, candles of an empty range
"""

import msgspec
from msgspec import Struct

from tickhouse.core.errors import BadCredentials, BadMessage, NoData, RateLimited, UnknownSymbol
from tickhouse.core.requests import Answer
from tickhouse.feeds._polled_answers import KEPT, Judge

JUDGE = Judge("Finnhub", "feeds.finnhub")
LONGEST = 3600.0
"""A moment at which the quota begins anew is believed when it is at most so many seconds away."""


class _Refusal(Struct):
    error: str


class _Known(Struct):
    """The fields that tell an answer about nothing."""

    c: float | list[float | None] | None = None
    t: float | list[float | None] | None = None
    s: str | None = None


_refusal, _known = msgspec.json.Decoder(_Refusal), msgspec.json.Decoder(_Known)


def classify(answer: Answer) -> Exception | None:
    """The error that an answer stands for, None when it is data."""
    if b"sign up" in answer.body[:KEPT].lower():
        return BadCredentials("Finnhub got no key; set feeds.finnhub.key to a token of finnhub.io")
    text = refusal(answer.body)
    return (
        _waiting(answer, JUDGE.unreadable(answer) or JUDGE.too_fast(answer))
        or (_meant(answer, text) if text is not None else None)
        or JUDGE.by_status(answer)
        or _empty(answer.body)
    )


def refusal(body: bytes) -> str | None:
    """The text of a refusal in small letters, which is never shown; None when the body is none."""
    try:
        return _refusal.decode(body).error.lower()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_unknown(price: float | None, time: float | None) -> bool:
    """Whether price and time are those of a quote of a symbol that is not known."""
    return not price and not time


def _meant(answer: Answer, text: str) -> Exception:
    if "limit" in text:
        return _waiting(answer, JUDGE.limited(answer)) or JUDGE.limited(answer)
    if "access" in text:
        return BadCredentials(
            "Finnhub's plan of this key does not include that; candles and shares outside the US are paid"
        )
    if "api key" in text or "token" in text:
        return BadCredentials("Finnhub wants a key, or does not know the one it got; see feeds.finnhub.key")
    if "symbol" in text:
        return UnknownSymbol("Finnhub does not know the symbol that was asked for")
    return JUDGE.by_status(answer) or BadMessage(
        "Finnhub refuses for a reason that is not known", sent=answer.body[:KEPT]
    )


def _waiting(answer: Answer, error: Exception | None) -> Exception | None:
    """The error, with the wait until the quota begins anew where the provider says when that is."""
    reset = answer.headers.get("x-ratelimit-reset", "")
    if isinstance(error, RateLimited) and answer.retry_after is None and reset.isascii() and reset.isdigit():
        wait = int(reset) - answer.received_at / 1e6
        error.retry_after = wait if 0 < wait <= LONGEST else error.retry_after
    return error


def _empty(body: bytes) -> Exception | None:
    if body.strip() == b"{}":
        return NoData("Finnhub has nothing for what was asked")
    try:
        known = _known.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if known.s == "no_data":
        return NoData("Finnhub has no candles in that range")
    if known.c == 0 and known.t == 0:
        return UnknownSymbol("Finnhub does not know the symbol that was asked for: all of its quote is 0")
    return None
