"""tickhouse: raw NDJSON through the feed's scanner (or a Parquet file of ticks) and the embedded engine with its indicators, in pieces.

Kernels are loaded from their cache by a few made-up trades before the clock starts, as other peers import their libraries;
`start_s` says how long that took. `engine_s` is the job without the writing of the two files.
"""

import time

begun = time.perf_counter()
import os
import queue
import tempfile
import threading

import job

a = job.args()
import polars as pl
import pyarrow.parquet as pq

import tickhouse
from tickhouse.core.batches import Record, TickBatch
from tickhouse.core.model import ANOMALY, BAR, INDICATOR, Ids
from tickhouse.feeds import binance
from tickhouse.feeds._capture import read_ndjson
from tickhouse.process import catalog
from tickhouse.process.analysis import Analysis
from tickhouse.process.engines.embedded import Embedded
from tickhouse.process.rules import Rules
from tickhouse.targets.rehearse import message

LANE = "load:job"
AHEAD = 4
NAMES = {
    "sma(20)": "sma20",
    "ema(20,seed=first)": "ema20",
    "bollinger(20,2).upper": "bb_up",
    "bollinger(20,2).lower": "bb_lo",
    "volatility(20)": "vol20",
}
INDICATORS = ("sma(20)", "ema(20,seed=first)", "bollinger(20,2)", "volatility(20)")


class NoPast:
    """The engine of this job has nothing to ask about the past."""

    def bars(self, query):
        return BAR.empty_table()

    def indicators(self, query):
        return INDICATOR.empty_table()

    def anomalies(self, query):
        return ANOMALY.empty_table()

    def ticks(self, source, symbol, start, end, before):
        return []


def engine():
    """The engine of the job: 1m and 5m bars, 5 s lateness, the indicators and the 3-sigma detector."""
    past = NoPast()
    analysis = Analysis([catalog.indicator(i) for i in INDICATORS], [catalog.detector("returns(20,3)")], past)
    rules = Rules(intervals_us=(60_000_000, 300_000_000), lateness_us=5_000_000, ids={"binance": Ids.DENSE})
    return Embedded(rules, analysis, past)


class Run:
    """One pass over a file."""

    def __init__(self, path):
        self.rows = self.malformed = self.duplicates = 0
        self.bars, self.indicators, self.anomalies = [], [], []
        house = engine()
        for count, ticks in ahead(self.parquet(path) if path.endswith(".parquet") else self.messages(path)):
            out = house.process([Record(self.rows, count, "binance", "trade", LANE, 0, ticks=ticks)])
            self.rows += count
            self.bars += [pl.DataFrame(bars.to_arrow()) for bars in out.bars]
            self.indicators += [pl.DataFrame(out.indicators)] if out.indicators is not None else []
            self.anomalies += [pl.DataFrame(out.anomalies)] if out.anomalies is not None else []
            self.duplicates = out.ledger[("binance", "duplicate")]

    def messages(self, path):
        """Raw messages, parsed."""
        feed, position = binance.open(), 0
        for raw, _ in read_ndjson(path, "binance", "trade", LANE, 0, chunk_bytes=4 << 20):
            parsed = feed.parse(raw)
            self.malformed += len(parsed.rejects)
            yield len(raw), parsed.ticks.journaled(position)
            position += len(raw)

    def parquet(self, path):
        """Ticks of a Parquet file with the columns of `model.TICK`, a row group at a time."""
        file = pq.ParquetFile(path, read_dictionary=["symbol", "conditions"])
        for group in range(file.num_row_groups):
            ticks = TickBatch.from_arrow(file.read_row_group(group), LANE)
            yield len(ticks), ticks

    def write(self, folder):
        """The two files of the job: the newest version of each row."""
        key, columns = ["symbol", "interval", "start"], list(job.BAR_COLS)
        bars = newest(self.bars, key).with_columns(wstart=pl.col("start").dt.epoch("ms"), n="trades")
        bars.filter(interval="5m").select(symbol(), *columns[1:]).write_parquet(f"{folder}/bars5m.parquet")
        said = newest(self.indicators, key).filter(interval="1m")
        shape = pl.Struct(dict.fromkeys(NAMES, pl.Float64))
        said = said.select("symbol", "start", pl.col("values").str.json_decode(shape)).unnest("values").rename(NAMES)
        one = bars.filter(interval="1m").join(said, on=["symbol", "start"], how="left")
        if self.anomalies:
            odd = (
                newest(self.anomalies, key)
                .filter(interval="1m")
                .select("symbol", "start", anomaly=~pl.col("retracted"))
            )
            one = one.join(odd, on=["symbol", "start"], how="left").with_columns(pl.col("anomaly").fill_null(False))
        else:
            one = one.with_columns(anomaly=pl.lit(False))
        one.select(symbol(), *columns[1:], *job.IND_COLS).write_parquet(f"{folder}/bars1m.parquet")


def ahead(batches):
    """The same batches, made in a thread of their own, as ingest and process have each their own in a house."""
    ready = queue.Queue(AHEAD)

    def make():
        try:
            for batch in batches:
                ready.put(batch)
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    threading.Thread(target=make, daemon=True).start()
    while (batch := ready.get()) is not None:
        if isinstance(batch, BaseException):
            raise batch
        yield batch


def newest(frames, key):
    """All rows of the frames, of each key the newest version."""
    frame = pl.concat(
        [f.with_columns(pl.col("symbol", "interval").cast(pl.String)) for f in frames], how="vertical_relaxed"
    )
    if frame.height and not frame["version"].max():
        return frame
    return frame.sort("version").unique(key, keep="last")


def symbol():
    """The symbol as the exchange writes it."""
    return pl.col("symbol").str.replace("-", "", literal=True)


def main():
    os.makedirs(a.out, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/few", "wb") as few:
            few.write(b"\n".join([*(message(n) for n in range(1200)), message(1100), b"not a trade", b""]))
        Run(f"{folder}/few").write(folder)
    t0 = time.perf_counter()
    run = Run(a.data)
    engine_s = time.perf_counter() - t0
    run.write(a.out)
    job.done(
        a.out,
        t0,
        run.rows,
        run.malformed,
        run.duplicates,
        version=tickhouse.__version__,
        start_s=t0 - begun,
        engine_s=engine_s,
    )


main()
