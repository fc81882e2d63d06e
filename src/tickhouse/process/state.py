"""State as bytes and back: arrays in numpy's own format, everything else as JSON. Nothing is pickled."""

import io
import zlib
from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from tickhouse.core.errors import SettingsError

VALUES = "values"
ANEW = "make a new house of the messages of this one with the new settings: `tickhouse replay --into NEW`"
"""What to do where state is of no use any more."""


def packed(arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> bytes:
    """Arrays and plain values as one text of bytes.

    >>> unpacked(packed({"a": np.arange(2)}, {"b": 1}))
    ({'a': array([0, 1])}, {'b': 1})
    """
    file = io.BytesIO()
    np.savez(file, **arrays, **{VALUES: np.frombuffer(msgspec.json.encode(values), np.uint8)})  # type: ignore[arg-type]
    return file.getvalue()


def unpacked(state: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """What `packed` was given. Raises `SettingsError` for anything else."""
    try:
        with np.load(io.BytesIO(state), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, msgspec.json.decode(arrays.pop(VALUES).tobytes())
    except (ValueError, OSError, KeyError, EOFError, BadZipFile, zlib.error, msgspec.DecodeError) as error:
        raise SettingsError(f"the stored state of the engine cannot be read; restore a backup, or {ANEW}") from error


def part(arrays: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with `name`, without it."""
    return {key.removeprefix(name): array for key, array in arrays.items() if key.startswith(name)}
