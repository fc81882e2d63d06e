"""Which error an HTTP answer of Binance stands for. Status alone never decides: the body is read too."""

import re

import msgspec
from msgspec import Struct

from tickhouse.core.errors import (
    BadCredentials,
    BadMessage,
    BadSetting,
    RateLimited,
    UnknownSymbol,
    Unreachable,
)
from tickhouse.core.requests import Answer

TOO_FAST = frozenset((-1003, -1015, -1034))
THEIR_FAULT = frozenset((-1000, -1001, -1006, -1007, -1008, -1016))
KEY = frozenset((-1002, -1022, -2014, -2015))
BAD_SYMBOL = -1121
FIREWALL_SECONDS, BAN_SECONDS, LIMIT_SECONDS = 300.0, 120.0, 60.0
"""How long to wait when the answer does not say: the shortest ban, a minute of weight, a firewall's patience."""
OTHER_PLACE = "a host that may be used from here, such as https://data-api.binance.vision"
ELSEWHERE = "restricted location"
"""What the body of a 451 says."""
_BANNED_UNTIL = re.compile(rb"banned until (\d{13})\b")


class _Refusal(Struct):
    code: int
    msg: str = ""


_decoder = msgspec.json.Decoder(_Refusal)


def classify(answer: Answer, rest_url: str) -> Exception | None:
    """The error that an answer stands for, None when it is data."""
    refusal = _refusal(answer.body)
    code = refusal.code if refusal else None
    html = answer.body.lstrip()[:1] == b"<"
    if answer.status in (418, 429) or code in TOO_FAST:
        return _too_fast(answer)
    if answer.status == 451 or (refusal is not None and ELSEWHERE in refusal.msg):
        return BadSetting("feeds.binance.rest_url", rest_url, f"{OTHER_PLACE} (Binance does not serve this place)")
    if answer.status == 403 and (html or not refusal):
        wait = answer.retry_after or FIREWALL_SECONDS
        return RateLimited(
            "Binance's firewall refused the request (403): too many, or forbidden words", retry_after=wait
        )
    if answer.status >= 500 or code in THEIR_FAULT:
        return Unreachable(f"Binance fails on its side ({_shown(answer, refusal)})", retry_after=answer.retry_after)
    if answer.status == 401 or code in KEY:
        return BadCredentials("Binance wants an API key for this; market data without a key needs refill = 'aggTrades'")
    if refusal is not None and (answer.status >= 400 or refusal.code != 200):
        return _settings(refusal)
    return _data(answer, rest_url, html)


def _too_fast(answer: Answer) -> RateLimited:
    banned = _BANNED_UNTIL.search(answer.body)
    default = BAN_SECONDS if answer.status == 418 or banned else LIMIT_SECONDS
    wait = answer.retry_after or default
    if banned:
        wait = max(wait, int(banned[1]) / 1000 - answer.received_at / 1_000_000)
    what = "has banned this address for a while" if answer.status == 418 or banned else "was asked too often"
    return RateLimited(f"Binance {what}; the next request may go out in {wait:.0f} s", retry_after=wait)


def _settings(refusal: _Refusal) -> Exception:
    if refusal.code == BAD_SYMBOL:
        return UnknownSymbol("Binance does not know the symbol that was asked for; pairs are written like BTC-USDT")
    said = f"a request that Binance takes; it says: {refusal.msg[:200]}"
    return BadSetting("feeds.binance", f"code {refusal.code}", said)


def _data(answer: Answer, rest_url: str, html: bool) -> Exception | None:
    if html:
        return Unreachable(
            f"a web page came back instead of data (status {answer.status}): something between us answered"
        )
    if answer.status == 404:
        return BadSetting(
            "feeds.binance.rest_url", rest_url, "a host that speaks Binance's REST API (this one says 404)"
        )
    text = answer.body.strip()
    if answer.status != 200 or text[:1] not in (b"[", b"{"):
        return BadMessage(f"Binance answered {answer.status} with something that is not data", sent=answer.body[:4096])
    return None


def _refusal(body: bytes) -> _Refusal | None:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _shown(answer: Answer, refusal: _Refusal | None) -> str:
    return f"status {answer.status}, code {refusal.code}" if refusal else f"status {answer.status}"
