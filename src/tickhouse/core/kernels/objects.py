"""Rows of numbers as JSON objects, thousands at a time: the numbers' texts are made at once, the keys put between them."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tickhouse.core.batches import F64
from tickhouse.core.kernels import kernel

OPEN, CLOSE, COMMA, LETTER_N, BRACKET = 123, 125, 44, 110, 93
ROWS = 32_768
"""Rows made at once, which bounds the memory taken."""


@kernel
def _join(text: Any, keys: Any, bounds: Any, out: Any, offsets: Any) -> Any:
    """Fill `out` with one object a row and `offsets` with where each begins; `text` is a JSON array of all values."""
    at, end = 1, 0
    for row in range(offsets.size - 1):
        offsets[row] = end
        out[end] = OPEN
        end += 1
        empty = True
        for key in range(bounds.size - 1):
            present = text[at] != LETTER_N
            if present:
                if not empty:
                    out[end] = COMMA
                    end += 1
                empty = False
                for i in range(bounds[key], bounds[key + 1]):
                    out[end] = keys[i]
                    end += 1
            while text[at] != COMMA and text[at] != BRACKET:
                if present:
                    out[end] = text[at]
                    end += 1
                at += 1
            at += 1
        out[end] = CLOSE
        end += 1
    offsets[offsets.size - 1] = end
    return end


def objects(names: Sequence[str], values: F64) -> pa.ChunkedArray:
    """One JSON object a row of `values` (n, names), numbers in the shortest text that reads back; NaN and infinity are absent.

    >>> objects(["a", "b"], np.array([[1.5, 2.0], [np.nan, 0.1]])).to_pylist()
    ['{"a":1.5,"b":2.0}', '{"b":0.1}']
    """
    parts = [_part(names, values[i : i + ROWS]) for i in range(0, len(values), ROWS)]
    return pa.chunked_array(parts, pa.string())


def _part(names: Sequence[str], values: F64) -> pa.Array:
    labels = [msgspec.json.encode(name) + b":" for name in names]
    text = np.frombuffer(msgspec.json.encode(values.ravel().tolist()), np.uint8)
    keys = np.frombuffer(b"".join(labels), np.uint8)
    bounds = np.cumsum([0, *(len(label) for label in labels)])
    out = np.empty(len(text) + len(values) * (len(keys) + len(labels) + 2), np.uint8)
    offsets = np.empty(len(values) + 1, np.int32)
    end = _join(text, keys, bounds, out, offsets)
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(out[:end].copy()))


def objects_reference(names: Sequence[str], values: F64) -> list[str]:
    """The same with one dictionary a row."""
    rows = ({n: v for n, v in zip(names, row, strict=True) if np.isfinite(v)} for row in values.tolist())
    return [msgspec.json.encode(row).decode() for row in rows]
