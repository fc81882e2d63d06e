"""Run-length merging against a plain loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tickhouse.core.kernels.stretches import RUN, paint, paint_reference


@given(steps=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=20))
def test_stretches_that_touch_and_are_alike_are_one(steps):
    now, past, given_, said = np.zeros(2, RUN), np.zeros(2, RUN), [], {}
    now["state"] = 255
    at = 100
    for gap, length, state in steps:
        given_.append((at + gap, at + gap + length, state))
        at += gap + length
        start = np.array([given_[-1][0]])
        traded = np.array([state == 1])
        paint(now, past, np.array([1]), start, np.array([at]), np.array([state], np.uint8), traded)
        said[int(start[0])] = (int(start[0]), at, state)
    expected = paint_reference(given_)
    assert list(said.values()) == expected
    assert (now["start"][1], now["end"][1], now["state"][1]) == expected[-1]
    if len(expected) > 1:
        assert (past["start"][1], past["end"][1], past["state"][1]) == expected[-2]
    assert now["state"][0] == 255
