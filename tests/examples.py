"""How many examples a property is tried with: some in the fast tests, all of them with `THOROUGH=yes`, as in `make slow`."""

import os
from collections.abc import Sequence
from typing import Any

import pytest

THOROUGH = os.environ.get("THOROUGH", "") not in ("", "no")


def tried(examples: int) -> int:
    """So many of them where it is to be thorough, else a fifth.

    >>> tried(100) in (20, 100)
    True
    """
    return examples if THOROUGH else max(examples // 5, 4)


def some(cases: Sequence[Any], quick: int = 3) -> list[Any]:
    """Cases for `parametrize` of which each is dear: the first few belong to the fast tests, the others are slow."""
    rest = (case if isinstance(case, tuple) else (case,) for case in cases[quick:])
    return [*cases[:quick], *(pytest.param(*case, marks=pytest.mark.slow) for case in rest)]
