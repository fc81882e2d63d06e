"""Which symbols of a feed are worth asking for now: those whose market is open."""

from collections import defaultdict
from collections.abc import Sequence

from tickhouse.core import sessions
from tickhouse.feeds._currencies import money_pair


def market_of(symbol: str, usual: str) -> str:
    """The market of a symbol of a feed whose symbols are `usual` ones: of pairs their spelling tells.

    >>> market_of("AAPL", "equities"), market_of("EUR-USD", "equities"), market_of("BTC-USD", "equities")
    ('equities', 'forex', 'crypto')
    """
    if usual not in ("equities", "forex", "crypto") or "-" not in symbol:
        return usual
    return "forex" if money_pair(symbol) else "crypto"


class Opening:
    """The hours of some symbols. The first question about an exchange takes a second: ask it in a thread.

    `market` is that of the feed; with `fixed` it is that of every symbol, whatever it looks like. With `always` they are asked
    for at any time. Every method raises `BadSetting` for a market that there is not.
    """

    def __init__(self, symbols: Sequence[str], market: str, *, fixed: bool = False, always: bool = False) -> None:
        self.by_market: dict[str, list[str]] = defaultdict(list)
        for symbol in symbols:
            self.by_market["files" if always else market if fixed else market_of(symbol, market)].append(symbol)

    def symbols(self, at: int) -> tuple[str, ...]:
        """The symbols whose market is open at a moment (us)."""
        return tuple(
            symbol for market, some in self.by_market.items() if sessions.open_at(market, at) for symbol in some
        )

    def next_open(self, at: int) -> int:
        """The first moment from `at` on at which any is open."""
        return min((sessions.next_open(market, at) for market in self.by_market), default=at)

    def seconds(self, since: int, until: int) -> float:
        """For how long of [since, until) the market that is open longest is open."""
        closed = (sessions.expected_silence(market, since, until) for market in self.by_market)
        return (until - since - min(closed, default=0)) / 1e6 if until > since else 0.0
