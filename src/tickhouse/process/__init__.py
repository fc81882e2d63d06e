"""Batches to windows to indicators to anomalies: the Engine, Indicator and Detector contracts.

The engine is a pure function of the journal: the same records in the same order give the same output, whatever the
wall clock says and however they are cut into calls. Time enters only through the records (event times, receive times,
marks).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tickhouse.core.batches import Output, Record, TickBatch
from tickhouse.core.model import Hole, Query


class History(Protocol):
    """What the engine may ask about the past when its own state no longer has it; the pipeline answers."""

    def bars(self, query: Query) -> pa.Table:
        """Stored bars, schema `model.BAR`."""

    def indicators(self, query: Query) -> pa.Table:
        """Stored indicator rows, schema `model.INDICATOR`."""

    def anomalies(self, query: Query) -> pa.Table:
        """Stored anomalies, schema `model.ANOMALY`."""

    def ticks(self, source: str, symbol: str, start: int, end: int, before: int) -> Sequence[TickBatch]:
        """All ticks of a window with raw positions below `before`, of every lane, ordered by position."""


class Engine(Protocol):
    """From journal records to bars, indicators, anomalies and coverage."""

    position: int
    """The next raw position it expects; records that end at or before it are skipped."""
    tells_ticks: bool
    """Whether outputs have the ticks that are no repeats: false, unless it is set."""

    def process(self, records: Sequence[Record]) -> Output:
        """Take records in and say what follows. The caller stores each output before it calls again.

        How the records are cut into calls, and the ticks into records, changes nothing in the bars, versions, indicators and
        anomalies that come out.
        """

    def open_holes(self) -> tuple[Hole, ...]:
        """The trades that are known to be lost and that nothing has filled yet; they outlive a restart."""

    def watermarks(self) -> Mapping[str, int]:
        """Up to which event time (us) the live lane of each source is complete, once it has begun."""

    def snapshot(self) -> bytes:
        """All state, with the position, for `restore`."""

    def restore(self, state: bytes) -> None:
        """Go on from a snapshot. Raises `SettingsError` when it was made with other intervals, lateness or indicators."""


class Indicator(Protocol):
    """A frozen value with one compiled function on arrays; it knows nothing of engines or symbols.

    One indicator, one file in `indicators/`, whose class is a frozen dataclass of its parameters. It is written once and
    used by every engine, live and in batch. State is one row of floats per series, so that going on is the same
    as starting over.
    """

    outputs: ClassVar[tuple[str, ...]]
    """Names of the outputs; ("value",) when there is only one."""

    @property
    def label(self) -> str:
        """The name with its parameters as users write it: `bollinger(20,2)`."""

    @property
    def width(self) -> int:
        """How many float64 of state one series needs. A new series begins with zeros."""

    @property
    def memory(self) -> int | None:
        """How many of the newest bars decide the state, so that feeding only these gives the same bits; None: all of them.

        With a number the engine keeps no copy of the state as of midnight, and feeds so many stored bars again for a correction.
        """

    def update(
        self, state: NDArray[np.float64], row: NDArray[np.int64], bars: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.float64]:
        """Feed n closed bars and return their values, float64 of shape (n, len(outputs)), NaN without enough history.

        `state` has shape (series, width) and is changed in place; `row` says which row of it each bar belongs to. Bars of one
        row come in order of start. `bars` has arrays of shape (n,): start (int64 us), open, high, low, close, volume,
        vwap. One call with all bars and many calls with few give the same values, bit for bit.
        """


class Detector(Protocol):
    """As an indicator, but says which bars are anomalous."""

    @property
    def label(self) -> str:
        """The name with its parameters: `returns(20,3)`."""

    @property
    def width(self) -> int:
        """How many float64 of state one series needs."""

    @property
    def memory(self) -> int | None:
        """How many of the newest bars decide the state, as in an indicator; None: all of them."""

    def update(
        self, state: NDArray[np.float64], row: NDArray[np.int64], bars: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.float64]:
        """Feed n closed bars and return float64 of shape (n, 2): the value and the threshold that judged it, NaN for both where the
        bar cannot be judged yet. A bar is an anomaly where abs(value) > threshold."""
