"""The objects of one lake into another, byte for byte, each read back and compared; begun again, it goes on where it stopped."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tickhouse.core.errors import CorruptLog, SettingsError
from tickhouse.core.retry import Insist
from tickhouse.lake import Lake, LakeObject

KINDS = ("ticks", "bronze")
"""Ticks come before the messages they were made of, as they are written: where the messages are, the ticks are."""


@dataclass(slots=True)
class Copied:
    """What came of it: objects and bytes that were copied, and objects that were there already."""

    objects: int = 0
    bytes: int = 0
    there: int = 0


class Copying:
    """Copies what `old` has into `new`. Raises `CorruptLog` when an object there is another than the one here."""

    def __init__(self, old: Lake, new: Lake, sleep: Callable[[float], object]) -> None:
        self.old, self.new = old, new
        self._insist = Insist(sleep)

    def run(self, progress: Callable[[Copied], None] = lambda done: None) -> Copied:
        """Copy; `progress` is told after each object. A server that is away is waited for a while, then it raises `Temporary`."""
        done = Copied()
        for kind in KINDS:
            for item in self._missing(kind, done):
                self._insist(partial(self._copy, item))
                done.objects, done.bytes = done.objects + 1, done.bytes + item.size
                progress(done)
        return done

    def check(self) -> None:
        """Raise `SettingsError` when the new lake has an object that the old one has not."""
        for kind in KINDS:
            other = next((there for here, there in self._sides(kind) if here is None), None)
            if other is not None:
                raise SettingsError(f"the lake there has {other.name}, which this one has not; name an empty place")

    def _missing(self, kind: str, done: Copied) -> Iterator[LakeObject]:
        """The objects that are not there yet."""
        for item, other in self._sides(kind):
            if item is not None and other is None:
                yield item
            elif item is not None and other is not None and other.size != item.size:
                raise CorruptLog(
                    f"the object {item.name} has {item.size} bytes here and {other.size} there; remove the wrong one"
                )
            else:
                done.there += item is not None

    def _sides(self, kind: str) -> Iterator[tuple[LakeObject | None, LakeObject | None]]:
        """Each object here and there. Both lakes list in one order, so neither list is held."""
        there = self.new.objects(kind)
        other = next(there, None)
        for item in self.old.objects(kind):
            while other is not None and _place(other) < _place(item):
                yield None, other
                other = next(there, None)
            if other is not None and other.name == item.name:
                yield item, other
                other = next(there, None)
            else:
                yield item, None
        while other is not None:
            yield None, other
            other = next(there, None)

    def _copy(self, item: LakeObject) -> None:
        content = self.old.content(item)
        if self.new.content(self.new.take(item, content)) != content:
            raise CorruptLog(f"the object {item.name} was not copied as it is; remove it there and copy again")


def _place(item: LakeObject) -> list[str]:
    """What objects are ordered by: the folders of their names, one by one."""
    return item.name.split("/")
