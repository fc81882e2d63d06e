"""A value that must not be seen: it cannot be printed, logged, compared by accident or put into a message."""

import hmac


def secret(given: "Secret | str | None") -> "Secret | None":
    """A key as a secret, as which it may come already; None where there is none.

    >>> secret("k"), secret(Secret("k")), secret(None)
    (Secret('********'), Secret('********'), None)
    """
    return Secret(given) if isinstance(given, str) else given


def shown(url: str) -> str:
    """A URL without its password.

    >>> shown("kafka://me:word@host:9092/house"), shown("sqlite:///data/a@b.db")
    ('kafka://me:********@host:9092/house', 'sqlite:///data/a@b.db')
    """
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    who, at, where = host.rpartition("@")
    if not at or ":" not in who:
        return url
    return f"{scheme}{mark}{who.partition(':')[0]}:********@{where}{slash}{path}"


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
