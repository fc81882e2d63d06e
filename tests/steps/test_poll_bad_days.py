"""Bad days of polled feeds: a quota that others spent, a field with another name, an answer without end, a wrong clock."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tools.simulated.scene import Provider, Scene
from tools.simulated.site import response
from tools.simulated.timeline import Timeline, us

from tests.steps.polling import finnhub, global_quote, quote
from tickhouse.core.model import Query
from tickhouse.core.plugins import load
from tickhouse.steps.heal import Heal
from tickhouse.steps.ledger import ledger

SYMBOLS = ("IBM", "AAPL", "MSFT", "KO", "PEP")
USED_UP = {
    "Information": "We have detected your API key and our standard API rate limit is 25 requests per day. Please subscribe."
}
HOUR = 3_600_000_000
LARGE = 50_000_000


def coins(reply: Any) -> Provider:
    """CoinGecko's prices of bitcoin."""
    return Provider("coingecko", {"symbols": ["BTC-USD"]}, reply)


def price(_: str, now: int, skew: int = 0) -> Any:
    """A price of bitcoin of ten seconds ago, by a clock that is wrong by so much (us)."""
    return {"bitcoin": {"usd": 60_000 + now % 97, "last_updated_at": (now + skew) // 1_000_000 - 10}}


async def test_a_daily_quota_that_is_used_up_at_noon_costs_one_refusal_until_the_day_is_over(tmp_path: Path) -> None:
    """The provider counts for another house, too: only its answer tells that nothing is left."""
    noon, midnight = us("2026-03-06T17:00"), us("2026-03-07T05:00")

    def reply(path: str, now: int) -> Any:
        if noon <= now < midnight:
            return USED_UP
        return global_quote(parse_qs(urlsplit(path).query)["symbol"][0], 100 + now % 5)

    alpha = Provider("alpha_vantage", {"symbols": SYMBOLS, "key": "k", "closed": True}, reply)
    async with Scene(tmp_path, Timeline("2026-03-06T16:40"), alpha).running() as scene:
        await scene.until("2026-03-07T05:30")
        refused = [at for at, _ in alpha.asked if noon <= at < midnight]
        assert len(refused) == 1, "told once, and left alone"
        assert [fact["source"] for fact in scene.said("polling failed")] == ["alpha_vantage"]
        assert "used up" in scene.said("polling failed")[0]["reason"]
        after = [at for at, _ in alpha.asked if at >= midnight]
        assert after and after[0] < midnight + HOUR // 4, "it goes on by itself with the new day"
        assert scene.polls["alpha_vantage"].health.state == "connected"
        scene.processed()
        blind = [(a, b) for a, b, state in scene.coverage("IBM") if state == "blind"]
        assert blind and blind[0][0] <= "03-06 17:00" and blind[-1][1] >= "03-07 05:00"


class Fixed:
    """Finnhub's feed as it is after a release that knows the new name of the price."""

    def __init__(self, feed: Any) -> None:
        self._feed = feed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)

    def parse(self, raw: Any) -> Any:
        """What the old parser makes of the old name."""
        payloads = [payload.replace(b'"close":', b'"c":') for payload in raw.payloads()]
        return self._feed.parse(type(raw).of(raw.source, raw.channel, payloads, raw.received_at, raw.lane))


async def test_a_field_with_another_name_is_kept_in_quarantine_and_healed_by_a_parser_that_knows_it(
    tmp_path: Path,
) -> None:
    renamed = us("2026-03-06T15:10"), us("2026-03-06T15:20")

    def reply(_: str, now: int) -> Any:
        said = quote(100 + now // 1_000_000 % 50, now)
        return {"close": said.pop("c"), **said} if renamed[0] <= now < renamed[1] else said

    shares = finnhub(reply, "AAPL")
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), shares).running() as scene:
        await scene.until("2026-03-06T15:30")
        scene.processed()
        changed = sum(renamed[0] <= at < renamed[1] for at, _ in shares.asked)
        kept = scene.pipeline.journal.quarantine()
        assert len(kept) == changed > 5 and all(b'"close":' in item.payload for item in kept)
        assert all(item.reason and item.source == "finnhub" for item in kept)
        row = ledger(scene.pipeline.journal, scene.pipeline.warm)["finnhub"]
        assert row["balanced"] and row["rejected"] == changed
        (told,) = scene.said("no message is understood; they wait in quarantine")
        assert (told["source"], told["channel"], told["reason"]) == ("finnhub", "quote", kept[0].reason)
        assert len(scene.said("messages understood again")) == 1
        before = scene.pipeline.warm.bars(Query(("AAPL",), "1m")).num_rows
        blind = [(a, b) for a, b, state in scene.coverage("AAPL") if state == "blind"]
        assert blind == [("03-06 15:10", "03-06 15:21")], "answered, but not understood, is blind, and not quiet"

        assert Heal(scene.pipeline.ingest(), scene.timeline.clock).run().healed == 0, "the old parser knows no better"
        fixed = Fixed(load("feeds", "finnhub").open(key="k"))
        scene.pipeline.feeds = {"finnhub": fixed}  # type: ignore[misc]
        done = Heal(scene.pipeline.ingest(), scene.timeline.clock).run()
        assert (done.seen, done.healed) == (changed, changed) and not scene.pipeline.journal.quarantine()
        scene.processed()
        bars = scene.pipeline.warm.bars(Query(("AAPL",), "1m"))
        assert bars.num_rows >= before + changed - 2, "the minutes that were lacking are there"
        assert ledger(scene.pipeline.journal, scene.pipeline.warm)["finnhub"]["balanced"]


@pytest.mark.parametrize("announced", [True, False])
async def test_an_answer_of_50_mb_is_not_read_to_its_end_and_others_go_on(tmp_path: Path, announced: bool) -> None:
    large = us("2026-03-06T15:03"), us("2026-03-06T15:06")
    body = b'{"bitcoin":' + b" " * LARGE
    whole = response(200, body) if announced else b"HTTP/1.1 200 X\r\n\r\n" + body
    gecko = coins(lambda path, now: whole if large[0] <= now < large[1] else price(path, now))
    shares = finnhub(lambda _, now: quote(100 + now % 7, now), "AAPL")
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), gecko, shares).running() as scene:
        await scene.until("2026-03-06T15:12")
        (told,) = scene.said("polling failed")
        assert told["source"] == "coingecko" and "larger than the" in told["reason"]
        assert scene.polls["coingecko"].health.state == "connected", "it comes back by itself"
        assert len([at for at, _ in shares.asked if large[0] <= at < large[1]]) >= 2
        records = scene.pipeline.journal.read("raw", 0, 1 << 30)
        assert max(int(r.raw.size) for r in records if r.raw is not None) < 1_000_000, "nothing of it was kept"


async def test_a_provider_whose_clock_is_an_hour_ahead_is_refused_with_its_bytes_until_it_is_right(
    tmp_path: Path,
) -> None:
    wrong = us("2026-03-06T15:05"), us("2026-03-06T15:15")
    gecko = coins(lambda path, now: price(path, now, HOUR if wrong[0] <= now < wrong[1] else 0))
    shares = finnhub(lambda _, now: quote(100 + now % 7, now), "AAPL")
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), gecko, shares).running() as scene:
        await scene.until("2026-03-06T15:30")
        scene.processed()
        kept = scene.pipeline.journal.quarantine()
        assert {(item.source, item.reason) for item in kept} == {("coingecko", "ahead")} and len(kept) >= 9
        assert all(b"bitcoin" in item.payload for item in kept)
        assert len(scene.said("no message is understood; they wait in quarantine")) == 1
        starts = scene.pipeline.warm.bars(Query(("BTC-USD",), "1m"))["start"].to_pylist()
        assert starts and max(starts).timestamp() * 1e6 < us("2026-03-06T15:30"), "nothing of the future"
        assert max(starts).timestamp() * 1e6 >= us("2026-03-06T15:26"), "windows go on to close"
        assert scene.pipeline.warm.ledger()["finnhub", "accepted"] >= 25


async def test_a_provider_whose_clock_is_an_hour_behind_is_taken_and_remarked(tmp_path: Path) -> None:
    gecko = coins(lambda path, now: price(path, now, -HOUR))
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), gecko).running() as scene:
        await scene.until("2026-03-06T15:10")
        scene.processed()
        assert not scene.pipeline.journal.quarantine()
        assert scene.pipeline.warm.ledger()["coingecko", "accepted"] >= 9
        found = scene.pipeline.warm.findings(Query(("BTC-USD",))).to_pylist()
        assert {(row["check"], row["severity"]) for row in found} == {("staleness", "warning")}
        assert "old when it came" in found[0]["message"]
