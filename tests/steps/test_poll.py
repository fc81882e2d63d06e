"""Polling on a clock that is moved: hours, failures, refusals, slow providers, restarts; what is known of it afterwards."""

from pathlib import Path
from typing import Any

import pytest
from tools.simulated.scene import Provider, Scene
from tools.simulated.site import response
from tools.simulated.timeline import Timeline, us

from tests.steps.polling import finnhub, quote
from tickhouse.core.marks import Event

SIMPLE = "/api/v3/simple/price"


def coins(reply: Any, **section: Any) -> Provider:
    """CoinGecko's prices of bitcoin."""
    return Provider("coingecko", {"symbols": ["BTC-USD"], **section}, reply)


def price(_: str, now: int) -> Any:
    """A price of bitcoin of ten seconds ago."""
    return {"bitcoin": {"usd": 60_000 + now % 97, "usd_24h_change": 1.0, "last_updated_at": now // 1_000_000 - 10}}


@pytest.mark.parametrize(
    ("begin", "closes", "opens", "end"),
    [
        ("2026-03-06T20:00", "2026-03-06T21:00", "2026-03-09T13:30", "2026-03-09T14:00"),
        ("2026-11-27T17:00", "2026-11-27T18:00", "2026-11-30T14:30", "2026-11-30T15:00"),
    ],
    ids=["clocks change over the weekend", "a half day"],
)  # fmt: skip
async def test_a_closed_market_is_not_asked_and_its_silence_is_not_blind(
    tmp_path: Path, begin: str, closes: str, opens: str, end: str
) -> None:
    shares = finnhub(lambda _, now: quote(100 + now % 7, now), "AAPL", every="10m")
    async with Scene(tmp_path, Timeline(begin), shares).running() as scene:
        await scene.until(end)
        inside = [sum(us(a) <= at < us(b) for at, _ in shares.asked) for a, b in ((begin, closes), (opens, end))]
        assert sum(inside) == len(shares.asked), "nobody is asked outside of hours"
        assert inside[0] in (6, 7) and inside[1] in (3, 4)
        states = {state for _, _, state in scene.processed().coverage("AAPL")}
        assert states == {"live", "quiet"}
        assert scene.marks("finnhub")[0].event is Event.CONNECTED
        assert scene.marks("finnhub")[0].symbols == ("AAPL",)


async def test_with_closed_a_closed_market_is_asked_too_and_pairs_keep_their_own_hours(tmp_path: Path) -> None:
    always = finnhub(lambda _, now: quote(100, now), "AAPL", closed=True, every="10m")
    async with Scene(tmp_path / "a", Timeline("2026-03-07T12:00"), always).running() as scene:
        await scene.until("2026-03-07T13:00")
        assert len(always.asked) in (6, 7)
    mixed = finnhub(lambda _, now: quote(100, now), "AAPL", "BTC-USD", every="10m")
    async with Scene(tmp_path / "b", Timeline("2026-03-07T12:00"), mixed).running() as scene:
        await scene.until("2026-03-07T13:00")
        assert {path.partition("symbol=")[2] for _, path in mixed.asked} == {"BINANCE%3ABTCUSD"}


async def test_a_provider_that_is_down_for_ten_minutes_is_blind_for_them_and_comes_back_by_itself(
    tmp_path: Path,
) -> None:
    down = us("2026-03-06T12:10"), us("2026-03-06T12:20")
    gecko = coins(lambda path, now: response(503) if down[0] <= now < down[1] else price(path, now))
    async with Scene(tmp_path, Timeline("2026-03-06T12:00"), gecko).running() as scene:
        await scene.until("2026-03-06T12:30")
        blind = [(a, b) for a, b, state in scene.processed().coverage("BTC-USD") if state == "blind"]
        assert blind == [("03-06 12:09", "03-06 12:21")], "from the last answer to the next"
        assert [fact["source"] for fact in scene.said("polling failed")] == ["coingecko"], "said once"
        events = [mark.event for mark in scene.marks("coingecko")]
        assert events.count(Event.CONNECTED) == 2 and Event.DISCONNECTED in events
        reasons = {mark.detail["reason"] for mark in scene.marks("coingecko") if mark.event is Event.DISCONNECTED}
        assert any("503" in reason for reason in reasons)
        assert scene.polls["coingecko"].health.state == "connected"


async def test_a_key_that_is_revoked_ends_the_asking_of_that_feed_alone(tmp_path: Path) -> None:
    revoked = us("2026-03-06T15:10")
    refusal = response(401, b'{"error":"Please use an API key."}')
    shares = finnhub(lambda _, now: refusal if now >= revoked else quote(100, now), "AAPL", "MSFT")
    gecko = coins(price)
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), shares, gecko).running() as scene:
        await scene.until("2026-03-06T16:00")
        assert sum(at >= revoked for at, _ in shares.asked) == 1, "one refusal is enough"
        assert sum(at >= revoked for at, _ in gecko.asked) >= 49
        assert [fact["source"] for fact in scene.said("not asked any more until the next start")] == ["finnhub"]
        assert scene.polls["finnhub"].health.state == "down"
        scene.processed()
        assert [a for a, b, s in scene.coverage("AAPL") if s == "blind" and b > "03-06 15:57"] == ["03-06 15:09"]
        assert not [row for row in scene.coverage("BTC-USD") if row[2] == "blind"]
        await scene.stop()
        asked = len(shares.asked)
        scene.start()
        await scene.until("2026-03-06T16:02")
        assert len(shares.asked) == asked + 1, "a new start tries again, once"


async def test_a_slow_provider_delays_nobody_and_its_rounds_do_not_overlap(tmp_path: Path) -> None:
    timeline = Timeline("2026-03-06T15:00")

    async def slowly(_: str, now: int) -> Any:
        await timeline.sleep(100)
        return quote(100, now)

    slow, fast = finnhub(slowly, "AAPL"), coins(price)
    async with Scene(tmp_path, timeline, slow, fast).running() as scene:
        await scene.until("2026-03-06T15:30")
        assert 16 <= len(slow.asked) <= 19, "one after the other"
        assert min(b - a for (a, _), (b, _) in zip(slow.asked, slow.asked[1:], strict=False)) >= 100_000_000
        assert 29 <= len(fast.asked) <= 31
        assert scene.processed().pipeline.warm.ledger()["finnhub", "accepted"] >= 15


async def test_a_symbol_that_is_not_known_is_said_once_and_is_no_failure(tmp_path: Path) -> None:
    def reply(path: str, now: int) -> Any:
        return quote(0, 0) | {"d": None, "dp": None, "h": 0, "l": 0} if "NOPE" in path else quote(100, now)

    shares = finnhub(reply, "NOPE", "AAPL")
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), shares).running() as scene:
        await scene.until("2026-03-06T15:10")
        assert len([path for _, path in shares.asked if "AAPL" in path]) >= 9, "the others are asked all the same"
        told = scene.said("not all could be had")
        assert len(told) == 1 and "NOPE" in told[0]["reason"]
        assert {mark.event for mark in scene.marks("finnhub")} == {Event.CONNECTED, Event.ALIVE}


async def test_a_symbol_that_the_plan_has_not_does_not_end_the_asking_of_the_others(tmp_path: Path) -> None:
    refusal = response(403, b'{"error":"You have no access to this resource."}')
    shares = finnhub(lambda path, now: refusal if "SAP" in path else quote(100, now), "AAPL", "SAP.DE", "MSFT")
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), shares).running() as scene:
        await scene.until("2026-03-06T15:05")
        assert len([path for _, path in shares.asked if "MSFT" in path]) >= 4
        assert len(scene.said("not all could be had")) == 1 and not scene.polls["finnhub"].refused


async def test_rounds_are_spread_and_a_broken_answer_costs_one_of_them(tmp_path: Path) -> None:
    """A body that cannot be read is in quarantine or fails its round; the next one is asked for."""
    broken = us("2026-03-06T15:05"), us("2026-03-06T15:06")
    gecko = coins(lambda path, now: response(200, b"") if broken[0] <= now < broken[1] else price(path, now))
    shares = finnhub(lambda _, now: quote(100, now), "AAPL")
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), gecko, shares).running() as scene:
        await scene.until("2026-03-06T15:20")
        assert {scene.asked[0][0] for scene in (gecko, shares)} == {us("2026-03-06T15:00")}, (
            "the first round is at once"
        )
        assert abs(gecko.asked[1][0] - shares.asked[1][0]) > 500_000, "after it feeds do not ask all at once"
        gaps = {b - a for (a, _), (b, _) in zip(shares.asked, shares.asked[1:], strict=False)}
        assert len(gaps) > 5 and all(57_000_000 <= gap <= 63_000_000 for gap in gaps)
        assert len(scene.said("polling failed")) == 1
        assert gecko.asked[-1][0] > us("2026-03-06T15:18")


async def test_what_was_missed_while_nobody_ran_is_blind_and_a_quick_restart_misses_nothing(tmp_path: Path) -> None:
    gecko = coins(price)
    timeline = Timeline("2026-03-06T12:00")
    async with Scene(tmp_path, timeline, gecko).running() as scene:
        for begin, end in (("12:10", "12:10"), ("12:30", "12:40")):
            await scene.until(f"2026-03-06T{begin}")
            await scene.stop()
            timeline.clock.move((us(f"2026-03-06T{end}") - timeline.clock.now()) / 1e6)
            scene.start()
        await scene.until("2026-03-06T12:50")
        blind = [(a, b) for a, b, state in scene.processed().coverage("BTC-USD") if state == "blind"]
        assert blind == [("03-06 12:29", "03-06 12:40")], "it is asked at once"
