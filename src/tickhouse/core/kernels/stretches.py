"""Stretches of time of one state, run-length merged, one newest stretch for each series."""

from typing import Any

import numpy as np

from tickhouse.core.kernels import kernel

RUN = np.dtype([("start", "i8"), ("end", "i8"), ("missing", "i8"), ("state", "u1"), ("traded", "u1")], align=True)
"""A stretch of one state; `traded` is whether any trade is in it."""


@kernel
def paint(now: Any, past: Any, rows: Any, start: Any, end: Any, state: Any, traded: Any) -> None:
    """Put a stretch behind the newest of each series: it grows if it has the same state and touches, else it becomes `past`.

    `start` becomes the start of the stretch that each is now part of.
    """
    for i in range(rows.size):
        run = now[rows[i]]
        if run.state != state[i] or run.end != start[i]:
            past[rows[i]] = run
            run.start, run.state, run.traded = start[i], state[i], 0
        run.end, run.missing = end[i], 0
        run.traded |= traded[i]
        start[i] = run.start


def paint_reference(stretches: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Stretches (start, end, state) of one series in order, merged where they touch and are of the same state."""
    merged: list[tuple[int, int, int]] = []
    for start, end, state in stretches:
        grows = bool(merged) and merged[-1][1:] == (start, state)
        merged.append((merged.pop()[0] if grows else start, end, state))
    return merged
