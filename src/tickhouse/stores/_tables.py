"""The tables of a warm store, the same in every database.

Times are BIGINT microseconds. Every table is clustered on its key, in the order in which rows are asked for, so that no
second index has to be kept. `symbols` and `covered` are small summaries, kept in the same transaction as the rows: they
say where to look, so that a question about all symbols is a few short walks along the key.
"""

from typing import Any

from sqlalchemy import Column, Index, MetaData, PrimaryKeyConstraint, Table

from tickhouse.stores._types import BIG, BYTES, DAY, FLAG, REAL, TEXT, WHOLE

HEAD = "0005"
"""The newest migration; a test holds it against `migrations/`."""

METADATA = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, TEXT, nullable=False)


def _whole(name: str) -> Column[int]:
    return Column(name, BIG, nullable=False, autoincrement=False)


def _real(name: str) -> Column[float]:
    """A float; NULL stands for NaN."""
    return Column(name, REAL)


def _table(name: str, key: str, *columns: Column[Any], rowid: bool = False) -> Table:
    return Table(name, METADATA, *columns, PrimaryKeyConstraint(*key.split()), sqlite_with_rowid=rowid)


def _version() -> Column[int]:
    return Column("version", WHOLE, nullable=False, autoincrement=False)


BARS = _table(
    "bars", "symbol interval start source version",
    _text("symbol"), _text("source"), _text("interval"), _whole("start"),
    _real("open"), _real("high"), _real("low"), _real("close"), _real("volume"), _real("vwap"),
    _whole("trades"), _real("completeness"), _text("state"), _version(), _whole("first_raw"), _whole("last_raw"),
    _whole("known_at"), _whole("position"),
)  # fmt: skip

INDICATORS = _table(
    "indicators", "symbol interval start source version",
    _text("symbol"), _text("source"), _text("interval"), _whole("start"), _version(), _whole("known_at"),
    _text("values"), _whole("position"),
)  # fmt: skip

ANOMALIES = _table(
    "anomalies", "symbol interval start source version detector",
    _text("symbol"), _text("source"), _text("interval"), _whole("start"), _text("detector"), _version(),
    _real("value"), _real("threshold"), Column("retracted", FLAG, nullable=False), _whole("known_at"),
    _whole("position"),
)  # fmt: skip

FINDINGS = _table(
    "findings", "at source symbol check severity raw message",
    _text("source"), _text("symbol"), _text("check"), _text("severity"), _whole("at"), _whole("count"),
    _text("message"), _whole("raw"), _whole("position"),
)  # fmt: skip
Index("findings_by_symbol", FINDINGS.c.symbol, FINDINGS.c.at)

COVERAGE = _table(
    "coverage", "symbol start source channel",
    _text("source"), _text("symbol"), _text("channel"), _whole("start"), _whole("end"), _text("state"),
    _whole("missing"), _whole("position"),
)  # fmt: skip

SYMBOLS = _table(
    "symbols", "symbol interval source",
    _text("symbol"), _text("interval"), _text("source"), _whole("first_start"), _whole("last_start"),
)  # fmt: skip

COVERED = _table("covered", "symbol", _text("symbol"), _whole("longest"))
"""How long the longest stretch of a symbol's coverage is: how far before a range one may begin that reaches into it."""

LEDGER = _table("ledger", "source name", _text("source"), _text("name"), _whole("total"), _whole("position"))

POSITIONS = _table("positions", "group", _text("group"), _whole("position"))

CHECKPOINTS = _table(
    "checkpoints", "group position",
    _text("group"), _whole("position"), Column("state", BYTES, nullable=False), rowid=True,
)  # fmt: skip

QUALITY_METRICS = _table(
    "quality_metrics", "at source name", _whole("at"), _text("source"), _text("name"), _real("value")
)  # fmt: skip

OBSERVATIONS = _table(
    "observations", "series date source vintage",
    _text("series"), _text("source"), Column("date", DAY, nullable=False), _real("value"),
    Column("vintage", DAY, nullable=False), _whole("raw"), _whole("position"),
)  # fmt: skip

ACTIONS = _table(
    "actions", "symbol date source kind",
    _text("symbol"), _text("source"), Column("date", DAY, nullable=False), _text("kind"), _real("value"),
    _whole("raw"), _whole("position"),
)  # fmt: skip

SWITCHES = _table(
    "switches", "symbol at",
    _text("symbol"), _whole("at"), _text("from_source"), _text("to_source"), _text("reason"), _whole("raw"),
    _whole("position"),
)  # fmt: skip
