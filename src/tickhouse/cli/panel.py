"""The live status at a terminal: one calm panel, redrawn once a second."""

import asyncio
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text


async def show(session: Any) -> None:
    """Draw the state of a session until cancelled."""
    with Live(refresh_per_second=4, transient=True) as live:
        while True:
            live.update(await asyncio.to_thread(panel, session))
            await asyncio.sleep(1.0)


def panel(session: Any) -> Group:
    """The panel of this moment."""
    stats, status = session.stats, session.reader.status()
    lag = stats.lag_ms()
    title = Text("tickhouse", style="bold")
    if status["simulated"]:
        title.append("  simulated data", style="yellow")
    title.append(f"  {session.address or ''}", style="cyan underline")
    figures = Table.grid(padding=(0, 3))
    for name in ("ticks/s", "ticks", "lag p50/p99", "bars", "corrected", "anomalies"):
        figures.add_column(justify="right")
        del name
    figures.add_row("ticks/s", "ticks", "lag p50/p99 ms", "bars", "corrected", "anomalies", style="dim")
    figures.add_row(
        f"{stats.rate():,.0f}", f"{stats.ticks:,}", f"{_ms(lag['p50'])} / {_ms(lag['p99'])}", f"{stats.counts['bars']:,}",
        f"{stats.counts['corrected']:,}", f"{stats.counts['anomalies']:,}",
    )  # fmt: skip
    return Group(title, figures, _ledger(status["ledger"]), _coverage(session.reader))


def _ledger(rows: dict[str, dict[str, int]]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    names = ("received", "parsed", "control", "rejected", "rows", "accepted", "duplicate", "late", "invalid", "pending")
    for name in ("ledger", *names, ""):
        table.add_column(name, justify="right")
    for source, row in rows.items():
        verdict = Text("balances", style="green") if row["balanced"] else Text("does not balance", style="bold red")
        table.add_row(source, *(f"{row[name]:,}" for name in names), verdict)
    return table


def _coverage(reader: Any, shown: int = 12) -> Table:
    from tickhouse.core.model import Query

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("symbol", "price", "coverage", "since"):
        table.add_column(name, justify="left" if name == "symbol" else "right")
    newest: dict[str, dict[str, Any]] = {}
    for row in reader.coverage(Query()).to_pylist():
        if row["symbol"] not in newest or row["start"] > newest[row["symbol"]]["start"]:
            newest[row["symbol"]] = row
    latest = sorted(reader.latest(), key=lambda row: row["symbol"])
    for row in latest[:shown]:
        cover = newest.get(row["symbol"])
        since = f"{cover['start']:%H:%M}" if cover else "-"
        table.add_row(row["symbol"], f"{row['price']:.8g}", cover["state"] if cover else "-", since)
    if len(latest) > shown:
        table.add_row(f"and {len(latest) - shown} more", "", "", "")
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
