"""Tapes: every format gives the same trades, they are played in order and in time, and recordings come back as they were."""

import asyncio
import gzip
import itertools
import json
import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import zstandard

from tests.exchange.talk import EASY, START, ask, data, dial, hear, served, streams, until
from tickhouse.core.clock import ManualClock, SystemClock
from tickhouse.core.errors import BadMessage, BadSetting, NoData
from tickhouse.exchange._binance_rest import kline_texts
from tickhouse.exchange.klines import of_trades
from tickhouse.exchange.tape import Tape

MESSAGES = [
    {
        "e": "trade",
        "E": 1700000000001,
        "s": "BTCUSDT",
        "t": 5,
        "p": "100.10",
        "q": "0.5",
        "T": 1700000000000,
        "m": False,
        "M": True,
    },
    {
        "e": "trade",
        "E": 1700000000101,
        "s": "ETHUSDT",
        "t": 8,
        "p": "10.5",
        "q": "2",
        "T": 1700000000100,
        "m": True,
        "M": True,
    },
    {
        "e": "trade",
        "E": 1700000000201,
        "s": "BTCUSDT",
        "t": 6,
        "p": "100.25",
        "q": "0.25",
        "T": 1700000000200,
        "m": True,
        "M": True,
    },
    {
        "e": "trade",
        "E": 1700000002001,
        "s": "BTCUSDT",
        "t": 7,
        "p": "99.75",
        "q": "1",
        "T": 1700000002000,
        "m": False,
        "M": True,
    },
]
FOUND = [
    ("BTCUSDT", 5, 100.1, 0.5),
    ("ETHUSDT", 8, 10.5, 2.0),
    ("BTCUSDT", 6, 100.25, 0.25),
    ("BTCUSDT", 7, 99.75, 1.0),
]
FIRST = 1_700_000_000_000_000


def lines(*messages) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in messages) + b"\n"


def rows(tape: Tape) -> list[tuple]:
    """Symbol, id, price, quantity of each trade in the order of playing."""
    found = []
    for block in tape.play(0).blocks:
        for code, id_, price, size in zip(block.code, block.id, block.price, block.quantity, strict=True):
            one = tape.instruments[code]
            found.append((one.symbol, int(id_), price / 10**one.price_decimals, size / 10**one.quantity_decimals))
    return found


def written(path, content: bytes):
    path.write_bytes(content)
    return path


def test_messages_bare_wrapped_and_captured_are_the_same_trades(tmp_path):
    wrapped = [{"stream": "x", "data": one} for one in MESSAGES]
    captured = [{"recv": 1.5, "raw": json.dumps(one)} for one in (*MESSAGES[:2], *wrapped[2:])]
    for name, content in (("a.ndjson", lines(*MESSAGES)), ("b.jsonl", lines(*wrapped)), ("c.ndjson", lines(*captured))):
        tape = Tape(written(tmp_path / name, content))
        assert rows(tape) == FOUND and tape.skipped == 0
        assert [block.maker.tolist() for block in tape.play(0).blocks] == [[False, True, True, False]]


def test_packed_files_are_read(tmp_path):
    content = lines(*MESSAGES)
    for name, packed in (("a.ndjson.gz", gzip.compress(content)), ("a.ndjson.zst", zstandard.compress(content))):
        assert rows(Tape(written(tmp_path / name, packed))) == FOUND


def test_what_is_no_trade_is_skipped_and_counted(tmp_path):
    other = [
        {"e": "depthUpdate", "s": "X"},
        {"result": None, "id": 1},
        {"e": "trade", "s": "X", "p": "NaN", "q": "1", "T": 1, "t": 1},
    ]
    content = lines(*MESSAGES[:2], *other) + b"{broken\n\n" + lines(*MESSAGES[2:])
    tape = Tape(written(tmp_path / "a.ndjson", content))
    assert rows(tape) == FOUND and tape.skipped == 4


def test_an_aggregate_becomes_the_trades_that_it_covers(tmp_path):
    one = {
        "e": "aggTrade",
        "E": 1,
        "s": "BTCUSDT",
        "a": 9,
        "p": "10.0",
        "q": "1.0",
        "f": 100,
        "l": 102,
        "T": 1700000000000,
        "m": True,
    }
    found = rows(Tape(written(tmp_path / "a.ndjson", lines(one))))
    assert [row[1] for row in found] == [100, 101, 102]
    assert sum(row[3] for row in found) == pytest.approx(1.0, abs=1e-12) and {row[2] for row in found} == {10.0}


def test_repeats_are_played_once(tmp_path):
    tape = Tape(written(tmp_path / "a.ndjson", lines(*MESSAGES, MESSAGES[2], MESSAGES[0])))
    assert rows(tape) == FOUND and tape.repeated == 2


@pytest.mark.parametrize("scale", [1, 1000, 1_000_000, 1_000_000_000])
def test_a_table_with_times_in_any_unit(tmp_path, scale):
    table = pl.DataFrame({
        "Symbol": [row[0] for row in FOUND], "Trade ID": [row[1] for row in FOUND], "Price": [row[2] for row in FOUND],
        "Size": [row[3] for row in FOUND], "timestamp": [(1_700_000_000 + n) * scale for n in range(4)],
        "side": ["buy", "sell", "SELL", "Buy"],
    })  # fmt: skip
    table.write_csv(tmp_path / "a.csv")
    table.write_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        tape = Tape(tmp_path / name)
        assert rows(tape) == FOUND
        block = next(tape.play(0).blocks)
        assert block.time.tolist() == [FIRST + n * 1_000_000 for n in range(4)]
        assert block.maker.tolist() == [False, True, True, False]


def test_iso_times_thousands_and_a_symbol_from_the_file_name(tmp_path):
    content = b'date,ask,price,amount\n2023-11-14T22:13:20Z,1,"1,000.5",2\n2023-11-14T22:13:21.5Z,1,"999",0.1\nnonsense,1,2,3\n'
    tape = Tape(written(tmp_path / "BTCUSDT-trades.csv", content))
    assert rows(tape) == [("BTCUSDT", 1, 1000.5, 2.0), ("BTCUSDT", 2, 999.0, 0.1)]
    assert tape.skipped == 1 and next(tape.play(0).blocks).time.tolist() == [FIRST, FIRST + 1_500_000]


def test_a_dump_without_header(tmp_path):
    content = b"11,100.5,0.1,10.05,1700000000000,True,True\n12,100.6,0.2,20.12,1700000000500,False,True\n"
    tape = Tape(written(tmp_path / "ETHUSDT-trades-2023-11-14.csv", content))
    assert rows(tape) == [("ETHUSDT", 11, 100.5, 0.1), ("ETHUSDT", 12, 100.6, 0.2)]
    assert next(tape.play(0).blocks).maker.tolist() == [True, False]


def test_a_file_that_cannot_be_a_tape_is_refused(tmp_path):
    with pytest.raises(BadSetting, match="exists"):
        Tape(tmp_path / "nothing.csv")
    with pytest.raises(BadSetting, match="ends in"):
        Tape(written(tmp_path / "a.xls", b"x"))
    with pytest.raises(NoData, match="no trade"):
        Tape(written(tmp_path / "a.ndjson", b"{}\n"))
    with pytest.raises(BadSetting, match="column for the price"):
        Tape(written(tmp_path / "a.csv", b"time,what\n1,2\n"))
    with pytest.raises(BadMessage, match="cannot be read"):
        Tape(written(tmp_path / "a.parquet", b"not parquet"))
    with pytest.raises(BadSetting, match="speed"):
        Tape(written(tmp_path / "b.ndjson", lines(*MESSAGES)), speed=-1)


@pytest.mark.parametrize("speed", [1.0, 10.0])
async def test_a_tape_begins_with_the_first_subscription_and_keeps_time(tmp_path, speed):
    clock = ManualClock(START)
    tape = Tape(written(tmp_path / "a.ndjson", lines(*MESSAGES)), speed)
    async with served(tape, clock) as exchange:
        clock.move(30)
        async with dial(streams(exchange)) as ws:
            clock.move(1)
            heard = [[data(frame)["t"] for frame in await hear(ws)]]
            for moment in (0.05, 0.06, 0.1, 1.7, 0.2):
                clock.move(moment / speed)
                heard.append([data(frame)["t"] for frame in await hear(ws, 0.06)])
            assert heard == [[5], [], [8], [6], [], [7]]
            await until(exchange.finished.is_set)
            rest = (await ask(exchange, "/api/v3/trades", symbol="BTCUSDT")).json()
            assert [(one["id"], one["time"]) for one in rest] == [
                (5, FIRST // 1000),
                (6, FIRST // 1000 + 200),
                (7, FIRST // 1000 + 2000),
            ]


async def test_times_moved_to_now_go_with_the_clock(tmp_path):
    clock = ManualClock(START)
    path = written(tmp_path / "a.ndjson", lines(*MESSAGES))
    async with served(Tape(path, speed=2.0, shift=True), clock) as exchange, dial(streams(exchange)) as ws:
        clock.move(1)
        await until(lambda: exchange.pump.timeline)
        clock.move(2)
        heard = [data(frame) for frame in await hear(ws)]
        begin = heard[0]["T"]
        assert begin >= START // 1000 + 1000 - 1
        assert [one["T"] - begin for one in heard] == [0, 50, 100, 1000]
    play = Tape(path, speed=0, shift=True).play(START)
    assert next(play.blocks).time[-1] == START and play.speed == 0


async def test_at_full_speed_everything_comes_in_order_and_the_end_is_known(tmp_path):
    many = [
        {
            "e": "trade",
            "E": 1,
            "s": f"S{n % 20}USDT",
            "t": n // 20,
            "p": f"{100 + n % 7}.25",
            "q": "0.5",
            "T": 1700000000000 + n,
            "m": n % 2 == 0,
        }
        for n in range(40_000)
    ]
    tape = Tape(written(tmp_path / "a.ndjson", lines(*many)), speed=0)
    async with served(tape, SystemClock()) as exchange, dial(streams(exchange)) as ws:
        began = time.perf_counter()
        heard = [data(await ws.recv(decode=False)) for _ in many]
        assert [(one["s"], one["t"]) for one in heard] == [(one["s"], one["t"]) for one in many]
        assert time.perf_counter() - began < 20
        await until(exchange.finished.is_set)
        assert exchange.counts()["finished"] and exchange.counts()["trades"] == len(many)


async def test_at_full_speed_a_slow_reader_makes_it_wait_instead_of_being_cut_off(tmp_path):
    many = [
        {"e": "trade", "s": "AUSDT", "t": n, "p": "1.5", "q": "1", "T": 1700000000000 + n, "m": False}
        for n in range(40_000)
    ]
    tape = Tape(written(tmp_path / "a.ndjson", lines(*many)), speed=0)
    from websockets.asyncio.client import connect

    slow = {"compression": None, "max_queue": 16, "ping_interval": None, "close_timeout": 0.2}
    async with served(tape, SystemClock(), limits=EASY) as exchange, connect(streams(exchange), **slow) as ws:
        for _ in range(10):
            await ws.recv()
            await asyncio.sleep(0.03)
        assert not exchange.finished.is_set()
        assert max(client.socket.pending for client in exchange.clients.values()) < 4 << 20
        heard = 10
        while heard < len(many):
            await ws.recv(decode=False)
            heard += 1
        assert exchange.stats["slow_clients"] == 0


async def test_at_full_speed_a_client_that_reads_nothing_is_given_up(tmp_path):
    many = [
        {"e": "trade", "s": "AUSDT", "t": n, "p": "1.5", "q": "1", "T": 1700000000000 + n, "m": False}
        for n in range(80_000)
    ]
    tape = Tape(written(tmp_path / "a.ndjson", lines(*many)), speed=0)
    async with served(tape, SystemClock(), limits=replace(EASY, stall=0.3)) as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port, limit=1 << 12)
        writer.write(
            b"GET /stream?streams=ausdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readline()
        await until(exchange.finished.is_set)
        assert exchange.stats["slow_clients"] == 1 and len(exchange.truth()) == len(many)
        writer.close()


async def test_before_a_tape_begins_there_is_nothing(tmp_path):
    async with served(Tape(written(tmp_path / "a.ndjson", lines(*MESSAGES)))) as exchange:
        for path in ("klines", "trades", "aggTrades"):
            params = {"interval": "1m"} if path == "klines" else {}
            assert (await ask(exchange, f"/api/v3/{path}", symbol="BTCUSDT", **params)).json() == []


async def test_what_was_held_back_comes_when_the_tape_ends(tmp_path):
    from tickhouse.exchange.faults import Faults

    tape = Tape(written(tmp_path / "a.ndjson", lines(*MESSAGES)), speed=0)
    async with (
        served(tape, SystemClock(), Faults(disorder=1.0, disorder_ms=100_000)) as exchange,
        dial(streams(exchange)) as ws,
    ):
        assert sorted(data(frame)["t"] for frame in await hear(ws, 0.5)) == [5, 6, 7, 8]


async def test_a_recorded_capture_comes_back_as_it_was(recordings):
    """Played at full speed, the aggregate trades equal the recorded ones, and bars of our trades the recorded klines of theirs."""
    path = recordings / "binance" / "ws" / "combined_dot_btc_eth_usdt_2021-04-04.ndjson"
    messages = [json.loads(json.loads(line)["raw"]) for line in path.read_text().splitlines()]
    recorded = [one["data"] for one in messages if one["stream"].endswith("@aggTrade")]
    keys = ("s", "a", "p", "q", "f", "l", "T", "m", "M")
    async with served(Tape(path, speed=0), SystemClock()) as exchange, dial(streams(exchange, "aggTrade")) as ws:
        await until(exchange.finished.is_set)
        heard = [data(frame) for frame in await hear(ws)]
        for symbol in ("BTCUSDT", "ETHUSDT", "DOTUSDT"):
            ours = [[one[key] for key in keys] for one in heard if one["s"] == symbol]
            assert ours == [[one[key] for key in keys] for one in recorded if one["s"] == symbol]
        compared = sum(_agrees(exchange.history, one["data"]["k"]) for one in messages if "@kline" in one["stream"])
        assert compared > 40


def _agrees(history, k: dict) -> bool:
    """Whether the trades of a recorded kline are all there; then the bar of ours must equal it to the last digit."""
    code = history.codes[k["s"]]
    trades, one = history.columns(code), history.instruments[code]
    first, last = np.searchsorted(trades.id, [k["f"], k["L"] + 1])
    if last - first != k["L"] - k["f"] + 1 or trades.order[first - 1 : first] == trades.order[first]:
        return False
    if (
        trades.order[last - 1] == trades.order[last : last + 1]
    ):  # an aggregate in part: its quantity is shared out by us
        return False
    bars = of_trades(trades[first:last], np.array([k["t"] * 1000, (k["T"] + 1) * 1000]))
    (text,) = kline_texts(one, bars, 0)
    ours = (text.open, text.close, text.high, text.low, text.quote, text.volume, text.taker_quote)
    assert ours == (k["o"], k["c"], k["h"], k["l"], k["q"], k["v"], k["Q"])
    assert (text.taker_volume, bars.trades[0]) == (k["V"], k["n"])
    return True


def test_recorded_tables_are_tapes(recordings):
    tape = Tape(recordings / "csv" / "tardis_binance_futures_trades_2020-02-22.csv")
    blocks = list(tape.play(0).blocks)
    assert len(tape) > 5000 and tape.instruments[0].symbol == "BTCUSDT"
    times = np.concatenate([block.time for block in blocks])
    assert (np.diff(times) >= 0).all() and times[0] == 1_582_329_602_111_000
    spy = Tape(recordings / "bulk" / "equity_ticks" / "SPY_trades_20131007.parquet")
    assert len(spy) > 100_000
    assert all(
        b[0].time[-1] < b[1].time[0] for b in itertools.pairwise(itertools.islice(spy.play(0).blocks, 20)) if len(b[0])
    )
