"""The settings of a polled feed, read from what the house gives: texts mostly, for they come from a file."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar

from tickhouse.core.errors import BadSetting
from tickhouse.core.requests import Answer, Request
from tickhouse.core.secrets import secret
from tickhouse.core.symbols import canonical

T = TypeVar("T")


def read(kind: type[T], feed: str, given: Mapping[str, Any]) -> T:
    """The options of a feed, a dataclass. Raises `BadSetting` for one that it does not have, or that cannot be read.

    `symbols` become canonical, a `key` a secret, texts of whole numbers become those where the default is one.
    """
    known: dict[str, Field[Any]] = {option.name: option for option in fields(kind)}  # type: ignore[arg-type]
    values = {}
    for name, value in given.items():
        if name not in known:
            raise BadSetting(f"feeds.{feed}.{name}", value, f"one of the options {', '.join(known)}")
        values[name] = _value(f"feeds.{feed}.{name}", known[name], value)
    return kind(**values)


def _value(key: str, option: Field[Any], given: Any) -> Any:
    if option.name == "symbols":
        return tuple(canonical(symbol) for symbol in listed(given))
    if option.name == "key":
        return secret(given)
    if isinstance(option.default, int):
        if not str(given).isdecimal() or int(given) < 1:
            raise BadSetting(key, given, "a whole number above 0")
        return int(given)
    return given


def listed(given: str | Iterable[str]) -> list[str]:
    """The items of a list, or of a text with commas or spaces between them."""
    return given.replace(",", " ").split() if isinstance(given, str) else list(given)


def asking(requests: Iterable[Request]) -> Generator[Request, Answer, None]:
    """A conversation whose requests do not depend on the answers."""
    for request in requests:  # noqa: UP028, for `yield from` would send the answers to a list
        yield request
