"""A table for a person: as many columns as fit the terminal, and never half a number."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

GAP = 2
SHORTEST_TEXT = 24
LEAST = (
    "known_at", "version", "vwap", "received_at", "first_raw", "last_raw", "raw", "interval", "source", "trades", "channel",
    "volume",
)  # fmt: skip
"""The columns that are left out first where there is no room, the least wanted first."""
Cells = Sequence[str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column as it is printed."""

    name: str
    cells: Cells
    number: bool = False
    time: bool = False

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes."""
        from rich.cells import cell_len

        return max(map(cell_len, (self.name, *self.cells)))


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fits: the columns, what all rows have in common, and the names of what was left out."""

    columns: Sequence[Column]
    common: Sequence[str] = ()
    missing: Sequence[str] = ()


def show(frame: Any) -> None:
    """Print a Polars frame on standard output."""
    import polars as pl
    from rich.console import Console

    terminal = sys.stdout.isatty()
    if frame.is_empty():
        sys.stdout.write("no rows\n")
        return
    dated = frame.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S"))
    columns = [
        Column(name, [cell(value) for value in dated[name]], kind.is_numeric(), kind.base_type() is pl.Datetime)
        for name, kind in frame.schema.items()
    ]
    console = Console(highlight=False, markup=False)
    fitted = fit(columns, console.width) if terminal else Fitted(columns)
    if terminal and frame.height == 1 and (fitted.missing or _width(columns) > console.width):
        _one(columns)
        return
    if fitted.common:
        console.print("  ".join(fitted.common), style="dim")
    width = console.width if terminal else max(_width(columns), 1)
    Console(width=width, highlight=False, markup=False).print(_table(fitted.columns), soft_wrap=False)
    if fitted.missing:
        sys.stderr.write(f"left out: {', '.join(fitted.missing)}; a wider terminal or --format csv shows them\n")


def cell(value: Any) -> str:
    """A value as a person reads it; what would move the cursor is written out.

    >>> cell(0.1 + 0.2), cell(None), cell("a\\n\\x1b[1m")
    ('0.3', '-', 'a\\\\n\\\\x1b[1m')
    """
    if value is None:
        return "-"
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def fit(columns: Sequence[Column], room: int) -> Fitted:
    """The columns that fit so many columns of a terminal.

    As far as need be, what all rows have in common is said once, then the least wanted columns go, then texts are cut; a number
    never is.
    """
    if _width(columns) <= room:
        return Fitted(columns)
    columns, days = _shorter(columns)
    same = {column.name: column.cells[0] for column in columns if _is_common(column)}
    columns, lifted = _without(
        columns, room, lambda left: _least([name for name in left[1:] + left[:1] if name in same])
    )
    columns, missing = _without(columns, room, lambda left: next((name for name in LEAST if name in left), None))
    columns, more = _without(_cut(columns, room), room, lambda left: left[-1] if len(left) > 1 else None)
    return Fitted(columns, [*(f"{name} {same[name]}" for name in lifted), *days], [*missing, *more])


def _least(names: Sequence[str]) -> str | None:
    """The name that is least wanted: by `LEAST`, then the first."""
    return next((name for name in LEAST if name in names), next(iter(names), None))


def _is_common(column: Column) -> bool:
    return len(column.cells) > 1 and len(set(column.cells)) == 1


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width + GAP for column in columns) - GAP


def _shorter(columns: Sequence[Column]) -> tuple[list[Column], list[str]]:
    """Times without seconds where all are whole minutes and without the day where it is one, and that day."""
    times = [column for column in columns if column.time]
    texts = [text for column in times for text in column.cells if text != "-"]
    tail = ":00" if all(text.endswith(":00") for text in texts) else ""
    days = {text[:10] for text in texts}
    cut = 11 if len(days) == 1 else 0
    short = [c if not c.time else replace(c, cells=[t[cut:].removesuffix(tail) or t for t in c.cells]) for c in columns]
    return short, sorted(days) if cut else []


def _without(
    columns: list[Column], room: int, choose: Callable[[list[str]], str | None]
) -> tuple[list[Column], list[str]]:
    """The columns without those that `choose` names, one after the other, until they fit."""
    gone: list[str] = []
    while _width(columns) > room and (name := choose([column.name for column in columns])) is not None:
        columns = [column for column in columns if column.name != name]
        gone.append(name)
    return columns, gone


def _cut(columns: list[Column], room: int) -> list[Column]:
    """The columns with the widest text cut, as far as that helps."""
    over = _width(columns) - room
    texts = [column for column in columns if not column.number and not column.time]
    if over <= 0 or not texts:
        return columns
    widest = max(texts, key=lambda column: column.width)
    most = max(widest.width - over, SHORTEST_TEXT)
    cells = [text if len(text) <= most else f"{text[: most - 1]}…" for text in widest.cells]
    return [replace(column, cells=cells) if column is widest else column for column in columns]


def _table(columns: Sequence[Column]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    for column in columns:
        table.add_column(Text(column.name), justify="right" if column.number else "left", no_wrap=True)
    rows: Iterable[tuple[str, ...]] = zip(*(column.cells for column in columns), strict=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _one(columns: Sequence[Column]) -> None:
    """One row, a line for each column."""
    room = max(column.width for column in [replace(column, cells=()) for column in columns])
    for column in columns:
        sys.stdout.write(f"{column.name:<{room}}  {column.cells[0]}\n")
