"""A small FMP in memory: charts of a few days, economic series of ninety days at a time, nothing for what it does not know."""

import json
from datetime import date, timedelta
from typing import Any

from tickhouse.core.requests import Answer, Request

RECEIVED = 1_790_985_600_000_000
"""2026-10-03."""
TODAY = date(2026, 10, 3)


class Server:
    """`series` has the dates of economic series by name, `minutes` the days of a chart by symbol; a chart holds `fit` days."""

    def __init__(
        self, series: dict[str, list[date]] | None = None, minutes: dict[str, list[date]] | None = None, fit: int = 3
    ) -> None:
        self.series, self.minutes, self.fit = series or {}, minutes or {}, fit
        self.asked: list[Request] = []

    def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        params = {name: str(value) for name, value in request.params.items()}
        path = request.url.partition("/stable/")[2]
        rows = self._economic(params) if path == "economic-indicators" else self._chart(params)
        return Answer(200, {}, json.dumps(rows).encode(), RECEIVED)

    def _economic(self, params: dict[str, str]) -> list[Any]:
        last = date.fromisoformat(params.get("to", str(TODAY)))
        inside = [on for on in self.series.get(params["name"], []) if last - timedelta(days=90) <= on <= last]
        return [{"name": params["name"], "date": str(on), "value": 1.5} for on in sorted(inside, reverse=True)]

    def _chart(self, params: dict[str, str]) -> list[Any]:
        days = [
            on
            for on in self.minutes.get(params["symbol"], [])
            if params.get("from", "0") <= str(on) <= params.get("to", "9")
        ]
        price = {"open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}
        return [{"date": f"{on} 09:30:00", **price} for on in sorted(days, reverse=True)[: self.fit]]
