"""Splits and dividends beside Yahoo's bars, as actions of the date that the exchange had."""

from collections.abc import Iterable
from datetime import date, timedelta
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import Struct

from tickhouse.feeds._zones import FIRST, LAST, local_days

EPOCH = date(1970, 1, 1)
Refused = list[tuple[str, str]]


class Dividend(Struct):
    """`{"amount":0.205,"date":1604673000}`, a distributed capital gain likewise."""

    amount: float
    date: int


class Split(Struct):
    """`{"date":1598880600,"numerator":4,"denominator":1,"splitRatio":"4:1"}`."""

    numerator: float
    denominator: float
    date: int


def actions(
    symbol: str, zone: ZoneInfo, dividends: Iterable[Dividend], splits: Iterable[Split]
) -> tuple[list[dict[str, Any]], Refused]:
    """One row a date and kind, by date: what was paid on one day is one dividend, and the product of its splits one split."""
    paid: dict[date, float] = {}
    ratios: dict[date, float] = {}
    refused: Refused = []
    for dividend in dividends:
        day = _day(dividend.date, zone)
        if day is None or not isfinite(dividend.amount):
            refused.append(("dividend", f"a dividend of {symbol} has no date or amount"))
        else:
            paid[day] = paid.get(day, 0.0) + dividend.amount
    for split in splits:
        day = _day(split.date, zone)
        ratio = split.numerator / split.denominator if split.denominator > 0 else 0.0
        if day is None or not 0 < ratio < float("inf"):
            refused.append(("split", f"a split of {symbol} has no date or ratio"))
        else:
            ratios[day] = ratios.get(day, 1.0) * ratio
    rows = [{"symbol": symbol, "date": day, "kind": "dividend", "value": value} for day, value in paid.items()]
    rows += [{"symbol": symbol, "date": day, "kind": "split", "value": value} for day, value in ratios.items()]
    return sorted(rows, key=lambda row: (row["date"], row["kind"])), refused


def _day(seconds: int, zone: ZoneInfo) -> date | None:
    if not FIRST <= seconds < LAST:
        return None
    return EPOCH + timedelta(days=int(local_days(np.array([seconds], np.int64), zone)[0]))
