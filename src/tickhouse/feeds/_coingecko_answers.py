"""Which error an answer of CoinGecko stands for. Its refusals have four shapes:

    {"error":"invalid vs_currency"}
    {"status":{"error_code":429,"error_message":"You've exceeded the Rate Limit. ..."}}
    {"error":{"status":{"timestamp":"2025-11-20T02:49:16.124+00:00","error_code":10012,"error_message":"..."}}}
    {"status":500,"error":"Internal Server Error"}

and text or web pages of the proxy before it. A coin may be called `status` or `error`: its prices are no refusal.
"""

from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct

from tickhouse.core.errors import BadCredentials, BadMessage, NoData, UnknownSymbol
from tickhouse.core.requests import Answer
from tickhouse.feeds._polled_answers import Judge

JUDGE = Judge("CoinGecko", "feeds.coingecko")
T = TypeVar("T")
NO_KEY, WRONG_HOST, TOO_OLD = (10002, 10005), (10010, 10011), 10012


class Said(NamedTuple):
    """What a refusal says: its number, 0 where it has none, and its text in small letters, which is never shown."""

    code: int
    text: str


class _Status(Struct):
    error_code: int
    error_message: str = ""


class _Inside(Struct):
    status: _Status


class _Refusal(Struct):
    error: Raw = Raw(b"")
    status: Raw = Raw(b"")


class _Chart(Struct):
    prices: list[Raw]


_refusal = msgspec.json.Decoder(_Refusal)
_status, _inside = msgspec.json.Decoder(_Status), msgspec.json.Decoder(_Inside)
_text, _number = msgspec.json.Decoder(str), msgspec.json.Decoder(int)
_map, _chart = msgspec.json.Decoder(dict[str, Raw]), msgspec.json.Decoder(_Chart)


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


def refusal(body: bytes) -> Said | None:
    """What a body says when it is a refusal, None when it is none."""
    found = _as(_refusal, body)
    if found is None:
        return None
    error, status = bytes(found.error), bytes(found.status)
    inside = _as(_inside, error)
    known = inside.status if inside else _as(_status, status)
    if known:
        return Said(known.error_code, known.error_message.lower())
    text = _as(_text, error)
    return None if text is None else Said(_as(_number, status) or 0, text.lower())


def _meant(answer: Answer, said: Said) -> Exception | None:
    code, text = said
    if code == 429 or "rate limit" in text or "throttled" in text:
        return JUDGE.limited(answer)
    if code == TOO_OLD or "allowed time range" in text:
        return NoData("CoinGecko's free plans have only the past 365 days; ask for a later start")
    if code in WRONG_HOST:
        return BadCredentials(
            "the key is of another plan than the host; set feeds.coingecko.options.plan to demo or pro"
        )
    if code in NO_KEY or "api key" in text:
        return BadCredentials("CoinGecko wants an API key for this, or does not know the one it got")
    if "vs_currency" in text and "missing" not in text:
        return UnknownSymbol("CoinGecko prices nothing in that currency")
    if "not found" in text:
        return UnknownSymbol("CoinGecko does not know the coin that was asked for; see the option ids")
    if "missing parameter" in text:
        return BadMessage("CoinGecko misses a parameter in what was asked", sent=answer.body[:4096])
    if code >= 500:
        return JUDGE.failing(answer)
    return JUDGE.by_status(answer) or BadMessage(
        "CoinGecko refuses for a reason that is not known", sent=answer.body[:4096]
    )


def _empty(body: bytes) -> Exception | None:
    """The error of a proper answer that holds nothing: coins and currencies that are not known are just left out."""
    if body.strip() == b"[]":
        return NoData("CoinGecko has nothing for what was asked")
    chart = _as(_chart, body)
    if chart is not None:
        return None if chart.prices else NoData("CoinGecko has no prices in that range")
    coins = _as(_map, body)
    if coins is not None and all(not bytes(prices).strip(b"{} \t\r\n") for prices in coins.values()):
        what = "the currencies" if coins else "the coins"
        return UnknownSymbol(f"CoinGecko knows none of {what} that were asked for")
    return None


def _as(decoder: msgspec.json.Decoder[T], body: bytes) -> T | None:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
