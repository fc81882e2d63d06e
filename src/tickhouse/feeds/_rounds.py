"""One conversation about many symbols, of which each is asked for on its own."""

from collections.abc import Callable, Generator, Sequence

from tickhouse.core.errors import BadCredentials, NoData, UnknownSymbol
from tickhouse.core.requests import Answer, Request

Asking = Generator[Request, Answer, None]


def one_by_one(symbols: Sequence[str], asking: Callable[[str], Asking]) -> Asking:
    """All that is asked for each symbol, one symbol after the other.

    One that is unknown, of which there is nothing, or that the key may not have although it may have others, does not keep the
    others from being asked. Raises after the last what was wrong with the first of them.
    """
    problems: dict[str, UnknownSymbol | NoData] = {}
    answered = False
    for symbol in symbols:
        try:
            yield from asking(symbol)
            answered = True
        except (UnknownSymbol, NoData) as problem:
            problems[symbol] = problem
        except BadCredentials as refused:
            if not answered:
                raise
            problems[symbol] = UnknownSymbol(str(refused))
    if problems:
        first, *others = problems
        more = f" (and {len(others)} more could not be had: {', '.join(others[:20])})" if others else ""
        problems[first].args = (f"{first}: {problems[first]}{more}",)
        raise problems[first]
