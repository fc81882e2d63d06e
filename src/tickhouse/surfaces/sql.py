"""Read-only SQL over the warm store and the lake, with limits on time, memory and the size of the answer.

A statement runs in a process of its own, because DuckDB's limit of memory does not hold for single large values nor for what
is fetched: what a statement breaks is that process and not ours.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from tempfile import TemporaryDirectory

import pyarrow as pa

from tickhouse.core.errors import BadQuery, SettingsError, Unreachable

FAULTS = {"away": Unreachable, "settings": SettingsError}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may use: seconds, bytes of memory, and how many rows and bytes it may answer."""

    seconds: float = 30.0
    memory: int = 1 << 30
    rows: int = 1_000_000
    bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data are: the URL of the warm store and the lake's globs; and the feeds of each symbol of a group."""

    warm: str
    ticks: str | None = None
    bronze: str | None = None
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    reach: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What DuckDB must be told to reach the lake, secrets included; nothing for files."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows, and a sentence when these are not all of them."""

    table: pa.Table
    cut: str | None = None


def query(place: Place, statement: str, limits: Limits | None = None) -> Answer:
    """The answer to one SELECT. Tables: bars, indicators, anomalies, findings, coverage, ledger, quality_metrics, symbols
    (times as TIMESTAMP WITH TIME ZONE), observations and actions; every version of a row in `versions.<table>`, every vintage in
    `versions.observations`; `ticks` and `bronze` from the lake; `chosen.bars` has of each window of a symbol the one source that
    a group takes, where `bars` has them all.

    Raises `BadQuery` with DuckDB's own words for a statement that is wrong, writes, reads elsewhere, or needs more than the limits,
    `Unreachable` when the server of the warm store does not answer, `MissingExtra`.
    """
    limits = limits or Limits()
    job = {
        "warm": place.warm,
        "ticks": place.ticks,
        "bronze": place.bronze,
        "groups": place.groups,
        "reach": place.reach,
        "statement": statement,
    }
    until = time.monotonic() + limits.seconds
    with TemporaryDirectory(prefix="tickhouse-sql-") as spill, _process(limits.seconds) as process:
        assert process.stdin and process.stdout and process.stderr
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(job | asdict(limits) | {"spill": spill}).encode())
        with suppress(pa.ArrowInvalid, OSError):
            table = pa.ipc.open_stream(process.stdout).read_all()
        said, status = process.stderr.read().decode(), process.wait()
    if status < 0:
        if status == -signal.SIGXCPU or time.monotonic() >= until:
            raise BadQuery(f"the statement ran longer than {limits.seconds:g} s; ask for less")
        raise BadQuery("the statement needs more memory than there is; ask for less")
    if status > 0:
        raise RuntimeError(f"the process of a statement failed: {said}")
    verdict = json.loads(said)
    if "refused" in verdict:
        raise FAULTS.get(verdict.get("fault"), BadQuery)(verdict["refused"])
    return Answer(table, verdict["cut"])


@contextmanager
def _process(seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """A process for a statement, which ends with the block and after so many seconds."""
    command = [sys.executable, "-P", "-m", "tickhouse.surfaces._sql_process"]
    # the pool that Arrow takes by default sets a gigabyte aside at its first use
    own = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "ARROW_DEFAULT_MEMORY_POOL": "system"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env={**os.environ, **own}, **pipes)  # type: ignore[call-overload]
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
