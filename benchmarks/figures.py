"""The measured figures as a page: what the machine is, the goals, and what was measured with which command."""

import json
import os
import platform
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "numba", "polars", "duckdb", "pyarrow", "pandas", "SQLAlchemy", "websockets", "uvicorn")

HEAD = """# Measured figures

Made by `make bench` (`python -m benchmarks.run --full`); the raw figures are in [figures.json](figures.json), and
each benchmark is one short file in `benchmarks/` that compares at least two things in one run and stops when a result
is wrong. The rates hold for the machine named here, and it was shared with other work while it measured (the load
average stands beside each figure), so believe a ratio rather than a rate. A peer's ratio is its time over that of
tickhouse, run in turn: above 1, tickhouse is faster. All peers' results were checked too.
"""


def machine() -> dict[str, Any]:
    """When this was measured, and how busy the machine was."""
    return {"date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()), "load": round(os.getloadavg()[0], 1)}


def described() -> str:
    """The machine and the versions of what matters, as a paragraph."""
    facts = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    processors = f"{len(os.sched_getaffinity(0))} processors ({facts[0] if facts else platform.machine()})"
    return (
        f"Machine: {processors}, {memory:.0f} GiB of memory, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; {versions}.\n"
    )


def rate(value: float) -> str:
    """A rate as a person reads it."""
    return f"{value / 1e6:.2f}M/s" if value >= 1e6 else f"{value:,.0f}/s"


def goals(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What was wished for, and what was measured: rows of (what, goal, measured)."""
    f = {name: one["figures"] for name, one in found.items()}
    for name, what, goal in (
        ("main", "raw JSON to bars and indicators, in the engine, 100 symbols", "2x DuckDB, 8x csp, 1.5M/s"),
        ("main_1000", "the same, 1,000 symbols", ""),
        ("main_10000", "the same, 10,000 symbols", "1.0M/s"),
    ):
        if name in f:
            peers = f[name]["peers"].items()
            ratios = "; ".join(f"{p} {_all(v['ratio_in_the_job'])}" for p, v in peers if "ratio_in_the_job" in v)
            skipped = "".join(f"; {p}: {v['skipped']}" for p, v in peers if "skipped" in v)
            yield what, goal, f"{rate(f[name]['ticks_per_s'])} (runs {_runs(f[name])}); ratios: {ratios}{skipped}"
    if "main_20m" in f:
        m = f["main_20m"]
        ratio = m["peers"]["duckdb_batch"]["ratio_as_a_process"]
        yield (
            "the same as a whole process, 20M ticks",
            "1.5x DuckDB",
            f"{rate(m['ticks_per_s_as_a_process'])}; DuckDB {_all(ratio)}",
        )
    if "columnar" in f:
        c = f["columnar"]
        text = (
            f"{rate(c['ticks_per_s'])} (runs {_runs(c)}); DuckDB {_all(c['peers']['duckdb_batch']['ratio_in_the_job'])}"
        )
        yield "Parquet ticks to bars and indicators", "3M/s, 1.3x DuckDB", text
    for row in f.get("latency", {}).get("latency", ()):
        what = f"one tick in, updated bar out, {row['ticks_per_s']:,} ticks/s, {row['symbols']:,} symbols"
        goal = f"p99 {'0.5' if row['ticks_per_s'] <= 10_000 else '1'} ms"
        yield what, goal, f"{_times(row['engine'])} (Polars each call: {_times(row['polars'])})"
    if "load" in f:
        one = f["load"]
        text = f"{rate(one['ticks_per_s'])} (runs {_runs(one)}), {rate(one['ticks_per_cpu_s'])} of processor time"
        yield "everything on, tape at full speed", "300,000/s", text
    yield from _feeds(f)
    yield from _serving(f)
    yield from _sizes(f)


def _feeds(f: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """A row for each feed: its channels, and how they compare with `json.loads`."""
    for name, channels in f.get("feeds", {}).get("feeds", {}).items():
        text = "; ".join(
            f"{channel} {rate(one['rows_per_s'])} ({one['times_as_fast_as_json_loads']}x)"
            for channel, one in channels.items()
        )
        yield f"messages of {name} to rows, against `json.loads` of the same bytes", "", text


def _serving(f: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    if "live" in f:
        for name, one in ((n, f["live"][n]) for n in ("busy", "quiet") if n in f["live"]):
            what = f"socket to bar on the WebSocket, {name}: {one['ticks_per_s']:,} ticks/s, {one['symbols']:,} symbols"
            goal = "p50 10 ms, p99 50 ms at 10,000/s" if name == "busy" else ""
            yield what, goal, f"{_times(one['received_to_bar'])}; from the trade: {_times(one['sent_to_bar'])}"
    if "api" in f:
        a = f["api"]
        text = f"JSON {_times(a['json'])}; CSV {_times(a['csv'])}; bare sqlite3 and json {_times(a['bare_sqlite3_and_json'])}"
        yield "API, a day of 1m bars (1,440 rows)", "", text
    if "fanout" in f:
        one = f["fanout"]["crowd"]
        text = (
            f"{_times(one)} ({one['prices_heard_per_s']:,} messages/s); one client alone {_times(f['fanout']['alone'])}"
        )
        yield f"WebSocket to {one['clients']:,} clients", "", text
    if "failover" in f:
        for fault, what in (("shut", "its connections break"), ("hushed", "its sockets stay open and mute")):
            yield _failover(f["failover"]["failover"], fault, what)
    if "stores" in f:
        s = f["stores"]
        text = "; ".join(f"{n} {rate(s[n]['store_per_s'])} ({s[n]['ratio']}x sqlite3)" for n in ("new", "again"))
        yield "upserts of bars into the warm store", "", text


def _failover(asked: dict[str, Any], fault: str, what: str) -> tuple[str, str, str]:
    one, least = asked[fault], asked["switch_after_s"] + (asked["stale_after_s"] if fault == "hushed" else 0)
    text = f"{one['to_the_next_s']} s (worst {one['worst_to_the_next_s']} s), {one['beyond_s']} s beyond that"
    return f"first feed fails ({what}), to the first price of the next", f"{least:g} s are set", text


def _sizes(f: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for row in f.get("state", {}).get("state", ()):
        text = f"{row['mib_per_1000_symbols']} MiB in memory, snapshot {row['snapshot_mib']} MiB in all"
        yield f"state per 1,000 symbols, with {row['symbols']:,}", "5 MiB", text
    for name in ("live", "memory"):
        if name in f:
            one = f[name]["busy"]
            m = one["rss_mib"]
            slope = f"{m['second_half_mib_per_minute']} MiB/min in the second half"
            text = f"{m['last']} MiB at the end ({m['own']} its own, the rest pages of files), at most {m['most']}, {slope}"
            yield (
                f"whole process, 1,000 symbols, {one['ticks_per_s']:,} ticks/s, {one['seconds']:g} s",
                "300 MiB, flat",
                text,
            )
    if "polled" in f:
        p = f["polled"]["polled"]
        rounds = p["rounds"]
        times = f"a round takes {_span(rounds, 'round_s')} s and {_span(rounds, 'cpu_s')} s of processor time"
        text = f"{p['peak_rss_mib']} MiB at most; {times}"
        yield f"{p['symbols']:,} polled symbols, every minute", "", text
    for one in f.get("quota", {}).get("quota_day", ()):
        what = f"calls of {one['feed']} in {one['hours']:g} hours, {one['symbols']} symbols every {one['wished_every']}"
        text = f"{one['calls']} of {one['allowed']:,} allowed, none refused; a round every {one['every_s']} s"
        yield what, "all that are of use, and no more than allowed", text
    if "start" in f:
        s = f["start"]
        text = f"{s['help_ms']:.0f} ms; import {s['import_beyond_python_ms']} ms beyond bare Python ({s['python_ms']:.0f} ms)"
        yield "cold start of `tickhouse --help`", "import within 150 ms", text
        yield "`up` to the first bar", "seconds", ", ".join(f"{one} s" for one in s["up_to_first_bar_s"])


def _span(rounds: list[dict[str, float]], name: str) -> str:
    """The least and the most of some rounds.

    >>> _span([{"cpu_s": 7.5}, {"cpu_s": 6}], "cpu_s")
    '6 to 7.5'
    """
    values = sorted(one[name] for one in rounds)
    return f"{values[0]:g} to {values[-1]:g}"


def _times(quantiles: dict[str, float]) -> str:
    return f"p50 {quantiles['p50_ms']} ms, p99 {quantiles['p99_ms']} ms"


def _all(ratios: list[float]) -> str:
    return " / ".join(f"{ratio}x" for ratio in ratios)


def _runs(figures: dict[str, Any]) -> str:
    rates = sorted(figures["each_run"])
    return f"{rate(rates[0])} to {rate(rates[-1])}"


NOTES = """## What is behind them

- *In the job* is from the first byte read to the last file written; interpreter, imports and loading compiled kernels
  from their cache are not in it. *As a whole process* has all of that.
- The job: event times up to 2 s out of order, 0.1 % duplicates, 0.01 % malformed lines; 1m and 5m bars, SMA, EMA,
  Bollinger bands, volatility and 3-sigma anomalies on closed 1m bars. Each peer's rows are compared with a plain
  batch computation to 1e-9 before its time counts. tickhouse parses in one thread and runs its engine in another, as
  ingest and process do in a house; DuckDB and Polars have two threads as well.
- In the live measurement, exchange, pipeline and client are three processes on the processors named above. It is the
  only one in which latency includes the journal's fsync.
- The memory of a live session was watched for minutes, not for an hour, unless the command says otherwise (`--hours
  1`).
"""


def write(found: dict[str, Any], path: Path) -> None:
    """Write the page."""
    rows = ["| what | goal | measured |", "| --- | --- | --- |"]
    rows += [f"| {what} | {goal} | {measured} |" for what, goal, measured in goals(found)]
    made = ["| figures | measured (UTC) | load | with |", "| --- | --- | --- | --- |"]
    made += [f"| {n} | {one['date']} | {one['load']} | `{one['command']}` |" for n, one in found.items()]
    raw = "\n".join(
        f"### {n}\n\n```json\n{json.dumps(found[n]['figures'])}\n```\n"
        for n in ("parse", "feeds", "journal", "lake")
        if n in found
    )
    text = [HEAD, described(), "\n".join(rows), NOTES, "## The commands", "\n".join(made), "## Parts of the way", raw]
    path.write_text("\n\n".join(part.strip() for part in text) + "\n")
