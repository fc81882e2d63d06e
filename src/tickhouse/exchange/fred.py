"""FRED's words: observations with their vintages, vintage dates, and what a series is. JSON only; days are those of St. Louis."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from tickhouse.core.clock import SECOND
from tickhouse.exchange import Request, Response, Row
from tickhouse.exchange._polled import Params, Polled, given, in_trouble, said
from tickhouse.exchange.economy import FOR_EVER, Believed, Series
from tickhouse.exchange.terms import Terms

ST_LOUIS = ZoneInfo("America/Chicago")
FIRST, MOST, VINTAGES = date(1776, 7, 4), 100_000, 2000
FREQUENCIES = {"Q": "Quarterly", "M": "Monthly", "D": "Daily"}
ADJUSTED = {
    "SA": "Seasonally Adjusted", "SAAR": "Seasonally Adjusted Annual Rate", "NSA": "Not Seasonally Adjusted",
}  # fmt: skip
_KEY = re.compile(r"[a-z0-9]{32}")


class Refused(Exception):
    """A request that is answered with 400."""


class Fred(Polled):
    """The dialect of FRED."""

    name = "fred"
    TERMS = Terms(per_second=4, per_minute=120)
    CHANGES = (
        (b'"observations":', b'"values":'), (b'"value":', b'"amount":'), (b'"vintage_dates":', b'"vintages":'),
    )  # fmt: skip

    def answer(self, request: Request) -> Response:
        """`/fred/series`, `/fred/series/observations`, `/fred/series/vintagedates`, `/fred/series/release`."""
        ways: dict[str, Callable[[Params], tuple[Any, Sequence[Row]]]] = {
            "/fred/series": self._series, "/fred/series/observations": self._observations,
            "/fred/series/vintagedates": self._vintages, "/fred/series/release": self._release,
        }  # fmt: skip
        params, way = given(request), ways.get(request.path)
        if way is None:
            return Response(404, b"<html><body>Not Found</body></html>", "text/html")
        markup = params.get("file_type") != "json"
        if self.clerk.spend(params.get("api_key") or request.peer):
            return _refused(429, "Too Many Requests.  Exceeded Rate Limit", markup)
        try:
            self._admit(params)
            value, rows = way(params)
        except Refused as refused:
            return _refused(400, f"Bad Request.  {refused}", markup)
        return said(value, rows)

    def refusal(self, kind: str, variant: int) -> Response:
        """Too fast, or something broken behind it."""
        if kind == "too_many":
            return _refused(429, "Too Many Requests.  Exceeded Rate Limit", False)
        if kind == "error_bodies":
            return said({"error_code": 500, "error_message": "Internal Server Error"})
        return in_trouble(variant)

    def _admit(self, params: Params) -> None:
        """Raises `Refused` for a key that is missing, misspelled or not known, and for another language than JSON."""
        key = params.get("api_key", "")
        if not key:
            raise Refused(
                "Variable api_key is not set.  Read https://fred.stlouisfed.org/docs/api/api_key.html for more information."
            )
        if not _KEY.fullmatch(key):
            raise Refused("The value for variable api_key is not a 32 character alpha-numeric lower-case string.")
        if not self.clerk.knows(key):
            raise Refused("The value for variable api_key is not registered.")
        if params.get("file_type", "json") != "json":
            raise Refused("Bad value for variable file_type.")

    def _series(self, params: Params) -> tuple[Any, Sequence[Row]]:
        one, today = self._named(params), self._today()
        believed = self.world.economy.believed(one.id, today, today, today)
        about = {
            "id": one.id, **_span(today, today), "title": one.title, "observation_start": one.first.isoformat(),
            "observation_end": believed[-1].period.isoformat(), "frequency": FREQUENCIES[one.frequency],
            "frequency_short": one.frequency, "units": one.units, "units_short": one.units,
            "seasonal_adjustment": ADJUSTED[one.adjusted], "seasonal_adjustment_short": one.adjusted,
            "last_updated": f"{self.world.economy.vintages(one.id, today)[-1]} 07:54:01-05", "popularity": 50,
            "notes": "Simulated: these numbers are made up.",
        }  # fmt: skip
        return {**_span(today, today), "seriess": [about]}, ()

    def _release(self, params: Params) -> tuple[Any, Sequence[Row]]:
        one, today = self._named(params), self._today()
        release = {
            "id": 53,
            **_span(today, today),
            "name": one.title,
            "press_release": True,
            "link": "http://localhost/",
        }
        return {**_span(today, today), "releases": [release]}, ()

    def _vintages(self, params: Params) -> tuple[Any, Sequence[Row]]:
        one = self._named(params)
        self._in_alfred(one)
        limit, offset = _number(params, "limit", 10_000), _number(params, "offset", 0)
        days = [day.isoformat() for day in self.world.economy.vintages(one.id, self._today())]
        head = {**_span(FIRST, FOR_EVER), "order_by": "vintage_date", "sort_order": "asc", "count": len(days)}
        return {**head, "offset": offset, "limit": limit, "vintage_dates": days[offset : offset + limit]}, ()

    def _observations(self, params: Params) -> tuple[Any, Sequence[Row]]:
        one, today = self._named(params), self._today()
        since, until = _day(params, "realtime_start", today), _day(params, "realtime_end", today)
        if min(until, since) > today and until != FOR_EVER:
            raise Refused(f"Variable realtime_end can not be after today's date ({today}).")
        if (since, until) != (today, today):
            self._in_alfred(one)
        vintages = [day for day in self.world.economy.vintages(one.id, today) if since <= day <= until]
        if len(vintages) > VINTAGES:
            raise Refused(f"This exceeds the maximum number of vintage dates allowed: {VINTAGES}.")
        first, last = _day(params, "observation_start", date(1600, 1, 1)), _day(params, "observation_end", FOR_EVER)
        believed = self.world.economy.believed(one.id, since, until, today)
        found = [row for row in believed if first <= row.period <= last]
        newest = params.get("sort_order", "asc") == "desc"
        return self._page(one, found[::-1] if newest else found, params, [since, until, first, last])

    def _page(
        self, one: Series, found: Sequence[Believed], params: Params, span: Sequence[date]
    ) -> tuple[Any, Sequence[Row]]:
        limit, offset = min(_number(params, "limit", MOST), MOST), _number(params, "offset", 0)
        page = found[offset : offset + limit]
        head = {
            **_span(span[0], span[1]), "observation_start": span[2].isoformat(), "observation_end": span[3].isoformat(),
            "units": "lin", "output_type": 1, "file_type": "json", "order_by": "observation_date",
            "sort_order": params.get("sort_order", "asc"), "count": len(found), "offset": offset, "limit": limit,
        }  # fmt: skip
        items = [{**_span(row.since, row.until), "date": row.period.isoformat(), "value": row.value} for row in page]
        return {**head, "observations": items}, [_row(one.id, row) for row in page]

    def _named(self, params: Params) -> Series:
        name = params.get("series_id", "")
        if not name:
            raise Refused("Variable series_id is not set.")
        if name not in self.world.economy.series:
            raise Refused("The series does not exist.")
        return self.world.economy.series[name]

    def _in_alfred(self, one: Series) -> None:
        if not one.vintages:
            raise Refused("The series does not exist in ALFRED but may exist in FRED.")

    def _today(self) -> date:
        return datetime.fromtimestamp(self.now() // SECOND, UTC).astimezone(ST_LOUIS).date()


def _row(series: str, row: Believed) -> Row:
    value = None if row.value == "." else float(row.value)
    return {
        "kind": "observation",
        "series": series,
        "date": row.period.isoformat(),
        "value": value,
        "vintage": row.since.isoformat(),
    }


def _span(since: date, until: date) -> dict[str, str]:
    return {"realtime_start": since.isoformat(), "realtime_end": until.isoformat()}


def _day(params: Params, name: str, usual: date) -> date:
    try:
        return date.fromisoformat(params[name]) if name in params else usual
    except ValueError:
        raise Refused(f"Variable {name} is not a valid date (YYYY-MM-DD).") from None


def _number(params: Params, name: str, usual: int) -> int:
    text = params.get(name, str(usual))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refused(f"Bad value for variable {name}.")
    return int(text)


def _refused(status: int, message: str, markup: bool) -> Response:
    if markup:
        text = f'<?xml version="1.0" encoding="utf-8" ?>\n<error code="{status}" message="{escape(message)}" />\n'
        return Response(status, text.encode(), "text/xml; charset=utf-8")
    return said({"error_code": status, "error_message": message}, status=status)


def open() -> Fred:
    """The dialect."""
    return Fred()
