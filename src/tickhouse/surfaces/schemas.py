"""The shapes of answers, for the OpenAPI document only: rows are encoded straight from columns."""

import datetime as dt
from typing import Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, Field

T = TypeVar("T")


class Problem(BaseModel):
    """An RFC 9457 problem."""

    type: str = Field(description="What kind of problem it is; leads to its description.")
    title: str
    status: int
    detail: str = Field(description="What is wrong, and what is allowed.")
    instance: str | None = None
    errors: list[dict[str, Any]] | None = Field(
        None, description="Each wrong parameter, what was given, what is allowed."
    )


class Rows(BaseModel, Generic[T]):
    """A page of rows."""

    simulated: bool = Field(description="Whether the data are simulated.")
    data: list[T]
    next: str | None = Field(description="Where the next page is; null at the end.")
    symbol: str | None = None
    interval: str | None = None
    absent: list[str] | None = Field(None, description="Values of indicators that were asked for and that no row has.")


class Bar(BaseModel):
    """Prices of [start, start + interval); null where nothing was traded."""

    symbol: str
    interval: str
    start: AwareDatetime
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    vwap: float | None
    trades: int | None
    source: str
    completeness: float | None = Field(description="0 to 1: how much of what the venue traded is known to be in.")
    state: str = Field(description="forming, final or corrected")
    version: int = Field(description="0, and one more with every correction.")
    known_at: AwareDatetime = Field(description="When the last message that this version knew was received.")
    indicators: dict[str, float | None] | None = None


class Tick(BaseModel):
    """One observed price."""

    symbol: str
    source: str
    event_time: AwareDatetime
    received_at: AwareDatetime
    price: float | None
    size: float | None
    first_id: int | None
    last_id: int | None
    conditions: str | None
    raw: int | None = Field(description="The journal position of the message it came from.")


class IndicatorRow(BaseModel):
    """The indicators of one closed bar."""

    symbol: str
    interval: str
    start: AwareDatetime
    source: str
    version: int
    known_at: AwareDatetime
    values: dict[str, float | None]


class Anomaly(BaseModel):
    """What a detector says of one bar."""

    symbol: str
    source: str
    interval: str
    start: AwareDatetime
    detector: str
    version: int
    value: float | None
    threshold: float | None
    retracted: bool
    known_at: AwareDatetime


class Value(BaseModel):
    """One value of an economic series, as believed from `vintage` on; null where its provider says that it has none."""

    series: str
    source: str
    date: dt.date
    value: float | None
    vintage: dt.date
    raw: int | None = Field(description="The journal position of the message it came from.")


class Stretch(BaseModel):
    """What is known about [start, end): live, quiet, blind, delayed or backfilled."""

    source: str
    symbol: str
    channel: str
    start: AwareDatetime
    end: AwareDatetime
    state: str
    missing: int | None = Field(description="Trades known to be lost.")


class Finding(BaseModel):
    """What a quality check says."""

    source: str
    symbol: str | None
    check: str
    severity: str
    at: AwareDatetime
    count: int
    message: str
    raw: int | None


class Metric(BaseModel):
    """One value of quality over time."""

    at: AwareDatetime
    source: str
    name: str
    value: float | None


class Findings(Rows[Finding]):
    """A page of findings, with the newest value of each quality metric."""

    metrics: list[Metric]


class Price(BaseModel):
    """The newest price of a symbol."""

    symbol: str
    source: str
    price: float | None
    size: float | None
    event_time: AwareDatetime
    received_at: AwareDatetime


class Known(BaseModel):
    """A symbol of this house; first and last are the starts of its bars."""

    symbol: str
    source: str
    intervals: list[str]
    first: AwareDatetime | None
    last: AwareDatetime | None
    in_use: str | None = Field(
        description="The source in use, where a group chooses it; null for a symbol in no group."
    )


class Health(BaseModel):
    """That it answers."""

    ok: bool


class Ready(BaseModel):
    """Whether the house can answer, part by part."""

    ready: bool
    parts: dict[str, Any] | None = Field(None, description="Only for those who have the key.")


class Trace(BaseModel):
    """A bar, its versions, its coverage and the raw messages behind it."""

    simulated: bool
    bar: dict[str, Any]
    versions: list[dict[str, Any]]
    coverage: list[dict[str, Any]]
    ticks: int
    raw: dict[str, Any]


class Reconciled(BaseModel):
    """How two sources differ on the same bars."""

    simulated: bool
    symbol: str
    interval: str
    a: str
    b: str
    bars: dict[str, int] = Field(description="compared, only_a, only_b, and equal in their four prices.")
    basis_points: dict[str, dict[str, float | None]] = Field(
        description="Largest and median distance of b from a, by close, high and low."
    )
    volume_ratio: float | None = Field(description="The volume of b over that of a.")
    worst: list[dict[str, Any]] = Field(description="The bars that differ most, with the positions of their messages.")


class Status(BaseModel):
    """What is going on in the house."""

    model_config = {"extra": "allow"}

    simulated: bool
    at: AwareDatetime = Field(description="The clock of the house.")
    ledger: dict[str, dict[str, int | bool]] | None = None
    groups: dict[str, dict[str, Any]] | None = Field(
        None,
        description="Each group: its feeds, whether they are heard and in use for how many symbols, and the newest switches.",
    )
    quota: dict[str, dict[str, Any]] | None = Field(
        None,
        description="Of each feed with limits: what is allowed, what is left of the minute and the day, when its day ends.",
    )
