"""Small batches for tests of the checks."""

from tests.stores.samples import MINUTE, T0, bar, batch, ticks

__all__ = ["MINUTE", "T0", "bar", "batch", "good", "ticks"]


def good(n=10, symbols=("A", "B"), **values):
    """Ticks that no check says anything of."""
    rows = (
        {
            "symbol": symbols[i % len(symbols)], "event_time": T0 + i, "received_at": T0 + i + 5, "price": 100.0,
            "last_id": i // len(symbols), "raw": i,
        }
        for i in range(n)
    )  # fmt: skip
    return ticks(*({**row, **values} for row in rows))
