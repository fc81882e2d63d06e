"""Rows of closed bars, and corrections that leave exactly what an undisturbed run would have said."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.process.shelf import DAY, MINUTE, T0, Shelf, batch, walk
from tickhouse.core.errors import BadQuery, SettingsError
from tickhouse.core.model import ANOMALY, BAR, INDICATOR, Query
from tickhouse.process.analysis import Analysis, compute
from tickhouse.process.catalog import default_indicators, detector, indicator
from tickhouse.process.said import Said

DETECTORS = ("returns(20,3)", "volume(20,3)", "returns(2,1)")
Row = dict[str, Any]


def analysis(shelf: Shelf | None) -> Analysis:
    return Analysis(default_indicators(), [detector(text) for text in DETECTORS], shelf)


def series(seed: int, symbol: str, n: int, begin: int, minutes: int = 1) -> list[Row]:
    columns = walk(np.random.default_rng(seed), n, begin, minutes * MINUTE)
    return [
        {"symbol": symbol, "interval": minutes * MINUTE, **{name: values[i].item() for name, values in columns.items()}}
        for i in range(n)
    ]


def at(rows: list[Row], minutes: list[int]) -> list[Row]:
    """The bars moved to these minutes after T0."""
    return [row | {"start": T0 + minute * MINUTE} for row, minute in zip(rows, minutes, strict=True)]


def ordered(rows: list[Row]) -> list[Row]:
    """As the engine hands them over: by end, then interval, then symbol."""
    return sorted(rows, key=lambda r: (r["start"] + r["interval"], r["interval"], r["symbol"]))


class House:
    """An analysis and the history that stores what it says, after every call or only now and then."""

    def __init__(self) -> None:
        self.shelf, self.position, self.waiting = Shelf(), 0, []
        self.analysis = analysis(self.shelf)

    def closed(self, rows: list[Row], store: bool = True) -> tuple[pa.Table | None, pa.Table | None]:
        bars = batch(rows)
        said = self.analysis.closed(bars, self.position)
        self.waiting.append((bars, *said))
        if store:
            self.store()
        return said

    def store(self) -> None:
        self.position += 10
        for bars, *said in self.waiting:
            self.shelf.put(self.position, bars, *said)
        self.waiting = []

    def newest(self, name: str) -> pl.DataFrame:
        """The newest version of every row, retracted anomalies left out, versions and times of knowledge not compared."""
        frames = [frame for _, frame in self.shelf.kept[name]]
        key = ["symbol", "interval", "start", *(["detector"] if name == "anomalies" else [])]
        if not frames:
            return pl.DataFrame()
        frame = pl.concat(frames).sort([*key, "version"]).unique(key, keep="last", maintain_order=True)
        if name == "anomalies":
            frame = frame.filter(~pl.col("retracted"))
        return frame.drop("version", "known_at")

    def restart(self) -> None:
        state, self.analysis = self.analysis.snapshot(), analysis(self.shelf)
        self.analysis.restore(state)

    def check_versions(self) -> None:
        """Versions of a row begin at 0 and rise by one, and neighbours differ."""
        for name, key in (("indicators", []), ("anomalies", ["detector"])):
            if not self.shelf.kept[name]:
                continue
            frame = pl.concat([f for _, f in self.shelf.kept[name]])
            for _, rows in frame.group_by(["symbol", "interval", "start", *key], maintain_order=True):
                assert rows["version"].to_list() == list(range(len(rows)))
                said = (
                    rows.select("values" if name == "indicators" else pl.struct("value", "threshold", "retracted"))
                    .to_series()
                    .to_list()
                )
                assert all(repr(a) != repr(b) for a, b in itertools.pairwise(said))


def undisturbed(rows: list[Row]) -> House:
    house = House()
    house.closed(ordered(rows))
    return house


def test_one_row_a_bar_with_the_labels_of_the_settings() -> None:
    rows = series(1, "A", 40, T0)
    said, _ = analysis(None).closed(batch(rows), 0)
    assert said is not None and said.schema == INDICATOR and said.num_rows == 40
    values = [
        pl.Series([text]).str.json_decode(pl.Struct({"sma(20)": pl.Float64, "vwap": pl.Float64}))[0]
        for text in said["values"].to_pylist()
    ]
    expected = compute(batch(rows).to_arrow(), ["sma(20)", "vwap"])
    assert [v["vwap"] for v in values] == expected["vwap"].tolist()
    assert [v["sma(20)"] for v in values][18:] == [None, *expected["sma(20)"][19:].tolist()]
    assert '"macd(12,26,9).signal"' in said["values"][33].as_py() and "macd" not in said["values"][32].as_py()
    assert said["known_at"].cast(pa.int64()).to_pylist() == [r["start"] + MINUTE for r in rows]


def test_anomalies_have_value_and_threshold() -> None:
    rows = series(2, "A", 60, T0)
    for row in rows[50:]:
        row |= {name: row[name] * 2 for name in ("open", "high", "low", "close")}
    _, found = analysis(None).closed(batch(rows), 0)
    assert found is not None and found.schema == ANOMALY
    frame = pl.DataFrame(found).filter(detector="returns(20,3)")
    assert frame.filter((pl.col("value").abs() <= pl.col("threshold")) | pl.col("retracted")).is_empty()
    assert T0 + 50 * MINUTE in frame["start"].dt.epoch("us").to_list()


def test_nothing_asked_or_nothing_given_says_nothing() -> None:
    assert Analysis([], [], None).closed(batch(series(1, "A", 3, T0)), 0) == (None, None)
    assert analysis(None).closed(batch([]), 0) == (None, None)


@given(st.integers(0, 10_000), st.data())
@settings(max_examples=tried(15), deadline=None)
def test_cuts_change_nothing(seed: int, data: st.DataObject) -> None:
    """Several symbols and intervals over two midnights, cut anywhere, with a restart at every cut."""
    begin = T0 - 100 * MINUTE
    rows = ordered(
        series(seed, "A", 250, begin) + series(seed + 1, "B", 180, begin + 3 * MINUTE) + series(seed, "A", 50, begin, 5)
    )
    rows += ordered(series(seed + 2, "C", 5, T0 + DAY, 1440))
    whole = analysis(None)
    said = whole.closed(batch(rows), 0)
    cuts = sorted({0, len(rows), *data.draw(st.lists(st.integers(0, len(rows)), max_size=5))})
    parts, current = [], analysis(None)
    for a, b in itertools.pairwise(cuts):
        parts.append(current.closed(batch(rows[a:b]), 0))
        state, current = current.snapshot(), analysis(None)
        current.restore(
            {name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape) for name, array in state.items()}
        )
    for i in (0, 1):
        joined = pa.concat_tables([part[i] for part in parts if part[i] is not None])
        assert joined.equals(said[i].combine_chunks() if said[i] is not None else joined.slice(0, 0))
    one, other = whole.snapshot(), current.snapshot()
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_a_correction_of_today_reads_only_today() -> None:
    rows = series(3, "A", 400, T0 - 200 * MINUTE)
    house = House()
    house.closed(rows)
    fixed = rows[250] | {"close": rows[250]["close"] * 1.05, "version": 1, "known_at": T0 + DAY}
    house.shelf.asked.clear()
    said, anomalies = house.closed([fixed])
    assert house.shelf.asked[0].start == T0
    expected = undisturbed([*rows[:250], fixed, *rows[251:]])
    assert house.newest("indicators").equals(expected.newest("indicators"))
    assert house.newest("anomalies").equals(expected.newest("anomalies"))
    assert said is not None and anomalies is not None
    assert set(said["known_at"].cast(pa.int64()).to_pylist()) == {T0 + DAY}
    assert set(said["version"].to_pylist()) == {1}
    assert min(said["start"].cast(pa.int64()).to_pylist()) == fixed["start"]


BEFORE = {
    "in a row": range(-60, 0),
    "gaps": [*range(-9000, -8990), *range(-300, -200, 7), -20, -19, -3],
    "few": range(-4, 0),
    "none": [],
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=list(BEFORE))
@pytest.mark.parametrize("minute", [0, 1, 7])
@pytest.mark.parametrize("kept", ["stored", "not stored", "restored"])
def test_a_correction_of_the_first_bars_of_a_day_knows_those_before_the_day(
    before: Sequence[int], minute: int, kept: str
) -> None:
    """What remembers a few bars has no copy of its state at midnight: it is fed these bars again."""
    rows = at(series(11, "A", len(before) + 30, T0), [*before, *range(30)])
    day, house = len(before), House()
    if day:
        house.closed(rows[: day - 1], store=kept != "not stored")
        house.closed([rows[day - 1]], store=kept != "not stored")
    house.closed(rows[day:], store=kept != "not stored")
    if kept == "restored":
        house.restart()
    fixed = rows[day + minute] | {"close": 130.0, "volume": 77.0, "version": 1}
    house.shelf.asked.clear()
    house.closed([fixed])
    same_as_undisturbed(house, [*rows[: day + minute], fixed, *rows[day + minute + 1 :]])
    assert [(query.start, query.end, query.last) for query in house.shelf.asked[:2]] == [
        (T0, None, None),
        (None, T0, 21),
    ]


def test_series_whose_newest_bars_are_of_different_days_are_corrected_at_once() -> None:
    days = {"A": 0, "B": -1, "C": -3, "D": 0}
    rows = {name: series(i, name, 90, T0 + day * DAY - 40 * MINUTE) for i, (name, day) in enumerate(days.items())}
    house = House()
    every = ordered([row for part in rows.values() for row in part])
    house.closed(every, store=False)
    fixed = {name: rows[name][41 + i] | {"close": 130.0, "version": 1} for i, name in enumerate("ABC")}
    house.closed(ordered(list(fixed.values())))
    final = {key(row): row for row in [*every, *fixed.values()]}
    same_as_undisturbed(house, list(final.values()))


def test_bars_before_the_day_count_as_corrected_last() -> None:
    """A bar of yesterday is corrected, then one of today; the version of yesterday's bar that counts is not stored yet."""
    rows, house = series(12, "A", 100, T0 - 50 * MINUTE), House()
    house.closed(rows)
    yesterday, today = (rows[i] | {"close": 130.0, "version": 1} for i in (45, 52))
    house.closed([yesterday], store=False)
    house.closed([today], store=False)
    house.store()
    same_as_undisturbed(house, [*rows[:45], yesterday, *rows[46:52], today, *rows[53:]])


def test_rows_that_no_correction_reaches_are_not_written_again() -> None:
    rows = series(4, "A", 300, T0)
    house = House()
    house.analysis = Analysis([indicator("sma(20)")], [], house.shelf)
    house.closed(rows)
    said, _ = house.closed([rows[100] | {"close": 50.0, "version": 1}])
    assert said is not None
    assert said["start"].cast(pa.int64()).to_pylist() == [T0 + i * MINUTE for i in range(100, 120)]
    again, _ = house.closed([rows[100] | {"close": 50.0, "version": 2}])
    assert again is None


def test_a_vanished_anomaly_is_retracted_and_can_come_back() -> None:
    rows = series(5, "A", 60, T0)
    jump = rows[40] | {name: rows[40][name] * 1.2 for name in ("open", "high", "low", "close")}
    house = House()
    house.analysis = Analysis([], [detector("returns(20,3)")], house.shelf)
    house.closed([*rows[:40], jump, *rows[41:50]])
    _, gone = house.closed([rows[40] | {"version": 1}])
    assert gone is not None
    first = gone.slice(0, 1).to_pylist()[0]
    assert (first["version"], first["retracted"], first["start"].minute) == (1, True, 40)
    assert abs(first["value"]) <= first["threshold"]
    _, back = house.closed([jump | {"version": 2}])
    assert back is not None
    assert next((r["version"], r["retracted"]) for r in back.to_pylist()) == (2, False)


@given(st.integers(0, 10_000))
@settings(max_examples=tried(30), deadline=None)
def test_corrections_leave_what_an_undisturbed_run_says(seed: int) -> None:
    """Corrected, missing and inserted bars of several series, stored now or later, with restarts: the same bits in the end."""
    random = np.random.default_rng(seed)
    begin = T0 - random.choice([30, 90, 150]).item() * MINUTE
    rows = ordered(series(seed, "A", 120, begin) + series(seed + 1, "B", 100, begin) + series(seed, "A", 24, begin, 5))
    final = {key(r): r for r in rows}
    held = {k for k in final if random.random() < 0.05}
    todo, house, done = [r for r in rows if key(r) not in held], House(), []
    while todo or held:
        n = random.integers(0, 80) if todo else 0
        part, todo = todo[:n], todo[n:]
        done += [key(r) for r in part]
        late = {done[i] for i in random.integers(0, len(done), random.integers(0, 4))} if done else set()
        for k in late:
            close = final[k]["close"] * random.choice([0.97, 1.0, 1.06])
            final[k] = final[k] | {"close": close, "version": final[k].get("version", 0) + 1}
        come = set(sorted(held)[: random.integers(1, 4)]) if not todo or random.random() < 0.5 else set()
        held, done = held - come, [*done, *come]
        house.closed(ordered([final[k] for k in {key(r) for r in part} | late | come]), store := random.random() < 0.5)
        if store and random.random() < 0.5:
            house.restart()
    house.store()
    same_as_undisturbed(house, [r | {"version": 0} for r in final.values()])


def same_as_undisturbed(house: House, rows: list[Row]) -> None:
    """All it said and its state are as if the bars had been so at first."""
    house.check_versions()
    expected = undisturbed(rows)
    for name in ("indicators", "anomalies"):
        assert house.newest(name).equals(expected.newest(name))
    assert states(house.analysis) == states(expected.analysis)


def key(row: Row) -> tuple[str, int, int]:
    return row["symbol"], row["interval"], row["start"]


def states(one: Analysis) -> dict[str, Any]:
    """The state of each series, by its name and not its row."""
    import json

    arrays = one.snapshot()
    names = {(s, i, symbol): row for s, i, known in json.loads(arrays["series"].tobytes()) for symbol, row in known}
    parts = [name for name in arrays if name not in ("series", "members")]
    return {str(name): [arrays[part][row].tobytes() for part in parts] for name, row in names.items()}


def test_rows_stored_by_a_run_that_was_cut_short_are_not_seen() -> None:
    """After a crash the engine goes over records again: what the stores hold from beyond its position is not the past."""
    rows, house = series(6, "A", 60, T0), House()
    house.closed(rows[:30])
    state, position = house.analysis.snapshot(), house.position
    fixed = rows[20] | {"close": 90.0, "version": 1}
    first = house.closed([fixed, *rows[30:40]])
    second = analysis(house.shelf)
    second.restore(state)
    again = second.closed(batch([fixed, *rows[30:40]]), position)
    assert again[0].equals(first[0])


def test_what_is_not_stored_yet_counts_among_the_last_rows() -> None:
    rows, house = [*series(14, "A", 9, T0), *series(15, "B", 5, T0)], House()
    house.closed(rows[:7])
    house.store()
    said = Said(house.shelf)
    said.up_to(house.position)
    said.add(batch([*rows[7:], rows[3] | {"close": 130.0, "version": 1}]))
    symbols, code, columns = said.bars(Query(("A", "B"), "1m", "s", end=T0 + 8 * MINUTE, last=5))
    assert (symbols, code.tolist()) == (["A", "B"], [0] * 5 + [1] * 5)
    assert (columns["start"] - T0).tolist() == [i * MINUTE for i in (3, 4, 5, 6, 7, 0, 1, 2, 3, 4)]
    assert columns["close"][0] == 130.0


def test_the_same_bar_twice_in_a_call_counts_as_its_newest_version() -> None:
    rows, house = series(7, "A", 40, T0), House()
    newer = rows[39] | {"close": 120.0, "version": 1}
    house.closed([*rows, newer])
    assert house.newest("indicators").equals(undisturbed([*rows[:39], newer]).newest("indicators"))
    house.check_versions()


def test_a_state_of_other_indicators_is_refused() -> None:
    state = analysis(None).snapshot()
    with pytest.raises(SettingsError, match=r"sma\(5\)"):
        Analysis([indicator("sma(5)")], [], None).restore(state)


def test_a_state_with_a_copy_of_everything_at_midnight_is_read() -> None:
    """As of versions before members had a memory: they kept an anchor of each."""
    rows, house = series(13, "A", 60, T0 - 30 * MINUTE), House()
    house.closed(rows)
    state = house.analysis.snapshot()
    count = len([name for name in state if name.startswith("state.")])
    house.analysis = analysis(house.shelf)
    house.analysis.restore({f"anchor.{i}": np.full_like(state[f"state.{i}"], 7.0) for i in range(count)} | state)
    fixed = rows[31] | {"close": 130.0, "version": 1}
    house.closed([fixed])
    same_as_undisturbed(house, [*rows[:31], fixed, *rows[32:]])


def test_a_state_of_an_indicator_that_remembered_less_is_refused() -> None:
    state = analysis(None).snapshot()
    with pytest.raises(SettingsError, match=r"ema\(20\) remembered a few bars"):
        analysis(None).restore({name: array for name, array in state.items() if name != "anchor.1"})


def test_state_is_small() -> None:
    one = analysis(None)
    rows = [row for i in range(200) for row in series(i, f"S{i}", 1, T0)]
    one.closed(batch(rows), 0)
    assert sum(array.nbytes for array in one.snapshot().values()) / 200 < 1250


def test_compute_on_demand_equals_the_stored_rows_and_keeps_the_order_of_the_table() -> None:
    table = batch(series(8, "A", 100, T0)).to_arrow().cast(BAR)
    upward = compute(table, ["sma(20)", "bollinger(20,2)", "macd"])
    assert list(upward) == ["sma(20)", *(f"bollinger(20,2).{x}" for x in ("upper", "middle", "lower")),
                            *(f"macd(12,26,9).{x}" for x in ("macd", "signal", "histogram"))]  # fmt: skip
    downward = compute(table.take(np.arange(99, -1, -1)), ["sma(20)"])
    assert downward["sma(20)"][::-1].tobytes() == upward["sma(20)"].tobytes()
    assert compute(pl.DataFrame(table).to_arrow(), ["vwap"])["vwap"].shape == (100,)
    assert compute(table.slice(0, 0), ["sma(3)"])["sma(3)"].shape == (0,)


def test_compute_refuses_bars_of_two_series() -> None:
    both = pa.concat_tables([batch(series(i, name, 3, T0)).to_arrow().cast(BAR) for i, name in enumerate("AB")])
    with pytest.raises(BadQuery, match="one symbol"):
        compute(both, ["vwap"])
