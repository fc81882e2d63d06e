"""Prices of coins at any time and in any currency, as CoinGecko tells them: charts, candles, midnights."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import F64, I64, Row
from tickhouse.exchange._coingecko_coins import COINS, Coin
from tickhouse.exchange._polled import Bar, Params, bar_rows, bars_of, quote_row, whole
from tickhouse.exchange.chronicle import Chronicle
from tickhouse.exchange.floor import DAY, MINUTE
from tickhouse.exchange.klines import Klines

YEAR = 365
CANDLES = {1: "30m", 7: "4h", 14: "4h", 30: "4h", 90: "4d", 180: "4d", 365: "4d"}
MOST_POINTS = 20_000
BILLING = "https://www.coingecko.com/en/api/pricing"
Said = tuple[Any, Sequence[Row]]


class Refused(Exception):
    """A request that is not served: its status and the body that says why."""

    def __init__(self, status: int, body: Any) -> None:
        self.status, self.body = status, body
        super().__init__(str(body))


class Prices:
    """The coins that are traded here, and their past. `limited` says whether a plan's year of it is all that is served."""

    def __init__(self, chronicle: Chronicle, now: Callable[[], int], limited: Callable[[], bool]) -> None:
        self._chronicle, self._now, self._limited = chronicle, now, limited

    def coins(self) -> Sequence[Coin]:
        """The coins that are traded here."""
        return [coin for coin in COINS if self._chronicle.code(f"{coin.symbol}-USDT") is not None]

    def _code(self, coin: Coin) -> int:
        code = self._chronicle.code(f"{coin.symbol}-USDT")
        assert code is not None
        return code

    def cached(self) -> int:
        """The moment of the newest prices in the cache (us)."""
        return self._now() // MINUTE * MINUTE

    def prices(self, coin: Coin, currency: str, times: I64) -> F64 | None:
        """What a coin cost at moments; None in a currency that is not known."""
        factor = self._factor(currency, times)
        return None if factor is None else self._chronicle.prices(self._code(coin), times) * factor

    def _factor(self, currency: str, times: I64) -> F64 | None:
        """How much of a currency a dollar was at moments."""
        name = currency.upper()
        if name in self._chronicle.currencies:
            return 1.0 / self._chronicle.money.worth(name, times)
        code = self._chronicle.code(f"{name}-USDT") if name in ("BTC", "ETH", "BNB") else None
        return None if code is None else 1.0 / self._chronicle.prices(code, times)

    def known(self, prices: F64 | None) -> F64:
        if prices is None:
            raise Refused(400, {"error": "invalid vs_currency"})
        return prices

    def chart(self, coin: Coin, params: Params) -> Said:
        """Points about five minutes, an hour or a day apart, the shorter the range the closer; the last one is the live value."""
        currency, now = self._currency(params), self._now()
        try:
            if "from" in params:
                first, last = int(float(params["from"])) * SECOND, min(int(float(params["to"])) * SECOND, now)
            else:
                days = params.get("days", "1")
                first, last = now - (YEAR if days == "max" else round(float(days))) * DAY, now
        except (KeyError, ValueError):
            raise Refused(422, {"error": "Missing parameter from"}) from None
        self._allowed(first)
        span = last - first
        step = 5 * MINUTE if span <= DAY + MINUTE else 60 * MINUTE if span <= 90 * DAY else DAY
        grid = np.arange(-(-first // step) * step, last + 1, step, dtype=np.int64)[-MOST_POINTS:]
        times = np.minimum(grid + grid // step % 17 * 911_000, last)
        times = np.append(times[times < last], last) if len(times) else times
        prices = self.known(self.prices(coin, currency, times)) if len(times) else np.empty(0)
        points = [[time // 1000, price] for time, price in zip(times.tolist(), prices.tolist(), strict=True)]
        caps = [[time, price * coin.supply] for time, price in points]
        rows = [quote_row(f"{coin.symbol}-{currency.upper()}", time * 1000, price) for time, price in points]
        return {"prices": points, "market_caps": caps, "total_volumes": [[t, 0.03 * cap] for t, cap in caps]}, rows

    def candles(self, coin: Coin, params: Params) -> Said:
        """Stamped at the close; the last one, which is still open, at the moment."""
        currency, days, now = self._currency(params), params.get("days", ""), self._now()
        if not days.isdigit() or int(days) not in CANDLES:
            raise Refused(400, {"error": "Invalid days parameter"})
        interval, code = CANDLES[int(days)], self._code(coin)
        step = {"30m": 30 * MINUTE, "4h": 240 * MINUTE, "4d": 4 * DAY}[interval]
        found = self._bars(code, interval, now - int(days) * DAY, now)
        ends = np.minimum(found.start + step, now // 1000 * 1000)
        factors = self.known(self._factor(currency, ends)).tolist()
        told = bars_of(found, self._chronicle.instrument(code), now, step)
        bars = [_times(bar, factor) for bar, factor in zip(told, factors, strict=True)]
        shown = [[end // 1000, *bar[1:5]] for end, bar in zip(ends.tolist(), bars, strict=True)]
        return shown, bar_rows(bars, f"{coin.symbol}-{currency.upper()}", interval)

    def _bars(self, code: int, interval: str, start: int, end: int) -> Klines:
        if interval != "4d":
            return self._chronicle.bars(code, interval, start, end)
        edges = np.arange(start // (4 * DAY) * 4 * DAY, end + 4 * DAY, 4 * DAY, dtype=np.int64)
        return self._chronicle.days(code, int(edges[0]), end).regrouped(edges)

    def midnight(self, coin: Coin, params: Params) -> Said:
        """The prices of one midnight in every currency."""
        try:
            day = datetime.strptime(params.get("date", ""), "%d-%m-%Y").replace(tzinfo=UTC)
        except ValueError:
            raise Refused(400, {"error": "invalid date"}) from None
        at = round(day.timestamp()) * SECOND
        self._allowed(at)
        found = {name: self.prices(coin, name, np.array([at])) for name in ("btc", "eth", "eur", "gbp", "jpy", "usd")}
        prices = {name: price_of(float(value[0])) for name, value in found.items() if value is not None}
        rows = [quote_row(f"{coin.symbol}-{name.upper()}", at, price) for name, price in prices.items()]
        data = {"current_price": prices, "market_cap": {name: price * coin.supply for name, price in prices.items()}}
        return {"id": coin.id, "symbol": coin.symbol.lower(), "name": coin.name, "market_data": data}, rows

    def _currency(self, params: Params) -> str:
        if not params.get("vs_currency"):
            raise Refused(422, {"error": "Missing parameter vs_currency"})
        return params["vs_currency"]

    def _allowed(self, first: int) -> None:
        if first < self._now() - (YEAR + 1) * DAY and self._limited():
            words = (
                "Your request exceeds the allowed time range. Public API users are limited to querying historical data within "
                f"the past 365 days. Upgrade to a paid plan to enjoy full historical data access: {BILLING}."
            )  # fmt: skip
            raise Refused(401, {"error": status(10012, words, iso(self._now()).replace("Z", "+00:00"))})


def status(code: int, message: str, at: str = "") -> dict[str, Any]:
    when = {"timestamp": at} if at else {}
    return {"status": {**when, "error_code": code, "error_message": message}}


def too_fast() -> dict[str, Any]:
    return status(
        429,
        f"You've exceeded the Rate Limit. Please visit {BILLING} to subscribe to our API plans for higher rate limits.",
    )


def _times(bar: Bar, factor: float) -> Bar:
    """A bar in another currency, without volume."""
    opened, high, low, close = (price_of(price * factor) for price in (bar.open, bar.high, bar.low, bar.close))
    return bar._replace(open=opened, high=high, low=low, close=close, volume=0.0)


def price_of(value: float) -> float | int:
    """Two digits behind the point, or six in all where it is small.

    >>> price_of(64021.987), price_of(0.2186941234), price_of(75348.0)
    (64021.99, 0.218694, 75348)
    """
    return whole(round(value, 2) if value >= 1.0 else float(f"{value:.6g}"))


def iso(us: int) -> str:
    moment = datetime.fromtimestamp(us // SECOND, UTC).isoformat(timespec="seconds").removesuffix("+00:00")
    return f"{moment}.{us // 1000 % 1000:03d}Z"
