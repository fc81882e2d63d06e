"""The economic series of Alpha Vantage, out of those of the economy: means of a year or a month where it wants them so."""

from collections.abc import Mapping, Sequence
from typing import Any

from tickhouse.exchange.economy import Believed

MATURITIES = {"10year": ("DGS10", "10-Year"), "2year": ("DGS2", "2-Year")}
FUNCTIONS: Mapping[str, tuple[str, str, str, str]] = {
    "REAL_GDP": ("GDPC1", "Real Gross Domestic Product", "annual", "billions of dollars"),
    "CPI": ("CPIAUCSL", "Consumer Price Index for all Urban Consumers", "monthly", "index 1982-1984=100"),
    "UNEMPLOYMENT": ("UNRATE", "Unemployment Rate", "monthly", "percent"),
    "NONFARM_PAYROLL": ("PAYEMS", "Total Nonfarm Payroll", "monthly", "thousands of persons"),
    "FEDERAL_FUNDS_RATE": ("FEDFUNDS", "Effective Federal Funds Rate", "monthly", "percent"),
    "RETAIL_SALES": ("RSAFS", "Advance Retail Sales: Retail Trade", "monthly", "millions of dollars"),
    "TREASURY_YIELD": ("DGS10", "Treasury Constant Maturity Rate", "monthly", "percent"),
}
"""Function to the series, what it is called, its usual interval and its unit."""
PERIOD = {"annual": 4, "monthly": 7}
"""How many letters of an ISO date name the period."""


def source_of(params: Mapping[str, str]) -> tuple[str, str, str, str] | None:
    """The series behind a request, its name, interval and unit; None for one that there is not."""
    known = FUNCTIONS.get(params.get("function", ""))
    if known is None:
        return None
    series, name, usual, unit = known
    if params["function"] == "TREASURY_YIELD":
        maturity = MATURITIES.get(params.get("maturity", "10year"))
        if maturity is None:
            return None
        series, name = maturity[0], f"{maturity[1]} {name}"
    return series, name, params.get("interval", usual), unit


def points(believed: Sequence[Believed], interval: str, frequency: str) -> list[tuple[str, str]]:
    """Dates and values, newest first: those of the series, or the means of whole years or months of it."""
    plain = [(row.period.isoformat(), row.value) for row in believed]
    coarser = (frequency == "Q" and interval == "annual") or (frequency == "D" and interval == "monthly")
    if not coarser:
        return plain[::-1]
    groups: dict[str, list[float]] = {}
    for day, value in plain:
        groups.setdefault(day[: PERIOD[interval]], []).extend([] if value == "." else [float(value)])
    least = 4 if interval == "annual" else 15
    means = {f"{name}-01-01"[:10]: sum(values) / len(values) for name, values in groups.items() if len(values) >= least}
    return [(day, f"{mean:.3f}" if frequency == "Q" else f"{mean:.2f}") for day, mean in reversed(means.items())]


def body(name: str, interval: str, unit: str, found: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """An answer."""
    data = [{"date": day, "value": value} for day, value in found]
    return {"name": name, "interval": interval, "unit": unit, "data": data}
