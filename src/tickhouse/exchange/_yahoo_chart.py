"""Yahoo's charts: columns of bars, splits and dividends beside them, the price of the moment at their end; what is not served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import Row
from tickhouse.exchange._actions import Event, day_of, events_of
from tickhouse.exchange._polled import Bar, Params, bar_rows, bars_of, quote_row
from tickhouse.exchange._yahoo_names import HABITS, Habit, canonical
from tickhouse.exchange.chronicle import Chronicle
from tickhouse.exchange.floor import DAY, FIRST_DAY, MINUTE
from tickhouse.exchange.snapshots import Snapshot, Snapshots

INTRADAY = {"1m": 1, "2m": 2, "5m": 5, "15m": 15, "30m": 30, "60m": 60, "1h": 60, "90m": 90}
OURS = {"60m": "1h", "1wk": "1w"}
KEPT = {"1m": 30, "60m": 730, "1h": 730}
"""Days of which bars are kept; those of other intervals shorter than a day for 60."""
AT_ONCE = 8
RANGES = {
    "1d": 1,
    "5d": 5,
    "1mo": 30,
    "3mo": 91,
    "6mo": 182,
    "1y": 365,
    "2y": 730,
    "5y": 1826,
    "10y": 3652,
    "max": 20_000,
}
Said = tuple[Any, Sequence[Row]]


class Refused(Exception):
    """A request that is not served: status, code and description."""

    def __init__(self, status: int, code: str, description: str) -> None:
        self.status, self.code, self.description = status, code, description
        super().__init__(description)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request is about: from when on (us), up to when, bars of which interval, hours beside the regular ones too."""

    text: str
    code: int
    interval: str
    start: int
    end: int
    extended: bool


class Charts:
    """The charts of everything listed."""

    def __init__(self, chronicle: Chronicle, snapshots: Snapshots) -> None:
        self._chronicle, self._snapshots = chronicle, snapshots

    def told(self, text: str, params: Params) -> Said:
        """The chart of a symbol. Raises `Refused`."""
        asked = self._asked(text, params)
        one = self._snapshots.of(asked.code)
        if one is None:
            raise Refused(404, "Not Found", "No data found, symbol may be delisted")
        bars, live = self._bars(asked), self._is_live(asked)
        daily = asked.interval in ("1d", "1wk")
        habit = HABITS[self._chronicle.instrument(asked.code).market]
        events = events_of(self._chronicle, asked.code, bars[0].start, asked.end) if daily and bars else {}
        meta = self._meta(asked, one, habit)
        rows = self._rows(asked, bars, events)
        times = [self._stamp(asked, bar, habit) for bar in bars]
        if live and daily and bars:
            times[-1] = one.time // SECOND
        if live and not daily:
            price = float(np.float32(one.price))
            times, bars = [*times, one.time // SECOND], [*bars, Bar(one.time, price, price, price, price, 0.0, False)]
        rows += [quote_row(canonical(text), one.time // SECOND * SECOND, one.price)] if live and times else []
        result = {"meta": meta, **({"timestamp": times} if times else {})}
        if events:
            result["events"] = _events(events, dict(zip((day_of(bar.start) for bar in bars), times, strict=True)))
        result["indicators"] = _indicators(bars, events, daily)
        return {"chart": {"result": [result], "error": None}}, rows

    def _asked(self, text: str, params: Params) -> _Asked:
        code, now = self._chronicle.code(canonical(text)), self._chronicle.public()
        interval, extended = params.get("interval", "1d"), params.get("includePrePost") == "true"
        if code is None:
            raise Refused(404, "Not Found", "No data found, symbol may be delisted")
        if interval not in INTRADAY and interval not in ("1d", "1wk"):
            raise Refused(422, "Unprocessable Entity", f"Invalid input - interval={interval} is not supported.")
        if "period1" in params:
            try:
                start, end = int(params["period1"]), int(params.get("period2", str(now // SECOND + 1)))
            except ValueError:
                raise Refused(422, "Unprocessable Entity", "Invalid input - period1 and period2 are numbers.") from None
            self._kept(interval, start, end)
            start, end = max(start * SECOND, FIRST_DAY), min(end * SECOND, now + 1)
        else:
            days = RANGES.get(params.get("range", "1d"))
            if days is None:
                raise Refused(
                    422, "Unprocessable Entity", f"Invalid input - range={params.get('range')} is not supported."
                )
            start, end = self._since(code, days, extended), now + 1
        return _Asked(text, code, interval, start, end, extended)

    def _kept(self, interval: str, start: int, end: int) -> None:
        if interval not in INTRADAY:
            return
        kept, now = KEPT.get(interval, 60), self._chronicle.public() // SECOND
        about = f"{interval} data not available for startTime={start} and endTime={end}. "
        if start < now - kept * 86_400:
            raise Refused(
                422, "Unprocessable Entity", f"{about}The requested range must be within the last {kept} days."
            )
        if interval == "1m" and end - start > AT_ONCE * 86_400:
            words = f"Only {AT_ONCE} days worth of 1m granularity data are allowed to be fetched per request."
            raise Refused(422, "Unprocessable Entity", about + words)

    def _since(self, code: int, days: int, extended: bool) -> int:
        """When the newest sessions began."""
        now, hours = self._chronicle.public(), self._chronicle.hours(code, extended)
        if days == 1 and hours is not None and self._chronicle.instrument(code).market == "equities":
            return int(hours.starts[max(hours.at(now), 0)])
        return max(now // DAY * DAY - (days - 1) * DAY, FIRST_DAY)

    def _bars(self, asked: _Asked) -> list[Bar]:
        """Bars whose prices are floats of 32 bits."""
        made = {"1d": self._chronicle.days, "1wk": self._chronicle.weeks}.get(asked.interval)
        length = {"1d": DAY, "1wk": 7 * DAY}.get(asked.interval) or INTRADAY[asked.interval] * MINUTE
        ours = OURS.get(asked.interval, asked.interval)
        if made:
            found = made(asked.code, asked.start // DAY * DAY, asked.end)
        else:
            found = self._chronicle.bars(asked.code, ours, asked.start, asked.end, asked.extended)
        one = self._chronicle.instrument(asked.code)
        bars = bars_of(found, one, self._chronicle.public(), length)
        return [self._narrow(bar, asked) for bar in bars]

    def _narrow(self, bar: Bar, asked: _Asked) -> Bar:
        opened, high, low, close = (float(np.float32(price)) for price in (bar.open, bar.high, bar.low, bar.close))
        hours, over = self._chronicle.hours(asked.code), bar.over
        if asked.interval == "1d" and hours is not None and self._chronicle.instrument(asked.code).market == "equities":
            over = int(hours.ends[hours.at(bar.start + DAY - 1)]) + MINUTE <= self._chronicle.public()
        volume = bar.volume
        if self._chronicle.instrument(asked.code).market == "crypto":
            volume = float(round(volume * close))
        return Bar(bar.start, opened, high, low, close, volume, over)

    def _is_live(self, asked: _Asked) -> bool:
        """Whether the chart ends now, in regular hours."""
        now, regular = self._chronicle.public(), self._chronicle.hours(asked.code)
        return asked.end > now and (regular is None or regular.open(now))

    def _stamp(self, asked: _Asked, bar: Bar, habit: Habit) -> int:
        """The open of the session of a day of shares, local midnight of other days and of weeks (s)."""
        if asked.interval not in ("1d", "1wk"):
            return bar.start // SECOND
        hours = self._chronicle.hours(asked.code)
        if hours is not None and habit.kind == "EQUITY" and asked.interval == "1d":
            place = int(np.searchsorted(hours.starts, bar.start))
            return int(hours.starts[place]) // SECOND
        day = day_of(bar.start)
        return round(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(habit.zone)).timestamp())

    def _rows(self, asked: _Asked, bars: Sequence[Bar], events: Mapping[date, Event]) -> list[Row]:
        symbol = canonical(asked.text)
        rows = bar_rows(bars, symbol, OURS.get(asked.interval, asked.interval))
        for day, event in events.items():
            acted = {"kind": "action", "symbol": symbol, "date": day.isoformat()}
            rows += [{**acted, "action": "dividend", "value": event.dividend}] if event.dividend else []
            rows += [{**acted, "action": "split", "value": event.split}] if event.split != 1.0 else []
        return rows

    def _meta(self, asked: _Asked, one: Snapshot, habit: Habit) -> dict[str, Any]:
        now = self._chronicle.public() // SECOND
        zone = ZoneInfo(habit.zone)
        offset = datetime.fromtimestamp(now, zone).utcoffset()
        return {
            "currency": habit.currency, "symbol": asked.text, "exchangeName": habit.exchange, "fullExchangeName": habit.exchange,
            "instrumentType": habit.kind, "firstTradeDate": FIRST_DAY // SECOND, "regularMarketTime": one.time // SECOND,
            "hasPrePostMarketData": habit.kind == "EQUITY", "gmtoffset": round(offset.total_seconds()) if offset else 0,
            "timezone": datetime.fromtimestamp(now, zone).strftime("%Z"), "exchangeTimezoneName": habit.zone,
            "regularMarketPrice": one.price, "fiftyTwoWeekHigh": one.high, "fiftyTwoWeekLow": one.low,
            "regularMarketDayHigh": one.high, "regularMarketDayLow": one.low, "regularMarketVolume": round(one.volume),
            "longName": one.symbol, "shortName": one.symbol, "chartPreviousClose": one.previous, "previousClose": one.previous,
            "priceHint": 2, "currentTradingPeriod": self._periods(asked, habit), "dataGranularity": asked.interval, "range": "",
            "validRanges": [*RANGES],
        }  # fmt: skip

    def _periods(self, asked: _Asked, habit: Habit) -> dict[str, dict[str, int]]:
        """The present or next session, and the hours before and after it."""
        now = self._chronicle.public()
        regular, extended = self._chronicle.hours(asked.code), self._chronicle.hours(asked.code, extended=True)
        if regular is None or extended is None or habit.kind != "EQUITY":
            first = now // DAY * 86_400
            spans = {
                "pre": (first, first),
                "regular": (first, first + 86_340),
                "post": (first + 86_340, first + 86_340),
            }
        else:
            place = int(np.searchsorted(extended.ends, now, "right"))
            pre, end = int(extended.starts[place]) // SECOND, int(extended.ends[place]) // SECOND
            opened, closed = int(regular.starts[place]) // SECOND, int(regular.ends[place]) // SECOND
            spans = {"pre": (pre, opened), "regular": (opened, closed), "post": (closed, end)}
        return {name: {"start": start, "end": end} for name, (start, end) in spans.items()}


def _events(events: Mapping[date, Event], stamps: Mapping[date, int]) -> dict[str, Any]:
    """Splits and dividends by the time of their day."""
    found: dict[str, Any] = {"dividends": {}, "splits": {}}
    for day, event in events.items():
        at = stamps.get(day, round(datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC).timestamp()))
        if event.dividend:
            found["dividends"][str(at)] = {"amount": event.dividend, "date": at}
        if event.split != 1.0:
            ratio = round(event.split)
            found["splits"][str(at)] = {"date": at, "numerator": ratio, "denominator": 1, "splitRatio": f"{ratio}:1"}
    return {name: items for name, items in found.items() if items}


def _indicators(bars: Sequence[Bar], events: Mapping[date, Event], daily: bool) -> dict[str, Any]:
    if not bars:
        return {"quote": [{}], **({"adjclose": [{}]} if daily else {})}
    names = ("open", "volume", "low", "close", "high")
    columns = {name: [round(bar.volume) if name == "volume" else getattr(bar, name) for bar in bars] for name in names}
    found: dict[str, Any] = {"quote": [columns]}
    if daily:
        closes, factor = [], 1.0
        for place in range(len(bars) - 1, -1, -1):
            closes.append(bars[place].close * factor)
            before = bars[place - 1].close if place else bars[0].close
            factor *= 1.0 - events.get(day_of(bars[place].start), Event()).dividend / before
        found["adjclose"] = [{"adjclose": closes[::-1]}]
    return found
