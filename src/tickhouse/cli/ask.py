"""Commands that ask a house: bars, ticks, series, indicators, anomalies, coverage, quality, trace, status, symbols, sql."""

from typing import Annotated, Any

import typer

from tickhouse.cli.common import (
    AsOf,
    Config,
    Data,
    End,
    Format,
    Json,
    Last,
    Source,
    Start,
    emit,
    emit_json,
    reading,
    say,
    wanted,
)
from tickhouse.cli.table import cell

Symbol = Annotated[str, typer.Argument(help="A symbol such as BTC-USDT or AAPL.")]
AnySymbol = Annotated[str | None, typer.Argument(help="A symbol such as BTC-USDT; all when left out.")]
Interval = Annotated[str, typer.Option("--interval", "-i", help="1m, 5m, ... as the house keeps them.")]
Versions = Annotated[bool, typer.Option("--versions", help="Every version, not only the newest.")]
HIDE = ("first_raw", "last_raw", "known_at")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (bars, ticks, series, indicators, anomalies, coverage, quality, symbols, trace, status, sql):
        app.command()(command)


def query(symbol: str | None = None, start: str | None = None, end: str | None = None, **rest: Any) -> Any:
    """The `Query` of a command's options."""
    import time

    from tickhouse.core.asking import question

    return question(time.time_ns() // 1000, symbol, start=start, end=end, **rest)


def emit_beside(table: Any, name: str, values: Any, form: str, hide: tuple[str, ...]) -> None:
    """Rows with values of indicators: an object called `name` in JSON, else a column each."""
    from tickhouse.core.values import flat, nested

    if form != "json":
        emit(flat(table, values), form, hide)
        return
    rows = zip(table.to_pylist(), nested(values, table.num_rows), strict=True)
    emit_json([{**row, name: found} for row, found in rows])


def bars(
    symbol: Symbol, interval: Interval = "1m", start: Start = None, end: End = None, as_of: AsOf = None, source: Source = None,
    last: Last = None, form: Format = "table", as_json: Json = False, data: Data = None, config: Config = None,
    versions: Versions = False,
    indicators: Annotated[str | None, typer.Option("--indicators", help="'all' that are kept, or any: 'sma(20) rsi(14)'.")] = None,
    adjust: Annotated[str, typer.Option("--adjust", help="For 'splits', or 'all': dividends too; 'none' is as stated.")] = "none",
) -> None:  # fmt: skip
    """Bars of a symbol, oldest first.

    Example: tickhouse bars BTC-USDT --interval 5m --last 20 --indicators "sma(20) rsi(14)"
    """
    from tickhouse.core.asking import listed

    rest = {"as_of": as_of, "source": source, "last": last, "versions": versions, "adjust": adjust}
    asked = query(symbol, start, end, interval=interval, **rest)
    with reading(data, config) as house:
        table = house.told(house.bars, asked)
        if not indicators:
            emit(table, wanted(form, as_json), HIDE)
            return
        values = house.beside(table, listed(indicators), asked.as_of, adjust)
    emit_beside(table, "indicators", values, wanted(form, as_json), HIDE)


def ticks(
    symbol: Symbol, start: Start = None, end: End = None, source: Source = None, last: Last = None, form: Format = "table",
    as_json: Json = False, data: Data = None, config: Config = None,
) -> None:  # fmt: skip
    """Ticks of a symbol by event time.

    Example: tickhouse ticks BTC-USDT --start -5m --format csv
    """
    if last is None and start is None:
        last = 100
    with reading(data, config) as house:
        emit(house.told(house.ticks, query(symbol, start, end, source=source, last=last)), wanted(form, as_json))


def indicators(
    symbol: Symbol, interval: Interval = "1m", start: Start = None, end: End = None, as_of: AsOf = None, source: Source = None,
    last: Last = None, form: Format = "table", as_json: Json = False, data: Data = None, config: Config = None,
    versions: Versions = False,
) -> None:  # fmt: skip
    """The indicators of each closed bar.

    Example: tickhouse indicators BTC-USDT --last 10
    """
    with reading(data, config) as house:
        asked = query(symbol, start, end, interval=interval, as_of=as_of, source=source, last=last, versions=versions)
        rows = house.told(house.indicators, asked)
        emit_beside(
            rows.drop_columns("values"), "values", house.picked(rows, ("all",)), wanted(form, as_json), ("known_at",)
        )


def anomalies(
    symbol: AnySymbol = None, interval: Annotated[str | None, typer.Option("--interval", "-i")] = None, start: Start = None,
    end: End = None, as_of: AsOf = None, form: Format = "table", as_json: Json = False, data: Data = None, config: Config = None,
) -> None:  # fmt: skip
    """What the detectors said.

    Example: tickhouse anomalies BTC-USDT --start -1d
    """
    with reading(data, config) as house:
        asked = query(symbol, start, end, interval=interval, as_of=as_of)
        emit(house.told(house.anomalies, asked), wanted(form, as_json), ("known_at", "retracted"))


def coverage(
    symbol: AnySymbol = None, start: Start = None, end: End = None, source: Source = None, form: Format = "table",
    as_json: Json = False, data: Data = None, config: Config = None,
) -> None:  # fmt: skip
    """When data came, when nothing traded, and when we were blind.

    Example: tickhouse coverage BTC-USDT --start -1d
    """
    with reading(data, config) as house:
        emit(house.told(house.coverage, query(symbol, start, end, source=source)), wanted(form, as_json))


def quality(
    symbol: AnySymbol = None,
    start: Start = None,
    end: End = None,
    form: Format = "table",
    as_json: Json = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """What the quality checks found.

    Example: tickhouse quality --start -1h
    """
    with reading(data, config) as house:
        emit(house.told(house.findings, query(symbol, start, end)), wanted(form, as_json), ("raw",))


def symbols(form: Format = "table", as_json: Json = False, data: Data = None, config: Config = None) -> None:
    """Every symbol of the house, with its source and the span of its bars.

    Example: tickhouse symbols
    """
    import pyarrow as pa

    from tickhouse.core.times import rfc3339

    with reading(data, config) as house:
        rows = [
            {
                "symbol": row["symbol"], "source": row["source"], "intervals": " ".join(row["intervals"]),
                "first": rfc3339(row["first_start"]), "last": rfc3339(row["last_start"]),
            } for row in house.symbols()
        ]  # fmt: skip
    emit(pa.Table.from_pylist(rows) if rows else pa.table({"symbol": pa.array([], pa.string())}), wanted(form, as_json))


def trace(
    symbol: Symbol, at: Annotated[str, typer.Argument(help="A time inside the bar, e.g. 2026-11-20T14:31.")],
    interval: Interval = "1m", source: Source = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Raw messages to show.")] = 20,
    as_json: Json = False, data: Data = None, config: Config = None,
) -> None:  # fmt: skip
    """A bar, its versions, and the raw messages behind it.

    Example: tickhouse trace BTC-USDT 2026-11-20T14:31 --interval 1m
    """
    import time

    from tickhouse.core.symbols import canonical
    from tickhouse.core.times import instant, rfc3339

    with reading(data, config) as house:
        found = house.trace(canonical(symbol), instant(at, time.time_ns() // 1000), interval, source, limit)
    for message in found["raw"]["messages"]:
        message["received_at"] = rfc3339(message["received_at"])
    if as_json:
        emit_json(found)
        return
    for version in found["versions"]:
        typer.echo("  ".join(f"{name}={cell(value)}" for name, value in version.items()))
    for part in found["coverage"]:
        typer.echo(
            f"coverage {part['state']} from {part['start']:%Y-%m-%d %H:%M:%S} to {part['end']:%Y-%m-%d %H:%M:%S}"
        )
    typer.echo(f"{found['ticks']} ticks and {found['raw']['count']} raw messages, {found['raw']['shown']} shown:")
    for message in found["raw"]["messages"]:
        typer.echo(
            f"{message['position']:>12}  {message['received_at']}  {message['lane']}  {message['channel']}"
            f"{' (the whole bar)' if message['whole'] else ''}  {cell(message['payload'][:200])}"
        )


def status(as_json: Json = False, data: Data = None, config: Config = None) -> None:
    """The ledger of each source, what is left of the quotas, and how far each part has come.

    Example: tickhouse status --json
    """
    from tickhouse.steps.quota import told

    with reading(data, config) as house:
        found = house.status()
    if as_json:
        emit_json(found)
        return
    typer.echo(
        f"house {found['house']}{'  (simulated data)' if found['simulated'] else ''}  {found['symbols']} symbols"
    )
    for source, row in found["ledger"].items():
        counts = (f"{name} {value:,}" for name, value in row.items() if name != "balanced")
        typer.echo(f"{source}: {'  '.join(counts)}")
        typer.echo(f"  the ledger {'balances' if row['balanced'] else 'DOES NOT BALANCE'}")
    for group, behind in found["journal"]["behind"].items():
        what = "wait for their object to be full" if group == "archive" else "behind"
        typer.echo(f"{group}: {behind:,} messages {what}")
    for name, group in found["groups"].items():
        typer.echo(_group(name, group))
    typer.echo(f"hot store: {found['hot']['message']}")
    for feed, quota in found["quota"].items():
        typer.echo(f"quota of {feed}: {told(quota)}{_until(quota)}")
    for name, process in found["roles"].items():
        said = "not running" if process is None else f"process {process or 'of several'}"
        typer.echo(f"role {name}: {said}")


def _group(name: str, group: dict[str, Any]) -> str:
    """A group as one line for a person."""
    feeds = [f"{one['feed']} {one['in_use']}{'' if one['heard'] else ' (not heard)'}" for one in group["feeds"]]
    last = group["switches"][-1] if group["switches"] else None
    told = f"; last {last['from_source']} to {last['to_source']} at {last['at']}: {last['reason']}" if last else ""
    return f"group {name}: {'' if group['answers'] else 'NO FEED ANSWERS; '}in use {', '.join(feeds)}{told}"


def _until(quota: dict[str, Any]) -> str:
    return f", the day ends at {quota['day_ends'][:16]}Z" if "day_ends" in quota else ""


def series(
    names: Annotated[list[str], typer.Argument(help="Series such as GDP or DGS10.")],
    start: Start = None, end: End = None, as_of: AsOf = None, source: Source = None, form: Format = "table",
    data: Data = None, config: Config = None,
    versions: Annotated[bool, typer.Option("--versions", help="Every vintage, not only the newest.")] = False,
) -> None:  # fmt: skip
    """Values of economic series by date: as they are known now, as they were known then, or every vintage.

    Example: tickhouse series GDP --as-of 2024-11-03
    """
    from dataclasses import replace

    from tickhouse.core.errors import UnknownSymbol
    from tickhouse.core.model import Query
    from tickhouse.core.symbols import series_names

    asked = replace(query(None, start, end, as_of=as_of, source=source, versions=versions), symbols=series_names(names))
    with reading(data, config) as house:
        table = house.observations(asked)
        for name in () if table.num_rows else names:
            if not house.observations(Query(series_names([name]), limit=1)).num_rows:
                raise UnknownSymbol(f"this house has no series {name}; `tickhouse backfill fred {name}` would fetch it")
    emit(table, form, ("raw",))


def sql(
    statement: Annotated[str, typer.Argument(help="One SELECT over bars, ticks, indicators, anomalies, coverage, ...")],
    form: Format = "table", as_json: Json = False, data: Data = None, config: Config = None,
) -> None:  # fmt: skip
    """Read-only SQL (DuckDB) over everything in the house.

    Example: tickhouse sql "select symbol, count(*), avg(completeness) from bars group by 1"
    """
    with reading(data, config) as house:
        answer = house.sql(statement)
    emit(answer.table, wanted(form, as_json))
    if answer.cut:
        say(f"cut: {answer.cut}")
