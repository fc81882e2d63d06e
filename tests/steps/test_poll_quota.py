"""Quotas of polled feeds: a day is spread over the hours that are wanted, and what is spent is spent for all processes."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tools.simulated.scene import Provider, Scene
from tools.simulated.site import response
from tools.simulated.timeline import Timeline, us

from tests.steps.polling import finnhub, global_quote, quote
from tickhouse.core.budget import Budget, day_end
from tickhouse.core.plan import Plan, planned
from tickhouse.core.requests import Pace

SYMBOLS = ("IBM", "AAPL", "MSFT", "KO", "PEP")
PACE = Pace(per_day=25, day_zone="America/New_York")


def alpha(path: str, now: int) -> object:
    """The quote that is asked for."""
    return global_quote(parse_qs(urlsplit(path).query)["symbol"][0], 100 + now % 5)


def alpha_vantage(reply: object = alpha) -> Provider:
    return Provider("alpha_vantage", {"symbols": SYMBOLS, "key": "k"}, reply)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pace", "left", "hours", "every"),
    [
        (Pace(), {}, 3600, 60),
        (Pace(per_day=10_000), {"day": 10_000}, 23_400, 60),
        (Pace(per_day=25), {"day": 20}, 23_400, 4680),
        (Pace(per_day=25), {"day": 12}, 7200, 2400),
        (Pace(per_day=25), {"day": 4}, 7200, 7260),
        (Pace(per_day=25), {"day": 0}, 0, 60),
        (Pace(per_minute=2), {}, 3600, 150),
        (Pace(per_minute=60, per_day=25), {"day": 24}, 23_400, 4680),
    ],
)
def test_what_is_left_is_spread_over_the_hours_that_are_left(
    pace: Pace, left: dict[str, int], hours: float, every: float
) -> None:
    plan = planned(60, 5, pace, left, hours)
    assert (plan.every, plan.wished) == (every, 60)
    assert plan.stretched == bool(plan.reason) == (every > 60)


def test_a_plan_that_is_kept_has_no_reason() -> None:
    assert planned(60, 0, Pace(per_day=1), {"day": 1}, 100) == Plan(60, 60)


async def test_a_day_of_25_calls_is_spread_over_the_session_and_that_is_said_once(tmp_path: Path) -> None:
    provider = alpha_vantage()
    async with Scene(tmp_path, Timeline("2026-03-06T14:00"), provider).running() as scene:
        await scene.until("2026-03-06T22:00")
        assert len(provider.asked) == 25
        rounds = provider.times[::5]
        assert rounds[0] > "03-06 14:29" and rounds[-1] > "03-06 19:00", "all day, not all at once"
        told = scene.said("polled every")
        assert len(told) == 1 and 4000 < told[0]["seconds"] < 5000
        assert "every" in scene.marks("alpha_vantage")[-1].detail, "and it is shown"
        assert not [row for row in scene.processed().coverage("IBM") if row[2] == "blind"]


async def test_a_quota_that_others_used_up_at_noon_comes_back_at_midnight_of_its_zone(tmp_path: Path) -> None:
    provider = Provider("fmp", {"symbols": ["AAPL"], "key": "k", "every": "10m", "per_day": 40, "closed": True}, fmp)
    async with Scene(tmp_path, Timeline("2026-03-06T09:00"), provider).running() as scene:
        await scene.until("2026-03-06T12:00")
        before = len(provider.asked)
        budget = Budget(tmp_path / "budget.db", scene.timeline.clock)
        while not budget.take("fmp", Pace(per_day=40)):
            pass
        await scene.until("2026-03-06T23:59")
        assert len(provider.asked) == before
        assert [fact["source"] for fact in scene.said("polling failed")] == ["fmp"]
        assert "there is room again" in scene.polls["fmp"].health.error
        await scene.until("2026-03-07T02:00")
        assert provider.times[before] >= "03-07 00:00" and len(provider.asked) > before + 1
        blind = [(a, b) for a, b, state in scene.processed().coverage("AAPL") if state == "blind"]
        assert "03-06 11:40" < blind[0][0] <= "03-06 12:00" and blind[-1][1] >= "03-07 00:00"


def fmp(path: str, now: int) -> object:
    """A quote in FMP's shape."""
    return [{"symbol": "AAPL", "price": 100 + now % 5, "timestamp": now // 1_000_000 - 5, "volume": 1000}]


async def test_a_restart_keeps_what_is_spent_and_when_the_next_round_is_due(tmp_path: Path) -> None:
    provider = alpha_vantage()
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), provider).running() as scene:
        for minute in range(1, 20):
            await scene.until(f"2026-03-06T15:{3 * minute:02}")
            await scene.stop()
            scene.start()
        await scene.until("2026-03-06T15:58")
        assert len(provider.asked) == 5, "twenty starts, one round"
        budget = Budget(tmp_path / "budget.db", scene.timeline.clock)
        assert budget.left("alpha_vantage", PACE) == {"day": 20}
        assert day_end(PACE, scene.timeline.clock.now()) == us("2026-03-07T05:00")
        await scene.until("2026-03-06T17:20")
        assert len(provider.asked) == 10
        assert not [row for row in scene.processed().coverage("IBM") if row[2] == "blind"]


async def test_more_symbols_than_a_minute_allows_take_longer_and_nothing_is_refused(tmp_path: Path) -> None:
    shares = finnhub(
        lambda _, now: quote(100, now), *(f"A{n:03}" for n in range(40)), per_minute=20, every="60s", per_second=0
    )
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), shares).running() as scene:
        await scene.until("2026-03-06T15:10")
        assert 160 <= len(shares.asked) <= 220
        for at, _ in shares.asked:
            assert sum(at - 60_000_000 < other <= at for other, _ in shares.asked) <= 20
        assert [fact["seconds"] for fact in scene.said("polled every")] == [120]


async def test_a_provider_that_asks_to_wait_is_left_alone_for_so_long(tmp_path: Path) -> None:
    limited = us("2026-03-06T15:05"), us("2026-03-06T15:10")
    refusal = response(429, b'{"error":"API limit reached."}', retry_after="900")
    shares = finnhub(lambda _, now: refusal if limited[0] <= now < limited[1] else quote(100, now), "AAPL")
    async with Scene(tmp_path, Timeline("2026-03-06T15:00"), shares).running() as scene:
        await scene.until("2026-03-06T15:40")
        inside = [at for at, _ in shares.asked if at >= limited[0]]
        assert inside[1] - inside[0] >= 900_000_000
        assert len(inside) > 10
