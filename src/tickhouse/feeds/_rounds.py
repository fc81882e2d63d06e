"""One round of questions about many symbols, in which the refusal of one does not cost the others."""

from collections.abc import Callable, Generator, Iterable

from tickhouse.core.errors import Final, NoData, UnknownSymbol
from tickhouse.core.requests import Answer, Request

Pages = Generator[Request, Answer, None]


def every(symbols: Iterable[str], ask: Callable[[str], Pages]) -> Pages:
    """Ask about each symbol. What is not there of one is raised when all were asked, any other refusal at once."""
    missing: Final | None = None
    for symbol in symbols:
        try:
            yield from ask(symbol)
        except (UnknownSymbol, NoData) as refused:
            missing = missing or refused
    if missing is not None:
        raise missing
