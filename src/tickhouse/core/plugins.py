"""From a name in settings to the file that has it.

There is no second list: the file name is the name in settings and, where it needs one, of the extra.
"""

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any

from tickhouse.core.errors import BadSetting, MissingExtra, UnknownName


def names(room: str) -> list[str]:
    """The names of the files of a room, such as `journal` or `process.indicators`.

    >>> names("journal")
    ['memory', 'sqlite']
    """
    package = import_module(f"tickhouse.{room}")
    found = pkgutil.iter_modules(package.__path__)
    return sorted(m.name for m in found if not m.ispkg and not m.name.startswith("_"))


def load(room: str, name: str) -> ModuleType:
    """The module `tickhouse.<room>.<name>`.

    Raises `UnknownName`, which lists the known ones, or `MissingExtra`, which gives the command that
    installs what is missing.
    """
    if name not in names(room):
        raise UnknownName(room, name, known=names(room))
    try:
        return import_module(f"tickhouse.{room}.{name}")
    except ModuleNotFoundError as missing:
        if missing.name and missing.name.startswith("tickhouse"):
            raise
        raise MissingExtra(name, package=missing.name) from missing


def open_url(room: str, url: str, **options: Any) -> Any:
    """The backend of `room` that the URL's scheme names, opened by the `open(url, **options)` of its file.

    `sqlite:///data/journal.db` opens `tickhouse.journal.sqlite`; a scheme `file` opens `local`.
    """
    scheme, colon, _ = url.partition(":")
    if not colon:
        raise BadSetting(room, url, f"a URL such as {names(room)[0]}://...")
    name = {"file": "local", "postgresql": "postgres"}.get(scheme, scheme)
    return load(room, name).open(url, **options)
