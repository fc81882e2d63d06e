"""tickhouse: a market-data pipeline and lakehouse that knows whether a bar is right.

>>> import tickhouse as th
>>> house = th.open("data")                              # doctest: +SKIP
>>> house.bars("BTC-USDT", "1m", last="6h")              # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickhouse.house import House

__all__ = ["House", "__version__", "open"]
__version__ = "0.1.0"


def open(place: Any = "data") -> "House":
    """Open a house: a folder, or a `tickhouse.toml`. Close it, or use it in a `with` statement.

    Raises `SettingsError` when the place is no house.
    """
    from tickhouse.house import House

    return House.at(place)


def __getattr__(name: str) -> Any:
    if name == "House":
        from tickhouse.house import House

        return House
    raise AttributeError(f"module 'tickhouse' has no attribute {name!r}")
