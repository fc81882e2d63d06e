"""tickhouse: raw NDJSON through the scanner, the embedded engine, and the indicators, in batches as they would arrive."""

import os
import time

import job

a = job.args()
import numpy as np
import polars as pl

import tickhouse
from tickhouse.core.batches import RawBatch
from tickhouse.core.model import Ids
from tickhouse.feeds import binance
from tickhouse.feeds._capture import read_ndjson
from tickhouse.process import catalog
from tickhouse.process.analysis import Analysis
from tickhouse.process.engines.embedded import Embedded
from tickhouse.process.rules import Rules
from tickhouse.core.batches import Record
from tickhouse.core.marks import Event, Mark
import msgspec

INDICATORS = ("sma(20)", "ema(20,seed=first)", "bollinger(20,2)", "volatility(20)")


class NoPast:
    """The engine of this job has nothing to ask about the past."""

    def bars(self, query):
        from tickhouse.core.model import BAR

        return BAR.empty_table()

    def indicators(self, query):
        from tickhouse.core.model import INDICATOR

        return INDICATOR.empty_table()

    def anomalies(self, query):
        from tickhouse.core.model import ANOMALY

        return ANOMALY.empty_table()

    def ticks(self, source, symbol, start, end, before):
        return []


def engine():
    """The engine of the job: 1m and 5m bars, 5 s lateness, the four indicators and the 3-sigma detector."""
    past = NoPast()
    analysis = Analysis([catalog.indicator(i) for i in INDICATORS], [catalog.detector("returns(20,3)")], past)
    rules = Rules(intervals_us=(60_000_000, 300_000_000), lateness_us=5_000_000, ids={"binance": Ids.DENSE})
    return Embedded(rules, analysis, past)


def main():
    feed, house = binance.open(), engine()
    # the kernels are compiled and cached once per machine by `make setup`; loading them is start-up, as importing a library is
    t0 = time.perf_counter()
    rows = malformed = position = 0
    bars, indicators, anomalies = [], [], []
    for raw, _ in read_ndjson(a.data, "binance", "trade", "load:job", 0, chunk_bytes=4 << 20):
        parsed = feed.parse(raw)
        rows += len(raw)
        malformed += len(parsed.rejects)
        ticks = parsed.ticks.journaled(position)
        record = Record(position, len(raw), "binance", "trade", "load:job", int(raw.received_at[-1]), ticks=ticks)
        out = house.process([record])
        position = record.end
        bars.extend(out.bars)
        indicators += [out.indicators] if out.indicators is not None else []
        anomalies += [out.anomalies] if out.anomalies is not None else []
    job_s = time.perf_counter() - t0
    write(bars, indicators, anomalies)
    duplicates = out.ledger.get(("binance", "duplicate"), 0)
    job.done(a.out, time.perf_counter() - job_s, rows, malformed, duplicates, version=tickhouse.__version__)


def write(bars, indicators, anomalies):
    os.makedirs(a.out, exist_ok=True)
    frame = pl.concat([pl.DataFrame(b.to_arrow()).with_columns(pl.col("symbol", "interval", "state").cast(pl.String)) for b in bars])
    frame = frame.sort("version").unique(["symbol", "interval", "start"], keep="last")
    frame = frame.with_columns(wstart=pl.col("start").dt.epoch("ms"), n="trades", symbol=pl.col("symbol").str.replace("-", ""))
    columns = list(job.BAR_COLS)
    frame.filter(interval="5m").select(columns).write_parquet(f"{a.out}/bars5m.parquet")
    kinds = {"sma(20)": "sma20", "ema(20,seed=first)": "ema20", "bollinger(20,2).upper": "bb_up", "bollinger(20,2).lower": "bb_lo", "volatility(20)": "vol20"}
    values = pl.concat([pl.DataFrame(t) for t in indicators]).with_columns(pl.col("symbol", "interval").cast(pl.String)).filter(interval="1m")
    values = values.sort("version").unique(["symbol", "start"], keep="last")
    decoded = [msgspec.json.decode(text) for text in values["values"].to_list()]
    values = values.select("symbol", "start").with_columns(
        [pl.Series(short, [row.get(name) for row in decoded], pl.Float64) for name, short in kinds.items()]
    )
    odd = pl.concat([pl.DataFrame(t) for t in anomalies]) if anomalies else None
    one = frame.filter(interval="1m").with_columns(key=pl.col("symbol"))
    values = values.with_columns(symbol=pl.col("symbol").str.replace("-", ""))
    one = one.join(values, on=["symbol", "start"], how="left")
    if odd is not None:
        odd = odd.with_columns(pl.col("symbol", "interval").cast(pl.String)).filter(interval="1m").select(
            symbol=pl.col("symbol").str.replace("-", ""), start="start", anomaly=pl.lit(True)
        ).unique()
        one = one.join(odd, on=["symbol", "start"], how="left").with_columns(pl.col("anomaly").fill_null(False))
    else:
        one = one.with_columns(anomaly=pl.lit(False))
    one.select([*columns, *job.IND_COLS]).write_parquet(f"{a.out}/bars1m.parquet")


main()
