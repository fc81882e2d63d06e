"""What is evidence against a feed, and what is not."""

from dataclasses import replace

from tickhouse.core import sessions
from tickhouse.core.clock import SECOND
from tickhouse.steps.choosing import BAD, GOOD, SILENT, UNKNOWN
from tickhouse.steps.judging import Sign, judged

NOW, STALE = 1_000_000 * SECOND, 60 * SECOND
FRESH = Sign("connected", NOW - 500 * SECOND, said=NOW - SECOND, came=NOW - SECOND)


def always(since: int, until: int) -> int:
    return until - since


def verdicts(*signs: Sign | None) -> list[object]:
    return [one.verdict for one in judged(signs, NOW, STALE, always)]


def ago(seconds: int) -> Sign:
    """Connected, and its newest price is so old."""
    return replace(FRESH, said=NOW - seconds * SECOND, came=NOW - seconds * SECOND)


def test_what_is_down_is_bad_and_what_is_not_asked_is_unknown() -> None:
    assert verdicts(FRESH, None) == [GOOD, UNKNOWN]
    down = judged([replace(FRESH, state="down", error="503")], NOW, STALE, always)[0]
    assert (down.verdict, down.why) == (BAD, "503")
    assert verdicts(replace(FRESH, state="stopped")) == [BAD]


def test_silence_alone_is_no_fault_but_beside_a_newer_price_it_is() -> None:
    assert verdicts(ago(61)) == [SILENT]
    assert verdicts(ago(61), ago(61)) == [SILENT, SILENT]
    assert verdicts(ago(70), ago(9)) == [BAD, GOOD]
    assert verdicts(ago(70), ago(20)) == [SILENT, GOOD], "it is not so much newer"
    assert verdicts(ago(70), replace(ago(1), state="down")) == [SILENT, BAD], "the memory of what is down is no witness"


def test_a_polled_feed_may_take_two_rounds() -> None:
    assert verdicts(replace(ago(170), every=60 * SECOND), ago(1)) == [GOOD, GOOD]
    assert verdicts(replace(ago(190), every=60 * SECOND), ago(1)) == [BAD, GOOD]


def test_connected_is_not_good_until_a_price_came() -> None:
    reconnected = Sign("connected", NOW - 5 * SECOND, said=NOW - 20 * SECOND, came=NOW - 20 * SECOND)
    assert verdicts(reconnected) == [UNKNOWN]
    assert verdicts(replace(reconnected, came=NOW)) == [GOOD]
    assert verdicts(Sign("connecting", NOW - 59 * SECOND)) == [UNKNOWN]
    assert verdicts(Sign("connecting", NOW - 61 * SECOND)) == [BAD]


def test_a_clock_that_is_behind_makes_prices_stale_beside_another_feed() -> None:
    behind = replace(FRESH, said=NOW - 600 * SECOND)
    assert verdicts(behind, FRESH) == [BAD, GOOD]


def test_a_closed_market_is_silent_and_nobody_is_to_blame() -> None:
    friday, monday = 1_773_003_540_000_000 - 2 * 86_400 * SECOND, 1_773_063_000_000_000  # 20:59 UTC and 13:30 UTC
    sign = Sign("connected", friday - SECOND, said=friday, came=friday)

    def open_for(since: int, until: int) -> int:
        return until - since - sessions.expected_silence("equities", since, until)

    assert judged([sign], monday, 600 * SECOND, open_for)[0].verdict is GOOD
