"""What a house may be filled with: files of ticks and bars, a tape, a live session."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl

from tickhouse.core.batches import LIVE, REFILL, RawBatch
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import Query
from tickhouse.feeds.csv import Csv, Layout, first_line, read, sniff
from tickhouse.pipeline import Pipeline
from tickhouse.steps.lanes import FIRST_LINE
from tickhouse.steps.ledger import ledger
from tickhouse.steps.load import Load
from tickhouse.steps.notes import declare

T0 = 1_767_225_600_000_000
SECOND = 1_000_000
MINUTE = 60 * SECOND


def facts(pipeline: Pipeline) -> dict[str, Any]:
    """Everything that a house says, every version of it."""
    query, warm = Query(versions=True), pipeline.warm
    tables = {"bars": warm.bars(query), "indicators": warm.indicators(query), "anomalies": warm.anomalies(query)}
    rows = {name: table.to_pylist() for name, table in (tables | {"coverage": warm.coverage(Query())}).items()}
    return rows | {"ledger": ledger(pipeline.journal, warm)}


def processed(pipeline: Pipeline, most: int = 65_536) -> None:
    """Process everything, about so many messages at a time."""
    process = pipeline.process()
    while process.step(0, most):
        pass
    process.checkpoint()


def ticks(folder: Path, source: str = "csv") -> Any:
    """A file of ticks with sale conditions, in disorder, with a few lines that are no good."""

    def fill(pipeline: Pipeline) -> None:
        random, lines = Random(1), ["time,symbol,price,size,conditions"]
        for n in range(400):
            at = T0 + n * SECOND + (n == 60) * 4000 * SECOND - random.choice([0, 0, 90]) * SECOND
            lines.append(f"{at},{'AB'[n % 2]},{100 + random.randint(-5, 5)},{1 + n % 3},{random.choice(['', '20'])}")
        lines[50], lines[70] = "nonsense", f"{T0},A,-3,1,"
        path = folder / f"{source}.csv"
        path.write_text("\n".join(lines) + "\n")
        declare(pipeline.settings, pipeline.journal, source, "us-equities")
        load_file(pipeline, path, sniff(path, source=source))

    return fill


def bars(folder: Path) -> Any:
    """A file of bars, the newest first, some of them twice."""

    def fill(pipeline: Pipeline) -> None:
        rows = [f"{T0 + n * MINUTE},{10 + n % 7},{20 + n % 7},{5 + n % 3},{11 + n % 5},100" for n in range(300)]
        path = folder / "bars.csv"
        path.write_text("\n".join(["time,open,high,low,close,volume", *rows[::-1], *rows[100:130]]) + "\n")
        load_file(pipeline, path, sniff(path, source="files", symbol="X", interval="1m"))

    return fill


def parquet(folder: Path) -> Any:
    """A Parquet file of ticks."""

    def fill(pipeline: Pipeline) -> None:
        at = pl.Series("ts", [T0 + n * SECOND // 2 for n in range(1000)]).cast(pl.Datetime("us", "UTC"))
        price = pl.Series("price", [50 + n % 11 / 4 for n in range(1000)])
        path = folder / "ticks.parquet"
        pl.DataFrame([at, price, price.alias("size")]).write_parquet(path)
        load_file(pipeline, path, sniff(path, source="parquet", symbol="P"))

    return fill


def load_file(pipeline: Pipeline, path: Path, layout: Layout) -> None:
    """Load a file a few lines at a time."""
    feed, now = Csv(layout), pipeline.clock.now()
    detail = {"feed": "csv", "ids": str(feed.ids), FIRST_LINE: str(first_line(path)), **layout.to_detail()}
    load = Load(pipeline.ingest({layout.source: feed}), layout.source, path, pipeline.clock, detail)
    load.run(lambda skip, lane: read(path, layout, lane, now, skip, chunk_bytes=4096))


def trade(n: int, price: float = 10.0, symbol: str = "BTCUSDT") -> bytes:
    """Trade number n, at n seconds after T0."""
    at = (T0 + n * SECOND) // 1000
    row = {"e": "trade", "E": at, "s": symbol, "t": n, "p": f"{price}", "q": "1", "T": at, "m": True, "M": True}
    return json.dumps(row, separators=(",", ":")).encode()


def tape(pipeline: Pipeline) -> None:
    """A tape of Binance's trades with losses, repeats and broken lines, received as it says."""
    random = Random(2)
    payloads = [trade(n, 10 + n % 9, "ETHUSDT") for n in range(500) if random.random() > 0.02]
    payloads += [random.choice(payloads) for _ in range(30)]
    payloads[40] = payloads[40][:30]
    received = np.arange(len(payloads)) * SECOND + T0 + 500
    raw = RawBatch.of("binance", "trade", payloads, received, "load:tape")
    ingest = pipeline.ingest()
    ingest.take([mark(pipeline, Event.BEGIN, "load:tape", {"feed": "binance"})])
    for start in range(0, len(raw), 133):
        ingest.take([raw.take(start, min(start + 133, len(raw)))])
    ingest.take([mark(pipeline, Event.END, "load:tape")])


def live(pipeline: Pipeline) -> None:
    """A session of two lines: losses, of which some are refilled, and times when one of them hears nothing."""
    random, ingest = Random(3), pipeline.ingest()
    lines = {"one": ("BTC-USDT",), "two": ("SOL-USDT", "XRP-USDT")}
    _say(pipeline, [Mark(Event.CONNECTED, T0, line, "trade", symbols) for line, symbols in lines.items()], T0 + 7)
    for second in range(0, 600, 3):
        at = T0 + second * SECOND
        payloads = [trade(n, 10 + n % 7, name) for n in range(second, second + 3) for name in ("BTCUSDT", "SOLUSDT")]
        kept = [payload for payload in payloads if random.random() > 0.03]
        if kept and not 300 <= second < 400:
            ingest.take([RawBatch.of("binance", "trade", kept, at + 3 * SECOND)])
        event = Event.DISCONNECTED if 300 <= second < 400 else Event.ALIVE
        heard = T0 + min(second, 300) * SECOND if event is Event.DISCONNECTED else at
        _say(pipeline, [Mark(event, heard, "one"), Mark(Event.ALIVE, at, "two")], at + 3 * SECOND + 11)
    page = [trade(n, 10 + n % 7) for n in range(310, 380)]
    begun, ended = (mark(pipeline, event, REFILL, {"symbol": "BTC-USDT"}) for event in (Event.BEGIN, Event.END))
    ingest.take([begun, RawBatch.of("binance", "trade", page, T0 + 910 * SECOND, REFILL)])
    ingest.take([ended])
    _say(pipeline, [Mark(Event.ALIVE, T0 + 1500 * SECOND, line) for line in lines], T0 + 1500 * SECOND)


def _say(pipeline: Pipeline, marks: list[Mark], at: int) -> None:
    """Marks that wait in the inbox together, each with its own time."""
    times = [at + 1000 * n for n in range(len(marks))]
    pipeline.ingest().take([RawBatch.of("binance", LINK, [mark.encode() for mark in marks], times, LIVE)])


def mark(pipeline: Pipeline, event: Event, lane: str, detail: dict[str, str] | None = None) -> RawBatch:
    """One mark of now."""
    now = pipeline.clock.now()
    return RawBatch.of("binance", LINK, [Mark(event, now, detail=detail or {}).encode()], now, lane)
