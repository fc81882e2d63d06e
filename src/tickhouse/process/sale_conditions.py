"""Sale conditions as data: which prints set a price, and which count as volume.

A consolidated tape also reports trades whose price was agreed elsewhere or earlier. They are volume, and they are no
price. Which ones is a rule of the venue, so each rule is a versioned file in `conditions/`.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tickhouse.core.errors import BadSetting, UnknownName

FOLDER = Path(__file__).parent / "conditions"


@dataclass(frozen=True, slots=True)
class ConditionRule:
    """What the conditions of a print mean. Both sets hold whole condition texts, as the feed gives them.

    A print with a condition in `no_price` leaves open, high, low and close alone (the vwap is over all volume); one in
    `no_volume` leaves volume alone.
    """

    name: str
    version: int
    no_price: frozenset[str]
    no_volume: frozenset[str]


def names() -> list[str]:
    """The rules there are.

    >>> names()
    ['us-equities']
    """
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> ConditionRule:
    """The rule of that name. Raises `UnknownName`, which lists those there are.

    >>> rule = load("us-equities")
    >>> rule.version, "20" in rule.no_price, sorted(rule.no_volume)
    (1, True, [])
    """
    if name not in names():
        raise UnknownName("sale condition rule", name, known=names())
    path = FOLDER / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(str(path), str(error), "a TOML file") from error
    return ConditionRule(
        name, _version(path, values), _texts(path, values, "no_price"), _texts(path, values, "no_volume")
    )


def _version(path: Path, values: dict[str, Any]) -> int:
    version = values.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadSetting(f"{path.name}: version", version, "a whole number")
    return version


def _texts(path: Path, values: dict[str, Any], key: str) -> frozenset[str]:
    given = values.get(key)
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise BadSetting(f"{path.name}: {key}", given, "a list of condition texts")
    return frozenset(given)
