"""The economic series of Alpha Vantage by name: the function, and what is not its default behind dots."""

import re

from tickhouse.core.errors import BadSetting

DAILY_WEEKLY = ("daily", "weekly")
SERIES: dict[str, tuple[str, ...]] = {
    "REAL_GDP": ("quarterly",), "REAL_GDP_PER_CAPITA": (), "TREASURY_YIELD": DAILY_WEEKLY, "FEDERAL_FUNDS_RATE": DAILY_WEEKLY,
    "CPI": ("semiannual",), "INFLATION": (), "RETAIL_SALES": (), "DURABLES": (), "UNEMPLOYMENT": (), "NONFARM_PAYROLL": (),
}  # fmt: skip
"""Functions, and the intervals that may be asked for instead of the default, which is annual for GDP and monthly for the rest."""
MATURITIES = ("3month", "2year", "5year", "7year", "30year")
"""Of the treasury yield, besides the default of ten years."""

TITLES = {
    "Real Gross Domestic Product": "REAL_GDP", "Real Gross Domestic Product per Capita": "REAL_GDP_PER_CAPITA",
    "Effective Federal Funds Rate": "FEDERAL_FUNDS_RATE", "Consumer Price Index for all Urban Consumers": "CPI",
    "Inflation - US Consumer Prices": "INFLATION", "Advance Retail Sales: Retail Trade": "RETAIL_SALES",
    "Manufacturer New Orders: Durable Goods": "DURABLES", "Unemployment Rate": "UNEMPLOYMENT",
    "Total Nonfarm Payroll": "NONFARM_PAYROLL",
}  # fmt: skip
"""What answers call themselves."""
_YIELD = re.compile(r"(\d+)-(Year|Month) Treasury Constant Maturity Rate")


def series_named(title: str, interval: str) -> str:
    """The series of an answer by its title and interval, empty where the title is not known.

    >>> series_named("Real Gross Domestic Product", "annual"), series_named("2-Year Treasury Constant Maturity Rate", "daily")
    ('REAL_GDP', 'TREASURY_YIELD.DAILY.2YEAR')
    """
    treasury = _YIELD.fullmatch(title)
    function = "TREASURY_YIELD" if treasury else TITLES.get(title, "")
    parts = [interval] if interval in SERIES.get(function, ()) else []
    maturity = f"{treasury[1]}{treasury[2].lower()}" if treasury else ""
    parts += [maturity] if maturity in MATURITIES else []
    return ".".join([function, *(part.upper() for part in parts)])


def series_params(series: str) -> tuple[str, dict[str, str | int]]:
    """A series in one spelling, and the parameters that ask for it. Raises `BadSetting` for one that there is not.

    >>> series_params("real-gdp.quarterly")
    ('REAL_GDP.QUARTERLY', {'function': 'REAL_GDP', 'interval': 'quarterly'})
    >>> series_params("TREASURY_YIELD.DAILY.2YEAR")[1]
    {'function': 'TREASURY_YIELD', 'interval': 'daily', 'maturity': '2year'}
    """
    function, *parts = series.upper().replace("-", "_").split(".")
    if function not in SERIES:
        raise BadSetting("series", series, f"one of {', '.join(SERIES)}")
    params: dict[str, str | int] = {"function": function}
    for part in map(str.lower, parts):
        name = "interval" if part in SERIES[function] else "maturity"
        if name in params or (name == "maturity" and (function != "TREASURY_YIELD" or part not in MATURITIES)):
            allowed = [*SERIES[function], *(MATURITIES if function == "TREASURY_YIELD" else ())]
            raise BadSetting("series", series, f"{function}, or behind a dot: {', '.join(allowed) or 'nothing'}")
        params[name] = part
    spelling = ".".join([function, *(str(params[n]).upper() for n in ("interval", "maturity") if n in params)])
    return spelling, params
