"""The compiled code: what runs once per tick, and nothing else.

Each file holds kernels and, beside each, its plain Python reference that the tests compare it with. Import a
kernel file where it is used, not at module level of a room: numba costs half a second, and `import tickhouse`
and `tickhouse --help` must not pay it.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function for arrays: cached on disk, without the interpreter lock, IEEE arithmetic as written."""
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))
