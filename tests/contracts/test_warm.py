"""What every warm store must do. A new backend is one line in `BACKENDS`."""

import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.stores import databases
from tests.stores.believed import Believed
from tests.stores.samples import (
    MINUTE,
    T0,
    anomaly,
    bar,
    bars_output,
    finding,
    indicator,
    output,
    plain,
    stretch,
)
from tickhouse.core.batches import Output
from tickhouse.core.errors import BadQuery, BadSetting, Superseded
from tickhouse.core.model import ACTION, ANOMALY, BAR, COVERAGE, FINDING, INDICATOR, OBSERVATION, SWITCH, Query, State
from tickhouse.core.plugins import open_url
from tickhouse.stores import NEVER_STORED

BACKENDS = {
    "sqlite": lambda folder: nullcontext(f"sqlite:///{folder}/warm.db"),
    "postgres": lambda _folder: databases.migrated(),
}
"""A context with the URL of a new place."""
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each example is a new database on disk, so that a search for a smaller one takes too long."""

ONE = ("BTC-USDT",)


@pytest.fixture(params=BACKENDS)
def opener(request, tmp_path):
    """Opens the store at one place of one backend, and closes it."""
    opened = []
    with BACKENDS[request.param](tmp_path) as url:

        def again():
            opened.append(open_url("stores", url))
            return opened[-1]

        yield again
        for store in opened:
            store.close()


@pytest.fixture
def warm(opener):
    """An empty store."""
    return opener()


def shown(row):
    """A bar as it is read back."""
    state = State(row["state"]).name.lower()
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} | {"state": state}


def test_an_empty_store_answers_with_empty_tables_of_the_right_schema(warm):
    asked = {"bars": BAR, "indicators": INDICATOR, "anomalies": ANOMALY, "findings": FINDING, "coverage": COVERAGE}
    for name, schema in asked.items():
        table = getattr(warm, name)(Query())
        assert (table.schema, table.num_rows) == (schema, 0)
    assert (warm.symbols(), dict(warm.ledger()), warm.position("g"), warm.checkpoint("g")) == ([], {}, None, None)


def test_a_row_comes_back_as_it_was_written_and_a_missing_vwap_as_null(warm):
    rows = [bar(), bar("ETH-USDT", 1, vwap=math.nan, source="csv", interval="5m", state=State.CORRECTED, version=3)]
    rest = {"indicators": [indicator()], "anomalies": [anomaly()], "findings": [finding()], "coverage": [stretch(0, 1)]}
    warm.write("g", bars_output(10, *rows))
    warm.write("g", output(11, **rest))
    assert plain(warm.bars(Query())) == [shown(row) for row in rows]
    assert warm.bars(Query()).schema == BAR
    for name, written in rest.items():
        assert plain(getattr(warm, name)(Query())) == written


def test_the_newest_version_is_answered_all_of_them_on_demand_and_what_was_believed_before(warm):
    first, second = bar(close=3.0), bar(close=3.5, version=1, known_at=T0 + 5 * MINUTE)
    warm.write("g", bars_output(10, first))
    warm.write("g", bars_output(20, second))
    assert [r["close"] for r in plain(warm.bars(Query()))] == [3.5]
    assert [r["close"] for r in plain(warm.bars(Query(versions=True)))] == [3.0, 3.5]
    for as_of, expected in ((T0, []), (T0 + MINUTE, [3.0]), (T0 + 5 * MINUTE - 1, [3.0]), (T0 + 5 * MINUTE, [3.5])):
        assert [r["close"] for r in plain(warm.bars(Query(as_of=as_of)))] == expected
    for before, expected in ((9, []), (10, [3.0]), (19, [3.0]), (20, [3.5])):
        assert [r["close"] for r in plain(warm.bars(Query(before=before)))] == expected


@pytest.mark.parametrize("count", [1, 50])
def test_a_row_that_is_said_again_was_known_since_it_was_said_first(warm, count):
    rows = [bar(minute=n) for n in range(count)]
    for position, written, expected in (
        (10, rows, 10),
        (20, rows, 10),
        (5, rows, 5),
        (30, [row | {"vwap": math.nan} for row in rows], 30),
        (40, [row | {"vwap": math.nan} for row in rows], 30),
    ):
        warm.write("g", bars_output(position, *written))
        assert len(plain(warm.bars(Query(before=expected)))) == len(plain(warm.bars(Query()))) == count
        assert plain(warm.bars(Query(before=expected - 1))) == []


def test_the_end_of_a_range_is_not_part_of_it(warm):
    warm.write("g", bars_output(1, *(bar(minute=m) for m in range(5))))
    found = plain(warm.bars(Query(ONE, "1m", start=T0 + MINUTE, end=T0 + 3 * MINUTE)))
    assert [r["start"] for r in found] == [T0 + MINUTE, T0 + 2 * MINUTE]


def test_last_gives_the_newest_rows_of_each_symbol_interval_and_source(warm):
    rows = [bar(s, m, source=source) for s in ("A", "B") for m in range(4) for source in ("x", "y")]
    warm.write("g", bars_output(1, *rows))
    found = plain(warm.bars(Query(last=1)))
    assert [(r["symbol"], r["source"], r["start"]) for r in found] == [
        (s, c, T0 + 3 * MINUTE) for s in "AB" for c in "xy"
    ]
    assert [r["start"] for r in plain(warm.bars(Query(("A",), "1m", "x", last=2)))] == [
        T0 + 2 * MINUTE,
        T0 + 3 * MINUTE,
    ]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_pages_follow_one_another_without_a_gap_or_a_repeat(warm, size):
    rows = [bar(s, m, source=c, interval=i) for s in ("A", "B") for m in range(3) for c in "xy" for i in ("1m", "5m")]
    said = [anomaly("A", m, detector=d) for m in range(3) for d in ("returns(20,3)", "volume(20,3)")]
    warm.write("g", bars_output(1, *rows))
    warm.write("g", output(2, anomalies=said, findings=[finding(T0 + n // 2, raw=n) for n in range(5)]))
    warm.write("g", output(3, coverage=[stretch(n, n + 1, symbol=s) for n in range(4) for s in ("A", "B")]))
    bar_key = ("symbol", "interval", "start", "source", "version")
    assert_pages(warm.bars, bar_key, size)
    assert_pages(warm.anomalies, (*bar_key, "detector"), size)
    assert_pages(warm.findings, ("at", "source", "symbol", "check", "severity", "raw", "message"), size)
    assert_pages(warm.coverage, ("symbol", "start", "source", "channel"), size)


def assert_pages(ask, key, size):
    whole, found, after = plain(ask(Query())), [], None
    while page := plain(ask(Query(after=after, limit=size))):
        assert len(page) <= size
        found += page
        after = tuple(page[-1][name] for name in key)
    assert found == whole
    assert all(a < b for a, b in pairwise(tuple(row[name] for name in key) for row in whole))


@pytest.mark.parametrize(
    "query", [Query(after=("A",)), Query(limit=-1), Query(last=-1), Query(after=("A", "1m", "?", "x", 0))]
)
def test_a_question_that_makes_no_sense_is_refused(warm, query):
    warm.write("g", bars_output(1, bar("A"), bar("B")))
    with pytest.raises((BadQuery, BadSetting)):
        warm.bars(query)


def test_a_retracted_anomaly_is_only_shown_among_the_versions(warm):
    warm.write("g", output(1, anomalies=[anomaly(), anomaly(detector="volume(20,3)")]))
    warm.write("g", output(2, anomalies=[anomaly(version=1, retracted=True, known_at=T0 + 9 * MINUTE)]))
    assert [r["detector"] for r in plain(warm.anomalies(Query()))] == ["volume(20,3)"]
    assert len(plain(warm.anomalies(Query(versions=True)))) == 3
    assert len(plain(warm.anomalies(Query(as_of=T0 + 2 * MINUTE)))) == 2


def test_findings_come_by_time_and_writing_them_again_changes_nothing(warm):
    rows = [finding(T0 + n, symbol=s, raw=n) for n in range(4) for s in ("A", "B")]
    for _ in range(2):
        warm.write("g", output(1, findings=rows))
    assert plain(warm.findings(Query())) == rows
    assert plain(warm.findings(Query(("B",), start=T0 + 1, end=T0 + 3))) == [r for r in rows if r["symbol"] == "B"][1:3]
    assert plain(warm.findings(Query(last=2))) == rows[-2:]


def test_a_stretch_of_coverage_grows_in_place_and_a_blind_one_becomes_backfilled(warm):
    warm.write("g", output(1, coverage=[stretch(0, 5), stretch(5, 8, state="blind", missing=4)]))
    warm.write("g", output(2, coverage=[stretch(0, 5), stretch(5, 8, state="backfilled"), stretch(8, 9)]))
    assert [(r["state"], r["missing"]) for r in plain(warm.coverage(Query()))] == [
        ("live", 0),
        ("backfilled", 0),
        ("live", 0),
    ]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@given(
    stretches=st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 40), st.integers(1, 30)), max_size=12),
    start=st.integers(-5, 60),
    length=st.integers(1, 30),
)
@settings(max_examples=tried(25), deadline=None, phases=QUICK)
def test_coverage_answers_with_exactly_the_stretches_that_overlap_the_range(backend, stretches, start, length):
    rows = {(s, a): stretch(a, a + n, symbol=s) for s, a, n in stretches}
    low, high = T0 + start * MINUTE, T0 + (start + length) * MINUTE
    expected = [r for _, r in sorted(rows.items()) if r["start"] < high and r["end"] > low]
    with tempfile.TemporaryDirectory() as folder, backend(folder) as url, closing(open_url("stores", url)) as warm:
        warm.write("g", output(1, coverage=list(rows.values())))
        assert plain(warm.coverage(Query(start=low, end=high))) == expected


def test_positions_and_totals_never_go_back(warm):
    warm.write("g", Output(10, ledger={("binance", "accepted"): 100}), b"ten")
    warm.write("g", Output(5, ledger={("binance", "accepted"): 50}))
    assert (warm.position("g"), dict(warm.ledger())) == (10, {("binance", "accepted"): 100})
    warm.write("g", Output(10, ledger={("binance", "accepted"): 100}))
    warm.write("other", Output(3))
    assert (warm.position("g"), warm.position("other")) == (10, 3)


def test_who_was_overtaken_writes_nothing(warm):
    mine = warm.write("process", output(position=10), since=NEVER_STORED)
    assert mine == 10
    assert warm.write("process", bars_output(20, bar(close=1.0)), since=mine) == 20, "by another"
    with pytest.raises(Superseded, match="another process"):
        warm.write("process", bars_output(30, bar(minute=1)), b"state", since=mine)
    assert (warm.position("process"), warm.checkpoint("process")) == (20, None)
    assert len(plain(warm.bars(Query(ONE)))) == 1
    assert warm.write("process", bars_output(20, bar(close=1.0)), since=mine) == 20, "what is there already"
    assert warm.write("process", output(position=15), since=20) == 20, "and what is done again after a restart"


def test_a_shared_group_is_as_far_as_the_least_of_its_parts_and_counts_all(warm):
    counted = {("binance", "accepted"): 3}
    for part, position, least in ((0, 30, None), (1, 20, 20)):
        warm.write(f"process.{part}of2", replace(output(position=position), ledger=counted))
        assert warm.position(f"process.{part}of2") == position
        assert warm.position("process") == least, "nothing is known of a part that is not there"
    assert sorted(warm.parts("process")) == ["process.0of2", "process.1of2"]
    assert (warm.parts("process.1of2"), warm.parts("proc")) == (["process.1of2"], [])
    assert dict(warm.ledger()) == {("binance", "accepted"): 6}
    assert dict(warm.ledger("process.0of2")) == counted


def test_the_newest_checkpoint_is_given_back_after_a_restart(warm, opener):
    for position in (10, 20, 30):
        warm.write("g", Output(position), b"state %d" % position)
    warm.write("g", Output(35))
    warm.close()
    again = opener()
    found = again.checkpoint("g")
    assert (found.position, found.state, again.position("g")) == (30, b"state 30", 35)
    assert again.checkpoint("other") is None


def test_writing_the_same_output_twice_is_harmless(warm):
    whole = bars_output(7, bar(), bar(minute=1), ledger={("binance", "accepted"): 9})
    answers = []
    for _ in range(2):
        warm.write("g", whole, b"state")
        answers.append(
            (plain(warm.bars(Query(versions=True))), dict(warm.ledger()), warm.symbols(), warm.position("g"))
        )
    assert answers[0] == answers[1]


def test_symbols_lists_each_symbol_and_source_with_intervals_and_the_first_and_last_bar(warm):
    warm.write("g", bars_output(1, bar("B", 3), bar("A", 5), bar("A", 2, interval="5m"), bar("A", 9, source="csv")))
    found = [
        (row["symbol"], row["source"], row["intervals"], row["first_start"], row["last_start"])
        for row in warm.symbols()
    ]
    assert found == [
        ("A", "binance", ["1m", "5m"], T0 + 2 * MINUTE, T0 + 5 * MINUTE),
        ("A", "csv", ["1m"], T0 + 9 * MINUTE, T0 + 9 * MINUTE),
        ("B", "binance", ["1m"], T0 + 3 * MINUTE, T0 + 3 * MINUTE),
    ]


def trimmed(warm, *what):
    """Trim until nothing old is left; how many rows went."""
    gone = 0
    while some := warm.trim(*what):
        gone += some
    return gone


def test_old_bars_of_one_interval_or_of_all_go_with_what_was_said_of_them(warm):
    rows = [bar(s, m, interval=i) for s in ("A", "B") for m in range(10) for i in ("1m", "5m")]
    warm.write("g", bars_output(1, *rows, *(bar("A", m, version=1) for m in range(2))))
    warm.write("g", output(2, indicators=[indicator("A", m) for m in range(10)], anomalies=[anomaly("A", 1)]))
    assert trimmed(warm, "bars", T0 + 4 * MINUTE, "1m") == (2 * 4 + 2) + 4 + 1
    assert {r["start"] for r in plain(warm.bars(Query(interval="1m")))} == {T0 + m * MINUTE for m in range(4, 10)}
    assert len(plain(warm.bars(Query(interval="5m")))) == 20
    assert len(plain(warm.indicators(Query()))) == 6
    assert plain(warm.anomalies(Query(versions=True))) == []
    assert {row["first_start"] for row in warm.symbols()} == {T0}
    assert trimmed(warm, "bars", T0 + 100 * MINUTE) == 2 * 6 + 20 + 6
    assert (warm.symbols(), warm.trim("bars", T0 + 100 * MINUTE)) == ([], 0)


def test_old_findings_metrics_and_coverage_go_each_by_itself(warm):
    warm.write("g", bars_output(1, bar()))
    warm.write("g", output(1, findings=[finding(T0 + n, symbol=s, raw=n) for n in range(6) for s in ("A", "B")]))
    warm.write("g", output(2, coverage=[stretch(n, n + 1, symbol=s) for n in range(6) for s in ("A", "B")]))
    for at in range(6):
        warm.measure(at, {("binance", "accepted"): 1.0, ("binance", "late"): 2.0})
    assert trimmed(warm, "findings", T0 + 2) == 4
    assert {row["at"] for row in plain(warm.findings(Query()))} == {T0 + n for n in range(2, 6)}
    assert trimmed(warm, "metrics", 5) == 10
    assert {row["at"] for row in plain(warm.metrics(Query()))} == {5}
    assert trimmed(warm, "coverage", T0 + 4 * MINUTE) == 8
    assert [row["start"] for row in plain(warm.coverage(Query(("B",))))] == [T0 + 4 * MINUTE, T0 + 5 * MINUTE]
    assert len(plain(warm.bars(Query()))) == 1


def test_a_stretch_that_reaches_into_what_is_kept_stays(warm):
    warm.write("g", output(1, coverage=[stretch(0, 100), stretch(100, 101), stretch(101, 200)]))
    assert trimmed(warm, "coverage", T0 + 150 * MINUTE) == 2
    assert trimmed(warm, "coverage", T0 + 199 * MINUTE) == 0
    assert [row["end"] for row in plain(warm.coverage(Query()))] == [T0 + 200 * MINUTE]


def test_metrics_are_kept_as_points_in_time(warm):
    for at in (1, 2, 3):
        warm.measure(at, {("binance", "accepted"): at * 10.0, ("csv", "lag"): math.nan})
    warm.measure(3, {("binance", "accepted"): 31.0})
    warm.measure(4, {})
    assert [(r["at"], r["value"]) for r in plain(warm.metrics(Query(source="binance")))] == [
        (1, 10.0),
        (2, 20.0),
        (3, 31.0),
    ]
    assert [r["at"] for r in plain(warm.metrics(Query(start=2, end=3)))] == [2, 2]
    assert [r["value"] for r in plain(warm.metrics(Query(source="csv", last=1)))] == [None]


def test_several_threads_may_ask_while_one_writes(warm):
    warm.write("g", bars_output(1, *(bar(f"S{n}") for n in range(20))))
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(lambda: warm.bars(Query()).num_rows) for _ in range(100)]
        for position in range(2, 12):
            warm.write("g", bars_output(position, *(bar(f"S{n}", position) for n in range(20))))
        counts = {answer.result() for answer in answers}
    assert all(count % 20 == 0 and 20 <= count <= 220 for count in counts)


def test_upgrade_says_the_version_and_may_be_called_again(warm):
    assert warm.upgrade() == warm.upgrade() != ""


SYMBOLS, INTERVALS, SOURCES = st.sampled_from("AB"), st.sampled_from(["1m", "5m"]), st.sampled_from(["x", "y"])
MINUTES = st.integers(0, 5)
BARS = st.builds(
    lambda s, i, c, m, v, k, x: bar(s, m, interval=i, source=c, version=v, known_at=T0 + k * MINUTE, close=x),
    SYMBOLS, INTERVALS, SOURCES, MINUTES, st.integers(0, 2), st.integers(0, 9), st.floats(1, 9),
)  # fmt: skip
ANOMALIES = st.builds(
    lambda s, m, d, v, k, r: anomaly(s, m, detector=d, version=v, known_at=T0 + k * MINUTE, retracted=r),
    SYMBOLS, MINUTES, st.sampled_from(["returns(20,3)", "volume(20,3)"]), st.integers(0, 2), st.integers(0, 9), st.booleans(),
)  # fmt: skip
TIMES = st.one_of(st.none(), MINUTES.map(lambda m: T0 + m * MINUTE))
QUERIES = st.builds(
    Query,
    symbols=st.sampled_from([(), ("A",), ("B", "A"), ("C",)]), interval=st.sampled_from([None, "1m", "5m"]),
    source=st.sampled_from([None, "x"]), start=TIMES, end=TIMES,
    as_of=st.one_of(st.none(), st.integers(0, 9).map(lambda k: T0 + k * MINUTE)), versions=st.booleans(),
    limit=st.sampled_from([None, 0, 1, 4]), last=st.sampled_from([None, 0, 1, 3]),
    before=st.sampled_from([None, 1, 2, 3]),
)  # fmt: skip


WRITES = st.tuples(st.lists(BARS, min_size=1, max_size=8), st.lists(ANOMALIES, min_size=1, max_size=5))
AFTER = st.none() | st.tuples(SYMBOLS, INTERVALS, MINUTES.map(lambda m: T0 + m * MINUTE), SOURCES, st.integers(0, 2))


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
@given(
    writes=st.lists(WRITES, max_size=4),
    queries=st.lists(st.tuples(QUERIES, AFTER), min_size=4, max_size=12),
)
@settings(max_examples=tried(60), deadline=None, phases=QUICK)
def test_any_history_of_writes_answers_any_question_as_a_dictionary_would(backend, writes, queries):
    with tempfile.TemporaryDirectory() as folder, backend(folder) as url, closing(open_url("stores", url)) as warm:
        bars, said = Believed(), Believed("detector")
        for position, (rows, anomalies) in enumerate(writes, 1):
            found = output(0, anomalies=anomalies).anomalies
            warm.write("g", Output(position, bars_output(0, *rows).bars, anomalies=found))
            bars.write(position, rows)
            said.write(position, anomalies)
        for query, after in queries:
            assert plain(warm.bars(replace(query, after=after))) == [
                shown(r) for r in bars.answer(replace(query, after=after))
            ]
            beyond = replace(query, after=(*after, "returns(20,3)") if after else None)
            assert plain(warm.anomalies(beyond)) == said.answer(beyond)


def observed(series, day, value, vintage):
    return {"series": series, "source": "fred", "date": day, "value": value, "vintage": vintage, "raw": 7}


def test_observations_are_told_as_they_were_believed(warm):
    days = [date(2024, 4, 1), date(2024, 7, 1)]
    rows = [
        observed("GDP", days[0], 29016.714, date(2024, 7, 25)),
        observed("GDP", days[1], 29349.924, date(2024, 10, 30)),
        observed("GDP", days[1], 29374.914, date(2024, 12, 19)),
        observed("CPI", days[1], None, date(2024, 8, 14)),
    ]
    warm.write("process", Output(9, observations=pa.Table.from_pylist(rows, schema=OBSERVATION)))
    warm.write("process", Output(9, observations=pa.Table.from_pylist(rows, schema=OBSERVATION)))
    newest = warm.observations(Query(("GDP",)))
    assert newest.schema.equals(OBSERVATION)
    assert newest["value"].to_pylist() == [29016.714, 29374.914]
    november = 1_730_419_200_000_000
    assert warm.observations(Query(("GDP",), as_of=november))["value"].to_pylist() == [29016.714, 29349.924]
    assert warm.observations(Query(("GDP",), versions=True)).num_rows == 3
    assert warm.observations(Query(("CPI",)))["value"].to_pylist() == [None]
    assert warm.observations(Query(("GDP",), start=1_717_200_000_000_000))["date"].to_pylist() == [days[1]]
    assert warm.observations(Query()).num_rows == 3
    page = warm.observations(Query(versions=True, limit=2))
    last = ("GDP", "2024-04-01", "fred", "2024-07-25")
    assert page["series"].to_pylist() == ["CPI", "GDP"] and page["date"].to_pylist()[-1] == days[0]
    rest = warm.observations(Query(versions=True, after=last))
    assert rest["vintage"].to_pylist() == [date(2024, 10, 30), date(2024, 12, 19)]
    with pytest.raises(BadQuery):
        warm.observations(Query(after=("GDP", "soon", "fred", "2024-07-25")))


def test_splits_and_dividends_are_kept_by_day(warm):
    rows = [
        {"symbol": "AAPL", "source": "yahoo", "date": date(2020, 8, 31), "kind": "split", "value": 4.0, "raw": 1},
        {"symbol": "AAPL", "source": "yahoo", "date": date(2020, 8, 7), "kind": "dividend", "value": 0.82, "raw": 1},
    ]
    for _ in range(2):
        warm.write("process", Output(3, actions=pa.Table.from_pylist(rows, schema=ACTION)))
    assert warm.actions(Query(("AAPL",))).to_pylist() == rows[::-1]
    assert warm.actions(Query(("MSFT",))).num_rows == 0


def test_switches_of_groups_are_kept_by_symbol_and_moment(warm):
    rows = [
        {
            "symbol": symbol,
            "at": datetime.fromtimestamp(at, UTC),
            "from_source": "a",
            "to_source": "b",
            "reason": "503",
            "raw": at,
        }
        for symbol, at in (("ETH-USDT", 5), ("BTC-USDT", 9), ("BTC-USDT", 7))
    ]
    for _ in range(2):
        warm.write("process", Output(3, switches=pa.Table.from_pylist(rows, schema=SWITCH)))
    assert warm.switches(Query()).to_pylist() == [rows[2], rows[1], rows[0]]
    assert warm.switches(Query(("BTC-USDT",), end=9_000_000)).to_pylist() == [rows[2]]
    assert warm.switches(Query(("BTC-USDT",), as_of=9_000_000)).num_rows == 2
