"""Values of indicators beside rows: one array a value, and how they are shown.

In JSON they are an object of their own. In CSV, Parquet, Arrow and on the screen each is a column, and an indicator that has the
name of a column of a bar is written with brackets: `vwap` is the bar's own, `vwap()` the indicator.
"""

from collections.abc import Mapping
from math import isnan

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import F64
from tickhouse.core.model import BAR

Values = Mapping[str, F64]
"""By name such as `sma(20)` or `bollinger(20,2).upper`: one number a row, NaN where a row has none."""


def column_name(value: str) -> str:
    """What a value is called as a column.

    >>> column_name("sma(20)"), column_name("vwap")
    ('sma(20)', 'vwap()')
    """
    return f"{value}()" if value in BAR.names else value


def flat(table: pa.Table, values: Values) -> pa.Table:
    """The table with a further column for each value; null where a row has none."""
    for name, column in values.items():
        table = table.append_column(column_name(name), pa.array(column, from_pandas=True))
    return table


def nested(values: Values, count: int) -> list[dict[str, float]]:
    """An object for each of `count` rows, with the values that it has.

    >>> nested({"sma(2)": np.array([np.nan, 1.5])}, 2)
    [{}, {'sma(2)': 1.5}]
    """
    if not values:
        return [{} for _ in range(count)]
    rows = zip(*(column.tolist() for column in values.values()), strict=True)
    return [{name: value for name, value in zip(values, row, strict=True) if not isnan(value)} for row in rows]


def absent(values: Values) -> list[str]:
    """The values that no row has."""
    return [name for name, column in values.items() if np.isnan(column).all()]
