"""A process that asks for memory frugally, and gives it back, computes as any other."""

import subprocess
import sys

import pytest

SCRIPT = """
from tickhouse.core import memory
memory.frugal()
import pyarrow as pa
from numba import njit

@njit
def double(n):
    return 2 * n

def resident(name="Rss:", of="libllvmlite"):
    total, counted = 0, False
    for line in open("/proc/self/smaps"):
        first, *rest = line.split(maxsplit=5)
        if not first.endswith(":"):
            counted = of in rest[-1]
        elif counted and first == name:
            total += int(rest[0])
    return total

before = double(21), resident()
memory.give_back()
during = resident()

@njit
def triple(n):
    return 3 * n

print(pa.default_memory_pool().backend_name, before[0], triple(14), during < before[1] / 2)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="what is given back are pages of Linux")
def test_llvm_links_kernels_after_its_pages_were_given_back_too():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == ["system", "42", "42", "True"], done.stderr
