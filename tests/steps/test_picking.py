"""Which source's bar counts: the rule against a slow reference, and what it means on the day of a switch."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tickhouse.core.clock import SECOND
from tickhouse.steps.picking import pick

MINUTE = 60 * SECOND
FEEDS = ("a", "b", "c")
SCHEMA = {"symbol": pl.String, "interval": pl.String, "start": pl.Datetime("us", "UTC"), "source": pl.String,
          "completeness": pl.Float64}  # fmt: skip


def moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / SECOND, UTC)


def bar(source: str, minute: int, completeness: float) -> dict[str, Any]:
    return {
        "symbol": "X",
        "interval": "1m",
        "start": moment(minute * MINUTE),
        "source": source,
        "completeness": completeness,
    }


def switch(at: int, to: str) -> dict[str, Any]:
    return {"symbol": "X", "at": moment(at), "to_source": to}


def picked(bars: list[dict[str, Any]], switches: list[dict[str, Any]]) -> dict[int, str]:
    found = pick(pl.DataFrame(bars, schema=SCHEMA), switches, {"X": FEEDS}, MINUTE)
    return {round(row["start"].timestamp()) // 60: row["source"] for row in found.to_dicts()}


def expected(bars: list[dict[str, Any]], switches: list[dict[str, Any]]) -> dict[int, str]:
    """The rule, word for word, one window after the other."""
    found = {}
    for start in {one["start"] for one in bars}:
        used, now = [], "a"
        for one in switches:
            if one["at"] <= start:
                now = one["to_source"]
            elif (one["at"] - start).total_seconds() < 60:
                used.append(one["to_source"])
        last = max(FEEDS.index(name) for name in [now, *used])
        here = {one["source"]: one["completeness"] for one in bars if one["start"] == start}
        known = [name for name in FEEDS if name in here]
        for some in (known[: sum(name in here for name in FEEDS[: last + 1])], known, sorted(here)):
            if some:
                found[round(start.timestamp()) // 60] = max(some, key=lambda name: (here[name], -some.index(name)))
                break
    return found


bars = st.lists(
    st.builds(bar, st.sampled_from((*FEEDS, "file")), st.integers(0, 5), st.sampled_from((0.0, 0.25, 0.5, 1.0))),
    min_size=1, max_size=20, unique_by=lambda one: (one["source"], one["start"]),
)  # fmt: skip
switches = st.lists(
    st.tuples(st.integers(0, 360), st.sampled_from(FEEDS)), max_size=5, unique_by=lambda one: one[0]
).map(lambda some: [switch(at * SECOND, to) for at, to in sorted(some)])


@given(bars, switches)
def test_it_is_the_rule(bars: list[dict[str, Any]], switches: list[dict[str, Any]]) -> None:
    assert picked(bars, switches) == expected(bars, switches)


def test_the_first_choice_counts_though_another_has_more() -> None:
    assert picked([bar("a", 0, 0.99), bar("b", 0, 1.0)], []) == {0: "a"}


def test_in_the_window_of_a_switch_the_more_complete_one_counts_and_later_the_one_in_use() -> None:
    some = [bar("a", 0, 0.3), bar("b", 0, 0.6), bar("a", 1, 0.1), bar("b", 1, 1.0)]
    assert picked(some, [switch(30 * SECOND, "b")]) == {0: "b", 1: "b"}


def test_a_hole_that_was_refilled_is_the_first_choices_own_again() -> None:
    some = [bar("a", 1, 1.0), bar("b", 1, 1.0), bar("b", 2, 1.0)]
    assert picked(some, [switch(30 * SECOND, "b")]) == {1: "a", 2: "b"}
