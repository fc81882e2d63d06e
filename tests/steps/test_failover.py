"""Groups on bad days, on a clock that is moved: what is in use when, what is said of it, what a reader is told."""

from pathlib import Path
from typing import Any

from tools.simulated.scene import Provider
from tools.simulated.site import response
from tools.simulated.timeline import Timeline, us

from tests.steps.grouping import GroupScene
from tests.steps.polling import finnhub, quote
from tickhouse.core.clock import SECOND
from tickhouse.core.marks import Event
from tickhouse.core.model import Query
from tickhouse.pipeline import Pipeline
from tickhouse.steps.read import Reader
from tickhouse.steps.replay import Replay

DAY = "2026-03-06T"
Times = tuple[str, str]


def inside(now: int, *spans: Times) -> bool:
    return any(us(DAY + a) <= now < us(DAY + b) for a, b in spans)


def first(*down: Times, **how: Any) -> Provider:
    """Finnhub, which fails at these times."""
    reply = how.get("reply", response(503))
    return finnhub(lambda _, now: reply if inside(now, *down) else quote(60_000 + now // SECOND % 97, now))


def second(*down: Times) -> Provider:
    """CoinGecko, likewise."""

    def price(_: str, now: int) -> Any:
        if inside(now, *down):
            return response(503)
        return {
            "bitcoin": {"usd": 50_000 + now // SECOND % 97, "usd_24h_change": 1.0, "last_updated_at": now // SECOND}
        }

    return Provider("coingecko", {}, price)


async def test_a_first_choice_that_is_down_for_ten_minutes_is_left_in_time_and_taken_again_with_care(
    tmp_path: Path,
) -> None:
    gecko = second()
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), first(("12:10", "12:20")), gecko)
    async with scene.running():
        await scene.until(DAY + "12:30")
        [_, (left, to), (back, again)] = scene.seconds_after(DAY + "12:10")
        assert to == "coingecko" and 10 <= left <= 15 + 2 + 10 + 2, "a round, and the time to be sure"
        assert again == "finnhub" and 600 + 120 <= back <= 600 + 120 + 30
        assert not [at for at, _ in gecko.asked if at < us(DAY + "12:10")], "nobody spends a quota that is not needed"
        assert not [at for at, _ in gecko.asked if at > us(DAY + "12:23")]
        scene.processed()
        [(was, now, why), (_, _, back_why)] = scene.switches()
        assert (was, now) == ("finnhub", "coingecko") and "503" in why and back_why == "finnhub is good again"
        [mark] = [mark for mark in scene.marks("coingecko") if mark.event is Event.SWITCHED]
        assert mark.symbols == ("BTC-USD",) and mark.detail["from"] == "finnhub"
        assert [fact["now"] for fact in scene.said("another feed is in use")] == ["coingecko", "finnhub"]


async def test_of_a_group_one_series_is_told_and_what_was_not_heard_is_blind_in_each_source(tmp_path: Path) -> None:
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), first(("12:10", "12:20")), second())
    async with scene.running():
        await scene.until(DAY + "12:30")
        scene.processed()
        bars = [bar for bar in scene.bars() if bar["state"] != "forming"]
        starts = [f"{bar['start']:%H:%M}" for bar in bars]
        assert starts == [f"12:{minute:02}" for minute in range(len(starts))], "every minute once"
        source = {start: bar["source"] for start, bar in zip(starts, bars, strict=True)}
        assert source["12:05"] == "finnhub" and source["12:15"] == "coingecko" and source["12:25"] == "finnhub"
        assert all(
            bar["completeness"] == 1 for start, bar in zip(starts, bars, strict=True) if "12:11" < start < "12:19"
        )
        mine, other = scene.bars("finnhub"), scene.bars("coingecko")
        assert {bar["source"] for bar in mine} == {"finnhub"} and {bar["source"] for bar in other} == {"coingecko"}
        spans = {row[:2]: row[2] for row in scene.coverage_of("finnhub")}
        [blind] = [span for span, state in spans.items() if state == "blind"]
        assert blind[0] <= "03-06 12:10" and blind[1] >= "03-06 12:20"
        assert [row[2] for row in scene.coverage_of("coingecko")][-1] == "blind", "asked no more, it is not quiet"
        statement = "select start, source, volume, completeness from chosen.bars where interval = '1m' order by start"
        told = Reader(scene.pipeline).sql(statement).table.to_pylist()
        assert told == [{name: bar[name] for name in ("start", "source", "volume", "completeness")} for bar in bars]
        for bar in mine:
            if "12:10" <= f"{bar['start']:%H:%M}" < "12:20":
                assert bar["completeness"] < 1, "a blind bar says so"


async def test_a_replay_sees_the_same_switches_and_tells_the_same_series(tmp_path: Path) -> None:
    scene = GroupScene(tmp_path / "old", Timeline(DAY + "12:00"), first(("12:05", "12:10")), second())
    async with scene.running():
        await scene.until(DAY + "12:16")
        scene.processed()
        settings = scene.settings.model_copy(update={"data": tmp_path / "new"})
        new = Pipeline(settings, scene.timeline.clock)
        Replay(scene.pipeline.past).run(new.ingest(past=scene.pipeline.past))
        new.process().catch_up()
        assert new.warm.switches(Query()).to_pylist() == scene.pipeline.warm.switches(Query()).to_pylist()
        asked = Query(("BTC-USD",), "1m", limit=100)
        assert Reader(new).bars(asked).equals(Reader(scene.pipeline).bars(asked))
        assert len(scene.switches()) == 2
        new.close()


async def test_when_every_provider_is_down_it_is_said_and_what_there_is_is_served_until_one_answers(
    tmp_path: Path,
) -> None:
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), first(("12:05", "12:15")), second(("12:00", "12:12")))
    async with scene.running():
        await scene.until(DAY + "12:10")
        scene.processed()
        assert scene.said("no feed of a group answers") and len(scene.bars()) >= 5
        group = scene.status()["groups"]["coins"]
        assert not group["answers"] and not any(feed["heard"] for feed in group["feeds"])
        await scene.until(DAY + "12:14")
        assert scene.used[-1][1] == "coingecko", "the first that answers"
        assert scene.said("a feed of a group answers again")
        await scene.until(DAY + "12:20")
        assert scene.used[-1][1] == "finnhub"
        assert Reader(scene.pipeline).in_use(("BTC-USD", "AAPL")) == {"BTC-USD": "coingecko"}, (
            "as far as it is processed"
        )
        scene.processed()
        assert Reader(scene.pipeline).in_use(("BTC-USD",)) == {"BTC-USD": "finnhub"}
        assert scene.status()["groups"]["coins"]["answers"]


async def test_a_first_choice_that_flaps_is_not_taken_again_before_it_is_steady(tmp_path: Path) -> None:
    flaps = [(f"12:{minute:02}", f"12:{minute:02}:40") for minute in range(5, 15)]
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), first(*flaps), second())
    async with scene.running():
        await scene.until(DAY + "12:25")
        assert [feed for _, feed in scene.used] == ["finnhub", "coingecko", "finnhub"]


async def test_a_first_choice_that_answers_without_a_price_between_failures_is_left_in_time(tmp_path: Path) -> None:
    """Its line is up and down in turn, and nothing comes of it: to be connected alone makes no feed good."""
    nothing = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}

    def flapping(_: str, now: int) -> Any:
        if now < us(DAY + "12:05"):
            return quote(60_000 + now // SECOND % 97, now)
        return nothing if (now - us(DAY + "12:05")) // (15 * SECOND) % 2 else response(503)

    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), finnhub(flapping), second(), switch_after="20s")
    async with scene.running():
        await scene.until(DAY + "12:10")
        [_, (left, to)] = scene.seconds_after(DAY + "12:05")
        assert to == "coingecko" and 20 <= left <= 15 + 30 + 5


async def test_a_key_that_is_revoked_ends_the_first_choice_and_the_next_one_goes_on(tmp_path: Path) -> None:
    refusal = response(401, b'{"error":"Please use an API key."}')
    shares = first(("12:05", "23:00"), reply=refusal)
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), shares, second())
    async with scene.running():
        await scene.until(DAY + "12:30")
        assert sum(at >= us(DAY + "12:05") for at, _ in shares.asked) == 1, "one refusal is enough"
        assert [feed for _, feed in scene.used] == ["finnhub", "coingecko"]
        scene.processed()
        assert scene.bars()[-1]["source"] == "coingecko" and "Finnhub wants a" in scene.switches()[0][2]


async def test_a_feed_that_answers_with_the_same_old_price_is_stale_beside_another(tmp_path: Path) -> None:
    """It is up and mute: nothing is wrong with its line. The other one is asked, and knows of newer prices."""
    frozen = us(DAY + "12:05")
    stuck = finnhub(lambda _, now: quote(60_000, min(now, frozen) if inside(now, ("12:05", "12:15")) else now))
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), stuck, second())
    async with scene.running():
        await scene.until(DAY + "12:25")
        assert [feed for _, feed in scene.used] == ["finnhub", "coingecko", "finnhub"]
        scene.processed()
        assert "older than that of another feed" in scene.switches()[0][2]
        blind = [row for row in scene.coverage_of("finnhub") if row[2] == "blind"]
        assert blind and blind[0][0] == "03-06 12:05", "blind from its last price on"


async def test_a_provider_whose_clock_is_behind_is_left_for_one_whose_prices_are_new(tmp_path: Path) -> None:
    behind = finnhub(lambda _, now: quote(60_000 + now // SECOND % 97, now - 600 * SECOND))
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), behind, second())
    async with scene.running():
        await scene.until(DAY + "12:10")
        assert [feed for _, feed in scene.used] == ["finnhub", "coingecko"]


async def test_a_provider_whose_clock_is_ahead_tells_what_is_refused_and_is_left(tmp_path: Path) -> None:
    ahead = finnhub(lambda _, now: quote(60_000 + now // SECOND % 97, now + 600 * SECOND))
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), ahead, second())
    async with scene.running():
        await scene.until(DAY + "12:10")
        assert [feed for _, feed in scene.used] == ["finnhub", "coingecko"]
        scene.processed()
        assert {bar["source"] for bar in scene.bars()} == {"coingecko"}, "what was refused makes no bars"


async def test_after_a_restart_the_feed_that_was_in_use_still_is(tmp_path: Path) -> None:
    scene = GroupScene(tmp_path, Timeline(DAY + "12:00"), first(("12:05", "12:20")), second())
    async with scene.running():
        await scene.until(DAY + "12:10")
        scene.processed()
        await scene.stop()
        scene.start()
        await scene.until(DAY + "12:11")
        assert [feed for _, feed in scene.used] == ["coingecko"]
