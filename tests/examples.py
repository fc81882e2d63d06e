"""How many examples a property is tried with: some in the fast tests, all of them with `THOROUGH=yes`, as in `make slow`."""

import os

THOROUGH = os.environ.get("THOROUGH", "") not in ("", "no")


def tried(examples: int) -> int:
    """So many of them where it is to be thorough, else a fifth.

    >>> tried(100) in (20, 100)
    True
    """
    return examples if THOROUGH else max(examples // 5, 4)
