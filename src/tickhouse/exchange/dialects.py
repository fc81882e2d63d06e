"""Who is spoken to: one dialect at the root of the address, every other one below its own name, made when it is first asked for."""

from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

from tickhouse.exchange import Dialect
from tickhouse.exchange.world import World

NAMES = ("alpha_vantage", "coingecko", "finnhub", "fmp", "frankfurter", "fred", "yahoo")
"""The files with a dialect that is served below its name; each has `open()`."""


class Way(NamedTuple):
    """A dialect, and the path as that provider knows it."""

    dialect: Dialect
    path: str


class Dialects:
    """The dialects of one exchange."""

    def __init__(self, root: Dialect, world: World) -> None:
        self.root, self._world = root, world
        root.use(world)
        self._known: dict[str, Dialect] = {root.name: root}

    def __iter__(self) -> Iterator[Dialect]:
        """Those that were made so far."""
        return iter(list(self._known.values()))

    def __getitem__(self, name: str) -> Dialect:
        """The dialect of a name, made now if need be. The first one takes seconds, since calendars are loaded."""
        if name not in self._known:
            found: Dialect = import_module(f"tickhouse.exchange.{name}").open()
            found.use(self._world)
            self._known[name] = found
        return self._known[name]

    def made(self, path: str) -> bool:
        """Whether the dialect that a path leads to can answer at once."""
        name = _first(path)
        return name not in NAMES or name in self._known

    def way(self, path: str) -> Way:
        """Where a path leads."""
        name = _first(path)
        if name not in NAMES:
            return Way(self.root, path)
        return Way(self[name], path[len(name) + 1 :] or "/")


def _first(path: str) -> str:
    """The first part of a path.

    >>> _first("/yahoo/v8/x"), _first("/api/v3/ping")
    ('yahoo', 'api')
    """
    return path[1:].partition("/")[0]
