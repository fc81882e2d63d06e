"""Alpha Vantage's words: everything under one path and with status 200, its refusals too."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import Request, Response
from tickhouse.exchange import _alpha_vantage_texts as texts
from tickhouse.exchange._actions import events_of
from tickhouse.exchange._alpha_vantage_economic import body, points, source_of
from tickhouse.exchange._alpha_vantage_forms import NEW_YORK, OURS, days_form, minutes_form, pair_form
from tickhouse.exchange._alpha_vantage_series import COMPACT, as_traded, rows_of, written
from tickhouse.exchange._listed import TITLES
from tickhouse.exchange._polled import Bar, Params, Polled, bars_of, given, in_trouble, quote_row, said, share
from tickhouse.exchange.floor import DAY, FIRST_DAY, MINUTE
from tickhouse.exchange.terms import Spent, Terms

INTERVALS = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "60min": 60}
PREMIUM = ("TIME_SERIES_INTRADAY", "TIME_SERIES_DAILY_ADJUSTED", "FX_INTRADAY", "CRYPTO_INTRADAY")
CLOSE = 16


class BadCall(Exception):
    """A symbol or parameter that is not known."""


class AlphaVantage(Polled):
    """The dialect of Alpha Vantage. A plan that is paid has minutes, adjusted days and all days."""

    name = "alpha_vantage"
    TERMS = Terms(per_second=1, per_day=25, zone=NEW_YORK.key)
    CHANGES = (
        (b'"05. price":', b'"05. last":'), (b'"4. close":', b'"4. closing":'), (b'"5. Exchange Rate":', b'"5. Rate":'),
        (b'"6. Time Zone":', b'"6. Zone":'), (b'"data":', b'"values":'),
    )  # fmt: skip

    def answer(self, request: Request) -> Response:
        """`/query?function=...`."""
        params = given(request)
        if request.path != "/query":
            return Response(404, b"<html><body>Not Found</body></html>", "text/html")
        key, function = params.get("apikey", ""), params.get("function", "")
        if not self.clerk.knows(key) or key == "demo":
            return said(texts.BAD_KEY)
        spent = self.clerk.spend(key)
        if spent:
            return self._limited(spent)
        if not self.clerk.paid and (function in PREMIUM or params.get("outputsize") == "full"):
            return said(texts.PREMIUM)
        ways: dict[str, Callable[[Params], Response]] = {
            "GLOBAL_QUOTE": self._global_quote, "CURRENCY_EXCHANGE_RATE": self._rate, "TIME_SERIES_DAILY": self._days,
            "TIME_SERIES_DAILY_ADJUSTED": self._days, "TIME_SERIES_INTRADAY": self._minutes, "FX_DAILY": self._pair,
            "FX_INTRADAY": self._pair, "DIGITAL_CURRENCY_DAILY": self._pair, "CRYPTO_INTRADAY": self._pair,
        }  # fmt: skip
        try:
            return ways.get(function, self._economic)(params)
        except BadCall:
            return said(texts.bad_call(function))

    def refusal(self, kind: str, variant: int) -> Response:
        """Too fast in three ways, a premium endpoint with invented rows, or a proxy in trouble."""
        if kind == "too_many":
            return said((texts.SPREAD, texts.NOTE, _daily(25))[variant % 3])
        if kind == "error_bodies":
            return said((texts.PREMIUM, texts.PREMIUM_WITH_ROWS)[variant % 2])
        return in_trouble(variant)

    def _limited(self, spent: Spent) -> Response:
        bodies = {"second": texts.SPREAD, "minute": texts.NOTE, "day": _daily(self.clerk.terms.per_day)}
        return said(bodies[spent.span])

    def _global_quote(self, params: Params) -> Response:
        """A symbol that is not known has an empty quote."""
        one = self.snapshot(share(params.get("symbol", "")))
        if one is None:
            return said({"Global Quote": {}})
        day = datetime.fromtimestamp(one.day // SECOND, UTC).date()
        values = {
            "01. symbol": params["symbol"], "02. open": f"{one.open:.4f}", "03. high": f"{one.high:.4f}",
            "04. low": f"{one.low:.4f}", "05. price": f"{one.price:.4f}", "06. volume": f"{one.volume:.0f}",
            "07. latest trading day": day.isoformat(), "08. previous close": f"{one.previous:.4f}",
            "09. change": f"{one.change:.4f}", "10. change percent": f"{one.percent:.4f}%",
        }  # fmt: skip
        closed = round(datetime(day.year, day.month, day.day, CLOSE, tzinfo=NEW_YORK).timestamp()) * SECOND
        return said(
            {"Global Quote": values}, [quote_row(one.symbol, min(closed, self.world.now()), round(one.price, 4))]
        )

    def _rate(self, params: Params) -> Response:
        """The rate of two currencies, or of a coin and a currency."""
        base, quote = params.get("from_currency", ""), params.get("to_currency", "")
        at = self.now() // SECOND * SECOND
        price = f"{self._price(base, quote, at):.8f}"
        shown = {
            "1. From_Currency Code": base, "2. From_Currency Name": TITLES.get(base, base), "3. To_Currency Code": quote,
            "4. To_Currency Name": TITLES.get(quote, quote), "5. Exchange Rate": price,
            "6. Last Refreshed": f"{datetime.fromtimestamp(at // SECOND, UTC):%Y-%m-%d %H:%M:%S}", "7. Time Zone": "UTC",
            "8. Bid Price": f"{float(price) * 0.99999:.8f}", "9. Ask Price": f"{float(price) * 1.00001:.8f}",
        }  # fmt: skip
        return said({"Realtime Currency Exchange Rate": shown}, [quote_row(f"{base}-{quote}", at, float(price))])

    def _price(self, base: str, quote: str, at: int) -> float:
        moment, worth = np.array([at], np.int64), self.chronicle.money.worth
        if quote not in self.chronicle.currencies:
            raise BadCall
        if base in self.chronicle.currencies:
            return float(worth(base, moment)[0] / worth(quote, moment)[0])
        code = self.chronicle.code(f"{base}-USD")
        if code is None:
            raise BadCall
        return float(self.chronicle.prices(code, moment)[0] / worth(quote, moment)[0])

    def _days(self, params: Params) -> Response:
        symbol, adjusted = share(params.get("symbol", "")), params["function"] == "TIME_SERIES_DAILY_ADJUSTED"
        code, full = self._share(symbol), params.get("outputsize") == "full"
        first = FIRST_DAY if full else self.now() - 150 * DAY
        told = bars_of(
            self.chronicle.days(code, first, self.now() + 1), self.chronicle.instrument(code), self.now(), DAY
        )
        told = told if full else told[-COMPACT:]
        events = events_of(self.chronicle, code, told[0].start if told else 0, self.now() + 1, as_paid=True)
        bars = as_traded([self._closing(code, bar) for bar in told], events)
        form = days_form(params["symbol"], adjusted, full)
        extra = events if adjusted else None
        return said(written(bars, form, extra), rows_of(bars, symbol, form, extra))

    def _closing(self, code: int, bar: Bar) -> Bar:
        """A day of a share, which is over a minute after its session."""
        hours = self.chronicle.hours(code)
        end = bar.start + DAY if hours is None else int(hours.ends[hours.at(bar.start + DAY - 1)]) + MINUTE
        return bar._replace(over=end <= self.now())

    def _minutes(self, params: Params) -> Response:
        """Of a month, or the newest hundred."""
        symbol, interval = share(params.get("symbol", "")), params.get("interval", "")
        code, full = self._share(symbol), params.get("outputsize") == "full"
        if interval not in INTERVALS:
            raise BadCall
        first, last = self._month(params.get("month", "")) or (self.now() - (30 if full else 12) * DAY, self.now() + 1)
        late = params.get("extended_hours", "true") == "true"
        bars = self._intraday(code, interval, (first, last), extended=late)
        bars = bars if full else bars[-COMPACT:]
        if params.get("adjusted", "true") == "false" and bars:
            bars = as_traded(bars, events_of(self.chronicle, code, bars[0].start, self.now() + 1))
        form = minutes_form(params["symbol"], interval, full)
        return said(written(bars, form), rows_of(bars, symbol, form))

    def _pair(self, params: Params) -> Response:
        """Days or minutes of two currencies, or of a coin in dollars."""
        function, interval, full = params["function"], params.get("interval", ""), params.get("outputsize") == "full"
        money = function.startswith("FX")
        base, quote = (
            params.get(name, "") for name in (("from_symbol", "to_symbol") if money else ("symbol", "market"))
        )
        code = self.chronicle.code(f"{base}-{quote}")
        if code is None or (self.chronicle.instrument(code).market == "forex") != money:
            raise BadCall
        if function.endswith("INTRADAY") and interval not in INTERVALS:
            raise BadCall
        form = pair_form(function, (base, quote), interval, full)
        if function.endswith("INTRADAY"):
            bars = self._intraday(code, interval, (self.now() - (30 if full else 5) * DAY, self.now() + 1))
        else:
            first = self.now() - (350 if not money else 4000 if full else 150) * DAY
            found = self.chronicle.days(code, first, self.now() + 1)
            bars = bars_of(found, self.chronicle.instrument(code), self.now(), DAY)
        bars = bars if full or function.startswith("DIGITAL") else bars[-COMPACT:]
        return said(written(bars, form), rows_of(bars, f"{base}-{quote}", form))

    def _intraday(self, code: int, interval: str, span: tuple[int, int], extended: bool = False) -> list[Bar]:
        found = self.chronicle.bars(code, OURS[interval], *span, extended)
        return bars_of(found, self.chronicle.instrument(code), self.now(), INTERVALS[interval] * MINUTE)

    def _economic(self, params: Params) -> Response:
        source = source_of(params)
        if source is None:
            raise BadCall
        series, name, interval, unit = source
        today = datetime.fromtimestamp(self.now() // SECOND, UTC).date()
        believed = self.world.economy.believed(series, today, today, today)
        found = points(believed, interval, self.world.economy.series[series].frequency)
        rows = [
            {"kind": "observation", "series": params["function"], "date": day, "value": None if value == "." else float(value),
             "vintage": today.isoformat()}
            for day, value in found
        ]  # fmt: skip
        return said(body(name, interval, unit, found), rows)

    def _share(self, symbol: str) -> int:
        code = self.chronicle.code(symbol)
        if code is None or self.chronicle.instrument(code).market != "equities":
            raise BadCall
        return code

    def _month(self, text: str) -> tuple[int, int] | None:
        """The moments of a month of New York."""
        if not text:
            return None
        try:
            first = datetime.strptime(text, "%Y-%m").replace(tzinfo=NEW_YORK)
        except ValueError:
            raise BadCall from None
        after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        return round(first.timestamp()) * SECOND, round(after.timestamp()) * SECOND


def _daily(most: int) -> dict[str, str]:
    return {name: text.format(most=most) for name, text in texts.DAILY.items()}


def open() -> AlphaVantage:
    """The dialect."""
    return AlphaVantage()
