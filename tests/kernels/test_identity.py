"""Trade ids against plain sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.kernels.identity import DENIED, NEW, REPEAT, new_reference, tells
from tickhouse.process.identity import DenseIds, UniqueIds
from tickhouse.process.windows import Columns

Ticks = list[tuple[int, int, int]]
ticks = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-1, 40), st.sampled_from([0, 0, 0, 1, 5])).map(
        lambda t: (t[0], t[1], t[1] + t[2] if t[1] >= 0 else -1)
    ),
    min_size=1,
    max_size=80,
)


def columns(rows: Ticks) -> Columns:
    """Ticks as columns; the event time is ten times the id."""
    series, first, last = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    n, f = len(rows), np.zeros(len(rows))
    row = series.astype(np.int32)
    return Columns(row, first * 10, first, f, f, first, last, first, row, np.zeros(1, np.uint8), np.zeros(n, np.uint8))


def judged(dense: DenseIds, rows: np.ndarray, given_: Ticks, step: int) -> list[bool]:
    c = columns(given_)
    for begin in range(0, len(given_), step):
        dense.judge(rows, c, begin, min(begin + step, len(given_)))
    return c.new.astype(bool).tolist()


@settings(max_examples=tried(200), deadline=None)
@given(rows=ticks, step=st.integers(1, 20))
def test_dense_ids_are_new_exactly_once(rows, step):
    dense = DenseIds(10**9)
    series = dense.add(range(3))
    assert judged(dense, series, rows, step) == new_reference(rows)


@settings(max_examples=tried(200), deadline=None)
@given(lanes=st.lists(ticks, min_size=1, max_size=6), ended=st.booleans())
def test_dense_ids_are_known_over_lanes_also_when_these_have_ended(lanes, ended):
    dense, expected = DenseIds(10**9), new_reference([row for rows in lanes for row in rows])
    got = []
    for rows in lanes:
        series = dense.add(range(3))
        got += judged(dense, series, rows, 7)
        if ended:
            dense.retire(series.tolist(), range(3))
        arrays, values = dense.snapshot()
        dense = DenseIds.restored(arrays, values)
    assert got == expected


@settings(max_examples=tried(200), deadline=None)
@given(lanes=st.lists(ticks, min_size=1, max_size=3), dice=st.randoms(use_true_random=False))
def test_an_id_that_changes_what_is_known_of_the_past_tells_so_beforehand(lanes, dice):
    """Asked before it is judged, of series whose gaps are settled now and then and that wait for proof: none is overlooked."""
    dense = DenseIds(10**9)
    for given_ in lanes:
        series = dense.add(range(3))
        c = columns(given_)
        for i, (row, first, last) in enumerate(given_):
            if dice.random() < 0.2:
                dense.settle(series, dice.randrange(400))
            if dice.random() < 0.2 and dense.ids["top"][series[row]] >= 0:
                dense.ids["unproven"][series[row]] = 0
            ahead = first >= 0 and tells(dense.ids, dense.gaps, series[row], first, last)
            dense.judge(series, c, i, i + 1)
            changed = bool(dense.take_changes(np.arange(dense._used, dtype=np.int32)))
            assert ahead or not changed, (i, given_)


@settings(max_examples=tried(200), deadline=None)
@given(rows=ticks)
def test_losses_are_the_ids_between_the_first_and_the_last_that_were_not_seen(rows):
    dense = DenseIds(10**9)
    series = dense.add(range(3))
    new = judged(dense, series, rows, 7)
    losses = dense.settle(series, 10**9)
    for code in range(3):
        seen = {
            i
            for (s, a, b), fresh in zip(rows, new, strict=True)
            if s == code and fresh and a >= 0
            for i in range(a, b + 1)
        }
        lost = {i for index, first, last, _, _ in losses if index == code for i in range(first, last + 1)}
        assert lost == (set(range(min(seen), max(seen))) - seen if seen else set())
        every = dense.missing(series[[code]], np.array([-(10**9)]), np.array([10**9]))
        assert every.tolist() == [len(lost)]
    assert not dense.settle(series, 10**9)


@settings(max_examples=tried(300), deadline=None)
@given(lanes=st.lists(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=40), max_size=3))
def test_refused_ids_are_neither_seen_nor_lost_and_are_new_when_they_are_taken(lanes):
    """Against plain sets: of one symbol over several lanes, ticks and refusals in any order."""
    dense = DenseIds(10**9)
    series = [int(dense.add([0])[0]) for _ in lanes]
    seen: set[int] = set()
    own: list[tuple[set[int], set[int], set[int]]] = [(set(), set(), set()) for _ in lanes]
    for row, ticks_, (mine, refused, noted) in zip(series, lanes, own, strict=True):
        for number, denied in ticks_:
            first, last = 4 * number, 4 * number + number % 4
            ids = set(range(first, last + 1))
            c = columns([(0, first, last)])
            c.new[:] = DENIED if denied else NEW
            dense.judge(np.array([row], np.int32), c, 0, 1)
            if denied:
                assert c.new[0] == DENIED
                if mine and not ids & seen and last > min(mine):
                    refused.update(ids)
                    noted.update(ids)
                    for other, denials, known in own:
                        denials.update(ids if other and min(other) < first and last <= max(known) else ())
                continue
            assert c.new[0] == (REPEAT if ids & seen else NEW)
            if c.new[0] == NEW:
                seen |= ids
                mine.update(ids)
                noted.update(ids)
                for _, denials, _ in own:
                    denials.difference_update(ids)
    for row, (mine, refused, noted) in zip(series, own, strict=True):
        dense.settle(np.array([row], np.int32), 10**9)
        lost = {i for _, a, b, _, _ in dense.losses(np.array([row])) for i in range(a, b + 1)}
        assert lost == (set(range(min(mine), max(noted))) - seen - refused if mine else set())


def test_a_loss_says_between_which_times_its_trades_took_place():
    dense = DenseIds(10**9)
    series = dense.add([0])
    judged(dense, series, [(0, 1, 1), (0, 9, 9), (0, 4, 4)], 3)
    assert dense.settle(series, 90) == [(0, 2, 3, 10, 40)]
    assert dense.settle(series, 91) == [(0, 5, 8, 40, 90)]
    assert dense.missing(series[[0, 0, 0]], np.array([0, 20, 41]), np.array([10, 40, 42])).tolist() == [0, 2, 4]


def test_ids_that_fill_a_loss_say_which_time_has_changed():
    dense = DenseIds(10**9)
    series = dense.add([0])
    judged(dense, series, [(0, 1, 1), (0, 9, 9)], 3)
    dense.settle(series, 1000)
    judged(dense, series, [(0, 5, 5), (0, 10, 10)], 3)
    assert dense.take_changes(series) == [(0, 10, 90)]
    assert not dense.take_changes(series)


def test_a_venue_that_counts_anew_is_known_by_the_time_of_its_ids():
    dense = DenseIds(100)
    series = dense.add([0])
    c = columns([(0, i, i) for i in (5, 6, 8, 6, 5, 6, 7)])
    c.event_time[:] = [50, 60, 80, 180, 181, 182, 183]
    dense.judge(series, c, 0, 7)
    assert c.new.tolist() == [1, 1, 1, 0, 1, 1, 1]
    assert not dense.settle(series, 10**9)


def test_what_another_lane_has_seen_is_no_loss():
    dense = DenseIds(10**9)
    one, two = (dense.add([0]) for _ in range(2))
    judged(dense, one, [(0, i, i) for i in (3, 4, 5, 8)], 3)
    judged(dense, two, [(0, i, i) for i in (1, 2, 3, 10)], 3)
    assert dense.settle(two, 10**9) == [(0, 6, 7, 20, 100), (0, 9, 9, 20, 100)]
    assert dense.settle(one, 10**9) == [(0, 6, 7, 50, 80)]
    assert dense.knows_earlier(int(one[0])) and not dense.knows_earlier(int(two[0]))


@settings(max_examples=tried(200), deadline=None)
@given(rows=ticks, step=st.integers(1, 20))
def test_unique_ids_are_new_once_within_two_generations(rows, step):
    rows = [(series, last, last) for series, _, last in rows]
    unique, c = UniqueIds(), columns(rows)
    for begin in range(0, len(rows), step):
        unique.judge(c, begin, min(begin + step, len(rows)))
        unique.turn(begin, 10**9)
    assert c.new.astype(bool).tolist() == new_reference(rows)


def test_unique_ids_grow_and_are_forgotten_after_two_turns():
    unique = UniqueIds()
    many = [(0, i, i) for i in range(5000)]

    def fresh() -> int:
        c = columns(many)
        unique.judge(c, 0, len(many))
        return int(c.new.sum())

    assert fresh() == 5000
    unique.turn(10, 10)
    assert fresh() == 0
    unique.turn(20, 10)
    assert fresh() == 0
    unique.turn(30, 10)
    unique.turn(40, 10)
    assert fresh() == 5000
