"""Alpha Vantage's time series: bars as texts under numbered names, newest first, in the clocks of a place; shares as traded."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from tickhouse.core.clock import SECOND
from tickhouse.exchange import Row
from tickhouse.exchange._actions import Event, day_of
from tickhouse.exchange._alpha_vantage_forms import COINS, MONEY, Form
from tickhouse.exchange._polled import Bar, bar_rows

COMPACT = 100


def as_traded(bars: Sequence[Bar], events: Mapping[date, Event]) -> list[Bar]:
    """Bars in the prices of their time: before a split they were higher, and fewer shares were traded."""
    splits = sorted((day, event.split) for day, event in events.items() if event.split != 1.0)
    found = []
    for bar in bars:
        factor = 1.0
        for day, ratio in splits:
            factor *= ratio if day_of(bar.start) < day else 1.0
        prices = [price * factor for price in (bar.open, bar.high, bar.low, bar.close)]
        found.append(Bar(bar.start, prices[0], prices[1], prices[2], prices[3], round(bar.volume / factor), bar.over))
    return found


def adjusted(bars: Sequence[Bar], events: Mapping[date, Event]) -> dict[date, float]:
    """The closes of days with every later split and dividend taken out, by day."""
    factor, found = 1.0, {}
    for place in range(len(bars) - 1, -1, -1):
        day = day_of(bars[place].start)
        found[day] = bars[place].close * factor
        event = events.get(day, Event())
        before = bars[place - 1].close if place else bars[place].close
        factor *= (1.0 - event.dividend / before) / event.split
    return found


def written(bars: Sequence[Bar], form: Form, events: Mapping[date, Event] | None = None) -> dict[str, object]:
    """The body of an answer; with `events` the fields that adjusted days have besides."""
    closes = adjusted(bars, events) if events is not None else {}
    rows = {}
    for bar in reversed(bars):
        prices = [f"{price:.{form.digits}f}" for price in (bar.open, bar.high, bar.low, bar.close)]
        row = dict(zip(("1. open", "2. high", "3. low", "4. close"), prices, strict=True))
        volume = f"{bar.volume:.8f}" if form.digits == COINS else f"{bar.volume:.0f}"
        if events is not None:
            event = events.get(day_of(bar.start), Event())
            row |= {"5. adjusted close": f"{closes[day_of(bar.start)]:.12g}", "6. volume": volume}
            row |= {"7. dividend amount": f"{event.dividend:.4f}", "8. split coefficient": f"{event.split:.1f}"}
        elif form.digits != MONEY:
            row["5. volume"] = volume
        rows[_clock(bar.start, form)] = row
    refreshed = next(iter(rows), "")
    return {
        "Meta Data": {name: refreshed if value == "*" else value for name, value in form.meta.items()},
        form.title: rows,
    }


def rows_of(bars: Sequence[Bar], symbol: str, form: Form, events: Mapping[date, Event] | None = None) -> list[Row]:
    """What an answer says; prices as their texts round them."""
    rows = bar_rows([_rounded(bar, form) for bar in bars], symbol, form.interval)
    for bar in bars:
        event = (events or {}).get(day_of(bar.start), Event())
        acted = {"kind": "action", "symbol": symbol, "date": day_of(bar.start).isoformat()}
        rows += [{**acted, "action": "dividend", "value": event.dividend}] if event.dividend else []
        rows += [{**acted, "action": "split", "value": event.split}] if event.split != 1.0 else []
    return rows


def _rounded(bar: Bar, form: Form) -> Bar:
    """A bar as its texts say it."""
    opened, high, low, close = (float(f"{x:.{form.digits}f}") for x in (bar.open, bar.high, bar.low, bar.close))
    volume = 0.0 if form.digits == MONEY else round(bar.volume, 8) if form.digits == COINS else float(round(bar.volume))
    return Bar(bar.start, opened, high, low, close, volume, bar.over)


def _clock(us: int, form: Form) -> str:
    """A day, or what the clocks of a place show."""
    if form.zone is None:
        return day_of(us).isoformat()
    return f"{datetime.fromtimestamp(us // SECOND, form.zone):%Y-%m-%d %H:%M:%S}"
