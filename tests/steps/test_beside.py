"""Indicators beside bars: stored ones as they are stored, others as the engine would have kept them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tests.steps.test_trace import MINUTE, NOW, T0, kline, page
from tickhouse.core.batches import Output
from tickhouse.core.errors import BadQuery, BadSetting
from tickhouse.core.model import BAR, INDICATOR, Query
from tickhouse.core.settings import load
from tickhouse.feeds.csv import Csv, Layout, read
from tickhouse.pipeline import Pipeline
from tickhouse.steps.load import Load
from tickhouse.steps.read import Reader

LABELS = ("sma(5)", "ema(4)", "bollinger(7,2)", "volatility(6)", "rsi(5)", "macd(3,6,4)", "atr(4)", "vwap")
LAYOUT = Layout(
    "bars", {"time": 0, "symbol": 1, "open": 2, "high": 3, "low": 4, "close": 5, "volume": 6}, 7, interval="1m"
)
COUNT = 90
"""Bars of each of two symbols; the day ends after the first 30."""


@pytest.fixture
def house(tmp_path, clock):
    """Opens a house that keeps some indicators of the same bars."""
    path = tmp_path / "bars.csv"
    random = np.random.default_rng(5)
    closes = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.004, (COUNT, 2)), axis=0)), 2)
    rows = ((T0 + (n - 30) * MINUTE, "XY"[s], closes[n, s]) for n in range(COUNT) for s in (0, 1))
    path.write_text("".join(f"{at},{s},{c},{c + 0.4:.2f},{c - 0.3:.2f},{c},{5 + c % 3:.2f}\n" for at, s, c in rows))
    opened = []

    def keeping(*labels):
        pipeline = Pipeline(load(None, tmp_path / f"h{len(opened)}", process={"indicators": labels}), clock)
        opened.append(pipeline)
        loading = Load(pipeline.ingest({"csv": Csv(LAYOUT)}), "csv", path, clock, {"feed": "csv", **LAYOUT.to_detail()})
        loading.run(lambda skip, lane: read(path, LAYOUT, lane, T0, skip))
        pipeline.process().catch_up()
        return Reader(pipeline)

    yield keeping
    for pipeline in opened:
        pipeline.close()


def beside(reader, *wanted, **asked):
    query = Query(**{"symbols": ("X",), "interval": "1m", **asked})
    return {name: column.tolist() for name, column in reader.beside(reader.bars(query), wanted, query.as_of).items()}


CUTS = ({"last": 3}, {"start": T0 + 7 * MINUTE, "end": T0 + 9 * MINUTE}, {}, {"last": 40, "symbols": ("X", "Y")})


@pytest.mark.parametrize("cut", CUTS)
def test_what_is_computed_is_bit_for_bit_what_is_kept_elsewhere(house, cut):
    kept, bare = beside(house(*LABELS), *LABELS, **cut), house()
    alone = {name: column for label in LABELS for name, column in beside(bare, label, **cut).items()}
    for computed in (alone, beside(bare, *LABELS, **cut)):
        assert list(kept) == list(computed) and len(kept) == 12
        for name, column in kept.items():
            assert np.array_equal(column, computed[name], equal_nan=True), name
    if "last" in cut:
        assert not np.isnan(list(kept.values())).any()


def test_stored_values_are_taken_as_they_are_stored(house):
    reader = house("sma(5)")
    odd = {
        "symbol": "X",
        "source": "csv",
        "interval": "1m",
        "start": T0,
        "version": 1,
        "known_at": T0,
        "values": '{"sma(5)":7}',
    }
    table = pa.Table.from_pylist([odd], schema=INDICATOR)
    reader.pipeline.warm.write("test", Output(0, indicators=table))
    found = beside(reader, "sma(5)", start=T0 - MINUTE, end=T0 + MINUTE)["sma(5)"]
    assert found[1] == 7.0 and 90 < found[0] < 110


class Counted:
    """The stores of a house, and how many bars were read from them."""

    def __init__(self, past):
        self.indicators, self._past, self.read = past.indicators, past, 0

    def bars(self, query):
        table = self._past.bars(query)
        self.read += table.num_rows
        return table


@pytest.mark.parametrize(
    ("labels", "most"), [(("sma(5)",), 8), (("sma(5)", "volatility(6)"), 10), (("ema(4)",), COUNT)]
)
def test_no_more_bars_are_read_than_matter(house, labels, most):
    reader = house()
    counted = reader._beside._stored = Counted(reader.past)
    table = reader.bars(Query(("X",), "1m", last=3))
    assert not np.isnan(list(reader.beside(table, labels).values())).any()
    assert counted.read == most


def test_a_name_stands_for_every_value_that_is_kept_under_it(house):
    reader = house("sma(5)", "sma(3)", "bollinger(7,2)", "vwap")
    last = {"last": 2}
    bands = ["bollinger(7,2).upper", "bollinger(7,2).middle", "bollinger(7,2).lower"]
    assert list(beside(reader, "sma", **last)) == ["sma(5)", "sma(3)"]
    assert list(beside(reader, "bollinger", **last)) == list(beside(reader, "bollinger(7, 2.0)", **last)) == bands
    assert list(beside(reader, "bollinger(7,2).middle", "bollinger(9,2).lower", **last)) == [
        bands[1],
        "bollinger(9,2).lower",
    ]
    assert list(beside(reader, "vwap()", "all", **last)) == ["sma(5)", "sma(3)", *bands, "vwap"]
    assert list(beside(reader, "rsi", **last)) == ["rsi(14)"]


def test_a_name_stands_for_what_the_settings_name_before_there_is_a_value(house):
    early = {"end": T0 - 28 * MINUTE}
    assert beside(house("sma(50)"), "sma", **early) == {"sma(50)": [pytest.approx(float("nan"), nan_ok=True)] * 2}


@pytest.mark.parametrize("wanted", ["smaa(5)", "sma(0)", "sma(", "bollinger(7,2).side", "close"])
def test_a_name_that_means_nothing_is_refused_with_what_is_known(house, wanted):
    reader = house("sma(5)", "bollinger(7,2)")
    with pytest.raises(BadSetting, match="indicators") as error:
        beside(reader, wanted, last=1)
    said = {"smaa(5)": "sma(5), bollinger(7,2), or atr, .* did you mean sma", "close": "one of sma(5)", "sma(0)": "from 1 to",
            "bollinger(7,2).side": "bollinger(7,2).upper", "sma(": "such as sma(20)"}[wanted]  # fmt: skip
    assert all(part in str(error.value) for part in said.split(" .* "))


def test_a_forming_bar_has_no_values_and_takes_none_from_others(house):
    reader = house("sma(5)")
    bars = reader.bars(Query(("X",), "1m", last=2)).to_pylist()
    forming = {**bars[1], "start": bars[1]["start"] + (bars[1]["start"] - bars[0]["start"]), "state": "forming"}
    table = pa.Table.from_pylist([*bars, forming], schema=BAR)
    for column in reader.beside(table, ("all", "sma(4)")).values():
        assert np.isnan(column).tolist() == [False, False, True]


def test_values_of_indicator_rows_are_only_those_that_are_kept(house):
    reader = house("sma(5)", "vwap")
    rows = reader.indicators(Query(("X",), "1m", last=2))
    assert list(reader.picked(rows, ("all",))) == ["sma(5)", "vwap"]
    assert list(reader.picked(rows, ("vwap()",))) == ["vwap"]
    with pytest.raises(BadQuery, match=r"does not keep sma\(7\)"):
        reader.picked(rows, ("sma(7)",))
    with pytest.raises(BadSetting, match="smaa"):
        reader.picked(rows, ("smaa",))


def test_as_of_counts_for_kept_and_computed_and_every_version_has_the_newest(tmp_path, clock):
    pipeline = Pipeline(load(None, tmp_path / "house", process={"indicators": ("sma(2)",)}), clock)
    ingest, process = pipeline.ingest(), pipeline.process()
    for at, close in ((NOW, 11), (NOW + 60 * MINUTE, 9)):
        batches = page(kline(T0, 10), kline(T0 + MINUTE, close), lane=f"load:{at}")
        ingest.take([replace(batch, received_at=np.full(len(batch), at)) for batch in batches])
        process.catch_up()
    reader = Reader(pipeline)
    for wanted in ("sma(2)", "bollinger(2,1).middle"):
        asked = {"symbols": ("BTC-USDT",), "start": T0 + MINUTE}
        assert beside(reader, wanted, **asked)[wanted] == [9.5]
        assert beside(reader, wanted, **asked, as_of=NOW + MINUTE)[wanted] == [10.5]
        assert beside(reader, wanted, **asked, versions=True)[wanted] == [9.5, 9.5]
    pipeline.close()
