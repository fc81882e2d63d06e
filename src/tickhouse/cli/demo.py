"""The demo: a simulated exchange in a process of its own, the whole pipeline on it, and a summary at the end."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tickhouse.cli.common import say, settings
from tickhouse.cli.demo_feeds import named, sections
from tickhouse.cli.session import Session
from tickhouse.core.errors import SettingsError, Unreachable
from tickhouse.steps.notes import made, note
from tickhouse.targets.local import ROLES

SHOWN = ("rows", "accepted", "duplicate", "late", "invalid")


@dataclass(frozen=True, slots=True)
class Demo:
    """What is simulated, which feeds follow it, and where its house is (a temporary one unless given)."""

    rate: float
    symbols: int
    seed: int
    fault: str
    port: int
    data: Path | None
    feeds: str = "binance"

    def run(self, seconds: float | None, quiet: bool) -> dict[str, Any]:
        """Run the demo and return its summary."""
        with ExitStack() as stack:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="tickhouse-demo-"))
            data = self.data or Path(temporary)
            market = stack.enter_context(exchange(self.options()))
            symbols = self._symbols(market["url"])
            feeds = sections(named(self.feeds), market, symbols)
            found = settings(data, None, feeds=feeds, serve__port=self._port(quiet))
            note(made(found.data), simulated=True)
            if not quiet:
                say(f"simulated exchange on {market['url']}, {len(symbols)} symbols, {self.rate:g} trades a second")
                if list(feeds) != ["binance"]:
                    say(f"feeds: {', '.join(feeds)}")
            summary = Session(found, ROLES, quiet=quiet).run(seconds)
        if not quiet:
            report(summary)
        return summary

    def options(self) -> list[str]:
        """The options of the exchange's command line."""
        made = ["--rate", str(self.rate), "--symbols", str(max(self.symbols, 2)), "--seed", str(self.seed)]
        made += ["--fault", self.fault] if self.fault else []
        return (
            [*made, "--speak", ",".join(others)]
            if (others := [n for n in named(self.feeds) if n != "binance"])
            else made
        )

    def _symbols(self, url: str) -> list[str]:
        listed = httpx.get(f"{url}/_control/symbols", timeout=30).json()
        return [row["symbol"] if isinstance(row, dict) else row for row in listed][: self.symbols]

    def _port(self, quiet: bool) -> int:
        import socket

        with socket.socket() as probe:
            taken = self.port and probe.connect_ex(("127.0.0.1", self.port)) == 0
        if taken and not quiet:
            say(f"port {self.port} is taken, so the pages are on another one")
        return 0 if taken else self.port


@contextmanager
def exchange(options: list[str]) -> Iterator[dict[str, Any]]:
    """A simulated exchange in a process of its own; what it says of itself: `url`, `ws_url`."""
    command = [sys.executable, "-m", "tickhouse", "exchange", "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            said = process.communicate()[1].decode().strip().removeprefix("tickhouse: ")
            kind = SettingsError if process.returncode == 2 else Unreachable
            raise kind(f"the simulated exchange did not start: {said}")
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(10)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def report(summary: dict[str, Any]) -> None:
    """The summary for a person, on standard output."""
    lag = summary["lag_ms"]
    lines = [
        f"{summary['ticks']:,} ticks in {summary['seconds']:g} s ({summary['ticks_per_second']:,.0f}/s), "
        f"lag p50 {lag['p50']} ms, p99 {lag['p99']} ms",
        f"{summary['bars']:,} bars closed and {summary['history']:,} of the time before, {summary['corrected']:,} corrections, "
        f"{summary['anomalies']:,} anomalies, {summary['holes']:,} holes found, {summary['refilled']:,} refilled",
    ]
    for source, row in summary["ledger"].items():
        counts = ", ".join(f"{row[name]:,} {name}" for name in SHOWN)
        lines.append(f"ledger of {source}: {counts}: {'balances' if row['balanced'] else 'DOES NOT BALANCE'}")
    sys.stdout.write("\n".join(lines) + "\n")
