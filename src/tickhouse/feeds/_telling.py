"""How a file is gone through, where that matters."""

from collections.abc import Callable

Tell = Callable[[int], None]
"""Is told how many bytes of the file have been gone through, as they lie on the disk."""


def unheard(done: int) -> None:
    """Nobody asks."""
