"""A small FRED in memory: what was believed when, answered page by page as the service does, with its limits."""

import json
from datetime import date
from typing import Any

from tickhouse.core.requests import Answer, Request

MOST_VINTAGES = 2000
RECEIVED = 1_730_644_410_000_000
"""2024-11-03T14:33:30Z."""
Belief = tuple[str, str, str]
"""Date, value, and the vintage: the day from which it was believed."""


class Archive:
    """Answers requests for series of given beliefs. `most` is the page size that the service allows."""

    def __init__(
        self, series: dict[str, list[Belief]], without_vintages: tuple[str, ...] = (), most: int = 100_000
    ) -> None:
        self.series, self.without_vintages, self.most = series, without_vintages, most

    def answer(self, request: Request) -> Answer:
        params = {name: str(value) for name, value in request.params.items()}
        series = params["series_id"]
        if series not in self.series:
            return _refusal("Bad Request.  The series does not exist.")
        path = request.url.partition("/fred/")[2]
        if series in self.without_vintages and (path == "series/vintagedates" or "realtime_start" in params):
            return _refusal("Bad Request.  The series does not exist in ALFRED but may exist in FRED.")
        if path == "series/vintagedates":
            return self._page("vintage_dates", self._vintages(series), params)
        return self._observations(series, params)

    def _observations(self, series: str, params: dict[str, str]) -> Answer:
        first, last = params.get("realtime_start", "2024-10-30"), params.get("realtime_end", "2024-10-30")
        inside = [vintage for vintage in self._vintages(series) if first <= vintage <= last]
        if len(inside) > MOST_VINTAGES:
            return _refusal(f"Bad Request.  There are {len(inside)} vintage dates in the specified real-time period.")
        rows = [
            {"realtime_start": max(since, first), "realtime_end": min(until, last), "date": day, "value": value}
            for day, value, since, until in self._believed(series)
            if since <= last and until >= first
            and params.get("observation_start", "0") <= day <= params.get("observation_end", "9")
        ]  # fmt: skip
        rows.sort(key=lambda row: (row["date"], row["realtime_start"]), reverse=params.get("sort_order") == "desc")
        return self._page("observations", rows, params, realtime_start=first, realtime_end=last, units="lin")

    def _page(self, name: str, rows: list[Any], params: dict[str, str], **more: Any) -> Answer:
        offset, limit = int(params.get("offset", 0)), min(int(params["limit"]), self.most)
        body = more | {"count": len(rows), "offset": offset, "limit": limit, name: rows[offset : offset + limit]}
        return Answer(200, {}, json.dumps(body).encode(), RECEIVED)

    def _vintages(self, series: str) -> list[str]:
        return sorted({vintage for _, _, vintage in self.series[series]})

    def _believed(self, series: str) -> list[tuple[str, str, str, str]]:
        """Date, value, and the first and last day on which it was believed."""
        ordered = sorted(self.series[series], key=lambda belief: (belief[0], belief[2]))
        following = [*ordered[1:], ("", "", "")]
        return [
            (day, value, since, _eve(after[2]) if after[0] == day else "9999-12-31")
            for (day, value, since), after in zip(ordered, following, strict=True)
        ]


def _eve(day: str) -> str:
    return date.fromordinal(date.fromisoformat(day).toordinal() - 1).isoformat()


def _refusal(message: str) -> Answer:
    return Answer(400, {}, json.dumps({"error_code": 400, "error_message": message}).encode(), RECEIVED)
