"""A whole house to other backends: the lake, the journal, then the warm store, whose positions say what is done.

The lake comes before the journal, whose groups say what is in the lake, and the journal before the store. Until all of it is
there, and was compared, the house in the new place cannot be opened; copied again, it goes on where it stopped.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tickhouse.core.clock import SECOND, SystemClock
from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.core.plugins import open_url
from tickhouse.core.secrets import without_password
from tickhouse.core.settings import Settings
from tickhouse.core.shards import shared_by
from tickhouse.journal import Journal
from tickhouse.lake import Lake
from tickhouse.steps import chosen, locks
from tickhouse.steps.backup import database
from tickhouse.steps.copying import KINDS, Copied, Copying
from tickhouse.steps.copying_journal import JournalCopied, JournalCopying
from tickhouse.steps.lately import DAY
from tickhouse.steps.notes import COPYING, forget, inherit, is_house, made, must_be_whole, note, url
from tickhouse.stores._copying import StoreCopied, StoreCopying
from tickhouse.stores._warm import SqlWarm

ROLES = ("ingest", "process", "archive")
PARTS = ("lake", "journal", "warm")
"""In the order in which they are copied."""
BUDGET = "budget.db"

Told = Callable[[str, int, int], None]
"""Takes the part, how far it is, and how much it is in all."""


@dataclass(slots=True)
class HouseCopied:
    """What came of each part; None for one that stays where it is."""

    lake: Copied | None = None
    journal: JournalCopied | None = None
    warm: StoreCopied | None = None


class HouseCopying:
    """Copies the parts of the house `old` that are elsewhere in `new`, while nobody works on either.

    Raises `SettingsError` for places that hold something else, `HouseLocked` while a pipeline has a role of one of the houses.
    """

    def __init__(self, old: Settings, new: Settings, sleep: Callable[[float], object] = time.sleep) -> None:
        self.old, self.new, self._sleep = old, new, sleep
        self.parts = tuple(part for part in PARTS if url(old, part) != url(new, part))
        if not self.parts:
            raise BadSetting("--to", str(new.data), "a house with its journal, lake or warm store in another place")
        if not is_house(old):
            raise SettingsError(f"there is no house in {old.data}")
        must_be_whole(old)

    def run(self, told: Told = lambda part, done, total: None) -> HouseCopied:
        """Copy. What is wrong with a place is told before anything is written to any."""
        with ExitStack() as stack:
            for data in sorted({self.old.data.resolve(), made(self.new.data).resolve()}):
                stack.enter_context(locks.roles(data, ROLES))
            lake = self._lake() if "lake" in self.parts else None
            journal = stack.enter_context(self._journal()) if "journal" in self.parts else None
            warm = stack.enter_context(self._warm()) if "warm" in self.parts else None
            for part in (lake, journal, warm):
                if part is not None:
                    part.check()
            places = [without_password(url(self.new, part)) for part in self.parts]
            note(self.new.data, **{COPYING: places})
            done = HouseCopied()
            if lake is not None:
                size = sum(item.size for kind in KINDS for item in lake.old.objects(kind))
                done.lake = lake.run(lambda done: told("lake", done.bytes, size))
            if journal is not None:
                end = 2 * (journal.old.end() - journal.old.begin())
                done.journal = journal.run(lambda d: told("journal", d.there + d.messages + d.compared, end))
            if warm is not None:
                rows = 2 * warm.rows()
                done.warm = warm.run(lambda done: told("warm", done.done, rows))
            self._rest()
            forget(self.new.data, COPYING)
            return done

    def _lake(self) -> Copying:
        old, new = (lake_at(url(s, "lake"), s) for s in (self.old, self.new))
        return Copying(old, new, self._sleep)

    @contextmanager
    def _journal(self) -> Iterator[JournalCopying]:
        old = journal_at(url(self.old, "journal"), self.old, new=False)
        with closing(old), closing(journal_for(old, url(self.new, "journal"), self.new)) as new:
            yield JournalCopying(old, new, self._sleep)

    @contextmanager
    def _warm(self) -> Iterator[StoreCopying]:
        with closing(warm_at(url(self.old, "warm"))) as old, closing(warm_at(url(self.new, "warm"))) as new:
            since = days_since(self.new.warm.keep_ticks)
            yield StoreCopying(old, new, without_password(url(self.old, "warm")), self._sleep, since)

    def _rest(self) -> None:
        """What is in the folder beside these: facts about the house, and what was asked of providers today."""
        old, new = self.old.data, self.new.data
        if old.resolve() == new.resolve():
            return
        inherit(old, new)
        if (old / BUDGET).is_file() and not (new / BUDGET).exists():
            database(old / BUDGET, new / BUDGET)


def days_since(keeps: float) -> int | None:
    """The first day (of 1970) of ticks in a store that keeps them for so many seconds; None where it keeps none."""
    return None if not keeps else round(SystemClock().now() - keeps * SECOND) // DAY


def lake_at(where: str, settings: Settings) -> Lake:
    """The lake of a URL; the key of the settings counts for the lake of the settings."""
    lake: Lake = open_url("lake", where, **(settings.lake.key() if where == settings.lake_url else {}))
    return lake


def journal_for(old: Journal, where: str, settings: Settings) -> Journal:
    """The journal of a URL, in place of `old`: where it is made, its ticks have as many partitions as there are shards."""
    return journal_at(where, settings, partitions=shared_by(old.groups()))


def journal_at(where: str, settings: Settings, *, new: bool = True, partitions: int | None = None) -> Journal:
    """The journal of a URL, which is made when it is a new one; the password of the settings counts for their journal.

    Raises `SettingsError` where there is none.
    """
    if where.startswith("memory:"):
        raise BadSetting("journal.url", where, "a journal that outlives this process")
    if not new and where.startswith("sqlite:///") and not Path(where.removeprefix("sqlite:///")).is_file():
        raise SettingsError(f"there is no journal {where}")
    asked = where
    for name, value in (("create", None if new else "no"), ("partitions", partitions)):
        if value and where.startswith("kafka:") and f"{name}=" not in where:
            asked += f"{'&' if '?' in asked else '?'}{name}={value}"
    if where == settings.journal_url:
        return chosen.journal(
            settings.model_copy(update={"journal": settings.journal.model_copy(update={"url": asked})})
        )
    journal: Journal = open_url("journal", asked)
    return journal


def warm_at(where: str, *, upgrade: bool = True) -> SqlWarm:
    """The warm store of a URL. Raises `SettingsError` where there is none, unless it may be made."""
    if not upgrade and where.startswith("sqlite:///") and not Path(where.removeprefix("sqlite:///")).is_file():
        raise SettingsError(f"there is no store {where}")
    store = open_url("stores", where, upgrade=upgrade)
    if not isinstance(store, SqlWarm):
        raise BadSetting("warm.url", without_password(where), "sqlite:///... or postgresql://...")
    return store
