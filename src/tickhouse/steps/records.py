"""Whether two records of journals are the same, bit for bit, however each journal codes its texts."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import BarBatch, RawBatch, Record, TickBatch

CODED = {"symbols": "symbol", "conditions": "condition"}
"""Texts of a batch, and the column of codes into them."""


def same(a: Record, b: Record) -> bool:
    """Whether two records say the same of the same positions."""
    about = ("first", "count", "source", "channel", "lane", "received_at", "marks")
    if any(getattr(a, name) != getattr(b, name) for name in about):
        return False
    batches = ("raw", "ticks", "bars")
    tables = ("observations", "actions")
    return (
        _bytes(a.kinds) == _bytes(b.kinds)
        and all(_said(getattr(a, name)) == _said(getattr(b, name)) for name in batches)
        and all(_rows(getattr(a, name)) == _rows(getattr(b, name)) for name in tables)
    )


def _said(batch: RawBatch | TickBatch | BarBatch | None) -> list[Any]:
    """What a batch says, in a form that can be compared; nothing for one without rows."""
    if batch is None or not len(batch):
        return []
    if isinstance(batch, RawBatch):
        return [list(batch.payloads()), batch.source, batch.channel, batch.lane, batch.first, _bytes(batch.received_at)]
    names = [field.name for field in fields(batch) if field.name not in (*CODED, *CODED.values())]
    plain = [v if isinstance(v := getattr(batch, name), str) else _bytes(v) for name in names]
    coded = [(texts, codes) for texts, codes in CODED.items() if hasattr(batch, texts)]
    return [*plain, *(_texts(getattr(batch, texts), getattr(batch, codes)) for texts, codes in coded)]


def _texts(texts: Sequence[str], codes: Any) -> list[str]:
    found: list[str] = np.array([*texts], object)[codes].tolist()
    return found


def _bytes(column: Any) -> bytes:
    return b"" if column is None else np.ascontiguousarray(column).tobytes()


def _rows(table: pa.Table | None) -> str:
    """As text, in which NaN is like NaN."""
    return repr(table.to_pylist()) if table is not None and table.num_rows else ""
