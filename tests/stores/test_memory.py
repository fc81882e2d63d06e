"""What is particular to the store in memory: what it costs, and how it is opened."""

import numpy as np
import pytest

from tests.stores.samples import T0
from tickhouse.core.batches import TickBatch
from tickhouse.core.errors import BadSetting
from tickhouse.stores import memory


def test_a_url_with_a_place_is_refused():
    with pytest.raises(BadSetting, match=r"hot\.url"):
        memory.open("memory://somewhere")


def test_three_hundred_thousand_ticks_a_second_cost_little(clock_of_the_machine):
    """A tenth of a core at 300,000 ticks/s leaves 330 ns a tick; the bound is four times that, for a busy machine."""
    hot, n, rng = memory.open(), 10_000, np.random.default_rng(1)
    symbols = [f"S{i}" for i in range(1000)]
    code, time, ids = rng.integers(0, 1000, n).astype(np.int32), T0 + np.arange(n), np.arange(n)
    batch = TickBatch("binance", "live", symbols, code, time, time + 5, rng.random(n), rng.random(n), ids, ids, ids)
    hot.ticks(batch)
    took = min(clock_of_the_machine(lambda: hot.ticks(batch)) for _ in range(5))
    assert took / n < 4 * 330e-9
