"""Giving memory back to the system while a pipeline runs for days."""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

MAPS = Path("/proc/self/maps")
DONT_NEED = 4
"""MADV_DONTNEED: let go of the pages; for the code of a library they are read again from its file when they are needed."""
IDLE = "libllvmlite"
"""LLVM links the compiled kernels when they are loaded and then does nothing, with 70 MiB of its code in memory."""


def give_back() -> None:
    """Let the system have what malloc holds free, and the code of LLVM. Does nothing where there is no glibc."""
    if sys.platform != "linux":
        return
    system = ctypes.CDLL(None)
    if hasattr(system, "malloc_trim"):
        system.malloc_trim(ctypes.c_size_t(0))
    for begin, end in _code(IDLE):
        system.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), DONT_NEED)


def _code(library: str) -> Iterator[tuple[int, int]]:
    """Where the code of a library lies: mapped from its file, executable, and so never written to."""
    for line in MAPS.read_text().splitlines():
        place, permissions, *rest = line.split(maxsplit=5)
        if permissions == "r-xp" and library in rest[-1]:
            begin, end = place.split("-")
            yield int(begin, 16), int(end, 16)
