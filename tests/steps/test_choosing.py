"""The choice of a feed: hysteresis against a slow reference, and stories of single faults."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tickhouse.core.clock import SECOND
from tickhouse.steps.choosing import BAD, GOOD, SILENT, UNKNOWN, Choice, Patience, Verdict

LEAVE, BACK = 10, 60
Seen = list[tuple[int, tuple[Verdict, ...]]]


def streak(seen: Seen, feed: int, verdict: Verdict, bridge: Verdict | None = None) -> int:
    """For how long up to the newest look a verdict held at every look, with looks of `bridge` between; -1 where it does not now."""
    if seen[-1][1][feed] is not verdict:
        return -1
    since = seen[-1][0]
    for at, verdicts in reversed(seen):
        if verdicts[feed] not in (verdict, bridge):
            break
        since = at if verdicts[feed] is verdict else since
    return seen[-1][0] - since


def chosen(seen: Seen, active: int) -> int:
    """The rule as it is written in the documents, over the whole history of looks."""
    verdicts = seen[-1][1]
    for feed in range(active):
        if streak(seen, feed, GOOD) >= BACK:
            return feed
    if streak(seen, active, BAD, bridge=UNKNOWN) < LEAVE:
        return active
    for feed, verdict in enumerate(verdicts):
        if verdict is GOOD:
            return feed
    for feed in range(active + 1, len(verdicts)):
        if verdicts[feed] is not BAD:
            return feed
    return active


looks = st.integers(1, 4).flatmap(
    lambda feeds: st.lists(
        st.tuples(st.integers(0, 40), st.tuples(*[st.sampled_from(Verdict)] * feeds)), min_size=1, max_size=60
    )
)


@given(looks)
def test_it_is_what_the_rule_says_over_the_whole_history(steps: list[tuple[int, tuple[Verdict, ...]]]) -> None:
    choice, now, active, seen = Choice(len(steps[0][1]), Patience(LEAVE, BACK)), 0, 0, Seen()
    for wait, verdicts in steps:
        now += wait
        seen.append((now, verdicts))
        active = chosen(seen, active)
        assert choice.step(now, verdicts) == active
        assert active < choice.wanted <= len(verdicts), "the one in use and those before it are asked"


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from((GOOD, BAD))), min_size=2, max_size=80))
def test_a_flapping_first_choice_does_not_make_the_choice_flap(steps: list[tuple[int, Verdict]]) -> None:
    """However it flaps: between leaving it and taking it again lies a time in which it was good without a break."""
    choice, now, history = Choice(2, Patience(LEAVE, BACK)), 0, list[tuple[int, int]]()
    for wait, verdict in steps:
        now += wait
        before = choice.active
        if choice.step(now, (verdict, GOOD)) != before:
            history.append((now, choice.active))
    for (left, _), (back, active) in pairwise(history):
        assert active == 1 or back - left >= BACK


def run(choice: Choice, *steps: tuple[int, tuple[Verdict, ...]]) -> list[int]:
    return [choice.step(at * SECOND, verdicts) for at, verdicts in steps]


def two() -> Choice:
    return Choice(2, Patience(LEAVE * SECOND, BACK * SECOND))


def test_a_short_fault_changes_nothing_and_a_lasting_one_does() -> None:
    assert run(two(), (0, (BAD, UNKNOWN)), (9, (BAD, UNKNOWN)), (9, (GOOD, UNKNOWN)), (12, (BAD, UNKNOWN))) == [0] * 4
    assert run(two(), (0, (BAD, UNKNOWN)), (10, (BAD, UNKNOWN))) == [0, 1]


def test_connecting_again_and_again_without_a_price_is_no_break_of_being_bad() -> None:
    flaps = [(second, (UNKNOWN if second % 2 else BAD, UNKNOWN)) for second in range(11)]
    assert run(two(), *flaps) == [0] * 10 + [1]
    assert run(two(), *flaps[:5], (5, (GOOD, UNKNOWN)), *flaps[6:]) == [0] * 11, "a price is"
    quiet = [(second, (UNKNOWN, UNKNOWN)) for second in range(2, 60)]
    assert run(two(), (1, (BAD, UNKNOWN)), *quiet) == [0] * 59, (
        "connected and quiet after one short fault, it is not left"
    )


def test_the_next_one_is_asked_only_when_it_is_needed() -> None:
    choice = two()
    run(choice, (0, (GOOD, UNKNOWN)))
    assert choice.wanted == 1
    run(choice, (1, (BAD, UNKNOWN)))
    assert choice.wanted == 1, "it may be over in a moment"
    run(choice, (11, (BAD, UNKNOWN)))
    assert choice.wanted == 2
    silent = two()
    run(silent, (0, (SILENT, UNKNOWN)))
    assert (silent.active, silent.wanted) == (0, 2), "asked, to compare, and not taken"
    run(silent, (1, (BAD, GOOD)))
    assert silent.wanted == 2, "what proves it is still asked"
    run(silent, (2, (GOOD, GOOD)))
    assert silent.wanted == 1


def test_when_none_is_good_it_stays_and_the_first_that_answers_is_taken() -> None:
    choice = two()
    assert run(choice, (0, (BAD, BAD)), (10, (BAD, BAD)), (500, (BAD, BAD))) == [0, 0, 0]
    assert choice.wanted == 2, "both are asked"
    assert run(choice, (501, (BAD, GOOD))) == [1]
    assert run(choice, (502, (GOOD, BAD)), (511, (GOOD, BAD)), (512, (GOOD, BAD))) == [1, 1, 0], (
        "good now is better than bad"
    )
