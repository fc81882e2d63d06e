"""What fuzz targets share: guidance by coverage where atheris is installed, and seeded mutations where it is not.

python tests/fuzz/fuzz_csv.py [--seconds 60] [--seed N]
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

BATCH = 200
KERNELS = Path(__file__).parents[2] / "src/tickhouse/core/kernels"
GUIDED = find_spec("atheris") is not None


def instrumented() -> AbstractContextManager[object]:
    """While the feeds are imported: atheris sees their branches. Compiled kernels stay as they are, for it cannot see into them."""
    if not GUIDED:
        return nullcontext()
    import atheris

    names = [f"tickhouse.core.kernels.{path.stem}" for path in KERNELS.glob("*.py")]
    context: AbstractContextManager[object] = atheris.instrument_imports(include=["tickhouse"], exclude=names)
    return context


def main(
    check: Callable[[bytes], object], trial: Callable[[random.Random, int], int], seeds: Iterable[bytes] = ()
) -> None:
    """Fuzz by coverage: `check` is given bytes that come from the `seeds`. Else by chance: `trial` makes and checks so many inputs
    with a random generator and says how many of them were good. Fails with the bytes at fault."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given, rest = parser.parse_known_args()
    if GUIDED:
        _by_coverage(check, seeds, [f"-max_total_time={int(given.seconds)}", f"-seed={given.seed}", *rest])
    choose, end, tried, good = random.Random(given.seed), time.monotonic() + given.seconds, 0, 0
    while time.monotonic() < end:
        good += trial(choose, BATCH)
        tried += BATCH
    sys.stdout.write(json.dumps({"seed": given.seed, "tried": tried, "good": good}) + "\n")


def _by_coverage(check: Callable[[bytes], object], seeds: Iterable[bytes], options: list[str]) -> NoReturn:
    import atheris

    corpus = tempfile.mkdtemp(prefix="tickhouse-fuzz-")
    for number, seed in enumerate(seeds):
        (Path(corpus) / f"{number:04}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus}/failed-", corpus], check)
    atheris.Fuzz()
    raise SystemExit


def guarded(body: Callable[[], int | None], shown: bytes) -> int:
    """The result of a check; the bytes that failed it are printed first."""
    try:
        return body() or 0
    except BaseException:
        sys.stderr.write(f"fails on {shown!r}\n")
        raise
