"""Which parts of a range are lacking: compared with going over every bar there should be."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tools.simulated.timeline import us

from tickhouse.core import sessions
from tickhouse.steps.lacking import lacking, split, united, without

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
START = 1_772_409_600_000_000
"""Monday, 2026-03-02."""
ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)).map(lambda r: (r[0], r[0] + r[1])), max_size=6)


def inside(found: list[tuple[int, int]]) -> set[int]:
    return {moment for a, b in found for moment in range(a, b)}


@given(ranges, ranges)
def test_ranges_are_sets_of_moments(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    assert inside(united(some)) == inside(some)
    assert inside(without(some, others)) == inside(some) - inside(others)
    assert inside(split(some, 7)) == inside(some)
    assert all(a // 7 == (b - 1) // 7 for a, b in split(some, 7))
    assert all(b < c for (_, b), (c, _) in zip(united(some), united(some)[1:], strict=False))


@given(st.sets(st.integers(0, 7 * 24 - 1)))
def test_of_coins_every_hour_without_a_bar_is_lacking(missing: set[int]) -> None:
    hours = set(range(7 * 24)) - missing
    starts = np.array(sorted(START + hour * HOUR for hour in hours), np.int64)
    found = lacking((START, START + 7 * DAY), starts, HOUR, "crypto")
    assert {(a + k - START) // HOUR for a, b in found for k in range(0, b - a, HOUR)} == missing


@given(st.sets(st.integers(0, 389)))
def test_of_shares_only_minutes_of_the_session_are_lacking(missing: set[int]) -> None:
    opened = us("2026-03-03T14:30")
    starts = np.array([opened + minute * MINUTE for minute in range(390) if minute not in missing], np.int64)
    found = lacking((us("2026-03-03T00:00"), us("2026-03-04T00:00")), starts, MINUTE, "equities")
    minutes = {at for a, b in found for at in range(a, b, MINUTE) if sessions.open_at("equities", at)}
    assert minutes == {opened + minute * MINUTE for minute in missing}


def test_days_are_those_of_sessions_over_holidays_half_days_and_changes_of_clocks() -> None:
    begin, end = us("2026-11-01T00:00"), us("2027-01-01T00:00")
    days = [at for at in range(begin, end, DAY) if sessions.expected_silence("equities", at, at + DAY) < DAY]
    assert len(days) == 42
    whole = np.array(days, np.int64)
    assert lacking((begin, end), whole, DAY, "equities") == []
    half = us("2026-11-27T00:00")
    without_half = whole[whole != half]
    found = lacking((begin, end), without_half, DAY, "equities")
    assert [datetime.fromtimestamp(a / 1e6, UTC).day for a, _ in found] == [26], "from Thanksgiving on"
    assert found[0][1] == us("2026-11-30T00:00")
