"""From a name in settings to the file that has it.

There is no second list: the file name is the name in settings and, where it needs one, of the extra. Other packages add to a
room by entry points; a name of ours is never theirs.
"""

import pkgutil
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from tickhouse.core.errors import BadSetting, MissingExtra, SettingsError, UnknownName


def names(room: str) -> list[str]:
    """The names of the files of a room, such as `journal` or `process.indicators`, and of what others have added to it.

    >>> names("journal")
    ['kafka', 'memory', 'sqlite']
    """
    return sorted({*_own(room), *_outside(room)})


def load(room: str, name: str) -> ModuleType:
    """The module `tickhouse.<room>.<name>`, or one from outside: by the name of an entry point of the group `tickhouse.<room>`, or
    by its dotted path, such as `mypackage.myfeed`.

    Raises `UnknownName`, which lists the known ones, or `MissingExtra`, which gives the command that
    installs what is missing.
    """
    if name in _own(room):
        return _ours(room, name)
    outside = _outside(room).get(name, name if "." in name else "")
    if not outside:
        raise UnknownName(room, name, known=names(room))
    try:
        return import_module(outside)
    except ModuleNotFoundError as missing:
        if outside == missing.name or outside.startswith(f"{missing.name}."):
            raise UnknownName(room, name, known=names(room)) from missing
        raise SettingsError(f"{name} needs {missing.name}, which is not installed") from missing


def _ours(room: str, name: str) -> ModuleType:
    try:
        return import_module(f"tickhouse.{room}.{name}")
    except ModuleNotFoundError as missing:
        if missing.name and missing.name.startswith("tickhouse"):
            raise
        raise MissingExtra(name, package=missing.name) from missing


def _own(room: str) -> list[str]:
    package = import_module(f"tickhouse.{room}")
    found = pkgutil.iter_modules(package.__path__)
    return [m.name for m in found if not m.ispkg and not m.name.startswith("_")]


def _outside(room: str) -> dict[str, str]:
    """Entry points of installed packages: name to module."""
    return {point.name: point.module for point in entry_points(group=f"tickhouse.{room}")}


def open_url(room: str, url: str, **options: Any) -> Any:
    """The backend of `room` that the URL's scheme names, opened by the `open(url, **options)` of its file.

    `sqlite:///data/journal.db` opens `tickhouse.journal.sqlite`; a scheme `file` opens `local`.
    """
    scheme, colon, _ = url.partition(":")
    if not colon:
        raise BadSetting(room, url, f"a URL such as {names(room)[0]}://...")
    name = {"file": "local", "postgresql": "postgres", "rediss": "redis"}.get(scheme, scheme)
    return load(room, name).open(url, **options)
