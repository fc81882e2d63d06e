"""Files as people have them: what is found out, what must be declared, and what every line becomes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.core.model import Ids, Kind, Want
from tickhouse.feeds import csv
from tickhouse.feeds.csv import Csv, Layout

NOW = 1_800_000_000_000_000


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1_000_000)


def load(path: Path, **declared: Any) -> tuple[Layout, Parsed, list[bytes]]:
    """The layout of a file, what it means, and its lines, as one batch."""
    layout = csv.sniff(path, **declared)
    batches = [raw for raw, _ in csv.read(path, layout, "load:x", NOW)]
    lines = [line for raw in batches for line in raw.payloads()]
    return layout, Csv(layout).parse(RawBatch.of(layout.source, layout.kind, lines, NOW, "load:x")), lines


def ticks(tmp_path: Path, text: str, **declared: Any) -> list[tuple[Any, ...]]:
    """(symbol, time, price, size) of each tick of a file of that text, which must have no rejects."""
    path = tmp_path / "file.csv"
    path.write_bytes(text.encode())
    _, parsed, _ = load(path, **declared)
    assert parsed.ticks is not None and parsed.rejects == ()
    t = parsed.ticks
    names = [t.symbols[code] for code in t.symbol.tolist()]
    sizes = [None if np.isnan(x) else x for x in t.size.tolist()]
    return list(zip(names, t.event_time.tolist(), t.price.tolist(), sizes, strict=True))


ONE = ("AAPL", us("2026-11-20T14:31:00+00:00"), 271.5, 100.0)

SAME = {
    "plain": "timestamp,symbol,price,size\n2026-11-20T14:31:00Z,AAPL,271.5,100\n",
    "other names and order": "Qty,Ticker,Last Price,Date Time\n100,aapl,271.50,2026-11-20 14:31:00\n",
    "byte order mark and CRLF": "\ufefftimestamp,symbol,price,size\r\n2026-11-20T14:31:00Z,AAPL,271.5,100\r\n",
    "no line end at the end": "timestamp,symbol,price,size\n2026-11-20T14:31:00Z,AAPL,271.5,100",
    "comments and empty lines": "# made by hand\n\ntimestamp,symbol,price,size\n  \n# one\n2026-11-20T14:31:00Z,AAPL,271.5,100\n\n",
    "every field quoted": '"timestamp","symbol","price","size"\n"2026-11-20T14:31:00Z","AAPL","271.5","100"\n',
    "commas inside quotes": 'timestamp,name,symbol,price,size\n2026-11-20T14:31:00Z,"Apple, Inc.",AAPL,"0,271.50","100"\n'.replace(
        "0,271", "271"
    ),
    "quotes inside quotes": 'timestamp,name,symbol,price,size\n2026-11-20T14:31:00Z,"the ""fruit""",AAPL,271.5,100\n',
    "spaces around": "timestamp , symbol , price , size\n 2026-11-20T14:31:00Z , AAPL , 271.5 , 100 \n",
    "semicolons and decimal commas": "time;symbol;price;size\n20.11.2026 14:31:00;AAPL;271,5;100\n",
    "tabs": "time\tsymbol\tprice\tsize\n2026-11-20 14:31\tAAPL\t271.5\t100\n",
    "pipes": "time|symbol|price|size\n2026/11/20 14:31:00.000|AAPL|271.5|1e2\n",
    "epoch seconds": "ts,sym,p,q\n1795185060,AAPL,271.5,100\n",
    "epoch seconds with decimals": "ts,sym,p,q\n1795185060.000,AAPL,271.5,100\n",
    "epoch milliseconds": "ts,sym,p,q\n1795185060000,AAPL,271.5,100\n",
    "epoch microseconds": "ts,sym,p,q\n1795185060000000,AAPL,271.5,100\n",
    "epoch nanoseconds": "ts,sym,p,q\n1795185060000000000,AAPL,271.5,100\n",
    "compact": "time,symbol,price,size\n20261120 143100000,AAPL,271.5,100\n",
    "offset": "time,symbol,price,size\n2026-11-20T09:31:00-05:00,AAPL,271.5,100\n",
    "UTC in words": "time,symbol,price,size\n2026-11-20 14:31:00 UTC,AAPL,271.5,100\n",
    "month first": "time,symbol,price,size\n11/20/2026 14:31:00,AAPL,271.5,100\n",
    "twelve hours": "time,symbol,price,size\n11/20/2026 2:31:00 PM,AAPL,271.5,100\n",
    "the name of the month": "time,symbol,price,size\n20-Nov-2026 14:31:00,AAPL,271.5,100\n",
    "the name of the month first": 'time,symbol,price,size\n"Nov 20, 2026 14:31:00",AAPL,271.5,100\n',
    "two columns": "<DATE>,<TIME>,<TICKER>,<LAST>,<VOL>\n20261120,143100,AAPL,271.5,100\n",
    "two columns with marks": "Date,Time,Symbol,Price,Volume\n2026.11.20,14:31,AAPL,271.5,100\n",
    "two times": "local_time,event_time,symbol,price,size\n2026-11-20T14:31:09Z,2026-11-20T14:31:00Z,AAPL,271.5,100\n",
    "empty last column": "time,symbol,price,size,\n2026-11-20 14:31:00,AAPL,271.5,100,\n",
    "a header in a comment": "# time,symbol,price,size\n2026-11-20 14:31:00,AAPL,271.5,100\n",
}


@pytest.mark.parametrize("name", SAME)
def test_one_tick_written_in_many_ways(name: str, tmp_path: Path) -> None:
    assert ticks(tmp_path, SAME[name]) == [ONE]


def test_what_is_declared_is_taken_as_said(tmp_path: Path) -> None:
    assert ticks(
        tmp_path, "20/11/2026 14:31,271.5,100\n", columns="time,price,size", symbol="aapl", day_first=True
    ) == [ONE]
    assert ticks(
        tmp_path, "time,price,size\n2026-11-20 09:31,2715000,100\n", symbol="AAPL", tz="America/New_York", scale=10_000
    ) == [ONE]
    assert ticks(tmp_path, "time,price,size\n2026-11-20 09:31,271.5,100\n", symbol="AAPL", tz="-05:00") == [ONE]
    assert ticks(
        tmp_path, "09:31:00,271.5,100\n", columns="time,price,size", symbol="AAPL", tz="-05:00", date="2026-11-20"
    ) == [ONE]
    assert ticks(tmp_path, "time,bid,ask\n1795185060,271,272\n", symbol="AAPL", price="mid") == [(*ONE[:3], None)]
    assert ticks(tmp_path, "time,bid,ask\n1795185060,271.5,272\n", symbol="AAPL", price="bid") == [(*ONE[:3], None)]
    assert (
        ticks(tmp_path, '1795185060;"1.271,5";100\n', columns="time,price,size", separator=";", symbol="X")[0][2]
        == 1271.5
    )
    assert ticks(tmp_path, 'time,price,size\n1795185060,"1,271.5",100\n', symbol="X")[0][2] == 1271.5
    assert ticks(tmp_path, "time;price;size\n1795185060;1 271.5;100\n", symbol="X")[0][2] == 1271.5


def test_the_date_may_be_in_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "20261120_aapl.csv"
    path.write_text("52260000,2715000,100\n")
    _, parsed, _ = load(path, columns="time,price,size", symbol="AAPL", scale=10_000)
    assert parsed.ticks is not None and parsed.ticks.event_time.tolist() == [ONE[1]]
    path = path.rename(tmp_path / "aapl.csv")
    with pytest.raises(BadSetting, match="date"):
        csv.sniff(path, columns="time,price,size", symbol="AAPL")


def test_daylight_saving(tmp_path: Path) -> None:
    """The earlier of two equal times; a time that the clocks skip is refused."""
    text = "time,price\n2026-11-01 01:30:00,1\n2026-07-01 12:00:00,1\n2026-03-08 02:30:00,1\n2026-03-08 03:00:00Z,1\n"
    path = tmp_path / "file.csv"
    path.write_text(text)
    _, parsed, _ = load(path, symbol="X", tz="America/New_York")
    assert parsed.ticks is not None
    expected = ["2026-11-01T05:30:00+00:00", "2026-07-01T16:00:00+00:00", "2026-03-08T03:00:00+00:00"]
    assert parsed.ticks.event_time.tolist() == [us(text) for text in expected]
    assert [(r.index, r.reason) for r in parsed.rejects] == [(3, "time")]


BAD = {
    "x": ("columns", "1 columns, 4 are expected"),
    "2026-11-20,AAPL,1": ("columns", "3 columns"),
    "2026-11-20,AAPL,1,2,3": ("columns", "5 columns"),
    "2026-13-20,AAPL,1,2": ("time", "2026-13-20"),
    ",AAPL,1,2": ("time", "''"),
    "1,AAPL,1,2": ("time", "'1'"),
    "2026-11-20,AAPL,x,2": ("price", "price: got 'x', expected a number"),
    "2026-11-20,AAPL,,2": ("price", "''"),
    "2026-11-20,AAPL,nan,2": ("price", "'nan'"),
    "2026-11-20,AAPL,1e999,2": ("price", "1e999"),
    "2026-11-20,AAPL,1,x": ("number", "size: got 'x'"),
    "2026-11-20,A B,1,2": ("symbol", "'A B'"),
    "2026-11-20,,1,2": ("symbol", "''"),
    '2026-11-20,"AAPL,1,2': ("quotes", "quoted"),
    "2026-11-20T25:00,AAPL,1,2": ("time", "T25:00"),
    "2026-11-20,AAPL,1_000,2": ("price", "1_000"),
    "2026-11-20,AAPL,١,2": ("price", "١"),
    "2026-11-20,AAPL,0x10,2": ("price", "0x10"),
    "null,null,null,null": ("time", "null"),
}


@pytest.mark.parametrize("line", BAD)
def test_a_bad_line_is_refused_with_field_and_reason_and_the_rest_loads(line: str, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text(f"time,symbol,price,size\n2026-11-20,AAPL,1,2\n{line}\n2026-11-21,AAPL,1,2\n")
    _, parsed, _ = load(path)
    assert parsed.kinds.tolist() == [Kind.CONTROL, Kind.PARSED, Kind.REJECTED, Kind.PARSED]
    (reject,) = parsed.rejects
    assert (reject.index, reject.reason) == (2, BAD[line][0]) and BAD[line][1] in reject.detail
    assert parsed.ticks is not None and parsed.ticks.raw.tolist() == [1, 3]


def test_bytes_that_are_no_text_are_refused() -> None:
    feed = Csv(Layout("ticks", {"time": 0, "price": 1, "symbol": 2}, 3))
    parsed = feed.parse(RawBatch.of("csv", "ticks", [b"2026-11-20,1,\xff\xfe", b"\xff\x00,1,A", b"2026-11-20,1,A"], 0))
    assert [r.reason for r in parsed.rejects] == ["encoding", "time"]
    assert parsed.kinds.tolist() == [Kind.REJECTED, Kind.REJECTED, Kind.PARSED]


def test_quotes_with_one_side_give_no_price(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("time,bid,ask\n1795185060,0,272\n1795185060,271,272\n1795185061,,272\n")
    _, parsed, _ = load(path, symbol="AAPL", price="mid")
    assert parsed.ticks is not None and parsed.ticks.price.tolist() == [271.5]
    assert [(r.index, r.reason) for r in parsed.rejects] == [(1, "price"), (3, "price")]


def test_ids_conditions_and_missing_sizes(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text(
        "time,price,size,trade_id,conditions\n1795185060,1,,7,2000\n1795185061,2,5,,\n1795185062,2,5,9,20\n1795185063,2,5,x,20\n"
    )
    layout, parsed, _ = load(path, symbol="AAPL", columns="time,price,size,id,conditions")
    assert parsed.ticks is not None
    t = parsed.ticks
    assert t.first_id.tolist() == t.last_id.tolist() == [7, -1, 9]
    assert [t.conditions[c] for c in t.condition.tolist()] == ["2000", "", "20"] and t.conditions[0] == ""
    assert np.isnan(t.size[0]) and t.size.tolist()[1:] == [5.0, 5.0]
    assert [r.detail for r in parsed.rejects] == ["id: got 'x', expected a whole number"]
    assert Csv(layout).ids == Ids.UNIQUE
    assert t.to_arrow()["conditions"].to_pylist() == ["2000", None, "20"]


def test_ids_that_are_no_numbers_prove_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("time,price,size,trade_id\n1795185060,1,2,a-7\n")
    layout, parsed, _ = load(path, symbol="AAPL")
    assert Csv(layout).ids == Ids.NONE and parsed.ticks is not None and parsed.ticks.first_id.tolist() == [-1]


def test_bars_and_their_interval(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text(
        "Date,Open,High,Low,Close,Volume,VWAP,Trades\n2026-11-20,1,4,0.5,2,10,1.5,3\n2026-11-23,2,4,0.5,3,,,\n2026-11-24,2,4,,3,1,,\n"
    )
    layout, parsed, _ = load(path, symbol="AAPL")
    bars = parsed.bars
    assert bars is not None and parsed.ticks is None and layout.interval == "1d"
    row = bars.to_arrow().to_pylist()[0]
    assert (row["start"], row["open"], row["close"], row["volume"], row["vwap"], row["trades"]) == (
        datetime(2026, 11, 20, tzinfo=UTC),
        1,
        2,
        10,
        1.5,
        3,
    )
    assert (row["state"], row["version"], row["completeness"], row["interval"], row["first_raw"]) == (
        "final",
        0,
        1.0,
        "1d",
        1,
    )
    assert bars.volume.tolist() == [10, 0] and np.isnan(bars.vwap[1]) and bars.trades.tolist() == [3, 0]
    assert bars.known_at.tolist() == [NOW, NOW]
    assert [(r.index, r.reason) for r in parsed.rejects] == [(3, "price")]
    closing = csv.sniff(path, symbol="AAPL", stamped="close", interval="1d")
    ((raw, _),) = csv.read(path, closing, "load:x", NOW)
    assert Csv(closing).parse(raw).bars.start.tolist() == [
        us("2026-11-19T00:00:00+00:00"),
        us("2026-11-22T00:00:00+00:00"),
    ]


@pytest.mark.parametrize(
    ("text", "declared", "says"),
    [
        ("time,price\n1795185060,1\n", {}, "symbol"),
        ("1795185060,1\n", {"symbol": "X"}, "columns: got '1795185060,1'"),
        ("time,bid,ask\n1795185060,1,2\n", {"symbol": "X"}, "mid, bid or ask"),
        ("", {}, "at least one line"),
        ("\n\n", {}, "at least one line"),
        ("a,b\n1,2\n", {"symbol": "X"}, "a column for time"),
        ("time,price\n25/12/2026,1\n", {"symbol": "X"}, "day_first"),
        ("time,price\n1795185060,1\n", {"symbol": "X", "tz": "Mars"}, "tz: got 'Mars'"),
        ("time,price\n1,1\n", {"sym": "X"}, "did you mean 'symbol'"),
        ("time,price\n1,1\n", {"symbol": "X", "kind": "tick"}, "ticks or bars"),
        ("time,price\n1,1\n", {"symbol": "X", "scale": 0}, "above 0"),
        ("time,o,h,l,c\n1795185060,1,1,1,1\n", {"symbol": "X"}, "interval"),
        ("time,price\n1,1\n", {"columns": "time,pric", "symbol": "X"}, "did you mean 'price'"),
        ("time,price\n1,1\n", {"columns": "time,price,price", "symbol": "X"}, "each column once"),
        (
            "time,price\n1795185060,1\n",
            {"symbol": "X", "interval": "soon", "kind": "bars"},
            "a column for open and high",
        ),
    ],
)
def test_what_cannot_be_known_is_asked_for(text: str, declared: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text(text)
    with pytest.raises(BadSetting) as error:
        csv.sniff(path, **declared)
    assert says in str(error.value)


def test_a_layout_as_texts_and_back(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("when;bid;ask\n20/11/2026;1,5;2,5\n")
    layout = csv.sniff(
        path,
        columns="time,bid,ask",
        symbol="EUR/USD",
        price="mid",
        day_first=True,
        tz="Europe/Berlin",
        scale=2,
        source="desk",
    )
    assert (layout.decimal, layout.symbol, layout.separator, layout.header) == (",", "EUR-USD", ";", "when;bid;ask")
    detail = {"feed": "csv", **layout.to_detail()}
    assert all(isinstance(value, str) for value in detail.values())
    assert Layout.from_detail(detail) == layout and csv.open(**layout.to_detail()).layout == layout
    assert Csv(layout).name == "desk"


def test_a_file_is_no_live_source() -> None:
    feed = csv.open(kind="ticks", columns="time,price", symbol="X")
    for ask in (feed.subscriptions, feed.history):
        with pytest.raises(SettingsError, match="tickhouse load"):
            ask(Want(("X",), "ticks"))
    with pytest.raises(BadSetting):
        csv.open(kind="ticks")


def test_lines_of_which_nothing_is_known_are_time_symbol_price_and_size() -> None:
    parsed = csv.open().parse(RawBatch.of("csv", "ticks", [b"2026-01-01T00:00:00Z,AAPL,271.5,100"], 5))
    assert parsed.ticks is not None and parsed.ticks.price.tolist() == [271.5]


RECORDED = {
    "csv/btc_perp_ftx_1m_2022-01.csv": {"symbol": "BTC-PERP"},
    "csv/fxcm_usdjpy_m1_ask_2013-02.csv": {"symbol": "USD-JPY"},
    "csv/fxcm_usdjpy_m1_bid_2013-02.csv": {"symbol": "USD-JPY"},
    "binance/csv/ADABTC-1m-2021-11-27.csv": {"symbol": "ADA-BTC"},
    "alpha_vantage/daily_adjusted_full/IBM.csv": {"symbol": "IBM"},
    "alpha_vantage/intraday_extended_1min_MSFT_2020-12.csv": {"symbol": "MSFT", "tz": "America/New_York"},
    "yahoo/csv_history/EA-15m-no-bad-divs.csv": {"symbol": "EA"},
    "yahoo/csv_history/AET-L-1d-100x-error.csv": {"symbol": "AET"},
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_bars_equal_another_reader(name: str, recordings: Path) -> None:
    """Open, high, low and close of every line, as Polars reads them."""
    layout, parsed, lines = load(recordings / name, **RECORDED[name])
    bars = parsed.bars
    theirs = pl.read_csv(recordings / name, has_header=bool(layout.header), infer_schema_length=None)
    assert bars is not None and parsed.rejects == () and len(bars) == theirs.height == len(lines) - bool(layout.header)
    for column in ("open", "high", "low", "close"):
        assert (
            getattr(bars, column).tobytes()
            == theirs.to_series(layout.columns[column]).cast(pl.Float64).to_numpy().tobytes()
        )
    steps = np.diff(np.sort(bars.start))
    assert steps.min() in (bars.interval[0], 0)


def test_recorded_bar_times(recordings: Path) -> None:
    first = {name: int(load(recordings / name, **declared)[1].bars.start[0]) for name, declared in RECORDED.items()}
    assert first["csv/btc_perp_ftx_1m_2022-01.csv"] == us("2021-12-31T23:01:00+00:00")
    assert first["csv/fxcm_usdjpy_m1_ask_2013-02.csv"] == us("2013-02-01T00:00:00+00:00")
    assert first["binance/csv/ADABTC-1m-2021-11-27.csv"] == 1637971200000000
    assert first["alpha_vantage/intraday_extended_1min_MSFT_2020-12.csv"] == us("2020-12-18T20:00:00-05:00")
    assert first["yahoo/csv_history/EA-15m-no-bad-divs.csv"] == us("2026-05-26T04:00:00-04:00")


def test_recorded_ticks_of_histdata(recordings: Path) -> None:
    path = recordings / "csv" / "histdata_eurusd_ticks_2020-01_no_header.csv"
    _, parsed, lines = load(path, symbol="EUR-USD", price="mid", tz="-05:00")
    assert parsed.ticks is not None and len(parsed.ticks) == len(lines) == 9500
    assert parsed.ticks.event_time[0] == us("2020-01-01T17:00:00.065000-05:00")
    assert parsed.ticks.price[0] == pytest.approx((1.1212 + 1.12172) / 2)


def test_recorded_trades_of_tardis(recordings: Path) -> None:
    path = recordings / "csv" / "tardis_binance_futures_trades_2020-02-22.csv"
    layout, parsed, _ = load(path)
    theirs = pl.read_csv(path)
    t = parsed.ticks
    assert t is not None and Csv(layout).ids == Ids.UNIQUE and t.symbols == ["BTCUSDT"]
    assert t.first_id.tolist() == theirs["id"].to_list() and t.event_time.tolist() == theirs["timestamp"].to_list()
    assert (
        t.price.tolist() == theirs["price"].cast(pl.Float64).to_list() and t.size.tolist() == theirs["amount"].to_list()
    )


def test_recorded_zips_of_lean_equal_the_converted_sets(recordings: Path) -> None:
    """Milliseconds since New York midnight, the date in the file's name, prices times 10,000."""
    lean = {"symbol": "AIG", "tz": "America/New_York", "scale": 10_000}
    _, parsed, _ = load(
        recordings / "csv" / "lean_aig_tick_20131007_trade.zip", columns="time,price,size,,conditions,", **lean
    )
    theirs = pl.read_parquet(recordings / "bulk" / "equity_ticks" / "AIG_trades_20131007.parquet")
    t = parsed.ticks
    assert t is not None and t.event_time.tolist() == theirs["ts"].dt.epoch("us").to_list()
    assert t.price.tolist() == theirs["price"].to_list() and t.size.tolist() == theirs["size"].to_list()
    assert [t.conditions[c] for c in t.condition.tolist()] == theirs["conditions"].to_list()
    path = recordings / "csv" / "lean_spy_minute_20131007_trade.zip"
    _, parsed, _ = load(path, columns="time,open,high,low,close,volume", **lean)
    day = pl.col("ts").dt.date() == datetime(2013, 10, 7).date()
    vendor = pl.read_parquet(recordings / "bulk" / "bars" / "US_equity_1m_2013.parquet").filter(
        day, pl.col("symbol").cast(pl.String) == "SPY"
    )
    assert parsed.bars is not None and parsed.bars.start.tolist() == vendor["ts"].dt.epoch("us").to_list()
    assert parsed.bars.close.tolist() == pytest.approx(vendor["close"].to_list(), rel=1e-12)


@pytest.mark.parametrize("name", ["lean_factor_file_aapl.csv", "lean_map_file_goog.csv"])
def test_files_that_are_neither_bars_nor_ticks_say_so(name: str, recordings: Path) -> None:
    with pytest.raises(BadSetting, match="has no header"):
        csv.sniff(recordings / "csv" / name, symbol="AAPL")


def test_recorded_parquet_equals_its_columns(recordings: Path) -> None:
    path = recordings / "bulk" / "equity_ticks" / "AIG_trades_20131007.parquet"
    _, parsed, lines = load(path)
    theirs = pl.read_parquet(path)
    t = parsed.ticks
    assert t is not None and parsed.rejects == () and len(lines) == theirs.height + 1
    assert (
        t.event_time.tolist() == theirs["ts"].dt.epoch("us").to_list() and t.price.tolist() == theirs["price"].to_list()
    )
    assert [t.conditions[c] for c in t.condition.tolist()] == theirs["conditions"].to_list()
    assert lines[1] == b"1381132800688000,AIG,49.18,300,P,2000,0"
