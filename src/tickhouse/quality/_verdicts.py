"""From a mask of rows to a verdict."""

import numpy as np
from numpy.typing import NDArray

from tickhouse.quality import Verdict

Mask = NDArray[np.bool_]


def rejected(check: str, reason: str, detail: str, wrong: Mask) -> list[Verdict]:
    """A verdict that refuses the rows where `wrong` is true; none when there are none."""
    return [Verdict(check, reason, detail, np.flatnonzero(wrong), reject=True)] if wrong.any() else []


def remarked(check: str, reason: str, detail: str, rows: NDArray[np.int64], severity: str) -> list[Verdict]:
    """A verdict that leaves the rows where they are; none when there are none."""
    return [Verdict(check, reason, detail, rows, severity=severity)] if len(rows) else []
