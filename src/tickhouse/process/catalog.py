"""From the text in settings to an indicator or detector: `sma(20)`, `bollinger(20,2)`, `ema(20,seed=first)`.

The name is that of a file in `indicators/` or `detectors/`, the arguments are the fields of the dataclass in it.
"""

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast, get_type_hints

import numpy as np

from tickhouse.core import plugins
from tickhouse.core.batches import F64
from tickhouse.core.errors import BadSetting
from tickhouse.core.settings import INDICATORS
from tickhouse.process import Detector, Indicator
from tickhouse.process.series import VERDICT

EXPECTED = "a name with its parameters such as sma(20) or ema(20,seed=first)"


def indicator(text: str) -> Indicator:
    """The indicator of a text. Raises `UnknownName`, which lists those there are, or `BadSetting`.

    >>> indicator("bollinger(20, 2.0)").label
    'bollinger(20,2)'
    """
    return cast(Indicator, _instance("indicators", text))


def detector(text: str) -> Detector:
    """The detector of a text. Raises `UnknownName` or `BadSetting`.

    >>> detector("returns(20,3)")
    Returns(period=20, sigmas=3.0)
    """
    return cast(Detector, _instance("detectors", text))


def default_indicators() -> list[Indicator]:
    """The indicators that settings name when nobody says otherwise."""
    return [indicator(text) for text in INDICATORS]


def apply(one: Indicator | Detector, **columns: Any) -> dict[str, F64]:
    """The values of one series of bars, oldest first, by output name; a detector has `value` and `threshold`."""
    kinds = {name: np.int64 if name == "start" else np.float64 for name in columns}
    bars = {name: np.array(values, kinds[name]) for name, values in columns.items()}
    rows = np.zeros(len(next(iter(bars.values()))), np.int64)
    values = one.update(np.zeros((1, one.width)), rows, bars)
    names = getattr(one, "outputs", VERDICT)
    return {name: values[:, i] for i, name in enumerate(names)}


def names_of(indicators: Sequence[Indicator]) -> list[str]:
    """The names of all outputs in order: the label, or label.output where there are several.

    >>> names_of([indicator("sma(20)"), indicator("bollinger(20,2)")])
    ['sma(20)', 'bollinger(20,2).upper', 'bollinger(20,2).middle', 'bollinger(20,2).lower']
    """
    found = []
    for one in indicators:
        single = one.outputs == ("value",)
        found += [one.label if single else f"{one.label}.{output}" for output in one.outputs]
    return found


def _instance(kind: str, text: str) -> Any:
    match = re.fullmatch(r"\s*([a-z_][a-z0-9_]*)\s*(?:\((.*)\))?\s*", text)
    if not match:
        raise BadSetting(kind, text, EXPECTED)
    name, inside = match[1], (match[2] or "").strip()
    made = _class_of(kind, name)
    return made(**_arguments(made, text, [part.strip() for part in inside.split(",")] if inside else []))


def _class_of(kind: str, name: str) -> Any:
    module = plugins.load(f"process.{kind}", name)
    own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
    return next(v for v in own if hasattr(v, "update"))


def _arguments(made: Any, text: str, parts: Sequence[str]) -> dict[str, Any]:
    """The texts of the arguments as values of the fields they are for."""
    names, kinds = [field.name for field in fields(made)], get_type_hints(made)
    given: dict[str, Any] = {}
    for place, part in enumerate(parts):
        key, equals, value = part.partition("=")
        if not equals and place < len(names):
            key, value = names[place], part
        key, value = key.strip(), value.strip()
        if key not in names or key in given:
            raise BadSetting(text, part, f"{_shape(made, names)}")
        given[key] = _number(kinds[key], f"{text}: {key}", value)
    return given


def _shape(made: Any, names: Sequence[str]) -> str:
    name = made.__module__.rpartition(".")[2]
    return f"no parameters for {name}" if not names else f"the parameters of {name}({', '.join(names)}), each once"


def _number(kind: Any, key: str, text: str) -> Any:
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError:
        raise BadSetting(key, text, "a whole number" if kind is int else "a number") from None
