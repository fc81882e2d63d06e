"""From a mask of rows to a verdict."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.times import rfc3339
from tickhouse.quality import Verdict

Mask = NDArray[np.bool_]
Given = Callable[[int], str]


def rejected(check: str, reason: str, detail: str, wrong: Mask, given: Given | None = None) -> list[Verdict]:
    """A verdict that refuses the rows where `wrong` is true; none when there are none. `given` says what stands in a row."""
    return [Verdict(check, reason, detail, np.flatnonzero(wrong), reject=True, given=given)] if wrong.any() else []


def remarked(check: str, reason: str, detail: str, rows: NDArray[np.int64], severity: str) -> list[Verdict]:
    """A verdict that leaves the rows where they are; none when there are none."""
    return [Verdict(check, reason, detail, rows, severity=severity)] if len(rows) else []


def values(**columns: NDArray[Any]) -> Given:
    """What stands in a row of some columns, by their names; of one column, its value alone.

    >>> values(low=np.array([1.5]), high=np.array([1.0]))(0)
    'low 1.5, high 1'
    """
    if len(columns) == 1:
        (column,) = columns.values()
        return lambda row: _shown(column[row])
    return lambda row: ", ".join(f"{name} {_shown(column[row])}" for name, column in columns.items())


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, np.integer) else f"{value:.10g}"


def moments(column: NDArray[np.int64]) -> Given:
    """The time that stands in a row.

    >>> moments(np.array([0]))(0)
    '1970-01-01T00:00:00Z'
    """

    def shown(row: int) -> str:
        try:
            return rfc3339(int(column[row]))
        except (OverflowError, ValueError):
            return f"{column[row]} us after 1970"

    return shown
