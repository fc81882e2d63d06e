"""Durations and sizes as people write them: `5s`, `24h`, `64MiB`."""

import re

from tickhouse.core.errors import BadSetting

_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SIZES = {
    "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip
DURATION = "a duration such as 500ms, 5s, 5m or 24h, or a number of seconds"
SIZE = "a size such as 512KiB, 64MiB or 10GB, or a number of bytes"


def seconds(given: object, key: str = "duration") -> float:
    """The seconds of a duration: a text such as `5s` or `1h30m`, or a number of seconds.

    Raises `BadSetting` for anything else, negative and endless ones included.

    >>> seconds("5m"), seconds("1h30m"), seconds(0.5)
    (300.0, 5400.0, 0.5)
    """
    if isinstance(given, str) and re.fullmatch(r"(\s*\d+(\.\d+)?\s*(ms|[smhdw]))+\s*", given):
        return sum(float(n) * _DURATIONS[unit] for n, unit in re.findall(r"([\d.]+)\s*(ms|[smhdw])", given))
    number = _number(given)
    if number is None:
        raise BadSetting(key, given, DURATION)
    return number


def duration_text(value: float) -> str:
    """The shortest text of a number of seconds.

    >>> duration_text(300), duration_text(0.25), duration_text(86400)
    ('5m', '250ms', '1d')
    """
    for unit, size in reversed(_DURATIONS.items()):
        if unit != "w" and value >= size and (value / size).is_integer():
            return f"{int(value / size)}{unit}"
    return f"{value:g}s"


def size_bytes(given: object, key: str = "size") -> int:
    """The bytes of a size: a text such as `64MiB`, or a whole number of bytes.

    Raises `BadSetting` for anything else.

    >>> size_bytes("64MiB"), size_bytes("1.5 kB"), size_bytes(10)
    (67108864, 1500, 10)
    """
    match = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)\s*", given, re.IGNORECASE) if isinstance(given, str) else None
    )
    if match and match[2].lower() in _SIZES:
        return int(float(match[1]) * _SIZES[match[2].lower()])
    number = _number(given)
    if number is None or not number.is_integer():
        raise BadSetting(key, given, SIZE)
    return int(number)


def size_text(value: int) -> str:
    """The shortest text of a number of bytes.

    >>> size_text(64 << 20), size_text(1000), size_text(0)
    ('64MiB', '1kB', '0')
    """
    names = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("GB", 10**9),
        ("MB", 10**6),
        ("kB", 10**3),
    ]
    return next((f"{value // size}{name}" for name, size in names if value and value % size == 0), str(value))


def _number(given: object) -> float | None:
    """A number, or the text of one, that is not negative and not endless."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        number = float(given)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
