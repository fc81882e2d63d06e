"""What is particular to the store in memory: its rings are bounded, and equal to a plain list's end."""

from collections import defaultdict, deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stores.samples import T0, ticks
from tickhouse.core.batches import TickBatch
from tickhouse.core.errors import BadSetting
from tickhouse.stores import memory
from tickhouse.stores._ring import COLUMNS, Groups, Rings


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), min_size=1, max_size=30), max_size=8),
    st.integers(1, 6),
)
def test_a_ring_holds_the_newest_ticks_in_order_of_arrival(batches, depth):
    rings, lists = Rings(depth, 10_000), defaultdict(lambda: deque(maxlen=depth))
    for rows in batches:
        series, values = (np.array(column) for column in zip(*rows, strict=True))
        rings.add(Groups.of(series), {name: values.astype(kind) for name, kind in COLUMNS.items()})
        for one, value in rows:
            lists[one].append(value)
    for one in range(41):
        assert rings.newest(one)["raw"].tolist() == list(lists[one])


def test_all_rings_together_stay_within_the_total_by_becoming_shorter():
    hot = memory.open(recent=200, total=10_000)
    for start in range(0, 2000, 100):
        hot.ticks(
            ticks(
                *(
                    {"symbol": f"S{n}", "event_time": T0 + k, "price": k + 1.0}
                    for n in range(start, start + 100)
                    for k in range(5)
                )
            )
        )
    assert hot._rings._rings["price"].size <= 10_000
    kept = [row["price"] for row in hot.recent("S0")]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == 5.0
    assert next(row["price"] for row in hot.recent("S1999")) == 5.0


def test_a_ring_that_becomes_shorter_keeps_the_newest_and_goes_on():
    rings = Rings(8, 16 * 8)
    columns = lambda values: {name: np.array(values).astype(kind) for name, kind in COLUMNS.items()}  # noqa: E731
    rings.add(Groups.of(np.zeros(11, np.int64)), columns(range(11)))
    rings.add(Groups.of(np.array([20])), columns([7]))
    assert rings.depth < 8
    assert rings.newest(0)["raw"].tolist() == list(range(11))[-rings.depth :]
    rings.add(Groups.of(np.array([0])), columns([11]))
    assert rings.newest(0)["raw"].tolist() == list(range(12))[-rings.depth :]


@pytest.mark.parametrize("wrong", [{"url": "memory://somewhere"}, {"recent": 0}, {"total": 0}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(BadSetting):
        memory.open(**wrong)


def test_three_hundred_thousand_ticks_a_second_cost_little(clock_of_the_machine):
    """A tenth of a core at 300,000 ticks/s leaves 330 ns a tick; the bound is four times that, for a busy machine."""
    hot, n, rng = memory.open(), 10_000, np.random.default_rng(1)
    symbols = [f"S{i}" for i in range(1000)]
    code, time, ids = rng.integers(0, 1000, n).astype(np.int32), T0 + np.arange(n), np.arange(n)
    batch = TickBatch("binance", "live", symbols, code, time, time + 5, rng.random(n), rng.random(n), ids, ids, ids)
    hot.ticks(batch)
    took = min(clock_of_the_machine(lambda: hot.ticks(batch)) for _ in range(5))
    assert took / n < 4 * 330e-9
