"""Quotas, retries and the breaker: the rules, on a clock moved by hand."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickhouse.core.breaker import Breaker
from tickhouse.core.budget import Budget
from tickhouse.core.clock import ManualClock
from tickhouse.core.errors import Busy, Final, RateLimited, Unreachable
from tickhouse.core.requests import Pace
from tickhouse.core.retry import Retry

MINUTE, DAY = Pace(per_minute=10), Pace(per_day=10)


@pytest.fixture
def budget(tmp_path: Path, clock: ManualClock) -> Budget:
    return Budget(tmp_path / "house" / "budget.db", clock)


def test_weight_a_minute_slides(budget: Budget, clock: ManualClock) -> None:
    assert budget.take("f", MINUTE, 6) == 0
    clock.move(20)
    assert budget.take("f", MINUTE, 4) == 0
    assert budget.take("f", MINUTE, 1) == 40
    assert budget.take("f", MINUTE, 7) == 60
    assert budget.take("g", MINUTE, 10) == 0, "each feed has its own"
    clock.move(40)
    assert budget.take("f", MINUTE, 6) == 0
    assert budget.left("f", MINUTE) == {"minute": 0}


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 10)), max_size=30))
def test_no_minute_ever_has_more_than_its_weight(steps: list[tuple[float, int]]) -> None:
    clock = ManualClock(1_767_225_600_000_000)
    budget = Budget(Path(":memory:"), clock)
    taken: list[tuple[int, int]] = []
    for pause, weight in steps:
        clock.move(pause)
        wait = budget.take("f", MINUTE, weight)
        if wait:
            clock.move(wait)
            assert budget.take("f", MINUTE, weight) == 0, "the wait it names is long enough"
        taken.append((clock.now(), weight))
    for end, _ in taken:
        assert sum(w for at, w in taken if end - 60_000_000 < at <= end) <= 10
    budget.close()


@pytest.mark.parametrize(("rate", "burst", "wait"), [(5.0, 5, 1.0), (1.0, 1, 1.0), (0.5, 1, 2.0), (0.005, 1, 200.0)])
def test_requests_a_second_do_not_count_weight(
    budget: Budget, clock: ManualClock, rate: float, burst: int, wait: float
) -> None:
    pace = Pace(per_second=rate)
    for _ in range(3):
        for _ in range(burst):
            assert budget.take("f", pace, 50) == 0
        assert budget.take("f", pace) == pytest.approx(wait)
        clock.move(wait)


def test_a_day_begins_at_midnight_of_its_zone(tmp_path: Path, clock: ManualClock) -> None:
    east, budget = Pace(per_day=10, day_zone="America/New_York"), Budget(tmp_path / "b.db", clock)
    for feed, pace, wait in (("utc", DAY, 86_400), ("east", east, 5 * 3600)):
        assert budget.take(feed, pace, 10) == 0
        assert budget.take(feed, pace) == wait
        assert budget.left(feed, pace) == {"day": 0}
    clock.move(5 * 3600)
    assert budget.take("east", east) == 0
    assert budget.take("utc", DAY) == 19 * 3600


def test_the_day_on_which_clocks_change_has_an_hour_less_or_more(tmp_path: Path) -> None:
    pace = Pace(per_day=1, day_zone="America/New_York")
    for first, hours in (("2026-03-08T05:00:00", 23), ("2026-11-01T04:00:00", 25)):
        clock = ManualClock(round(datetime.fromisoformat(f"{first}+00:00").timestamp()) * 1_000_000)
        budget = Budget(tmp_path / f"{hours}.db", clock)
        assert budget.take("f", pace) == 0
        assert budget.take("f", pace) == hours * 3600


def test_more_than_the_limit_itself_passes_alone(budget: Budget, clock: ManualClock) -> None:
    assert budget.take("f", MINUTE, 50) == 0
    assert budget.take("f", MINUTE, 50) == 60


def test_a_restart_keeps_the_budget_and_the_ban(tmp_path: Path, clock: ManualClock) -> None:
    first = Budget(tmp_path / "b.db", clock)
    assert first.take("f", Pace(per_minute=10, per_day=15), 10) == 0
    first.ban("g", 100)
    first.ban("g", 5)
    first.close()
    again = Budget(tmp_path / "b.db", clock)
    assert again.left("f", Pace(per_minute=10, per_day=15)) == {"minute": 0, "day": 5}
    assert again.take("g", Pace()) == 100
    clock.move(100)
    assert again.take("g", Pace()) == 0


def test_a_clock_put_back_does_not_block(budget: Budget, clock: ManualClock) -> None:
    assert budget.take("f", MINUTE, 10) == 0
    clock.move(-3600)
    wait = budget.take("f", MINUTE, 1)
    assert wait <= 60


PROCESS = """
import sys
from pathlib import Path
from tickhouse.core.budget import Budget
from tickhouse.core.clock import ManualClock
from tickhouse.core.requests import Pace
budget = Budget(Path(sys.argv[1]), ManualClock(1_767_225_600_000_000))
print(sum(budget.take("f", Pace(per_minute=150)) == 0 for _ in range(100)))
"""


def test_two_processes_share_one_budget(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "b.db")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = [int(process.communicate()[0]) for process in running]
    assert sum(taken) == 150
    assert all(process.returncode == 0 for process in running)


def test_a_file_that_is_no_budget_is_said(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "b.db").write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(Busy, match=r"cannot open .*b\.db, where the quotas are counted"):
        Budget(tmp_path / "b.db", clock)


def test_backoff_is_capped_and_fully_jittered() -> None:
    retry = Retry(attempts=100, first=0.5, most=8.0, random=Random(7))
    for failures in range(1, 99):
        waits = [retry.wait(failures, Unreachable("x")) or 0 for _ in range(50)]
        top = min(8.0, 0.5 * 2 ** (failures - 1))
        assert 0 <= min(waits) < 0.3 * top
        assert 0.7 * top < max(waits) <= top


def test_retry_after_is_honoured_up_to_patience_and_attempts_are_bounded() -> None:
    retry = Retry(attempts=3, patience=60)
    wait = retry.wait(1, RateLimited("x", retry_after=10))
    assert wait is not None
    assert 10 <= wait <= 11
    assert retry.wait(1, RateLimited("x", retry_after=61)) is None
    assert retry.wait(3, Unreachable("x")) is None
    assert retry.wait(1, Final("x")) is None


def test_the_breaker_opens_probes_and_closes(clock: ManualClock) -> None:
    breaker = Breaker(clock, failures=3, rest=30)
    for _ in range(2):
        assert breaker.enter() == 0
        breaker.failed("down")
    breaker.succeeded()
    for _ in range(3):
        assert (breaker.state, breaker.enter()) == ("closed", 0)
        breaker.failed("down")
    assert (breaker.state, breaker.enter(), breaker.reason) == ("open", 30, "down")
    clock.move(30)
    assert (breaker.state, breaker.enter()) == ("half-open", 0)
    assert breaker.enter() > 0, "one probe at a time"
    breaker.failed("still down")
    assert breaker.enter() == 30
    clock.move(30)
    assert breaker.enter() == 0
    breaker.left()
    assert breaker.enter() == 0, "a probe that was cancelled says nothing"
    breaker.succeeded()
    assert (breaker.state, breaker.enter()) == ("closed", 0)


def test_what_a_host_asks_for_is_not_undone_by_an_older_success(clock: ManualClock) -> None:
    breaker = Breaker(clock)
    breaker.open_for(7200, "banned")
    breaker.succeeded()
    assert breaker.enter() == 7200
    breaker.open_for(5)
    assert breaker.enter() == 7200
