"""Bars with their indicators beside them."""

import math
from typing import Any

import msgspec

from tickhouse.cli.common import emit, emit_json


def with_indicators(house: Any, asked: Any, table: Any, wanted: str, form: str) -> None:
    """Print bars with indicators: as `indicators` in JSON, as further columns elsewhere.

    What the house keeps is shown as kept; another label is computed over all bars of the symbol.
    """
    import polars as pl

    kept = {key(row): msgspec.json.decode(row["values"]) for row in house.indicators(asked).to_pylist()}
    rows = table.to_pylist()
    labels = None if wanted == "all" else wanted.replace(", ", " ").split()
    found = [_chosen(kept.get(key(row), {}), labels) for row in rows]
    missing = [label for label in labels or () if not any(_under(name, label) for values in found for name in values)]
    if missing:
        computed = _computed(house, asked, missing)
        found = [{**values, **computed.get(key(row), {})} for row, values in zip(rows, found, strict=True)]
    if form == "json":
        emit_json([{**row, "indicators": values} for row, values in zip(rows, found, strict=True)])
        return
    names = sorted({name for values in found for name in values})
    extra = [pl.Series(name, [values.get(name) for values in found], pl.Float64) for name in names]
    emit(
        pl.DataFrame(table).with_columns(extra).to_arrow(),
        form,
        ("first_raw", "last_raw", "known_at", "vwap", "version"),
    )


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What names a bar of any version."""
    return row["symbol"], row["interval"], row["source"], row["start"]


def _chosen(values: dict[str, float], labels: list[str] | None) -> dict[str, float]:
    return values if labels is None else {n: v for n, v in values.items() if any(_under(n, label) for label in labels)}


def _under(name: str, label: str) -> bool:
    return name == label or name.startswith(label + ".")


def _computed(house: Any, asked: Any, labels: list[str]) -> dict[tuple[Any, ...], dict[str, float]]:
    from dataclasses import replace

    import polars as pl

    from tickhouse.process.analysis import compute

    answers: dict[tuple[Any, ...], dict[str, float]] = {}
    whole = pl.DataFrame(house.bars(replace(asked, start=None, end=None, last=None, versions=False)))
    for _, part in whole.group_by("symbol", "interval", "source", maintain_order=True):
        columns = compute(part.to_arrow(), labels)
        for number, row in enumerate(part.to_dicts()):
            values = {name: float(column[number]) for name, column in columns.items()}
            answers[key(row)] = {name: value for name, value in values.items() if not math.isnan(value)}
    return answers
