"""A value that must not be seen: it cannot be printed, logged, compared by accident or put into a message."""

import hmac
import re


def secret(given: "Secret | str | None") -> "Secret | None":
    """A key as a secret, as which it may come already; None where there is none.

    >>> secret("k"), secret(Secret("k")), secret(None)
    (Secret('********'), Secret('********'), None)
    """
    return Secret(given) if isinstance(given, str) else given


class Secret:
    """An API key or password. Only `reveal()` gives the text; everything else shows stars.

    >>> print(Secret("k123"), [Secret("k123")])
    ******** [Secret('********')]
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the one place that sends it."""
        return self._value

    def matches(self, text: str) -> bool:
        """Whether `text` is the secret, in constant time."""
        return hmac.compare_digest(self._value.encode(), text.encode())

    def __bool__(self) -> bool:
        return bool(self._value)

    def __str__(self) -> str:
        return "********"

    def __repr__(self) -> str:
        return "Secret('********')"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def without_password(url: str) -> str:
    """A URL as it may be shown.

    >>> without_password("postgresql://me:pass@word@db:5432/prices?password=x&sslmode=require")
    'postgresql://me:********@db:5432/prices?password=********&sslmode=require'
    >>> without_password("sqlite:///data/warm.db")
    'sqlite:///data/warm.db'
    """
    shown = re.sub(r"(://[^:@/]*):.*@", r"\1:********@", url)
    return re.sub(r"([?&][^=&]*password=)[^&]*", r"\1********", shown)
