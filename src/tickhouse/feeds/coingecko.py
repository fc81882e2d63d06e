"""CoinGecko: prices of coins by polling, averages over many exchanges; needs no key, and may be asked more often with one.

There is no trade and no volume behind a price. The answers come out of a cache that is renewed about once a minute. One call
prices up to 250 coins in any number of currencies, so coins that are wanted in different ones come in all of them.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting, NoData, UnknownSymbol
from tickhouse.core.model import Hole, Ids, Want
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.core.secrets import Secret
from tickhouse.feeds._coingecko_answers import classify
from tickhouse.feeds._coingecko_ids import Coin, Coins, Pair, found
from tickhouse.feeds._polled_options import asking, read

COINS_A_CALL = 250
POLLED, PAST = ("simple_price", "markets"), ("market_chart", "ohlc")
DAY = 86_400 * SECOND
Params = dict[str, str | int]
CHART_DAYS = {"5m": 1, "1h": 90, "1d": 365, "": 365}
"""The longest range in days whose points come at least so close together; CoinGecko chooses by the length of the range."""
CANDLE_DAYS = {"30m": (1,), "4h": (7, 14, 30), "4d": (90, 180, 365), "": (1, 7, 14, 30, 90, 180, 365)}
"""The numbers of days that can be asked for, by the length of the candles that come."""
HOSTS = {"demo": "https://api.coingecko.com", "pro": "https://pro-api.coingecko.com"}
KEY_HEADERS = {"demo": "x-cg-demo-api-key", "pro": "x-cg-pro-api-key"}
PACES = {"": Pace(per_minute=5), "demo": Pace(per_minute=100, per_day=320), "pro": Pace(per_minute=500)}
"""Without a key the quota is shared with all who come from the same address; a demo key has 10,000 calls a month."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the feed. `plan` says which kind of key it is; `ids` adds coins to the map, as `SYM=id, SYM=id`.

    `ws_url` is not used: there is no socket.
    """

    channel: str = "simple_price"
    rest_url: str = ""
    ws_url: str = ""
    symbols: Sequence[str] = ()
    key: Secret | None = None
    plan: str = "demo"
    ids: str | Mapping[str, str] = ""

    def __post_init__(self) -> None:
        _channel(self.channel, POLLED)
        if self.plan not in HOSTS:
            raise BadSetting("feeds.coingecko.options.plan", self.plan, f"one of {', '.join(HOSTS)}")


class CoinGecko:
    """CoinGecko's public API, or any server that answers as it does."""

    name = "coingecko"
    about = About(
        "CoinGecko", "optional", "crypto", 'CoinGecko\'s terms; say "Powered by CoinGecko" where the data are shown'
    )
    channels: Mapping[str, str] = {
        "simple_price": "the present price of many coins, polled in one call",
        "markets": "the same with change, high and low of 24 hours, one call a currency; `markets:usd`",
        "market_chart": "prices of the past, as close together as their range is short; `market_chart:bitcoin:usd`",
        "ohlc": "bars of the past without volume; `ohlc:bitcoin:usd`",
        "history": "the prices of one coin at one midnight UTC; `history:30-12-2017`",
    }
    ways = Ways((), POLLED, PAST, {interval: "ohlc" for interval in CANDLE_DAYS if interval})
    ids = Ids.NONE

    def __init__(self, options: Options) -> None:
        self.options, self._coins = options, Coins(options.ids)
        self.pace = PACES[options.plan if options.key else ""]
        self._pairs(options.symbols)

    @property
    def channel(self) -> str:
        """The live channel that is taken where the settings name none."""
        return self.options.channel

    def subscriptions(self, want: Want) -> list[Subscription]:
        """None: CoinGecko is polled."""
        raise BadSetting("feeds.coingecko.channel", want.channel, f"one of {', '.join(POLLED)}, which are polled")

    def poll(self, want: Want) -> Generator[Request, Answer, None]:
        """One call for every 250 coins, and for `markets` and each currency.

        Raises `UnknownSymbol` after the last answer when coins or currencies were silently left out of one.
        """
        channel = _channel(want.channel or self.options.channel, POLLED)
        pairs = self._pairs(want.symbols)
        return self._simple(pairs) if channel == "simple_price" else asking(self._markets(pairs))

    def _simple(self, pairs: Sequence[Pair]) -> Generator[Request, Answer, None]:
        absent: list[str] = []
        for part in _by_coins(pairs):
            answer = yield self._request(
                "simple/price", "simple_price", ids=_joined(pair.coin for pair in part),
                vs_currencies=_joined(pair.currency for pair in part),
                include_last_updated_at="true", include_24hr_change="true",
            )  # fmt: skip
            absent += _absent(answer.body, part)
        if absent:
            named = ", ".join(absent[:10]) + (f" and {len(absent) - 10} more" if len(absent) > 10 else "")
            raise UnknownSymbol(f"CoinGecko gives no price of {named}: it does not know the coin's id or the currency")

    def _markets(self, pairs: Sequence[Pair]) -> Iterable[Request]:
        for currency in dict.fromkeys(pair.currency for pair in pairs):
            for part in _by_coins([pair for pair in pairs if pair.currency == currency]):
                coins = _joined(pair.coin for pair in part)
                yield self._request(
                    "coins/markets",
                    f"markets:{currency}",
                    vs_currency=currency,
                    ids=coins,
                    per_page=COINS_A_CALL,
                    page=1,
                )

    def history(self, want: Want) -> Generator[Request, Answer, None]:
        """Prices (`market_chart`) or bars (`ohlc`) of [start, end), of the past 365 days; without a start the newest day's.

        The option `interval` says how close together they are at least: 5m, 1h or 1d for prices, 30m, 4h or 4d for bars. Bars are
        asked for by days until now, so more than the range may come.
        """
        channel = (want.channel or self.options.channel).partition(":")[0]
        channel = _channel("market_chart" if channel in POLLED else channel, PAST)
        pairs, interval = self._pairs(want.symbols), want.options.get("interval", "")
        if channel == "ohlc":
            return self._candles(pairs, want, _known(interval, CANDLE_DAYS))
        return asking(list(self._charts(pairs, want, CHART_DAYS[_known(interval, CHART_DAYS)])))

    def _charts(self, pairs: Sequence[Pair], want: Want, days: int) -> Iterable[Request]:
        if want.start is not None and want.end is None:
            raise BadSetting("end", None, "the end of the range, for CoinGecko's ranges have two ends")
        for _, coin, currency in pairs:
            channel, path = f"market_chart:{coin}:{currency}", f"coins/{coin}/market_chart"
            if want.start is None or want.end is None:
                yield self._request(path, channel, vs_currency=currency, days=1)
                continue
            for start in range(want.start, want.end, days * DAY):
                first, last = -(-start // SECOND), (min(start + days * DAY, want.end) - 1) // SECOND
                span: Params = {"from": first, "to": last}
                yield self._request(f"{path}/range", channel, vs_currency=currency, **span)

    def _candles(self, pairs: Sequence[Pair], want: Want, interval: str) -> Generator[Request, Answer, None]:
        offered = CANDLE_DAYS[interval]
        for _, coin, currency in pairs:
            days = _days(offered, 0 if want.start is None or want.end is None else want.end - want.start)
            while True:
                answer = yield self._request(
                    f"coins/{coin}/ohlc", f"ohlc:{coin}:{currency}", vs_currency=currency, days=days
                )
                # Only an answer tells what time it is, and so how many days ago the range began.
                reaching = days if want.start is None else _days(offered, answer.received_at - want.start)
                if reaching <= days:
                    break
                days = reaching

    def cost(self, want: Want) -> Cost:
        """One call a symbol, of prices one for every stretch of the range."""
        channel = _channel(want.channel.partition(":")[0], PAST)
        each, days = 1, CHART_DAYS.get(want.options.get("interval", ""), CHART_DAYS[""])
        if channel == "market_chart" and want.start is not None and want.end is not None:
            each = max(1, -(-(want.end - want.start) // (days * DAY)))
        return Cost(each * len(want.symbols), each * len(want.symbols))

    def search(self, text: str) -> Generator[Request, Answer, list[Coin]]:
        """One call for the list of all coins; returns those whose symbol, id or name is `text`, for the option `ids`."""
        answer = yield self._request("coins/list", "coins_list")
        return found(answer.body, text)

    def refill(self, hole: Hole) -> Generator[Request, Answer, None]:
        """Nothing: there are no trades."""
        raise NoData("CoinGecko has no trades, and so none of the past")

    def classify(self, answer: Answer) -> Exception | None:
        """The error that an answer stands for, None when it is data."""
        return classify(answer)

    def parse(self, raw: RawBatch) -> Parsed:
        """Prices as quotes, candles as bars."""
        parsed: Parsed = self._pages.parse(raw)
        return parsed

    @cached_property
    def _pages(self) -> Any:
        from tickhouse.feeds._coingecko_pages import Pages

        return Pages(self._coins)

    def _pairs(self, symbols: Iterable[str]) -> list[Pair]:
        return [self._coins.pair(symbol) for symbol in symbols]

    def _request(self, path: str, channel: str, **params: str | int) -> Request:
        plan, key = self.options.plan, self.options.key
        base = (self.options.rest_url or HOSTS[plan if key else "demo"]).rstrip("/")
        headers = {KEY_HEADERS[plan]: key} if key else {}
        return Request(f"{base}/api/v3/{path}", channel, params, secret_headers=headers)


def _channel(text: str, known: Sequence[str]) -> str:
    name = text.partition(":")[0]
    if name not in known:
        raise BadSetting("feeds.coingecko.channel", text, f"one of {', '.join(known)}")
    return name


def _known(interval: str, known: Mapping[str, Any]) -> str:
    if interval not in known:
        raise BadSetting("interval", interval, f"one of {', '.join(name for name in known if name)}")
    return interval


def _joined(names: Iterable[str]) -> str:
    """Names as a parameter: no space after a comma, for that drops all but the first, and each once."""
    return ",".join(dict.fromkeys(names))


def _by_coins(pairs: Sequence[Pair]) -> Iterable[list[Pair]]:
    """The pairs of every 250 coins."""
    coins = list(dict.fromkeys(pair.coin for pair in pairs))
    for first in range(0, len(coins), COINS_A_CALL):
        part = set(coins[first : first + COINS_A_CALL])
        yield [pair for pair in pairs if pair.coin in part]


def _absent(body: bytes, pairs: Iterable[Pair]) -> list[str]:
    """The symbols that an answer says nothing of. What cannot be read is for the parser to tell."""
    try:
        prices = msgspec.json.decode(body, type=dict[str, dict[str, Any]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [pair.symbol for pair in pairs if pair.currency not in prices.get(pair.coin, {})]


def _days(offered: Sequence[int], length: int) -> int:
    """The fewest days that can be asked for and cover a length of time (us), else the most."""
    return next((days for days in offered if days * DAY >= length), offered[-1])


def open(**options: Any) -> CoinGecko:
    """The feed of a section of the settings. Raises `BadSetting` for an option that is not of `Options`.

    >>> next(open().poll(Want(("BTC-USD", "ETH-USD"), "simple_price"))).params["ids"]
    'bitcoin,ethereum'
    """
    return CoinGecko(read(Options, "coingecko", options))
