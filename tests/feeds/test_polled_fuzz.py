"""Whatever comes on whatever channel of a polled feed is rows, control or rejected, and whatever is answered one of our errors."""

import json
import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.contracts.test_feeds import assert_lawful, batch
from tests.examples import tried
from tests.feeds import samples_coingecko, samples_finnhub, samples_frankfurter
from tests.feeds.samples import Samples
from tickhouse.core.errors import TickhouseError
from tickhouse.core.requests import Answer
from tickhouse.feeds import Feed

KEYS = {
    "coingecko": ("bitcoin", "ethereum", "usd", "eur", "usd_24h_change", "last_updated_at", "id", "current_price", "last_updated",
                  "prices", "market_data", "error", "status", "error_code", "error_message", "high_24h"),
    "finnhub": ("type", "data", "p", "s", "t", "v", "c", "d", "dp", "h", "l", "o", "pc", "error", "msg"),
    "frankfurter": ("date", "base", "quote", "rate", "rates", "amount", "USD", "EUR", "2025-01-02", "message", "status"),
}  # fmt: skip
WORDS = {
    "coingecko": ("bitcoin", "2026-01-01T00:00:00.867Z", "invalid vs_currency", "2026-01-01", ""),
    "finnhub": (
        "trade",
        "ping",
        "error",
        "ok",
        "no_data",
        "AAPL",
        "BINANCE:BTCUSDT",
        "OANDA:EUR_USD",
        "1",
        "12",
        "a b",
    ),
    "frankfurter": (
        "2025-01-02",
        "EUR",
        "USD",
        "usd",
        "invalid currency: XXX",
        "9999-12-31",
        "0001-01-01T00:00:00+14:00",
    ),
}
ALL = [*samples_coingecko.samples(), *samples_finnhub.samples(), *samples_frankfurter.samples()]
FEEDS: dict[str, Feed] = {samples.feed.name: samples.feed for samples in ALL}
NUMBERS = (0, -1, 1, 0.5, 1e308, 5e-324, 10**30, 1767225600, 1767225600000, 1767225600000000, -(10**12), 1e-7)
CHANNEL_PARTS = ("bitcoin", "usd", "AAPL", "1d", "30-12-2017", "", " ", "99-99-9999", "7x", "x" * 50, "é")


def other(feed: str, choose: random.Random, depth: int = 2) -> Any:
    """A value such as the provider might send, at the wrong place."""
    if depth and choose.random() < 0.2:
        return [other(feed, choose, depth - 1) for _ in range(choose.randrange(3))]
    if depth and choose.random() < 0.2:
        return {choose.choice(KEYS[feed]): other(feed, choose, depth - 1) for _ in range(choose.randrange(3))}
    return choose.choice((*NUMBERS, *WORDS[feed], None, True, {}, []))


def changed(feed: str, value: Any, choose: random.Random) -> Any:
    """The value with something in it replaced, left out, doubled or renamed."""
    if not isinstance(value, list | dict) or not value or choose.random() < 0.1:
        return other(feed, choose)
    parts = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    at = choose.randrange(len(parts))
    key, part = parts[at]
    what = choose.random()
    if what < 0.7:
        parts[at] = key, changed(feed, part, choose)
    elif what < 0.8:
        del parts[at]
    elif what < 0.9:
        parts.insert(choose.randrange(len(parts)), parts[at])
    else:
        parts[at] = choose.choice(KEYS[feed]), part
    return dict(parts) if isinstance(value, dict) else [part for _, part in parts]


def message(samples: Samples, choose: random.Random) -> bytes:
    """A good message of a channel, changed in a few places."""
    value = json.loads(choose.choice(samples.good))
    for _ in range(choose.choice((0, 1, 1, 2, 4))):
        value = changed(samples.feed.name, value, choose)
    return json.dumps(value).encode()


@st.composite
def cases(draw: st.DrawFn) -> tuple[Feed, str, list[bytes]]:
    """A feed, a channel that it may have, and some messages."""
    samples, choose = draw(st.sampled_from(ALL)), draw(st.integers(0, 2**32).map(random.Random))
    channel = samples.channel
    if choose.random() < 0.2:
        channel = ":".join(
            (choose.choice((*samples.feed.channels, "x")), *choose.choices(CHANNEL_PARTS, k=choose.randrange(4)))
        )
    return samples.feed, channel, [message(samples, choose) for _ in range(choose.randrange(6))]


@settings(max_examples=tried(300))
@given(cases())
def test_whatever_comes_is_lawful(case: tuple[Feed, str, list[bytes]]) -> None:
    feed, channel, payloads = case
    samples = Samples(feed, channel, ())
    raw = batch(samples, payloads)
    assert_lawful(samples, raw, feed.parse(raw))


@settings(max_examples=tried(150))
@given(cases(), st.sampled_from([200, 204, 301, 400, 401, 402, 403, 404, 418, 422, 429, 451, 500, 503, 599]))
@example((FEEDS["coingecko"], "", [b"[" * 100_000, b'{"error":' * 100_000, b'{"a":' * 100_000]), 200)
@example((FEEDS["finnhub"], "", [b"[" * 100_000, b'{"error":' * 100_000, b'{"c":' * 100_000]), 200)
@example((FEEDS["frankfurter"], "", [b"[" * 100_000, b'{"message":' * 100_000, b'{"rates":' * 100_000]), 200)
def test_whatever_is_answered_is_data_or_one_of_our_errors(case: tuple[Feed, str, list[bytes]], status: int) -> None:
    feed, _, bodies = case
    for body in bodies:
        error = feed.classify(Answer(status, {"retry-after": "5", "x-ratelimit-reset": "9"}, body, 0))
        assert error is None or isinstance(error, TickhouseError)
        if error is None and status == 200:
            assert body.lstrip()[:1] in (b"{", b"[")


@pytest.mark.parametrize("name", sorted(FEEDS))
def test_very_deep_and_very_long_messages_are_refused_in_peace(name: str) -> None:
    feed = FEEDS[name]
    payloads = [
        b"[" * 100_000,
        b'{"data":' * 100_000,
        b'{"prices":[' * 50_000,
        b"[" + b"0," * 5_000 + b"0]",
        b"9" * 100_000,
    ]
    for channel in feed.channels:
        samples = Samples(feed, f"{channel}:bitcoin:usd" if name == "coingecko" else f"{channel}:AAPL:1d", ())
        raw = batch(samples, payloads)
        parsed = feed.parse(raw)
        assert (parsed.quotes, parsed.ticks, parsed.bars) == (None, None, None)
        assert {reject.index for reject in parsed.rejects} == set(range(len(payloads)))
