"""Ten thousand symbols in the settings: read in a moment, and asked for in requests that no server refuses for their length."""

import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tickhouse.core.model import Want
from tickhouse.core.plugins import load as load_feed
from tickhouse.core.requests import Answer
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline
from tickhouse.steps.opening import Opening

MANY = 10_000
URL_BYTES = 8000
"""Servers and what is before them take about so much of an address."""
SECONDS = 1.0
"""Of the processor: other work on the machine does not count."""
SHARES = tuple(f"S{number:05}" for number in range(MANY))
COINS = tuple(f"C{number:05}-USD" for number in range(MANY))
BATCHES = {
    ("fmp", "quote"): (SHARES, {"key": "k", "batch": "yes"}, 100),
    ("yahoo", "quote"): (SHARES, {}, 200),
    ("coingecko", "simple_price"): (
        COINS, {"ids": ",".join(f"{coin[:6]}=a-coin-{coin[1:6]}" for coin in COINS)}, 250,
    ),
}  # fmt: skip
"""Feeds that ask for many symbols at once: symbols, options, and how many an answer may hold."""


@pytest.mark.parametrize(("name", "channel"), BATCHES)
def test_a_round_of_many_symbols_is_few_requests_of_bounded_length(name: str, channel: str) -> None:
    symbols, options, most = BATCHES[name, channel]
    began = time.process_time()
    conversation = load_feed("feeds", name).open(symbols=symbols, **options).poll(Want(symbols, channel))
    asked, request = [], next(conversation, None)
    while request is not None:
        body, headers = b"crumb.0123" if "crumb" in request.url else b"{}", {"set-cookie": "A3=d=x; Path=/"}
        asked += [request] if request.channel else []
        try:
            request = conversation.send(Answer(200, headers, body, 0))
        except StopIteration:
            break
        except Exception as nothing:  # CoinGecko's empty answers lack every coin, which is told at the end
            assert "gives no price" in str(nothing)
            break
    assert len(asked) == MANY // most
    assert max(len(request.url) + len(urlencode(request.params)) for request in asked) < URL_BYTES
    assert time.process_time() - began < SECONDS


def test_settings_with_many_symbols_are_read_and_checked_in_seconds(tmp_path: Path) -> None:
    """Alone and in a group of two feeds; every symbol is spelled and sorted by its market."""
    began = time.process_time()
    text = ", ".join(f'"{symbol}"' for symbol in SHARES)
    (tmp_path / "tickhouse.toml").write_text(
        f'[feeds.fmp]\nkey = "k"\nper_day = 0\noptions = {{ batch = "yes" }}\nsymbols = [{text}]\n'
        '[feeds.yahoo]\nchannel = "quote"\n'
        f'[groups.all]\nfeeds = ["yahoo", "fmp"]\nsymbols = [{text}]\n[feeds.binance]\nsymbols = []\n'
    )
    settings = load(tmp_path / "tickhouse.toml", tmp_path / "house")
    assert time.process_time() - began < SECONDS
    assert settings.symbols_of("fmp") == SHARES == settings.symbols_of("yahoo", first=True)
    pipeline = Pipeline(settings)
    try:
        feeds = pipeline.feeds
        for name in ("fmp", "yahoo"):
            feeds[name].poll(Want(settings.symbols_of(name), "quote")).close()
        opening = Opening(SHARES, "equities")
        assert opening.symbols(1_772_811_000_000_000) == SHARES
    finally:
        pipeline.close()
