"""When markets are open, compared with the minutes of exchange_calendars and with the clocks of New York."""

import itertools
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickhouse.core import sessions
from tickhouse.core.errors import BadQuery, BadSetting
from tickhouse.core.sessions import expected_silence, next_open, open_at

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
FIRST, DAYS = 19_723, 731
"""Two years from 2024-01-01: half days, a day of mourning (2025-01-09) and four changes of the clocks."""
START, END = FIRST * DAY, (FIRST + DAYS) * DAY
moments = st.integers(START, END - 1)


def us(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return round(moment.timestamp()) * 1_000_000


def minutes(name: str) -> np.ndarray:
    """The minutes of START to END in which an exchange is open, by its calendar."""
    calendar = exchange_calendars.get_calendar(name, start="2023-12-20", end="2026-01-10", side="left")
    found = calendar.minutes.tz_convert(None).to_numpy("datetime64[us]").astype(np.int64)
    return found[(found >= START) & (found < END)]


NEW_YORK, HONG_KONG = minutes("XNYS"), minutes("XHKG")


@pytest.mark.parametrize(("market", "expected", "days"), [("equities", NEW_YORK, DAYS), ("XHKG", HONG_KONG, 90)])
def test_every_minute_is_open_or_closed_as_the_calendar_says(market: str, expected: np.ndarray, days: int) -> None:
    """And no market opens or closes inside a minute."""
    end = START + days * DAY
    expected = expected[expected < end]
    said = [at for at in range(START, end, MINUTE) if open_at(market, at)]
    assert np.array_equal(said, expected)
    edges = np.flatnonzero(np.diff(expected) > MINUTE)
    for at in (*expected[edges].tolist(), *expected[edges + 1].tolist()):
        assert open_at(market, at + MINUTE - 1)
    for at in (*(expected[edges] + MINUTE).tolist(), *(expected[edges + 1] - 1).tolist()):
        assert not open_at(market, at)


@given(at=moments)
def test_the_next_open_is_the_next_minute_of_the_calendar(at: int) -> None:
    found = next_open("equities", at)
    index = np.searchsorted(NEW_YORK, at - at % MINUTE)
    inside = index < len(NEW_YORK) and NEW_YORK[index] == at - at % MINUTE
    if inside:
        assert found == at
    elif index < len(NEW_YORK):
        assert found == NEW_YORK[index]
    assert open_at("equities", found)
    assert expected_silence("equities", at, found) == found - at


@given(since=moments, until=moments)
def test_the_expected_silence_is_what_is_left_of_the_minutes_of_the_calendar(since: int, until: int) -> None:
    since, until = since - since % MINUTE, until - until % MINUTE
    opened = int(np.searchsorted(NEW_YORK, until) - np.searchsorted(NEW_YORK, since)) * MINUTE
    assert expected_silence("equities", since, until) == (until - since - opened if since < until else 0)


@pytest.mark.parametrize("market", ["equities", "forex", "XHKG", "crypto"])
@given(cuts=st.lists(moments, min_size=3, max_size=3).map(sorted), extended=st.booleans())
def test_silence_adds_up_and_is_none_or_all_of_a_moment(market: str, cuts: list[int], extended: bool) -> None:
    extended = extended and market == "equities"
    first, middle, last = cuts
    parts = [
        expected_silence(market, a, b, extended=extended) for a, b in ((first, middle), (middle, last), (first, last))
    ]
    assert parts[0] + parts[1] == parts[2] <= last - first
    assert expected_silence(market, first, first + 1, extended=extended) == (
        not open_at(market, first, extended=extended)
    )
    assert next_open(market, first, extended=extended) >= first


@pytest.mark.parametrize(
    ("day", "opened", "closed", "before", "after"),
    [
        ("2024-03-08", "14:30", "21:00", "09:00", "01:00"),
        ("2024-03-11", "13:30", "20:00", "08:00", "00:00"),
        ("2024-07-03", "13:30", "17:00", "08:00", "21:00"),
        ("2024-11-01", "13:30", "20:00", "08:00", "00:00"),
        ("2024-11-04", "14:30", "21:00", "09:00", "01:00"),
        ("2024-11-29", "14:30", "18:00", "09:00", "22:00"),
        ("2025-12-24", "14:30", "18:00", "09:00", "22:00"),
    ],
)
def test_half_days_and_the_clocks_of_new_york(day: str, opened: str, closed: str, before: str, after: str) -> None:
    for start, end, extended in ((opened, closed, False), (before, after, True)):
        first, last = us(f"{day}T{start}"), us(f"{day}T{end}")
        last += DAY if end < start else 0
        assert [open_at("equities", at, extended=extended) for at in (first - 1, first, last - 1, last)] == [0, 1, 1, 0]
        assert expected_silence("equities", first - HOUR, last + HOUR, extended=extended) == 2 * HOUR


@pytest.mark.parametrize("day", ["2024-07-04", "2024-11-28", "2024-12-25", "2025-01-09", "2025-06-14"])
def test_holidays_and_weekends_are_closed_before_and_after_hours_too(day: str) -> None:
    first, last = (us(f"{day}T{hour}", "America/New_York") for hour in ("04:00", "20:00"))
    assert expected_silence("equities", first, last, extended=True) == last - first


@pytest.mark.parametrize(
    ("friday", "closes", "opens"),
    [
        ("2024-03-08", "22:00", "21:00"),
        ("2024-06-14", "21:00", "21:00"),
        ("2024-11-01", "21:00", "22:00"),
        ("2025-03-07", "22:00", "21:00"),
        ("2025-10-31", "21:00", "22:00"),
        ("2025-12-26", "22:00", "22:00"),
    ],
)
def test_forex_rests_from_friday_to_sunday_at_five_in_new_york(friday: str, closes: str, opens: str) -> None:
    """The weekends on which the clocks are set are an hour shorter or longer."""
    close, open_again = us(f"{friday}T{closes}"), us(f"{friday}T{opens}") + 2 * DAY
    assert [open_at("forex", at) for at in (close - 1, close, open_again - 1, open_again)] == [True, False, False, True]
    assert next_open("forex", close) == open_again
    assert expected_silence("forex", close - 3 * DAY, open_again + 3 * DAY) == open_again - close


@given(at=moments)
def test_forex_is_open_by_the_wall_clock_of_new_york(at: int) -> None:
    local = datetime.fromtimestamp(at // 1_000_000, UTC).astimezone(ZoneInfo("America/New_York"))
    into_week = timedelta(days=local.isoweekday() % 7, hours=local.hour, minutes=local.minute, seconds=local.second)
    assert open_at("forex", at) == (timedelta(hours=17) <= into_week < timedelta(days=5, hours=17))


@pytest.mark.parametrize("market", ["crypto", "economic", "files"])
@given(at=st.integers())
def test_what_never_closes_never_closes(market: str, at: int) -> None:
    assert open_at(market, at)
    assert next_open(market, at) == at
    assert expected_silence(market, at, at + 10 * DAY) == 0


def test_a_break_at_noon_is_silence() -> None:
    noon = us("2024-06-12T12:00", "Asia/Hong_Kong")
    assert [open_at("XHKG", at) for at in (noon - 1, noon, noon + HOUR - 1, noon + HOUR)] == [True, False, False, True]


def test_what_was_asked_first_does_not_change_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours are made for some years and later for more; a session may reach over New Year in UTC."""
    texts = ("2025-01-01T00:30", "2025-01-01T01:30", "1988-06-01T15:00", "1987-01-01T00:30", "2060-05-03T15:00")
    asked = [us(text) for text in texts]
    monkeypatch.setattr(sessions, "_known", {})
    said = [open_at("equities", at, extended=True) for at in asked]
    assert said == [True, False, True, True, True]
    sessions._known.clear()
    assert [open_at("equities", at, extended=True) for at in asked[::-1]] == said[::-1]


def test_a_market_that_there_is_not_is_named() -> None:
    with pytest.raises(BadSetting, match="XNYS"):
        open_at("nyse", START)
    with pytest.raises(BadSetting, match="extended"):
        open_at("XLON", START, extended=True)


@pytest.mark.parametrize("at", [-(10**19), us("1850-01-01"), us("2300-01-01"), 10**19])
@pytest.mark.parametrize("market", ["forex", "equities"])
def test_a_year_that_cannot_be_known_is_said_to_be_so(market: str, at: int) -> None:
    with pytest.raises(BadQuery):
        open_at(market, at)
    with pytest.raises(BadQuery):
        next_open("XHKG", us("2049-12-30"))


@given(moments, moments, st.sampled_from(["equities", "forex", "XLON", "XHKG"]))
def test_the_stretches_of_a_range_are_those_in_which_the_market_is_open(since: int, until: int, market: str) -> None:
    since, until = sorted((since, min(until, since + 40 * DAY)))
    found = sessions.stretches(market, since, until)
    assert all(start < end <= after for (start, end), (after, _) in itertools.pairwise(found))
    inside = sum(max(0, min(end, until) - max(start, since)) for start, end in found)
    assert inside == until - since - expected_silence(market, since, until)
    assert sessions.stretches("crypto", since, until) == [(since, until)]


def test_nothing_heavy_is_loaded_until_an_exchange_is_asked_for() -> None:
    code = (
        "import sys; from tickhouse.core.sessions import open_at\n"
        "open_at('crypto', 0), open_at('forex', 1764000000000000); print(*sys.modules)\n"
        "open_at('equities', 1764000000000000); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert not {"pandas", "numpy", "exchange_calendars"} & set(done[0].split())
    assert done[1] == "True"
