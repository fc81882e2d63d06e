"""Memory that is given back is really gone, and what runs goes on."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tickhouse.core import memory
from tickhouse.core.kernels import kernel


def resident_code(library: str) -> int:
    """How much of the code of a library is in memory (KiB)."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = library in line and " r-xp " in line
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc of Linux")
def test_the_code_of_the_compiler_is_let_go_and_kernels_still_compile_and_run():
    @kernel
    def doubled(values):
        return values * 2

    doubled(np.arange(3.0))
    before = resident_code(memory.IDLE)
    memory.give_back()
    after = resident_code(memory.IDLE)
    assert before > 8192, "the compiler was loaded"
    assert after < before / 4

    @kernel
    def tripled(values):
        return values * 3

    assert doubled(np.arange(3.0)).tolist() == [0, 2, 4]
    assert tripled(np.arange(3)).tolist() == [0, 3, 6]
