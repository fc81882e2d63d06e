"""What each check finds, one behaviour a test."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quality.samples import MINUTE, T0, bar, batch, good, ticks
from tickhouse.core.errors import BadSetting
from tickhouse.core.marks import Event, Mark
from tickhouse.quality import duplicates, gaps, ohlc, ranges, schema, staleness

SECOND = 1_000_000


def said(verdicts):
    """(reason, rows, refused) of each verdict."""
    return [(v.reason, v.rows.tolist(), v.reject) for v in verdicts]


def test_schema_refuses_a_missing_price_an_empty_symbol_and_ids_in_the_wrong_order():
    rows = [{}, {"price": float("nan")}, {"symbol": ""}, {"first_id": 5, "last_id": 4}, {"first_id": 4, "last_id": 5}]
    assert said(schema.open().ticks(ticks(*rows))) == [
        ("missing", [1], True),
        ("symbol", [2], True),
        ("ids", [3], True),
    ]
    assert said(schema.open().bars(batch([bar(), bar(close=float("nan"))]))) == [("missing", [1], True)]


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e308, 1e12 + 1])
def test_ranges_refuses_a_price_that_cannot_be(price):
    assert said(ranges.open().ticks(ticks({}, {"price": price}))) == [("price", [1], True)]


def test_ranges_takes_the_greatest_allowed_price_and_refuses_the_next():
    check = ranges.open(max_price=50.0)
    assert said(check.ticks(ticks({"price": 50.0}, {"price": 50.1}))) == [("price", [1], True)]


def test_ranges_refuses_a_size_below_zero_or_without_end_and_takes_none_or_zero():
    rows = [{"size": 0.0}, {"size": None}, {"size": -0.1}, {"size": float("inf")}]
    assert said(ranges.open().ticks(ticks(*rows))) == [("size", [2, 3], True)]


def test_ranges_refuses_times_of_another_unit_everywhere_and_times_ahead_only_where_it_is_live():
    rows = [{"event_time": T0 // SECOND}, {"event_time": T0 + 3600 * SECOND}, {"event_time": T0 + 60 * SECOND + 5}]
    assert said(ranges.open().ticks(ticks(*rows))) == [("time", [0], True), ("ahead", [1], True)]
    assert said(ranges.open().ticks(ticks(*rows, lane="load:x"))) == [("time", [0], True)]


def test_ranges_remarks_on_a_jump_from_the_last_good_price_of_the_symbol_and_refuses_nothing():
    check = ranges.open()
    assert said(check.ticks(ticks({"price": 5.0}, {"price": 49.0}, {"price": 491.0}))) == [("jump", [2], False)]
    assert said(check.ticks(ticks({"price": 50.0}, {"symbol": "B", "price": 1.0}))) == []
    assert said(check.ticks(ticks({"symbol": "B", "price": 11.0}, {"price": 4.9}))) == [("jump", [0, 1], False)]


def test_ranges_does_not_compare_with_a_refused_price_nor_between_lanes_or_sources():
    check = ranges.open()
    assert said(check.ticks(ticks({"price": 5.0}, {"price": -1.0}, {"price": 5.0}))) == [("price", [1], True)]
    assert said(check.ticks(ticks({"price": 500.0}, lane="load:old"))) == []
    assert said(check.ticks(ticks({"price": 500.0}, source="other"))) == []
    assert said(check.ticks(ticks({"price": 5.0}))) == []


PRICES = st.sampled_from([0.5, 1.0, 3.0, 4.0, 9.0, 11.0, 40.0, 101.0, -1.0])


@given(st.lists(st.lists(st.tuples(st.sampled_from("ABC"), PRICES), min_size=1, max_size=12), max_size=6))
def test_jumps_are_those_that_one_tick_after_the_other_would_find(batches):
    check, last = ranges.open(), {}
    for rows in batches:
        expected = []
        for row, (symbol, price) in enumerate(rows):
            if price > 0:
                ratio = price / last.get(symbol, price)
                if ratio > 10 or ratio < 1 / 10:
                    expected.append(row)
                last[symbol] = price
        found = [v for v in check.ticks(ticks(*({"symbol": s, "price": p} for s, p in rows))) if v.reason == "jump"]
        assert [row for v in found for row in v.rows.tolist()] == expected


def test_ranges_forgets_lanes_of_old_loads():
    check = ranges.open()
    for n in range(100):
        check.ticks(ticks({}, lane=f"load:{n}"))
    assert len(check._prices.lanes) <= 32


@pytest.mark.parametrize("wrong", [{"max_price": 0}, {"max_ahead": -2}, {"max_factor": 1}])
def test_ranges_refuses_options_that_cannot_be(wrong):
    with pytest.raises(BadSetting):
        ranges.open(**wrong)


def test_duplicates_counts_ids_that_repeat_per_symbol_and_refuses_nothing():
    rows = [{"symbol": s, "last_id": i} for s, i in (("A", 1), ("B", 1), ("A", 3), ("A", 1), ("A", 1), ("B", 2))]
    verdicts = duplicates.open().ticks(ticks(*rows))
    assert said(verdicts) == [("repeated", [3, 4], False)]
    assert (verdicts[0].severity, verdicts[0].detail) == ("info", "the id of a tick came before")
    assert duplicates.open(min_share=0.5).ticks(ticks(*rows)) == []


def test_duplicates_says_nothing_where_there_are_no_ids():
    assert duplicates.open().ticks(ticks({}, {}, {})) == []


def test_gaps_counts_missing_ids_per_symbol_whatever_the_order_of_arrival():
    rows = [{"symbol": s, "last_id": i} for s, i in (("A", 9), ("A", 5), ("B", 6), ("A", 6), ("B", 7), ("A", 8))]
    verdicts = gaps.open().ticks(ticks(*rows))
    assert said(verdicts) == [("missing", [5], False)]
    assert verdicts[0].detail == "ids are missing before a tick"


def test_gaps_knows_that_an_aggregate_trade_covers_several_ids():
    assert gaps.open().ticks(ticks({"first_id": 1, "last_id": 4}, {"first_id": 5, "last_id": 5})) == []
    assert said(gaps.open().ticks(ticks({"first_id": 1, "last_id": 4}, {"first_id": 6, "last_id": 6}))) == [
        ("missing", [1], False)
    ]


def test_gaps_only_speaks_of_the_sources_it_is_told():
    rows = [{"last_id": 1}, {"last_id": 3}]
    assert gaps.open(sources=["other"]).ticks(ticks(*rows)) == []
    assert len(gaps.open(sources=["binance"]).ticks(ticks(*rows))) == 1


IDS = st.lists(st.tuples(st.sampled_from("AB"), st.integers(-1, 12)), min_size=1, max_size=20)


@given(IDS)
def test_repeats_and_gaps_are_those_that_a_plain_search_finds(rows):
    seen, repeats = set(), []
    for row, (symbol, number) in enumerate(rows):
        if number >= 0 and (symbol, number) in seen:
            repeats.append(row)
        seen.add((symbol, number))
    ids = {s: sorted({i for symbol, i in rows if symbol == s and i >= 0}) for s in "AB"}
    places = sum(b > a + 1 for each in ids.values() for a, b in pairwise(each))
    batch = ticks(*({"symbol": s, "last_id": i} for s, i in rows))
    assert sorted(r for v in duplicates.open().ticks(batch) for r in v.rows.tolist()) == repeats
    assert sum(len(v.rows) for v in gaps.open().ticks(batch)) == places


def test_staleness_remarks_on_prices_that_were_old_when_they_came_in_the_live_lane():
    rows = [{"event_time": T0 - 61 * SECOND}, {"event_time": T0 - 59 * SECOND}]
    assert said(staleness.open().ticks(ticks(*rows))) == [("behind", [0], False)]
    assert staleness.open().ticks(ticks(*rows, lane="refill")) == []


def test_staleness_knows_which_symbols_fell_silent():
    check = staleness.open(stale_after=10.0)
    check.ticks(ticks({"symbol": "A", "received_at": T0}, {"symbol": "B", "received_at": T0 + 5 * SECOND}))
    check.ticks(ticks({"symbol": "C", "received_at": T0}, lane="load:x"))
    assert check.silent(T0 + 10 * SECOND) == []
    assert [(s.source, s.symbol, s.since) for s in check.silent(T0 + 12 * SECOND)] == [("binance", "A", T0)]
    check.ticks(ticks({"symbol": "A", "received_at": T0 + 12 * SECOND}))
    assert [s.symbol for s in check.silent(T0 + 16 * SECOND)] == ["B"]


def connected(at, *symbols, line="l"):
    return Mark(Event.CONNECTED, T0 + at * SECOND, line, "trade", symbols)


def alive(at, line="l", event=Event.ALIVE):
    return Mark(event, T0 + at * SECOND, line)


def test_staleness_names_once_who_never_said_a_word_since_the_line_connected():
    check = staleness.open(stale_after=10.0)
    assert check.marks("binance", [connected(0, "A", "B", "C"), alive(10)]) == []
    check.ticks(ticks({"symbol": "A", "received_at": T0 + 2 * SECOND}))
    check.ticks(ticks({"symbol": "C", "received_at": T0}, lane="load:x"))
    found = check.marks("binance", [alive(11)])
    assert [(s.symbol, s.since, s.heard) for s in found] == [("B", T0, False), ("C", T0, False)]
    assert check.marks("binance", [alive(30)]) == []
    assert [(s.symbol, s.heard) for s in check.silent(T0 + 30 * SECOND)] == [("B", False), ("C", False), ("A", True)]


def test_staleness_names_who_spoke_too_late_too():
    check = staleness.open(stale_after=10.0)
    check.marks("binance", [connected(0, "A", "B")])
    check.ticks(ticks({"symbol": "A", "received_at": T0 + 9 * SECOND}))
    check.ticks(ticks({"symbol": "B", "received_at": T0 + 11 * SECOND}))
    assert [s.symbol for s in check.marks("binance", [alive(12)])] == ["B"]
    assert check.silent(T0 + 20 * SECOND - 1)[0].heard and len(check.silent(T0 + 20 * SECOND - 1)) == 1


def test_staleness_waits_for_a_line_that_is_down_and_begins_anew_when_it_is_up():
    check = staleness.open(stale_after=10.0)
    check.marks("binance", [connected(0, "A"), alive(5, event=Event.DISCONNECTED), connected(1, "B", line="other")])
    assert [s.symbol for s in check.marks("binance", [alive(12, "other"), alive(12)])] == ["B"]
    check.marks("binance", [connected(20, "A")])
    assert [s.symbol for s in check.silent(T0 + 25 * SECOND)] == ["B"]
    assert [s.symbol for s in check.marks("binance", [alive(31)])] == ["A"]


@pytest.mark.parametrize("wrong", [
    {"low": 2.5}, {"high": 2.5}, {"low": 5.0}, {"vwap": 4.1}, {"vwap": 0.9}, {"volume": -1.0}, {"trades": -1},
    {"low": float("nan")},
])  # fmt: skip
def test_ohlc_refuses_a_bar_that_contradicts_itself(wrong):
    assert said(ohlc.open().bars(batch([bar(), bar(**wrong)]))) == [("ohlc", [1], True)]


@pytest.mark.parametrize("right", [
    {"vwap": 4.0 * (1 + 1e-12)}, {"vwap": float("nan"), "volume": 0.0, "trades": 0}, {"open": 4.0, "close": 1.0, "vwap": 1.0},
    {"open": 3.0, "high": 3.0, "low": 3.0, "close": 3.0, "vwap": 3.0},
])  # fmt: skip
def test_ohlc_takes_a_bar_at_the_edge(right):
    assert ohlc.open().bars(batch([bar(**right)])) == []


def test_a_symbol_dictionary_that_grows_in_place_is_understood():
    check, symbols = ranges.open(), ["A"]
    first = ticks({"symbol": "A", "price": 1.0})
    grown = ticks({"symbol": "A", "price": 1.0}, {"symbol": "B", "price": 100.0}, {"symbol": "B", "price": 100.0})
    object.__setattr__(first, "symbols", symbols)
    object.__setattr__(grown, "symbols", symbols)
    assert check.ticks(first) == []
    symbols.append("B")
    assert check.ticks(grown) == []


def test_a_small_batch_costs_little(clock_of_the_machine):
    """30 us a check are wanted for ten ticks; the bound here leaves a busy machine room."""
    few = good(10)
    for module in (schema, ranges, duplicates, staleness, gaps, ohlc):
        check = module.open()
        check.ticks(few)
        took = min(clock_of_the_machine(lambda check=check: [check.ticks(few) for _ in range(100)]) for _ in range(5))
        assert took / 100 < 120e-6, module.__name__


def test_minutes_are_minutes():
    assert batch([bar(minute=2)]).start.tolist() == [T0 + 2 * MINUTE]
    assert np.all(batch([bar()]).interval == MINUTE)
