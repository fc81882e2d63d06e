"""What may be asked: the parameters of each address, read from text into a `Query`."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from tickhouse.core import symbols as spelling
from tickhouse.core.asking import listed, question
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.core.model import Query, interval_us
from tickhouse.core.times import EXPECTED, instant

MOST_ROWS = 10_000
MOST_SYMBOLS = 2_000
EARLIEST = -62_135_596_800 * SECOND
LATEST = 253_402_300_799 * SECOND
INDICATOR = re.compile(r"[a-z][a-z0-9_]{0,31}(\([a-z0-9_=., ]{0,60}\))?(\.[a-z][a-z0-9_]{0,31})?")


def symbol(text: str) -> str:
    """The canonical spelling of a symbol. Raises ValueError with what is expected."""
    try:
        return spelling.canonical(text)
    except BadSetting as bad:
        raise ValueError(bad.expected) from bad


def interval(text: str) -> str:
    """An interval, checked. Raises ValueError with what is expected."""
    try:
        interval_us(text)
    except BadSetting as bad:
        raise ValueError(bad.expected) from bad
    return text


def _time(given: Any) -> str:
    """A time as a person writes it; a plus sign that the address turned into a space is put back."""
    text = re.sub(r"(?<=\d) (?=\d\d:?\d\d$)", "+", str(given).strip())
    if text != "now" and not text.startswith("-"):
        try:
            if not EARLIEST <= instant(text, 0) <= LATEST:
                raise ValueError(EXPECTED)
        except (BadSetting, OverflowError):
            raise ValueError(EXPECTED) from None
    elif text != "now" and not re.fullmatch(r"-[1-9]\d{0,3}[smhdw]", text):
        raise ValueError(EXPECTED)
    return text


def _last(given: Any) -> str:
    text = str(given)
    if re.fullmatch(r"[1-9]\d{0,4}", text) and int(text) <= MOST_ROWS:
        return text
    if re.fullmatch(r"[1-9]\d{0,3}[smhdw]", text):
        return text
    raise ValueError(f"a number of rows from 1 to {MOST_ROWS}, or a length of time such as 6h")


def _symbols(given: Any) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(symbol(text) for text in listed(given)))
    if not found:
        raise ValueError("symbols with commas between them, such as BTC-USDT,ETH-USDT")
    if len(found) > MOST_SYMBOLS:
        raise ValueError(f"at most {MOST_SYMBOLS} symbols")
    return found


def _indicators(given: Any) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(listed(given)))
    if not found or len(found) > 64 or not all(INDICATOR.fullmatch(name) for name in found):
        raise ValueError("'all', or names such as sma(20),bollinger(20,2), at most 64")
    return found


def _json(kind: str = "string", **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, **more})


Time = Annotated[str, BeforeValidator(_time), _json(examples=["2026-11-20T14:31:00Z"])]
Symbol = Annotated[str, AfterValidator(symbol), _json(maxLength=64, minLength=1, examples=["BTC-USDT"])]
Symbols = Annotated[
    tuple[str, ...], BeforeValidator(_symbols), _json("array", items={"type": "string"}, examples=[["BTC-USDT"]])
]
Indicators = Annotated[
    tuple[str, ...], BeforeValidator(_indicators), _json("array", items={"type": "string"}, examples=[["sma(20)"]])
]
Interval = Annotated[str, AfterValidator(interval), _json(pattern=r"^[1-9]\d{0,3}[smhdw]$", examples=["1m"])]
Last = Annotated[str, BeforeValidator(_last), _json(examples=["60", "6h"])]
Source = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
Series = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["GDP"])]
Form = Literal["json", "csv", "arrow"]


class Ask(BaseModel):
    """The parameters of one address; others are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Formed(Ask):
    """Parameters of an answer that comes in several formats."""

    format: Form | None = Field(None, description="Instead of the Accept header.")


class Paged(Formed):
    """Parameters of an answer that comes in pages."""

    limit: int = Field(1000, ge=1, le=MOST_ROWS, description="The most rows of one page.")
    cursor: str | None = Field(
        None, max_length=1000, description="Where the page begins: from `next` of the page before."
    )
    start: Time | None = Field(None, description="From here on, inclusive. UTC unless it says otherwise; also -6h.")
    end: Time | None = Field(None, description="Up to here, exclusive.")
    source: Source | None = Field(None, description="Only from this source.")

    def query(self, now: int, symbols: tuple[str, ...] = (), **more: Any) -> Query:
        """The question with its times as UTC microseconds. Raises `BadQuery`."""
        return question(now, symbols, start=self.start, end=self.end, source=self.source, **more)


class LatestAsk(Formed):
    """Newest prices."""

    symbols: Symbols = Field((), description="Only these; all when left out.")


class TicksAsk(Paged):
    """Ticks. With neither `start`, `end` nor `last`: the newest `limit`."""

    last: int | None = Field(None, ge=1, le=MOST_ROWS, description="The newest so many, in ascending order.")


class Versioned(Paged):
    """Parameters of rows that have versions."""

    as_of: Time | None = Field(None, description="As it was believed at that moment.")
    versions: bool = Field(False, description="Every version, not only the newest.")

    def query(self, now: int, symbols: tuple[str, ...] = (), **more: Any) -> Query:
        """The question with its times as UTC microseconds. Raises `BadQuery`."""
        return super().query(now, symbols, as_of=self.as_of, versions=self.versions, **more)


class BarsAsk(Versioned):
    """Bars, oldest first; with `last` the newest ones."""

    interval: Interval = Field("1m", description="The length of the bars.")
    last: Last | None = Field(None, description="The newest so many bars, or so much time back from the newest bar.")
    indicators: Indicators = Field(
        (),
        description="Indicators beside each closed bar: `all` that are kept, or names; one that is not kept is computed. "
        "In CSV and Arrow each value is a column, and `vwap()` is the indicator vwap.",
    )

    adjust: Literal["none", "splits", "all"] = Field(
        "none",
        description="Prices as their provider states them; in the shares of now, or of `as_of`; or with dividends in them, too.",
    )

    def query(self, now: int, symbols: tuple[str, ...] = (), **more: Any) -> Query:
        """The question with its times as UTC microseconds. Raises `BadQuery`."""
        return super().query(now, symbols, adjust=self.adjust, **more)


class IndicatorsAsk(Versioned):
    """Indicators of closed bars."""

    interval: Interval = Field("1m", description="The length of the bars.")
    last: Last | None = Field(None, description="The newest so many rows, or so much time back from the newest.")
    indicators: Indicators = Field(("all",), description="Only these of the kept ones.")


class AnomaliesAsk(Versioned):
    """Anomalies; taken back ones only with `versions`."""

    symbols: Symbols = Field((), description="Only of these symbols.")
    interval: Interval | None = Field(None, description="Only of bars of this length.")


class SeriesAsk(Versioned):
    """Values of an economic series by date; `versions` are vintages."""


class CoverageAsk(Paged):
    """Stretches of time and what is known about them."""


class QualityAsk(Paged):
    """Findings of the quality checks."""

    symbols: Symbols = Field((), description="Only about these symbols.")


class MetricsAsk(Paged):
    """Quality as a time series."""


class TraceAsk(Ask):
    """One bar and what is behind it."""

    start: Time = Field(description="A moment in the bar.")
    interval: Interval = Field("1m", description="The length of the bar.")
    source: Source | None = Field(None, description="Only from this source.")
    limit: int = Field(100, ge=1, le=1000, description="The most raw messages shown.")


class ReconcileAsk(Ask):
    """Two sources, and which of their bars."""

    a: Source = Field(description="The source that the other one is measured by.")
    b: Source = Field(description="The other source.")
    interval: Interval = Field("1m", description="The length of the bars.")
    start: Time | None = Field(None, description="From here on, inclusive.")
    end: Time | None = Field(None, description="Up to here, exclusive.")
    worst: int = Field(10, ge=0, le=1000, description="How many of the bars that differ most are shown.")


class Nothing(Ask):
    """No parameters."""
