"""`tickhouse parse FEED:CHANNEL FILE` on the polled feeds: rows of every channel, or the error that a file alone can tell."""

from pathlib import Path

import pytest

from tests.feeds import samples_coingecko, samples_finnhub, samples_frankfurter
from tests.feeds.samples import Samples
from tickhouse.cli.parsing import parsed
from tickhouse.core.settings import Settings

ALL = [*samples_coingecko.samples(), *samples_finnhub.samples(), *samples_frankfurter.samples()]
REFUSALS = {
    ("coingecko:simple_price", '{"status":{"error_code":429,"error_message":"x"}}'): ("RateLimited", 60.0),
    ("coingecko:simple_price", "Throttled"): ("RateLimited", 60.0),
    ("coingecko:ohlc:bitcoin:usd", '{"error":{"status":{"error_code":10012,"error_message":"x"}}}'): ("NoData", None),
    ("coingecko:simple_price", '{"bitcoin":{}}'): ("UnknownSymbol", None),
    ("coingecko:markets", "[]"): ("NoData", None),
    ("coingecko:markets", '[{"id":"bitcoin","current_price":5}]'): ("BadMessage", None),
    ("finnhub:quote:AAPL", '{"error":"API limit reached."}'): ("RateLimited", 60.0),
    ("finnhub:quote:AAPL", '{"error":"Please use an API key."}'): ("BadCredentials", None),
    ("finnhub:quote:NOPE", samples_finnhub.ZEROS.decode()): ("UnknownSymbol", None),
    ("finnhub:quote", '{"c":5,"t":1767225600}'): ("BadMessage", None),
    ("frankfurter:rates", '{"status":422,"message":"invalid currency: XXX"}'): ("UnknownSymbol", None),
    ("frankfurter:rates", "<html>"): ("Unreachable", None),
}


@pytest.mark.parametrize("samples", ALL, ids=str)
def test_every_channel_gives_rows(samples: Samples, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    file.write_bytes(samples.good[0])
    shown = parsed(f"{samples.feed.name}:{samples.channel}", file, Settings())
    assert shown["kind"] == "parsed"
    assert shown["rows"]


@pytest.mark.parametrize(("case", "error"), REFUSALS.items(), ids=str)
def test_a_refusal_is_classified_without_its_status(
    case: tuple[str, str], error: tuple[str, float | None], tmp_path: Path
) -> None:
    file = tmp_path / "answer.json"
    file.write_text(case[1])
    shown = parsed(case[0], file, Settings())["error"]
    assert (shown["kind"], shown["retry_after"]) == error
    assert shown["message"]
