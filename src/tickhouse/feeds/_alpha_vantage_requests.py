"""What is asked of Alpha Vantage: one call a symbol, as few as there can be, for a free key has 25 a day."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tickhouse.core.errors import BadSetting
from tickhouse.core.requests import Request
from tickhouse.core.secrets import Secret
from tickhouse.feeds._alpha_vantage_answers import NEW_YORK
from tickhouse.feeds._alpha_vantage_economic import series_params
from tickhouse.feeds._alpha_vantage_values import spelled
from tickhouse.feeds._currencies import money_pair
from tickhouse.feeds._rounds import Asking, one_by_one
from tickhouse.feeds._zones import FIRST, LAST, local_days

FUNCTIONS = {
    "global_quote": "GLOBAL_QUOTE", "exchange_rate": "CURRENCY_EXCHANGE_RATE", "intraday": "TIME_SERIES_INTRADAY",
    "fx_intraday": "FX_INTRADAY", "crypto_intraday": "CRYPTO_INTRADAY", "daily": "TIME_SERIES_DAILY",
    "daily_adjusted": "TIME_SERIES_DAILY_ADJUSTED", "fx_daily": "FX_DAILY", "crypto_daily": "DIGITAL_CURRENCY_DAILY",
}  # fmt: skip
FOREX = {"global_quote": "exchange_rate", "intraday": "fx_intraday", "daily": "fx_daily", "daily_adjusted": "fx_daily"}
CRYPTO = {name: other.replace("fx_", "crypto_") for name, other in FOREX.items()}
"""What a pair is asked for on a channel of shares."""
INTERVALS = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "60min"}
COMPACT = 100
"""Rows of a compact answer."""
ENOUGH_DAYS = 110
"""So many weekdays are certainly more than a compact answer has, holidays included."""
SECOND = 1_000_000
FIRST_MONTH = 30 * 12
"""January 2000 in months since 1970: there are no minutes before."""
_DAY_KEY = re.compile(rb'"(\d{4}-\d\d-\d\d)"\s*:')
Params = dict[str, str | int]


@dataclass(frozen=True)
class Asker:
    """The requests of one feed."""

    rest_url: str
    key: Secret | None
    extended: bool

    def newest(self, channel: str, symbols: Sequence[str], interval: str) -> Asking:
        """The newest values of each symbol, a hundred bars where it has bars. Raises after the last what was wrong with some."""
        return self._each(channel, symbols, lambda name, symbol: self._once(name, symbol, interval))

    def past(self, channel: str, symbols: Sequence[str], interval: str, start: int | None, end: int | None) -> Asking:
        """The values of a range (us) of each symbol. Raises after the last what was wrong with some."""

        def asking(name: str, symbol: str) -> Asking:
            if start is None or name in ("economic", "crypto_daily"):
                return self._once(name, symbol, interval)
            if name == "intraday":
                return self._months(symbol, interval, start, end)
            if name in ("fx_intraday", "crypto_intraday"):
                return self._once(name, symbol, interval, "full")
            return self._days(name, symbol, start, end)

        return self._each(channel, symbols, asking)

    def calls(self, channel: str, symbol: str, start: int | None, end: int | None) -> int:
        """How many calls `past` makes for a symbol at least: one, or one a month of minutes."""
        if start is None or end is None or channel_of(channel, symbol) != "intraday":
            return 1
        return max(1, month_of(end - 1) - max(month_of(start), FIRST_MONTH) + 1)

    def _each(self, channel: str, symbols: Sequence[str], asking: Callable[[str, str], Asking]) -> Asking:
        """One symbol after the other, each on the channel of its kind. Raises `BadSetting` for one of the wrong kind at once."""
        if not self.key:
            raise BadSetting(
                "feeds.alpha_vantage.key", "", "a key, free at https://www.alphavantage.co/support/#api-key"
            )
        channels = {symbol: channel_of(channel, symbol) for symbol in symbols}
        return one_by_one(symbols, lambda symbol: asking(channels[symbol], symbol))

    def _once(self, channel: str, symbol: str, interval: str, size: str = "compact") -> Asking:
        """One call."""
        if channel == "economic":
            series, params = series_params(symbol)
            yield self._request(f"economic:{series}", params)
            return
        params = self._params(channel, symbol, interval)
        bars = channel not in ("global_quote", "exchange_rate", "crypto_daily")
        yield self._request(channel, params | ({"outputsize": size} if bars else {}))

    def _days(self, channel: str, symbol: str, start: int, end: int | None) -> Asking:
        """The newest hundred days, and all of them only where these do not reach back: a free key may not have them."""
        first = np.datetime64(start // SECOND, "s").astype("datetime64[D]")
        last = None if end is None else np.datetime64(end // SECOND, "s").astype("datetime64[D]")
        params = self._params(channel, symbol, "")
        if last is None or np.busday_count(first, last) <= ENOUGH_DAYS:
            answer = yield self._request(channel, params | {"outputsize": "compact"})
            days = [match.decode() for match in _DAY_KEY.findall(answer.body)]
            if len(days) < COMPACT or min(days) <= str(first):
                return
        yield self._request(channel, params | {"outputsize": "full"})

    def _months(self, symbol: str, interval: str, start: int, end: int | None) -> Asking:
        """One call a month of New York, up to the month of the answers themselves."""
        month, last = max(month_of(start), FIRST_MONTH), None if end is None else month_of(end - 1)
        while last is None or month <= last:
            params = self._params("intraday", symbol, interval) | {
                "outputsize": "full",
                "month": f"{1970 + month // 12}-{month % 12 + 1:02d}",
            }
            answer = yield self._request("intraday", params)
            if month >= month_of(answer.received_at):
                return
            month += 1

    def _params(self, channel: str, symbol: str, interval: str) -> Params:
        """The parameters of a function that name the symbol, and the length of bars where there is a choice."""
        base, _, quote = symbol.partition("-")
        names: Params = {"symbol": spelled(symbol)}
        if channel == "exchange_rate":
            names = {"from_currency": base, "to_currency": quote}
        elif channel.startswith("fx_"):
            names = {"from_symbol": base, "to_symbol": quote}
        elif channel.startswith("crypto_"):
            names = {"symbol": base, "market": quote}
        if channel.endswith("intraday"):
            names["interval"] = INTERVALS[interval]
        if channel == "intraday":
            names |= {"adjusted": "false", "extended_hours": "true" if self.extended else "false"}
        return {"function": FUNCTIONS[channel], **names}

    def _request(self, channel: str, params: Params) -> Request:
        assert self.key is not None
        return Request(f"{self.rest_url}/query", channel, params, secret_params={"apikey": self.key})


def channel_of(channel: str, symbol: str) -> str:
    """The channel on which a symbol is asked for: pairs have their own functions. Raises `BadSetting` where there is none.

    >>> channel_of("global_quote", "EUR-USD"), channel_of("daily", "BTC-USD"), channel_of("daily", "BRK.B")
    ('exchange_rate', 'crypto_daily', 'daily')
    """
    if channel == "economic":
        series_params(symbol)
        return channel
    pair, money = "-" in symbol, money_pair(symbol) is not None
    found = channel if not pair else (FOREX if money else CRYPTO).get(channel, channel)
    wanted = "a pair of currencies such as EUR-USD" if found.startswith("fx_") else "a pair such as BTC-USD"
    if (found.startswith("fx_") and not money) or (found.startswith(("crypto_", "exchange_")) and not pair):
        raise BadSetting("symbols", symbol, f"{wanted} on the channel {channel}")
    return found


def month_of(us: int) -> int:
    """The month that New York has at a moment, counted from January 1970."""
    days = local_days(np.array([min(max(us // SECOND, FIRST), LAST - 1)], np.int64), NEW_YORK)
    return int(days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)[0])
