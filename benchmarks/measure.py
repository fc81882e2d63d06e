"""What several benchmarks share: quantiles, houses, processes that end with the block, and reading a stream."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import websockets

TICKHOUSE = (sys.executable, "-m", "tickhouse")
INSTALLED = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
from tickhouse.cli import main
main()
"""
LEAN = (sys.executable, "-c", INSTALLED)
"""tickhouse as it is installed: without pandas, a tool of development which pyarrow imports wherever it finds it."""


class Wrong(RuntimeError):
    """A result that is not what it must be: the figure beside it is worth nothing."""


def quantiles(seconds: Any) -> dict[str, float]:
    """p50, p99 and the maximum of times in seconds, as milliseconds."""
    times = np.asarray(seconds, np.float64) * 1e3
    if not times.size:
        raise Wrong("nothing was measured")
    p50, p99, most = (float(np.percentile(times, q)) for q in (50, 99, 100))
    return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "max_ms": round(most, 3)}


def ran(*command: str, **options: Any) -> tuple[float, str]:
    """Seconds and standard output of a command. Raises `Wrong` when it fails."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    took = time.perf_counter() - began
    if done.returncode:
        raise Wrong(f"{' '.join(command[-6:])} ended with {done.returncode}: {done.stderr[-800:]}")
    return took, done.stdout


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is told to stop at the end of the block. Raises `Wrong` when it ends badly."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as child:
        try:
            yield child
        finally:
            child.terminate()
            try:
                _, said = child.communicate(timeout=45)
            except subprocess.TimeoutExpired:
                child.kill()
                raise
            if child.returncode not in (0, -15):
                raise Wrong(f"{' '.join(command[-4:])} ended with {child.returncode}: {said.decode()[-800:]}")


@contextmanager
def exchange(rate: float, symbols: int, seconds: float) -> Iterator[dict[str, Any]]:
    """A simulated exchange in a process of its own: what it says of itself, and its symbols."""
    given = ("--port", "0", "--rate", str(rate), "--symbols", str(max(2, symbols)), "--for", f"{seconds:g}s", "--json")
    with process(*TICKHOUSE, "exchange", *given) as child:
        assert child.stdout is not None
        about = json.loads(child.stdout.readline())
        import httpx

        from tickhouse.core.symbols import split_pair

        listed = httpx.get(f"{about['url']}/api/v3/exchangeInfo", timeout=30).json()["symbols"]
        yield {**about, "symbols": [split_pair(row["symbol"]) for row in listed][:symbols]}


def settings_file(folder: Path, market: dict[str, Any], port: int, more: str = "") -> Path:
    """A tickhouse.toml for a house in the folder that listens to the market."""
    path = folder / "tickhouse.toml"
    path.write_text(
        f"data = {json.dumps(str(folder / 'house'))}\n[serve]\nport = {port}\nmax_clients = 2000\n{more}\n"
        f"[feeds.binance]\nsymbols = {json.dumps(market['symbols'])}\n"
        f"url = {json.dumps(market['url'])}\nws_url = {json.dumps(market['ws_url'])}\n"
    )
    return path


async def connected(url: str, patience: float = 60.0) -> websockets.ClientConnection:
    """A WebSocket to an address that may not listen yet."""
    end = time.monotonic() + patience
    while True:
        try:
            return await websockets.connect(url, max_size=None, compression=None, max_queue=None, ping_interval=None)
        except OSError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.01)


async def heard(socket_: websockets.ClientConnection, seconds: float) -> list[tuple[int, bytes]]:
    """Every message of a time with its receipt (UTC us); nothing is decoded meanwhile."""
    found: list[tuple[int, bytes]] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                text = await socket_.recv(decode=False)
                found.append((time.time_ns() // 1000, text))
    except TimeoutError:
        return found


def rss_mib(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and the part of it that is its own (not pages of files and libraries)."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("Rss")}
    return sum(found.values()), found["RssAnon"]


def show(figures: dict[str, Any] | Sequence[Any]) -> None:
    """Print the figures of a benchmark as JSON."""
    print(json.dumps(figures, indent=1))
