"""What people and programs see: REST, WebSocket and pages over one house.

Everything here reads through `House`, which the pipeline implements; a surface knows no store by name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from tickhouse.core.model import Query
from tickhouse.core.values import Values

Columns = Mapping[str, list[Any]]
"""Rows as columns of equal length: plain values by name, times in UTC microseconds."""

Listener = Callable[[str, Columns], None]
"""Called with a topic (`bars`, `ticks`, `anomalies`, `coverage`) and the rows that changed, from any thread; must not block."""

MISSED = "missed"
"""The topic that has no rows of its own: changes may have gone by unheard, so whoever listens looks at everything anew."""


class House(Protocol):
    """One house as its readers see it. Every method may block on disk: call it from a worker thread, not the event loop."""

    @property
    def simulated(self) -> bool:
        """Whether the data came from the simulated exchange; shown wherever data are shown."""

    def bars(self, query: Query) -> pa.Table:
        """Stored bars of schema `model.BAR`, with the forming ones where the query reaches the present."""

    def ticks(self, query: Query) -> pa.Table:
        """Ticks of schema `model.TICK` from the lake and the journal; the query must name a symbol."""

    def indicators(self, query: Query) -> pa.Table:
        """Indicator rows of schema `model.INDICATOR`."""

    def beside(self, bars: pa.Table, wanted: Sequence[str], as_of: int | None = None, adjust: str = "none") -> Values:
        """Indicators beside the rows of `bars`, as they were believed at `as_of`: stored ones, others computed from the series.

        Beside bars that were asked for with `adjust` all are computed. `wanted` are names such as `sma(20)`, `bollinger`, or `all`.
        Raises `BadSetting`, which names the known ones.
        """

    def picked(self, rows: pa.Table, wanted: Sequence[str]) -> Values:
        """The values wanted of rows of `indicators`. Raises `BadSetting`, or `BadQuery` for one that is not kept."""

    def anomalies(self, query: Query) -> pa.Table:
        """Anomalies of schema `model.ANOMALY`."""

    def findings(self, query: Query) -> pa.Table:
        """Findings of schema `model.FINDING`."""

    def coverage(self, query: Query) -> pa.Table:
        """Coverage of schema `model.COVERAGE`."""

    def observations(self, query: Query) -> pa.Table:
        """Values of economic series of schema `model.OBSERVATION`; the query's symbols are series."""

    def metrics(self, query: Query) -> pa.Table:
        """Quality metrics as a time series: at, source, name, value."""

    def latest(self, symbols: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """The newest price of each symbol."""

    def symbols(self) -> list[dict[str, Any]]:
        """Every symbol with its source, intervals, first and last bar."""

    def in_use(self, symbols: Sequence[str]) -> Mapping[str, str]:
        """The source in use now, of each of these symbols for which a group chooses one."""

    def trace(
        self, symbol: str, start: int, interval: str, source: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """The bar, its versions, its coverage and the raw messages behind it. Raises `NoData`."""

    def reconcile(self, query: Query, a: str, b: str, worst: int = 10) -> dict[str, Any]:
        """How the bars of two sources differ: bars compared, of one alone, equal; basis points; the worst. Raises `NoData`."""

    def status(self) -> dict[str, Any]:
        """What is going on: ledger per source, lag, positions, rates, roles, sizes."""

    def health(self) -> Mapping[str, Any]:
        """`ready` (bool) and one entry per part with `ok` and a sentence."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for every change from now on; returns the function that stops it."""
