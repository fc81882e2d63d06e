"""What every check must do. A new one is found by its file."""

import copy

import numpy as np
import pytest

from tests.quality.samples import bar, batch, good, ticks
from tickhouse.core.batches import BarBatch, TickBatch
from tickhouse.core.plugins import load, names
from tickhouse.core.settings import CHECKS
from tickhouse.quality import Verdict

STORM = [
    {"price": float("nan")}, {"price": -1.0}, {"price": 0.0}, {"price": 1e308}, {"price": float("inf")}, {"size": -1.0},
    {"event_time": 5}, {"event_time": 1 << 60}, {"first_id": 9, "last_id": 3}, {"symbol": ""}, {"last_id": 4}, {"last_id": 4},
    {"last_id": 90}, {"price": 1e6}, {"event_time": 1_000_000_000_000},
]  # fmt: skip
BAD_BARS = [
    {"low": 9.0}, {"high": 0.5}, {"vwap": 99.0}, {"volume": -1.0}, {"open": float("nan")}, {"close": -3.0, "low": -4.0},
    {"start": 5}, {"symbol": ""}, {"vwap": float("nan")},
]  # fmt: skip


@pytest.fixture(params=names("quality"))
def check(request):
    """A new check of each kind."""
    return load("quality", request.param).open()


def copied(batch):
    return copy.deepcopy({name: getattr(batch, name) for name in batch.__slots__})


def same(batch, before):
    return all(np.array_equal(getattr(batch, name), value, equal_nan=value.dtype.kind == "f") if isinstance(value, np.ndarray)
               else getattr(batch, name) == value for name, value in before.items())  # fmt: skip


def test_the_settings_name_every_check_that_there_is():
    assert sorted(CHECKS) == names("quality")


def test_it_has_the_name_of_its_file(check):
    assert type(check).__module__ == f"tickhouse.quality.{check.name}"


def test_it_says_nothing_of_good_rows(check):
    assert check.ticks(good(100)) == []
    assert check.bars(batch([bar("A"), bar("B", vwap=float("nan"))])) == []


def test_it_says_nothing_of_an_empty_batch(check):
    assert check.ticks(good(3).take(slice(0, 0))) == []
    assert check.bars(batch([bar()]).take(slice(0, 0))) == []


@pytest.mark.parametrize("bad", [ticks(*STORM), ticks(*STORM, lane="load:x"), batch([bar(**b) for b in BAD_BARS])])
def test_it_never_changes_a_batch_and_speaks_of_rows_that_exist(check, bad):
    before = copied(bad)
    for _ in range(2):
        verdicts = check.ticks(bad) if isinstance(bad, TickBatch) else check.bars(bad)
        assert same(bad, before)
        for verdict in verdicts:
            assert isinstance(verdict, Verdict)
            assert verdict.check == check.name
            assert verdict.reason.isidentifier()
            assert verdict.severity in ("info", "warning")
            assert len(verdict.rows) > 0
            assert len(np.unique(verdict.rows)) == len(verdict.rows)
            assert 0 <= verdict.rows.min() <= verdict.rows.max() < len(bad)


def test_every_check_finds_something_in_a_storm(check):
    """So that a check which never says anything cannot pass."""
    late = ticks({"event_time": 1_000_000_000_000_000, "received_at": 1_767_225_600_000_000})
    bars: BarBatch = batch([bar(**b) for b in BAD_BARS])
    assert check.ticks(ticks(*STORM)) or check.ticks(late) or check.bars(bars)
