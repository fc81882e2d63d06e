"""From a provider's messages to rows: the parser of every feed against `json.loads` of the same bytes, in one run. Prints JSON.

    python -m benchmarks.feeds [--megabytes 8] [--only yahoo,fred]

The messages are made by the dialects of the simulated exchange: they are asked what the feed asks, and their trades are told as on
a socket. Rows are counted against what the dialect says that it said. `json.loads` only reads: it makes no rows and checks
nothing, and of Yahoo's frames it reads the wrapping alone. csv, which is no JSON, is left out.
"""

import argparse
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import numpy as np

from benchmarks.measure import Wrong, show
from benchmarks.parse import best
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.clock import SECOND, ManualClock
from tickhouse.core.errors import Final
from tickhouse.core.model import Want
from tickhouse.core.plugins import load
from tickhouse.core.requests import Answer
from tickhouse.core.secrets import Secret
from tickhouse.exchange import Request, Topic, Trades
from tickhouse.exchange.binance import Binance
from tickhouse.exchange.dialects import NAMES, Dialects
from tickhouse.exchange.floor import Floor
from tickhouse.exchange.history import History
from tickhouse.exchange.limits import Doorman, Limits
from tickhouse.exchange.market import Market
from tickhouse.exchange.pump import Pump
from tickhouse.exchange.terms import Terms
from tickhouse.exchange.world import World

OPEN = round(datetime(2026, 3, 11, 15, 0, 20, tzinfo=UTC).timestamp()) * SECOND
"""A Wednesday at eleven in New York: every market is open."""
DAY = 86_400 * SECOND
ROUNDS = 3
"""So often a feed asks, a minute apart, so that not all messages are the same."""
BATCH = 1024
KEY = "simulated00simulated00simulated0"
SHARES = ("AAPL", "MSFT", "NVDA", "AMZN", "TSLA", "KO", "JPM", "SPY")
COINS = ("BTC-USD", "ETH-USD", "SOL-USD", "DOGE-USD")
PAIRS = ("EUR-USD", "EUR-GBP", "USD-JPY")


class Case(NamedTuple):
    """One channel of a feed: `way` is poll, history or socket; `days` of history are asked for."""

    feed: str
    way: str
    channel: str
    symbols: tuple[str, ...]
    days: int = 0


CASES = (
    Case("binance", "socket", "trade", ()),
    Case("binance", "socket", "aggTrade", ()),
    Case("coingecko", "poll", "simple_price", COINS),
    Case("coingecko", "poll", "markets", COINS),
    Case("coingecko", "history", "market_chart", COINS, 80),
    Case("coingecko", "history", "ohlc", COINS, 25),
    Case("yahoo", "socket", "stream", ()),
    Case("yahoo", "poll", "quote", SHARES),
    Case("yahoo", "poll", "chart", SHARES),
    Case("yahoo", "history", "chart:1d", SHARES, 1000),
    Case("alpha_vantage", "poll", "global_quote", SHARES),
    Case("alpha_vantage", "history", "daily", SHARES, 1000),
    Case("finnhub", "socket", "trade", ()),
    Case("finnhub", "poll", "quote", SHARES),
    Case("finnhub", "history", "candle:1d", SHARES, 1000),
    Case("fmp", "poll", "quote", SHARES),
    Case("fmp", "poll", "batch_quote", SHARES),
    Case("fmp", "history", "historical", SHARES, 1000),
    Case("fred", "history", "observations", ("GDP", "UNRATE"), 8000),
    Case("frankfurter", "poll", "rates", PAIRS),
    Case("frankfurter", "history", "rates", PAIRS, 2000),
)


class Said(NamedTuple):
    """Messages with their receipt (us) by the channel they are journaled on, and how many rows they stand for."""

    messages: dict[str, list[tuple[bytes, int]]]
    rows: int


class Place:
    """The dialects of a market that goes on, for those who pay and may ask as often as they like."""

    def __init__(self) -> None:
        self.clock, market = ManualClock(OPEN), Market(seed=1, symbols=50, rate=1000, floor=Floor(1))
        self.history = History(market)
        self._pump = Pump(market, self.history, self.clock)
        self._pump.begin()
        self.dialects = Dialects(Binance(), World(self.history, Doorman(Limits()), self.clock.now))
        for name in NAMES:
            self.dialects[name].clerk.terms = Terms(plan="paid")  # type: ignore[attr-defined]

    def pass_(self, seconds: float) -> list[Trades]:
        """Let time go on; the trades of it."""
        self.clock.move(seconds)
        found = []
        while due := list(self._pump.due()):
            found += [one.trades.take(slice(one.first, one.last)) for one in due]
        return found


def answered(place: Place, feed: Any, case: Case) -> Said:
    """What the dialect answers to all that the feed asks, some rounds of it."""
    messages: dict[str, list[tuple[bytes, int]]] = {}
    rows = 0
    for _ in range(ROUNDS):
        place.pass_(61)
        now = place.clock.now()
        since = (now - case.days * DAY, now) if case.days else (None, None)
        conversation = getattr(feed, case.way)(Want(case.symbols, case.channel, *since))
        request = next(conversation, None)
        while request is not None:
            url, params = urlsplit(request.url), dict(request.params)
            params |= {name: value.reveal() for name, value in request.secret_params.items()}
            headers = {**request.headers, **{k: v.reveal() for k, v in request.secret_headers.items()}}
            query = urlencode(params) or url.query
            asked = Request("GET", url.path or "/", query, {k.lower(): v for k, v in headers.items()})
            said = place.dialects[case.feed].answer(asked)
            answer = Answer(said.status, {k.lower(): v for k, v in said.headers.items()}, said.body, now)
            if request.channel and said.status == 200:
                messages.setdefault(request.channel, []).append((said.body, now))
                rows += sum(not row.get("forming") for row in said.rows)
            request = following(conversation, answer, feed.classify(answer))
    return Said(messages, rows)


def following(conversation: Any, answer: Answer, error: Exception | None) -> Any:
    """The next request of a conversation, None at its end. Raises `Wrong` where waiting would be needed."""
    if error is not None and not isinstance(error, Final):
        raise Wrong(f"a dialect of paid plans refuses: {error}")
    try:
        return conversation.throw(error) if error else conversation.send(answer)
    except StopIteration:
        return None


def told(place: Place, case: Case) -> Said:
    """What is heard on a socket that is subscribed to everything."""
    dialect, topic = place.dialects[case.feed], Topic(case.channel, wrapped=True, dialect=case.feed)
    wanted, texts, rows = np.ones(len(place.history.instruments), np.bool_), [], 0
    for block in place.pass_(10):
        if (made := dialect.render(topic, block, wanted)) is not None:
            texts += made.texts
            # A message of Finnhub has every trade of its stretch, one of the others is one row.
            rows += int((made.last - made.id + 1).sum()) if case.feed == "finnhub" else len(made.texts)
    return Said({case.channel: [(text, place.clock.now()) for text in texts]}, rows)


def size_of(parsed: Parsed) -> int:
    """How many rows there are."""
    tables = (parsed.quotes, parsed.observations, parsed.actions)
    own = sum(len(rows) for rows in (parsed.ticks, parsed.bars) if rows is not None)
    return own + sum(table.num_rows for table in tables if table is not None)


def batches(feed: Any, said: Said, times: int) -> Iterator[RawBatch]:
    """The messages so many times, in batches as a load has them."""
    for channel, messages in said.messages.items():
        many = messages * times
        for first in range(0, len(many), BATCH):
            payloads, received = zip(*many[first : first + BATCH], strict=True)
            yield RawBatch.of(feed.name, channel, payloads, np.array(received))


def compared(place: Place, case: Case, size: int) -> dict[str, Any]:
    """Rows a second of one channel, made of about `size` bytes. Raises `Wrong` when they are not those that were sent."""
    feed = load("feeds", case.feed).open(**({} if case.feed in ("yahoo", "frankfurter") else {"key": Secret(KEY)}))
    said = told(place, case) if case.way == "socket" else answered(place, feed, case)
    texts = [text for messages in said.messages.values() for text, _ in messages]
    once = sum(map(len, texts))
    if not said.rows or not once:
        raise Wrong(f"{case.feed} {case.channel}: the dialect said nothing")
    times = max(1, size // once)
    raws, plain = list(batches(feed, said, times)), texts * times
    rows = [sum(size_of(feed.parse(raw)) for raw in raws)]
    if rows != [said.rows * times]:
        raise Wrong(f"{case.feed} {case.channel}: {rows[0] / times:g} rows of {said.rows} were understood")
    ours, loads = best(lambda: [feed.parse(raw) for raw in raws]), best(lambda: [json.loads(text) for text in plain])
    return {
        "messages": len(plain), "bytes_per_message": round(once * times / len(plain), 1), "rows": rows[0],
        "rows_per_s": round(rows[0] / ours), "json_loads_rows_per_s": round(rows[0] / loads),
        "mb_per_s": round(once * times / ours / 1e6, 1), "times_as_fast_as_json_loads": round(loads / ours, 2),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--megabytes", type=float, default=8.0, help="so much of each channel, at least every message once"
    )
    options.add_argument("--only", default="", help="names of feeds with commas between them")
    given = options.parse_args()
    only, place, began = [name for name in given.only.split(",") if name], Place(), time.monotonic()
    found: dict[str, dict[str, Any]] = {}
    for case in CASES:
        if not only or case.feed in only:
            one = compared(place, case, round(given.megabytes * 1e6))
            found.setdefault(case.feed, {})[f"{case.way} {case.channel}"] = one
    show({"feeds": found, "seconds": round(time.monotonic() - began, 1)})


if __name__ == "__main__":
    main()
