"""The live status at a terminal: one calm panel, redrawn once a second."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tickhouse.core.errors import Temporary
from tickhouse.core.line import Health


async def show(session: Any) -> None:
    """Draw the state of a session until cancelled."""
    with Live(refresh_per_second=4, transient=True) as live:
        while True:
            live.update(await asyncio.to_thread(drawn, session))
            await asyncio.sleep(1.0)


def drawn(session: Any) -> Group:
    """The panel, or why there is none at the moment: a store may be away."""
    try:
        return panel(session)
    except Temporary as error:
        return Group(Text("tickhouse", style="bold"), Text(f"{error}; tickhouse goes on trying", style="bold red"))


def panel(session: Any) -> Group:
    """The panel of this moment."""
    stats, status = session.stats, session.reader.status()
    lag = stats.lag_ms()
    title = Text("tickhouse", style="bold")
    if status["simulated"]:
        title.append("  simulated data", style="yellow")
    title.append(f"  {session.address or ''}", style="cyan underline")
    figures = Table.grid(padding=(0, 3))
    for name in ("ticks/s", "ticks", "lag p50/p99 ms", "bars", "corrected", "anomalies"):
        figures.add_column(name, justify="right")
    figures.add_row(*(column.header for column in figures.columns), style="dim")
    figures.add_row(
        f"{stats.rate():,.0f}", f"{stats.ticks:,}", f"{_ms(lag['p50'])} / {_ms(lag['p99'])}", f"{stats.counts['bars']:,}",
        f"{stats.counts['corrected']:,}", f"{stats.counts['anomalies']:,}",
    )  # fmt: skip
    return Group(title, *outages(session.local.health), figures, *_ledger(status["ledger"]), _coverage(session.reader))


def outages(health: Mapping[str, Health]) -> list[Text]:
    """One sentence for each reason why lines are down."""
    down = [line for line in list(health.values()) if line.state == "down" and line.error]
    reasons = {line.error: max(one.attempts for one in down if one.error == line.error) for line in down}
    return [
        Text(f"{error}; tickhouse goes on trying ({attempts} so far)", style="bold red")
        for error, attempts in reasons.items()
    ]


def _ledger(rows: Mapping[str, Mapping[str, int]]) -> list[Text]:
    return [line for source, row in rows.items() for line in ledger_of(source, row)]


def ledger_of(source: str, row: Mapping[str, int]) -> list[Text]:
    """The ledger of a source as two sums, without the terms that are nothing.

    >>> row = dict(received=9, parsed=6, control=3, rejected=0, rows=6, accepted=6, duplicate=0, late=0, invalid=0, pending=0)
    >>> [text.plain for text in ledger_of("binance", {**row, "balanced": True})]
    ['binance  9 messages = 6 parsed + 3 control', '         6 ticks = 6 accepted  balances']
    """
    messages = _sum(row, "received", "messages", ("parsed", "control", "rejected"))
    ticks = _sum(row, "rows", "ticks", ("accepted", "duplicate", "late", "invalid", "pending"))
    verdict = Text("balances", style="green") if row["balanced"] else Text("does not balance", style="bold red")
    return [Text(f"{source}  {messages}"), Text(f"{' ' * len(source)}  {ticks}  ").append_text(verdict)]


def _sum(row: Mapping[str, int], whole: str, what: str, parts: Sequence[str]) -> str:
    terms = [f"{row[name]:,} {name}" for name in parts if row[name]]
    return f"{row[whole]:,} {what}" + (f" = {' + '.join(terms)}" if terms else "")


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
        table.add_row(Text(row["symbol"]), f"{row['price']:.10g}", cover["state"] if cover else "-", since)
    if len(latest) > shown:
        table.add_row(f"and {len(latest) - shown} more", "", "", "")
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
