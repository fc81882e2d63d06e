"""Little memory while a pipeline runs for days: how it is asked for, and giving it back to the system."""

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20
MAPS = Path("/proc/self/smaps")
DONT_NEED = 4
"""MADV_DONTNEED: let go of the pages; what a file has and nobody changed is read again when it is needed."""
IDLE = "libllvmlite"
"""LLVM links the compiled kernels when they are loaded and then does nothing, with over 80 MiB of its file in memory."""
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX of malloc.h."""


def frugal() -> None:
    """Have this process ask for memory in a way that it can give it back. To be called before pyarrow is imported.

    Arrow's own allocator keeps what it once had; glibc's keeps a pool a thread, and large blocks inside it. Where there is no
    glibc only Arrow hears of it.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if (system := _glibc()) is not None:
        for option, value in ((ARENA_MAX, 2), (MMAP_THRESHOLD, MIB), (TRIM_THRESHOLD, MIB // 8)):
            system.mallopt(option, value)


def give_back() -> None:
    """Let the system have what malloc holds free, and the pages of LLVM. Does nothing where there is no glibc."""
    if (system := _glibc()) is None:
        return
    system.malloc_trim(ctypes.c_size_t(0))
    for begin, end in _unchanged(IDLE):
        system.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), DONT_NEED)


def _glibc() -> ctypes.CDLL | None:
    system = ctypes.CDLL(None) if sys.platform == "linux" else None
    return system if hasattr(system, "malloc_trim") else None


def _unchanged(library: str) -> Iterator[tuple[int, int]]:
    """Where a library lies in memory just as in its file: what cannot be written to and never was."""
    place = ""
    for line in MAPS.read_text().splitlines():
        name, *rest = line.split(maxsplit=5)
        if not name.endswith(":"):
            place = name if rest and rest[0] in ("r-xp", "r--p") and library in rest[-1] else ""
        elif place and name == "Anonymous:" and rest[0] == "0":
            begin, end = place.split("-")
            yield int(begin, 16), int(end, 16)
