"""`tickhouse copy`: a lake, a journal, a warm store, or a whole house, to another place."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tickhouse.cli.working import Tell, progress
from tickhouse.core.errors import BadSetting
from tickhouse.core.secrets import without_password
from tickhouse.core.settings import Settings, load
from tickhouse.steps import locks
from tickhouse.steps.copying import KINDS, Copied, Copying
from tickhouse.steps.copying_house import ROLES, HouseCopying, journal_at, journal_for, lake_at, warm_at
from tickhouse.steps.copying_journal import JournalCopied, JournalCopying
from tickhouse.steps.notes import NOTE
from tickhouse.stores._copying import StoreCopied, StoreCopying

SCHEMES = {"file": "lake", "s3": "lake", "kafka": "journal", "postgresql": "store"}
EXPECTED = "a folder, file://, s3://, kafka://, postgresql://, sqlite:///, or the settings file or folder of a house"
UNITS = {"lake": ("bytes", 1e6, "MB"), "journal": ("messages", 1, "messages"), "warm": ("rows", 1, "rows")}


def copied(start: str, end: str, settings: Settings) -> dict[str, Any]:
    """Copy what is at one place to another; keys and passwords of the settings count for their own places."""
    if start == end:
        raise BadSetting("--to", without_password(end), "another place than --from")
    shown = {"from": without_password(start), "to": without_password(end)}
    if house_at(start):
        return {**shown, "kind": "house", **_house(start, end)}
    kind = kind_of(start, end)
    if kind == "lake" and not s3_or_folder(start):
        raise BadSetting("--from", start, f"a place that is there: {EXPECTED}")
    return {**shown, "kind": kind, **_ONE[kind](start, end, settings)}


def house_at(text: str) -> bool:
    """Whether a text names a whole house: its settings file, or its folder."""
    folder = Path(text)
    return text.endswith(".toml") or any((folder / name).is_file() for name in ("tickhouse.toml", "journal.db", NOTE))


def s3_or_folder(text: str) -> bool:
    """Whether a lake is on a server, or in a folder that is there."""
    return text.startswith("s3:") or Path(text.removeprefix("file://")).is_dir()


def kind_of(start: str, end: str) -> str:
    """Of which kind both places are: `lake`, `journal` or `store`. Raises `BadSetting`."""
    kinds = []
    for key, text in (("--from", start), ("--to", end)):
        scheme = text.partition("://")[0] if "://" in text else "file"
        if scheme not in (*SCHEMES, "sqlite"):
            raise BadSetting(key, without_password(text), EXPECTED)
        kinds.append(SCHEMES.get(scheme, ""))
    known = [kind for kind in dict.fromkeys(kinds) if kind] or [_inside(start)]
    if len(known) > 1:
        raise BadSetting("--to", without_password(end), f"a {known[0]}, as --from is, and not a {known[1]}")
    if known == ["lake"] and "" in kinds:
        raise BadSetting("--to", without_password(end), "two lakes, or two databases")
    return known[0]


def _inside(url: str) -> str:
    """What a SQLite file is."""
    path = Path(url.removeprefix("sqlite:///"))
    if not path.is_file():
        raise BadSetting("--from", url, "a file that is there")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
        try:
            names = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
        except sqlite3.DatabaseError:
            names = set()
    found = next((kind for table, kind in (("records", "journal"), ("bars", "store")) if table in names), None)
    if found is None:
        raise BadSetting("--from", url, "a journal or a warm store of tickhouse")
    return found


def _lake(start: str, end: str, settings: Settings) -> dict[str, Any]:
    old, new = (lake_at(url if "://" in url else f"file://{url}", settings) for url in (start, end))
    with progress("copied", sum(item.size for kind in KINDS for item in old.objects(kind))) as tell:

        def told(done: Copied) -> None:
            tell(done.bytes, f"{done.objects:,} objects")

        return asdict(Copying(old, new, time.sleep).run(told))


def _journal(start: str, end: str, settings: Settings) -> dict[str, Any]:
    with (
        _nobody_at_work(start, end),
        closing(journal_at(start, settings, new=False)) as old,
        closing(journal_for(old, end, settings)) as new,
        progress("copied", 2 * (old.end() - old.begin())) as tell,
    ):

        def told(done: JournalCopied) -> None:
            tell(done.there + done.messages + done.compared, f"{done.messages:,} messages")

        return asdict(JournalCopying(old, new, time.sleep).run(told))


def _store(start: str, end: str, settings: Settings) -> dict[str, Any]:
    with (
        _nobody_at_work(start, end),
        closing(warm_at(start, upgrade=False)) as old,
        closing(warm_at(end)) as new,
    ):
        copying = StoreCopying(old, new, without_password(start), time.sleep)
        with progress("copied", 2 * copying.rows()) as tell:

            def told(done: StoreCopied) -> None:
                tell(done.done, f"{done.done:,} rows")

            return of_store(copying.run(told))


_ONE: dict[str, Callable[[str, str, Settings], dict[str, Any]]] = {"lake": _lake, "journal": _journal, "store": _store}


def _house(start: str, end: str) -> dict[str, Any]:
    """Copy a house; what it is copied to is a house, too."""
    if "://" in end:
        raise BadSetting("--to", without_password(end), "the settings file or the folder of a house, as --from is one")
    copying = HouseCopying(_settings(Path(start)), _settings(Path(end)))
    with ExitStack() as stack:
        bars: dict[str, Tell] = {}

        def told(part: str, done: int, total: int) -> None:
            _, unit, word = UNITS[part]
            if part not in bars:
                stack.pop_all().close()
                bars[part] = stack.enter_context(progress(part, total))
            bars[part](done, f"{done / unit:,.0f} of {total / unit:,.0f} {word}")

        done = copying.run(told)
    warm = of_store(done.warm) if done.warm else None
    parts = {"lake": done.lake and asdict(done.lake), "journal": done.journal and asdict(done.journal), "warm": warm}
    return {**parts, "stays": [part for part in parts if parts[part] is None]}


def _settings(path: Path) -> Settings:
    """The settings of a house, by their file or by its folder."""
    if path.suffix == ".toml":
        return load(path)
    own = path / "tickhouse.toml"
    return load(own if own.is_file() else None, path)


def of_store(done: StoreCopied) -> dict[str, Any]:
    """What came of a store, with the counts of each table here and there."""
    tables = {name: asdict(table) for name, table in done.tables.items()}
    return {
        "written": sum(t.written for t in done.tables.values()),
        "shortened": done.shortened,
        "left": done.left,
        "tables": tables,
    }


@contextmanager
def _nobody_at_work(*urls: str) -> Iterator[None]:
    """While nobody has a role in the houses in whose folders these files are. Raises `HouseLocked`."""
    folders = {Path(url.removeprefix("sqlite:///")).parent.resolve() for url in urls if url.startswith("sqlite:///")}
    with ExitStack() as stack:
        for folder in sorted(folders):
            if (folder / "locks").is_dir():
                stack.enter_context(locks.roles(folder, ROLES))
        yield


def sentences(done: dict[str, Any]) -> Iterator[str]:
    """What is said of it to a person."""
    kind, to = done["kind"], done["to"]
    parts = {kind: done} if kind != "house" else {part: done[part] for part in UNITS if done[part]}
    for part, found in parts.items():
        yield from _SAID[part](found)
    if kind == "house":
        stays = f"; the {' and the '.join(done['stays'])} stayed where it was" if done["stays"] else ""
        yield f"the house is now in {to}, and everything there was compared{stays}. Use one of the two, not both"


def _of_lake(done: dict[str, Any]) -> Iterator[str]:
    yield f"lake: {done['objects']:,} objects, {done['bytes'] / 1e6:,.1f} MB copied; {done['there']:,} were there"


def _of_journal(done: dict[str, Any]) -> Iterator[str]:
    yield (
        f"journal: {done['messages']:,} messages copied; {done['compared']:,} read back, the same as here, as are its sums,"
        f" its groups and {done['quarantined']:,} messages in quarantine"
    )


def _of_store(done: dict[str, Any]) -> Iterator[str]:
    for name, table in done["tables"].items():
        yield f"{name:<16}{table['old']:>14,} rows here, {table['new']:,} there"
    yield f"warm store: {done['written']:,} rows written; every row was read back and is the same"
    if done["shortened"]:
        yield f"{done['shortened']:,} messages of findings were shortened: PostgreSQL has no room for more of them"
    if done["left"]:
        yield f"the ticks that are kept in PostgreSQL here were not copied: {done['left']}"


_SAID = {"lake": _of_lake, "journal": _of_journal, "warm": _of_store, "store": _of_store}
