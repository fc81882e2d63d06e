"""FMP's words: quotes one by one or many at once, days, charts, economic series of 90 days; refusals in JSON and in text."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tickhouse.core.clock import SECOND
from tickhouse.exchange import Request, Response, Row
from tickhouse.exchange._fmp_shapes import BAD_KEY, LEGACY, LIMIT, PREMIUM, RESTRICTED, SHAPES, day, said_of
from tickhouse.exchange._polled import TEXT, Params, Polled, bar_rows, bars_of, given, in_trouble, said, share, whole
from tickhouse.exchange.floor import DAY, MINUTE
from tickhouse.exchange.snapshots import Snapshot
from tickhouse.exchange.terms import Terms

NEW_YORK = ZoneInfo("America/New_York")
FREE_SYMBOLS = frozenset(("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "SPY", "JPM", "KO", "DIS", "XOM"))
CHARTS = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "1hour": "1h", "4hour": "4h"}
LENGTHS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240}
CHART_ROWS = 1200
"""An answer of a chart holds about so many bars, whole days of them."""
SERIES = {
    "GDP": "GDP", "realGDP": "GDPC1", "CPI": "CPIAUCSL", "unemploymentRate": "UNRATE", "federalFunds": "FEDFUNDS",
    "totalNonfarmPayroll": "PAYEMS", "retailSales": "RSAFS",
}  # fmt: skip
FREE_YEARS, WINDOW = timedelta(days=5 * 365), timedelta(days=90)
_PATH = re.compile(r"/stable/(batch-)?(quote|quote-short|aftermarket-quote|aftermarket-trade)")


class Denied(Exception):
    """A request that the plan does not allow, answered with 402 and a text."""


class Fmp(Polled):
    """The dialect of FMP. A plan that is paid has batches, charts, all symbols and all years."""

    name = "fmp"
    TERMS = Terms(per_day=250, zone=NEW_YORK.key)
    CHANGES = (
        (b'"price":', b'"last":'), (b'"close":', b'"closing":'), (b'"date":', b'"day":'), (b'"symbol":', b'"ticker":'),
        (b'"value":', b'"value":[],"amount":'),
    )  # fmt: skip

    def answer(self, request: Request) -> Response:
        """Everything below `/stable`."""
        params = given(request)
        key = request.headers.get("apikey") or params.get("apikey", "")
        if not self.clerk.knows(key):
            return said({"Error Message": BAD_KEY}, status=401)
        if request.path.startswith(("/api/v3", "/api/v4")):
            return said({"Error Message": LEGACY}, status=403)
        if self.clerk.spend(key):
            return said({"Error Message": LIMIT}, status=429)
        try:
            return self._served(request.path, params)
        except Denied as denied:
            return Response(402, str(denied).encode(), TEXT)

    def refusal(self, kind: str, variant: int) -> Response:
        """Calls or bytes used up, the same told with 200, or a proxy in trouble."""
        if kind == "too_many":
            words = LIMIT if variant % 2 else LIMIT.replace("Limit Reach", "Bandwidth Limit Reach")
            return said({"Error Message": words}, status=429, headers={"Retry-After": "1"})
        if kind == "error_bodies":
            return said({"Error Message": LIMIT})
        return in_trouble(variant)

    def _served(self, path: str, params: Params) -> Response:
        quotes = _PATH.fullmatch(path)
        if quotes:
            return self._quotes(params, bool(quotes[1]), SHAPES[quotes[2]])
        if path == "/stable/historical-price-eod/full":
            return self._days(params)
        if path.startswith("/stable/historical-chart/"):
            return self._chart(params, path.rpartition("/")[2])
        if path == "/stable/economic-indicators":
            return self._economic(params)
        if path == "/stable/search-symbol":
            return self._search(params)
        return said([], status=404)

    def _quotes(self, params: Params, many: bool, shape: Callable[[str, Snapshot], dict[str, Any]]) -> Response:
        """Symbols that are not known are left out."""
        if many and not self.clerk.paid:
            raise Denied(RESTRICTED)
        texts = params.get("symbols" if many else "symbol", "").split(",")
        shown, rows = [], list[Row]()
        for text in texts if many else texts[:1]:
            one = self.snapshot(self._symbol(text))
            if one is not None:
                item = shape(text, one)
                shown.append(item)
                rows.append(said_of(_canonical(text), item, self.now()))
        return said(shown, rows)

    def _days(self, params: Params) -> Response:
        """Newest first, the present day as it is so far."""
        text = params.get("symbol", "")
        code = self.chronicle.code(self._symbol(text))
        if code is None:
            return said([])
        first, last = self._span(params, FREE_YEARS)
        first = first if self.clerk.paid else max(first, self._today() - FREE_YEARS)
        found = self.chronicle.days(code, _us(first) - 10 * DAY, _us(last) + DAY)
        bars = bars_of(found, self.chronicle.instrument(code), self.now(), DAY)
        kept = next((place for place, bar in enumerate(bars) if bar.start >= _us(first)), len(bars))
        before = [bar.close for bar in (bars[:1] + bars)]
        shown = [day(text, bars[place], before[place]) for place in range(kept, len(bars))]
        return said(shown[::-1], bar_rows(bars[kept:], _canonical(text), "1d")[::-1])

    def _chart(self, params: Params, name: str) -> Response:
        """Newest first, in the time of New York; the newest days of the range that fit in."""
        if not self.clerk.paid:
            raise Denied(RESTRICTED)
        text, interval = params.get("symbol", ""), CHARTS.get(name)
        code = self.chronicle.code(self._symbol(text))
        if code is None or interval is None:
            return said([], status=404 if interval is None else 200)
        length = LENGTHS[interval] * MINUTE
        first, last = self._span(params, timedelta(days=30))
        end = _local(last + timedelta(days=1))
        begin = max(_local(first), end - 60 * CHART_ROWS * length)
        found = self.chronicle.bars(code, interval, begin, end)
        bars = bars_of(found, self.chronicle.instrument(code), self.now(), length)
        times = [datetime.fromtimestamp(bar.start // SECOND, NEW_YORK) for bar in bars]
        oldest = times[-CHART_ROWS].date() if len(times) > CHART_ROWS else date.min
        kept = next((place for place, time in enumerate(times) if time.date() > oldest), len(times))
        names = ("open", "low", "high", "close", "volume")
        shown = [
            {"date": f"{time:%Y-%m-%d %H:%M:%S}", **{name: whole(getattr(bar, name)) for name in names}}
            for time, bar in zip(times[kept:], bars[kept:], strict=True)
        ]  # fmt: skip
        return said(shown[::-1], bar_rows(bars[kept:], _canonical(text), interval)[::-1])

    def _economic(self, params: Params) -> Response:
        """The 90 days before the end, whatever the beginning; newest first."""
        series = SERIES.get(params.get("name", ""))
        if series is None:
            return said([])
        last, today = self._date(params, "to", self._today()), self._today()
        believed = self.world.economy.believed(series, today, today, today)
        found = [row for row in believed if last - WINDOW <= row.period <= last and row.value != "."][::-1]
        shown = [{"name": params["name"], "date": row.period.isoformat(), "value": float(row.value)} for row in found]
        rows: list[Row] = [
            {"kind": "observation", "series": params["name"].upper(), "date": row.period.isoformat(), "value": float(row.value),
             "vintage": today.isoformat()}
            for row in found
        ]  # fmt: skip
        return said(shown, rows)

    def _search(self, params: Params) -> Response:
        words = params.get("query", "").lower()
        listed = self.chronicle.floor.listed if self.chronicle.floor else []
        return said([
            {"symbol": one.instrument.symbol.replace(".", "-"), "name": one.title, "currency": "USD", "exchangeFullName": one.place,
             "exchange": one.place}
            for one in listed if words and (words in one.instrument.symbol.lower() or words in one.title.lower())
        ])  # fmt: skip

    def _symbol(self, text: str) -> str:
        """The canonical symbol of an allowed one. Raises `Denied`."""
        symbol = _canonical(text)
        code = self.chronicle.code(symbol)
        listed = code is not None and self.chronicle.instrument(code).market == "equities"
        if listed and not self.clerk.paid and symbol not in FREE_SYMBOLS:
            raise Denied(PREMIUM)
        return symbol

    def _span(self, params: Params, usual: timedelta) -> tuple[date, date]:
        last = self._date(params, "to", self._today())
        return self._date(params, "from", last - usual), last

    def _date(self, params: Params, name: str, usual: date) -> date:
        try:
            return date.fromisoformat(params[name]) if name in params else usual
        except ValueError:
            return usual

    def _today(self) -> date:
        return datetime.fromtimestamp(self.now() // SECOND, NEW_YORK).date()


def _canonical(text: str) -> str:
    """The canonical symbol of FMP's spelling.

    >>> _canonical("BRK-B"), _canonical("EURUSD"), _canonical("BTCUSD"), _canonical("AAPL")
    ('BRK.B', 'EUR-USD', 'BTC-USD', 'AAPL')
    """
    if "-" in text:
        return share(text)
    return f"{text[:-3]}-{text[-3:]}" if len(text) >= 6 and text.isalpha() else text


def _us(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY


def _local(day_: date) -> int:
    """The midnight with which a day begins in New York (us)."""
    return round(datetime(day_.year, day_.month, day_.day, tzinfo=NEW_YORK).timestamp()) * SECOND


def open() -> Fmp:
    """The dialect."""
    return Fmp()
