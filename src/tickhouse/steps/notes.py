"""Facts about a house that are not in its messages, kept beside its data: that it is simulated, which rules its files have."""

import json
import os
from pathlib import Path
from typing import Any

from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.core.secrets import without_password
from tickhouse.core.settings import Settings
from tickhouse.journal import Journal

NOTE = "house.json"
COPYING = "copying"
"""The fact that a house is being copied to these places."""


def made(data: Path) -> Path:
    """The folder of a house, made if need be. Raises `BadSetting` when it cannot be."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting("data", str(data), f"a folder that can be made and written ({error.strerror})") from error
    return data


def is_house(settings: Settings) -> bool:
    """Whether the folder of the settings is a house: whether its journal was ever begun."""
    url, file = settings.journal_url, "sqlite:///"
    return settings.data.is_dir() and (not url.startswith(file) or Path(url.removeprefix(file)).is_file())


def note(data: Path, **facts: Any) -> None:
    """Write facts down, whole or not at all; what was written before stays, but for what is None now."""
    path = data / NOTE
    new = path.with_suffix(".new")
    with new.open("w") as file:
        json.dump({name: fact for name, fact in {**notes(data), **facts}.items() if fact is not None}, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def notes(data: Path) -> dict[str, Any]:
    """The facts written down."""
    path = data / NOTE
    return json.loads(path.read_text()) if path.exists() else {}


def label(data: Path) -> None:
    """Note for good that a house has data of a simulated exchange."""
    if not notes(data).get("simulated"):
        note(data, simulated=True)


def forget(data: Path, name: str) -> None:
    """Take out one of the facts."""
    if name in notes(data):
        note(data, **{name: None})


def inherit(old: Path, new: Path) -> None:
    """What is known about a house holds for one that is made of its messages."""
    was, own = notes(old), notes(new)
    rules = {**was.get("conditions", {}), **own.get("conditions", {})}
    if facts := {**was, **own} | ({"conditions": rules} if rules else {}):
        note(new, **facts)


def conditions(settings: Settings) -> dict[str, str]:
    """The rule of sale conditions of each source: those of the settings and those that loads declared."""
    return {**notes(settings.data).get("conditions", {}), **settings.process.conditions}


def declare(settings: Settings, journal: Journal, source: str, rule: str) -> None:
    """Say which rule of sale conditions holds for a source, before its first message.

    Raises `BadSetting` when the source has data that were processed by another rule.
    """
    known = conditions(settings)
    if known.get(source) == rule:
        return
    if any(name == source for name, _ in journal.ledger()):
        have = known.get(source, "no rule")
        raise BadSetting("--conditions", rule, f"{have}, as the data of source {source} have; or another --source")
    note(settings.data, conditions={**known, source: rule})


def url(settings: Settings, part: str) -> str:
    """Where the part `journal`, `lake` or `warm` of a house is."""
    found: str = getattr(settings, f"{part}_url")
    return found


def must_be_whole(settings: Settings) -> None:
    """Raise `SettingsError` for a house that was copied only in part."""
    unfinished = set(notes(settings.data).get(COPYING, ()))
    if unfinished & {without_password(url(settings, part)) for part in ("journal", "lake", "warm")}:
        raise SettingsError(
            f"the house {settings.data} is a copy that is not whole: run `tickhouse copy` as before until it ends well"
        )
