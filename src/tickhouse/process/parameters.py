"""The parameters of indicators and detectors: how they are checked, and how a label writes them."""

from dataclasses import fields
from typing import Any

from tickhouse.core.errors import BadSetting

LONGEST = 10_000
"""The longest window, in bars."""


def name_of(value: Any) -> str:
    """The name users write: that of the file."""
    kind = value if isinstance(value, type) else type(value)
    return kind.__module__.rpartition(".")[2]


def label_of(value: Any) -> str:
    """The name with its numbers, and with the texts that are not the usual ones: `bollinger(20,2)`, `ema(20,seed=first)`."""
    parts = []
    for field in fields(value):
        given = getattr(value, field.name)
        if isinstance(given, str):
            parts += [f"{field.name}={given}"] if given != field.default else []
        else:
            parts.append(str(int(given)) if float(given).is_integer() else repr(given))
    return f"{name_of(value)}({','.join(parts)})" if parts else name_of(value)


def check_bars(value: Any, least: int = 1, **given: int) -> None:
    """Raise `BadSetting` unless each is a whole number of bars from `least` on."""
    for key, number in given.items():
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= LONGEST:
            raise BadSetting(f"{name_of(value)}: {key}", number, f"a whole number of bars from {least} to {LONGEST}")


def check_positive(value: Any, **given: float) -> None:
    """Raise `BadSetting` unless each is a number above zero."""
    for key, number in given.items():
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number < float("inf"):
            raise BadSetting(f"{name_of(value)}: {key}", number, "a number above 0")
