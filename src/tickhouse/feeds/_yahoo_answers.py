"""Which error an answer of Yahoo stands for. The body is read before the status: a text can be the only sign.

{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}
{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}
Edge: Too Many Requests
400 Bad Request: Data doesn't exist for startDate = 1577836800, endDate = 1578009600
"""

import re

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

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

REFUSED_SECONDS = 900.0
"""How long Yahoo stays away from an address that it refused, when it does not say: quarters of an hour were seen."""
TOO_OLD = b"must be within the last"
"""What Yahoo says of a range that it no longer keeps; it then serves nothing of it."""
_A3 = re.compile(r"(?:^|[,;\s])A3=([^;,\s]+)")
_TOKEN = re.compile(rb"[!-~]+")


class _Result(Struct):
    timestamp: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = UNSET


class _Error(Struct):
    code: str | None = None
    description: str | None = None


class _Part(Struct):
    result: list[_Result] | None = None
    error: _Error | str | None = None


class _Body(Struct):
    chart: _Part | None = None
    quoteResponse: _Part | None = None
    finance: _Part | None = None


_decoder = msgspec.json.Decoder(_Body)


def classify(answer: Answer) -> Exception | None:
    """The error that an answer stands for, None when it is data, a cookie or a crumb."""
    text = answer.body.strip()
    if text[:1] == b"{":
        refused = _refusal(answer)
        if refused is not None:
            return refused
    elif refused := _words(answer, text):
        return refused
    return _status(answer, text)


def cookie_of(answer: Answer) -> str | None:
    """The value of Yahoo's cookie A3 in an answer that sets it.

    >>> cookie_of(Answer(404, {"set-cookie": "A1=x; Path=/, A3=d=AQ&S=b; Expires=Thu, 1 Jan 2099"}, b"", 0))
    'd=AQ&S=b'
    """
    found = _A3.search(answer.headers.get("set-cookie", ""))
    return found[1] if found else None


def _refusal(answer: Answer) -> Exception | None:
    """What a JSON body refuses."""
    try:
        body = _decoder.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for part in (body.finance, body.chart, body.quoteResponse):
        if part is not None and part.error:
            error = _Error(part.error) if isinstance(part.error, str) else part.error
            return _said(error.code or "", error.description or "", answer)
    if body.quoteResponse is not None and not body.quoteResponse.result:
        return UnknownSymbol(
            "Yahoo has a quote of none of the symbols that were asked for; are they spelled as Yahoo does?"
        )
    if body.chart is not None:
        results = body.chart.result or []
        if not results:
            return UnknownSymbol("Yahoo's chart is empty; is the symbol spelled as Yahoo does?")
        if all(result.timestamp is UNSET and result.meta is not UNSET for result in results):
            return NoData(
                "Yahoo has no bars in that range: the market was closed, or nothing traded", sent=answer.body[:4096]
            )
    return None


def _said(code: str, description: str, answer: Answer) -> Exception:
    """The error of a refusal in Yahoo's usual form."""
    words, shown, sent = f"{code} {description}".lower(), (description or code)[:200], answer.body[:4096]
    if "too many requests" in words:
        return _too_many(answer)
    if "invalid crumb" in words or "unauthorized" in words or "unable to access" in words or "invalid cookie" in words:
        return BadCredentials(f"Yahoo wants a new cookie and crumb ({shown})", sent=sent)
    if TOO_OLD.decode() in words or "doesn't exist" in words or "not available for" in words:
        return NoData(f"Yahoo serves nothing of that range ({shown})", sent=sent)
    if "no data found" in words or "not found" in words or "delisted" in words:
        return UnknownSymbol(
            f"Yahoo does not know the symbol ({shown}); classes are BRK.B, exchanges suffixes as in OCDO.L"
        )
    if answer.status >= 500 or "internal" in words:
        return Unreachable(f"Yahoo fails on its side ({shown})", retry_after=answer.retry_after)
    return BadSetting("feeds.yahoo", "a request that Yahoo refused", f"what Yahoo says: {shown}")


def _words(answer: Answer, text: bytes) -> Exception | None:
    """What a body that is not JSON refuses."""
    start = text[:400].lower()
    if b"too many requests" in start:
        return _too_many(answer)
    if b"data doesn't exist" in start:
        return NoData("Yahoo has no data for that range: is it before the listing?", sent=answer.body[:4096])
    return None


def _too_many(answer: Answer) -> RateLimited:
    wait = answer.retry_after or REFUSED_SECONDS
    return RateLimited(
        f"Yahoo refused this client or too many requests of this address; the next may go out in {wait:.0f} s",
        retry_after=wait,
    )


def _status(answer: Answer, text: bytes) -> Exception | None:
    """What the status says of a body that refuses nothing in words."""
    status, html = answer.status, text[:1] == b"<"
    if status in (418, 429, 999):
        return _too_many(answer)
    if status >= 500:
        return Unreachable(f"Yahoo fails on its side (status {status})", retry_after=answer.retry_after)
    if cookie_of(answer):
        return None
    if "consent" in answer.headers.get("location", ""):
        return BadCredentials("Yahoo asks for a consent that only a person can give; charts and the stream need none")
    if status in (401, 403):
        return BadCredentials(f"Yahoo does not let this client in (status {status})")
    if html:
        return Unreachable(f"a web page came back instead of data (status {status}): something between us answered")
    if status >= 400:
        return BadMessage(f"Yahoo answered {status} in words that are not known", sent=answer.body[:4096])
    if status == 200 and text[:1] not in (b"{", b"[") and not _TOKEN.fullmatch(text):
        return BadMessage("Yahoo answered with something that is neither data nor a crumb", sent=answer.body[:4096])
    return None
