"""Every error tickhouse raises on purpose.

The type answers two questions: whose fault is it, and can waiting help?

TickhouseError
├── SettingsError                the user can fix it now; the message says how
│   ├── UnknownName              no such feed, store, ...; lists those there are
│   ├── MissingExtra             names the extra to install
│   ├── BadSetting               which key, what was given, what is expected
│   ├── HouseLocked              another process already writes this house
│   └── BadQuery                 a question that cannot be answered; says which part is wrong
├── Temporary                    trying again can help; carries retry_after if known
│   ├── Unreachable              no connection, a timeout, a 5xx
│   ├── RateLimited              too many requests for the provider or for our own budget
│   └── Busy                     a store or log asks us to slow down
└── Final                        trying again cannot help; carries what was sent
    ├── BadCredentials           the key is missing, wrong or not allowed to do this
    ├── UnknownSymbol            the provider does not know the symbol; names the nearest known ones
    ├── NoData                   a proper answer that holds nothing for the question
    ├── BadMessage               not understood; keeps the raw bytes so that it can be replayed
    ├── Superseded               another process has gone on with this work
    ├── CorruptLog               a record of the journal does not match its checksum
    └── DiskFull                 no room left; nothing acknowledged is lost
"""

from collections.abc import Iterable
from difflib import get_close_matches


class TickhouseError(Exception):
    """The root of every error raised on purpose."""


class SettingsError(TickhouseError):
    """The user can fix it now; the message says how."""


class UnknownName(SettingsError):
    """There is no file of that name in the room; the message lists those there are.

    >>> str(UnknownName("journal", "sqlit", known=["memory", "sqlite"]))
    "no journal named 'sqlit'; did you mean 'sqlite'? (known: memory, sqlite)"
    """

    def __init__(self, room: str, name: str, known: Iterable[str]) -> None:
        self.room, self.name, self.known = room, name, sorted(known)
        near = nearest(name, self.known)
        hint = f"; did you mean {near!r}?" if near else ";"
        super().__init__(f"no {room} named {name!r}{hint} (known: {', '.join(self.known)})")


class MissingExtra(SettingsError):
    """An optional package is not installed; the message gives the command that installs it."""

    def __init__(self, name: str, package: str | None) -> None:
        self.name, self.package = name, package
        super().__init__(f"{name!r} needs {package}: pip install 'tickhouse[{name}]'")


class BadSetting(SettingsError):
    """A setting has a value that cannot be used: which key, what was given, what is expected.

    >>> str(BadSetting("process.lateness", "soon", "a duration such as 5s"))
    "process.lateness: got 'soon', expected a duration such as 5s"
    """

    def __init__(self, key: str, given: object, expected: str) -> None:
        self.key, self.given, self.expected = key, given, expected
        super().__init__(f"{key}: got {given!r}, expected {expected}")


class HouseLocked(SettingsError):
    """Another process already has the role this one asked for in the same house."""


class BadQuery(SettingsError):
    """A question that cannot be answered as asked; the message says which part and what is allowed."""


class Temporary(TickhouseError):
    """Trying again can help; `retry_after` is the number of seconds asked for, if known."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Unreachable(Temporary):
    """No connection, a timeout, or the provider's own failure (5xx)."""


class RateLimited(Temporary):
    """Too many requests, by the provider's word or by our own budget."""


class Busy(Temporary):
    """A store or log asks us to slow down, or has no room where somebody else may make some."""


class Final(TickhouseError):
    """Trying again cannot help; `sent` is what was sent or received, if it may be shown."""

    def __init__(self, message: str, *, sent: bytes = b"") -> None:
        self.sent = sent
        super().__init__(message)


class BadCredentials(Final):
    """The key is missing, wrong, or not allowed to do this."""


class UnknownSymbol(Final):
    """The provider does not know the symbol; the message names the nearest known ones."""


class NoData(Final):
    """A proper answer that holds nothing for the question."""


class BadMessage(Final):
    """A message that is not understood; `sent` keeps its bytes, so that it can be replayed."""


class Superseded(Final):
    """Another process has gone on with this work meanwhile; what it did counts, and nothing of ours was written."""


class CorruptLog(Final):
    """A record of the journal does not match its checksum."""


class DiskFull(Final):
    """No room is left on the disk; what was acknowledged is kept, nothing more is taken."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when none is near."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None
