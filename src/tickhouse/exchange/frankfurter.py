"""Frankfurter's words: daily reference rates by the interface v2, blended of many banks, and v1, of the ECB's working days.

A rate is fixed at ten past two in the afternoon and out two hours later. The time before it was is that of the day before.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import Request, Response, Row
from tickhouse.exchange._listed import CURRENCIES
from tickhouse.exchange._polled import TEXT, Params, Polled, given, in_trouble, quote_row, said
from tickhouse.exchange.terms import Terms

FIRST, EPOCH, DAY = date(1999, 1, 4), date(1970, 1, 1), 86_400
FIXED, OUT = 14 * 3600 + 600, 15 * 3600
"""Seconds of a day of UTC at which rates are fixed, and from which on they are served."""
BANKS = ("BOC", "ECB", "FED")
_ONE = re.compile(r"/v2/rate/([a-zA-Z]+)/([a-zA-Z]+)")
_V1 = re.compile(r"/v1/(?:(latest)|(\d{4}-\d\d-\d\d)(\.\.)?(\d{4}-\d\d-\d\d)?)")
KNOWN = ("base", "quotes", "date", "from", "to", "providers")


class Refused(Exception):
    """A request that is not served: its status and why."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(message)


class Frankfurter(Polled):
    """The dialect of Frankfurter."""

    name = "frankfurter"
    TERMS = Terms(per_minute=600)
    CHANGES = ((b'"rate":', b'"value":'), (b'"base":', b'"from":'), (b'"rates":', b'"prices":'))

    def answer(self, request: Request) -> Response:
        """`/v1/latest`, `/v1/<day>`, `/v1/<day>..<day>`, `/v2/rates`, `/v2/rate/<base>/<quote>`."""
        if self.clerk.spend(request.peer):
            return self.refusal("too_many", 0)
        try:
            old, one = _V1.fullmatch(request.path), _ONE.fullmatch(request.path)
            if old:
                return self._old(old, given(request))
            if one:
                return self._new({"base": one[1].upper(), "quotes": one[2].upper()}, single=True)
            if request.path == "/v2/rates":
                return self._new(given(request))
        except Refused as refused:
            body = {"message": refused.message}
            return said({"status": refused.status, **body} if refused.status == 422 else body, status=refused.status)
        return said({"message": "not found"}, status=404)

    def refusal(self, kind: str, variant: int) -> Response:
        """What stands before the service, or the service itself in trouble."""
        if kind == "too_many":
            return Response(429, b"Too Many Requests\n", TEXT, {"Retry-After": "1"})
        if kind == "error_bodies":
            return said({"status": 503, "message": "upstream unavailable"})
        return in_trouble(variant)

    def _new(self, params: Params, single: bool = False) -> Response:
        """A flat list; all of the request is refused when one code in it is not known."""
        unknown = [name for name in params if name not in KNOWN]
        if unknown:
            raise Refused(422, f"unknown parameter: {unknown[0]}")
        base, quotes = params.get("base", "EUR"), _codes(params.get("quotes", ""), params.get("base", "EUR"))
        for code in (base, *quotes):
            if code not in CURRENCIES:
                raise Refused(422, f"invalid currency: {code}")
        working = params.get("providers", "") in BANKS
        days = list(
            self._days(params.get("from") or params.get("date"), params.get("to") or params.get("date"), working)
        )
        tables = self._tables(base, quotes, days)
        found = [
            {"date": day, "base": base, "quote": quote, "rate": rate}
            for day, table in tables.items() for quote, rate in table.items()
        ]  # fmt: skip
        rows = [_row(str(one["date"]), base, str(one["quote"]), float(str(one["rate"]))) for one in found]
        return said(found[0] if single else found, rows)

    def _old(self, path: re.Match[str], params: Params) -> Response:
        """A map; codes that are not known are left out."""
        base = params.get("base", "EUR")
        if base not in CURRENCIES:
            raise Refused(404, "not found")
        quotes = [one for one in _codes(params.get("symbols", ""), base) if one in CURRENCIES]
        first, last = path[2], path[4] if path[3] else path[2]
        days = list(self._days(first, last or ("9999-12-31" if path[3] else None), working=True, nearest=not path[3]))
        tables = self._tables(base, quotes, days)
        rows = [_row(day, base, quote, rate) for day, table in tables.items() for quote, rate in table.items()]
        if path[3]:
            span = {"start_date": min(tables, default=first), "end_date": max(tables, default=last)}
            return said({"amount": 1.0, "base": base, **span, "rates": tables}, rows)
        if not days:
            raise Refused(404, "not found")
        return said(
            {"amount": 1.0, "base": base, "date": days[-1].isoformat(), "rates": tables[days[-1].isoformat()]}, rows
        )

    def _days(self, first: str | None, last: str | None, working: bool, nearest: bool = False) -> Iterator[date]:
        """The days of a range that have rates, the newest one without a range; `nearest` gives the one before a day without."""
        newest = self._newest()
        try:
            begin, end = (date.fromisoformat(text) if text else None for text in (first, last))
        except ValueError:
            raise Refused(422, "invalid date") from None
        if begin is None or nearest:
            newest = min(end or newest, newest)
            while working and newest.isoweekday() > 5:
                newest -= timedelta(days=1)
            if newest >= FIRST:
                yield newest
            return
        day, end = max(begin, FIRST), min(end or newest, newest)
        while day <= end:
            if not working or day.isoweekday() <= 5:
                yield day
            day += timedelta(days=1)

    def _newest(self) -> date:
        """The newest day whose rates are out."""
        return datetime.fromtimestamp(self.now() // SECOND - OUT, UTC).date()

    def _tables(self, base: str, quotes: Sequence[str], days: Sequence[date]) -> dict[str, dict[str, float]]:
        """The rates of days, of five digits, by day and currency."""
        at = np.array([((day - EPOCH).days * DAY + FIXED) * SECOND for day in days], np.int64)
        worth = self.chronicle.money.worth
        rates = {quote: (worth(base, at) / worth(quote, at)).tolist() for quote in quotes}
        return {
            day.isoformat(): {quote: float(f"{rates[quote][place]:.5g}") for quote in quotes}
            for place, day in enumerate(days)
        }  # fmt: skip


def _codes(text: str, base: str) -> Sequence[str]:
    """The currencies asked for, all others where none is."""
    return [one for one in text.split(",") if one] or [one for one in CURRENCIES if one != base]


def _row(day: str, base: str, quote: str, rate: float) -> Row:
    time = (date.fromisoformat(day) - EPOCH).days * DAY * SECOND
    return quote_row(f"{base}-{quote}", time, rate)


def open() -> Frankfurter:
    """The dialect."""
    return Frankfurter()
