"""All checks on one batch: a row is refused once, and what was said becomes findings and rejects."""

import numpy as np
import pytest

from tests.quality.samples import T0, bar, batch, good, ticks
from tests.stores.samples import plain
from tickhouse.core.errors import UnknownName
from tickhouse.core.model import FINDING, Reject
from tickhouse.core.settings import CHECKS
from tickhouse.quality._suite import Suite


@pytest.fixture
def suite():
    """Every check with its defaults."""
    return Suite.from_names(CHECKS)


def test_a_good_batch_comes_back_itself_and_nothing_is_said(suite):
    few, bars = good(), batch([bar()])
    assert suite.ticks(few)[0] is few
    assert suite.bars(bars) == (bars, [])
    assert suite.findings([], few, T0) is None
    assert suite.rejects([], few) == ()


def test_a_row_that_two_checks_refuse_counts_once_and_with_the_first_reason(suite):
    bad = ticks({"price": 1.0, "raw": 10}, {"price": float("nan"), "raw": 11}, {"price": -1.0, "size": -1.0, "raw": 12})
    left, verdicts = suite.ticks(bad)
    assert left.raw.tolist() == [10]
    rejects = suite.rejects(verdicts, bad)
    assert [(r.index, r.reason) for r in rejects] == [(11, "missing"), (12, "price")]
    assert all(isinstance(r, Reject) and r.detail for r in rejects)
    assert len(bad) == len(left) + len(rejects)
    assert suite.rejects(verdicts, bad.raw) == rejects


def test_two_rows_of_one_message_are_two_rejects(suite):
    bad = ticks({"price": 0.0, "raw": 4}, {"price": 0.0, "raw": 4}, {"raw": 4})
    left, verdicts = suite.ticks(bad)
    assert [r.index for r in suite.rejects(verdicts, bad)] == [4, 4]
    assert len(left) == 1


def test_findings_are_one_row_a_check_reason_and_symbol(suite):
    rows = [
        {"symbol": s, "price": p, "raw": n}
        for n, (s, p) in enumerate([("A", 1.0), ("A", -1.0), ("B", -1.0), ("A", -2.0), ("A", 50.0)])
    ]
    bad = ticks(*rows)
    _, verdicts = suite.ticks(bad)
    table = suite.findings(verdicts, bad, T0)
    assert table.schema == FINDING
    found = [(r["check"], r["symbol"], r["severity"], r["count"], r["raw"], r["at"]) for r in plain(table)]
    assert found == [
        ("ranges", "A", "reject", 2, 1, T0),
        ("ranges", "B", "reject", 1, 2, T0),
        ("ranges", "A", "warning", 1, 4, T0),
    ]
    assert plain(table)[0]["message"].startswith("price: ")


def test_bars_are_judged_too(suite):
    bars = batch([bar(first_raw=3), bar("B", low=9.0, first_raw=8)])
    left, verdicts = suite.bars(bars)
    assert left.first_raw.tolist() == [3]
    assert [(r.index, r.reason) for r in suite.rejects(verdicts, bars)] == [(8, "ohlc")]
    assert plain(suite.findings(verdicts, bars, T0))[0]["symbol"] == "B"


def test_checks_get_their_options_and_an_unknown_one_is_an_error_with_the_known_names():
    strict = Suite.from_names(CHECKS, {"max_price": 2.0, "stale_after": 5.0, "max_ahead": 1.0})
    assert len(strict.ticks(ticks({"price": 3.0}))[0]) == 0
    with pytest.raises(UnknownName, match="ranges"):
        Suite.from_names(["rangs"])


def test_a_storm_is_counted_row_by_row(suite):
    n = 5_000
    bad = good(n, price=-1.0)
    left, verdicts = suite.ticks(bad)
    assert (len(left), len(suite.rejects(verdicts, bad))) == (0, n)
    counted = plain(suite.findings([v for v in verdicts if v.reject], bad, T0))
    assert sum(row["count"] for row in counted) == n
    assert np.all(bad.price == -1.0)
