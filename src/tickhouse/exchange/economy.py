"""Economic series of a small seeded model, with what was believed when: values are first guessed, then revised, then settled.

A value is published so many days after its period, again at each later revision with a smaller error, and at the end as it is.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from math import exp
from typing import NamedTuple

import numpy as np

from tickhouse.exchange._walk import chance, path

FOR_EVER = date(9999, 12, 31)
HOME = date(2025, 1, 1)
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Series:
    """A series: `frequency` is Q, M or D; `value` that of January 2025, growing by `growth` a year and wandering by `daily`.

    `lags` are the days after the end of a period at which its value is published and revised (each time with about half the
    error, at first `error` of the value), `decimals` how it is written. `vintages` says whether old beliefs are kept.
    """

    id: str
    title: str
    units: str
    frequency: str
    first: date
    value: float
    growth: float
    daily: float
    lags: tuple[int, ...] = (1,)
    error: float = 0.0
    decimals: int = 3
    adjusted: str = "NSA"
    vintages: bool = True


SERIES = (
    Series("GDP", "Gross Domestic Product", "Billions of Dollars", "Q", date(1990, 1, 1), 29_960.4, 0.047, 0.00028,
           (28, 58, 87, 270), 0.004, 3, "SAAR"),
    Series("GDPC1", "Real Gross Domestic Product", "Billions of Chained 2017 Dollars", "Q", date(1990, 1, 1), 23_512.7, 0.024,
           0.00028, (28, 58, 87, 270), 0.004, 3, "SAAR"),
    Series("CPIAUCSL", "Consumer Price Index for All Urban Consumers: All Items in U.S. City Average", "Index 1982-1984=100", "M",
           date(1990, 1, 1), 319.086, 0.027, 0.0001, (12, 380), 0.0006, 3, "SA"),
    Series("UNRATE", "Unemployment Rate", "Percent", "M", date(1990, 1, 1), 4.1, 0.0, 0.004, (6, 360), 0.01, 1, "SA"),
    Series("PAYEMS", "All Employees, Total Nonfarm", "Thousands of Persons", "M", date(1990, 1, 1), 158_942.0, 0.012, 0.0001,
           (6, 36, 64), 0.0008, 0, "SA"),
    Series("FEDFUNDS", "Federal Funds Effective Rate", "Percent", "M", date(1990, 1, 1), 4.33, 0.0, 0.006, (1,), 0.0, 2),
    Series("RSAFS", "Advance Retail Sales: Retail Trade and Food Services", "Millions of Dollars", "M", date(1992, 1, 1),
           723_853.0, 0.043, 0.0004, (15, 45), 0.003, 0, "SA"),
    Series("DGS10", "Market Yield on U.S. Treasury Securities at 10-Year Constant Maturity", "Percent", "D", date(2000, 1, 3),
           4.57, 0.0, 0.008, (1,), 0.0, 2),
    Series("DGS2", "Market Yield on U.S. Treasury Securities at 2-Year Constant Maturity", "Percent", "D", date(2000, 1, 3),
           4.25, 0.0, 0.009, (1,), 0.0, 2),
    Series("SP500", "S&P 500", "Index", "D", date(2016, 10, 3), 5_881.63, 0.08, 0.009, (1,), 0.0, 2, "NSA", vintages=False),
)  # fmt: skip


class Believed(NamedTuple):
    """The value of a period by its first day, and the days, both inclusive, on which it was the newest; `.` where there is none."""

    period: date
    value: str
    since: date
    until: date


class Economy:
    """All series of one seed."""

    def __init__(self, seed: int = 7) -> None:
        self.seed = int(seed)
        self.series = {one.id: one for one in SERIES}
        self._numbers = {one.id: number for number, one in enumerate(SERIES)}

    def vintages(self, name: str, today: date) -> list[date]:
        """The days up to today on which something of a series was published, oldest first."""
        days = {row.since for row in self._all(name, today)}
        return sorted(days)

    def believed(self, name: str, since: date, until: date, today: date) -> list[Believed]:
        """What was believed on any of the days from `since` to `until`, ordered by period; the days are cut to these."""
        found = []
        for row in self._all(name, today):
            if row.since <= until and row.until >= since:
                found.append(row._replace(since=max(row.since, since), until=min(row.until, until)))
        return found

    def _all(self, name: str, today: date) -> Iterator[Believed]:
        """Every value ever published up to today."""
        one = self.series[name]
        periods = _periods(one, today)
        truth = self._values(one, periods)
        errors = self._errors(one, periods)
        for place, (begun, ended) in enumerate(periods):
            told = [ended + timedelta(days=lag) for lag in one.lags]
            told = told[: bisect_right(told, today)]
            for stage, since in enumerate(told):
                wrong = 1.0 + errors[place] * 0.5**stage if stage + 1 < len(one.lags) else 1.0
                until = told[stage + 1] - timedelta(days=1) if stage + 1 < len(told) else FOR_EVER
                yield Believed(begun, _text(one, begun, truth[place] * wrong), since, until)

    def _values(self, one: Series, periods: Sequence[tuple[date, date]]) -> list[float]:
        """How it really was."""
        days = np.array([(begun - EPOCH).days for begun, _ in periods], np.float64)
        moved = path(self.seed, 50_000 + self._numbers[one.id], days * 1440.0) - self._home(one)
        years = (days - (HOME - EPOCH).days) / 365.25
        return [one.value * exp(one.growth * year + one.daily * move) for year, move in zip(years, moved, strict=True)]

    def _errors(self, one: Series, periods: Sequence[tuple[date, date]]) -> list[float]:
        """The share by which the first guess of each period is wrong."""
        days = np.array([(begun - EPOCH).days for begun, _ in periods], np.int64)
        luck = chance(self.seed, 60_000 + self._numbers[one.id], days)
        return [one.error * (2.0 * x - 1.0) for x in luck.tolist()]

    def _home(self, one: Series) -> float:
        return float(self._homes[self._numbers[one.id]])

    @cached_property
    def _homes(self) -> Sequence[float]:
        walks = 50_000 + np.arange(len(SERIES))
        minutes = np.full(len(SERIES), (HOME - EPOCH).days * 1440.0)
        return [float(value) for value in path(self.seed, walks, minutes)]


def _periods(one: Series, today: date) -> list[tuple[date, date]]:
    """First and last day of every period that was over before today."""
    found: list[tuple[date, date]] = []
    begun = one.first
    while True:
        after = _after(one.frequency, begun)
        ended = begun if one.frequency == "D" else after - timedelta(days=1)
        if ended >= today:
            return found
        found.append((begun, ended))
        begun = after


def _after(frequency: str, begun: date) -> date:
    """The first day of the next period; days are those of the working week."""
    if frequency == "D":
        return begun + timedelta(days=3 if begun.isoweekday() == 5 else 1)
    months = begun.month - 1 + (3 if frequency == "Q" else 1)
    return date(begun.year + months // 12, months % 12 + 1, 1)


def _text(one: Series, begun: date, value: float) -> str:
    """The value as it is published; markets that were closed have none.

    >>> _text(SERIES[0], date(2024, 1, 1), 28_269.1), _text(SERIES[7], date(2025, 12, 25), 4.5)
    ('28269.100', '.')
    """
    if one.frequency == "D" and (begun.month, begun.day) in ((1, 1), (7, 4), (12, 25)):
        return "."
    return f"{value:.{one.decimals}f}"
