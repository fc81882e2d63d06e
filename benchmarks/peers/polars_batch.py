"""Polars, one shot over the whole file: the practical limit of a vectorised engine without streaming."""

import time

t0 = time.perf_counter()
import os, sys
import job

a = job.args()
os.environ["POLARS_MAX_THREADS"] = str(a.threads)
import polars as pl

# Polars' NDJSON reader fails on the first bad line even with ignore_errors, so lines are checked first.
FLAT = r'^\{("[A-Za-z]+":("[^"]*"|-?[0-9.eE+-]+|true|false|null),?)*\}$'
t0 = time.perf_counter()
line = pl.col("line")
dt = pl.Struct({"s": pl.String, "t": pl.Int64, "p": pl.String, "q": pl.String, "T": pl.Int64})
df = (
    pl.scan_lines(a.data)
    .select(pl.when(line.str.contains(FLAT)).then(line).str.json_decode(dt).alias("j"))
    .unnest("j")
    .with_columns(pl.col("p").cast(pl.Float64, strict=False), pl.col("q").cast(pl.Float64, strict=False))
    .collect(engine="streaming")
)
rows = df.height
df = df.drop_nulls()
valid = df.height
df = df.unique(["s", "t"], keep="any", maintain_order=False)
wm = df["T"].max() - job.LATENESS_MS


def bars(w):
    p, q = pl.col("p"), pl.col("q")
    return (
        df.lazy()
        .sort("T", "t")
        .group_by(pl.col("s").alias("symbol"), (pl.col("T") // w * w).alias("wstart"), maintain_order=False)
        .agg(
            p.first().alias("open"),
            p.max().alias("high"),
            p.min().alias("low"),
            p.last().alias("close"),
            q.sum().alias("volume"),
            ((p * q).sum() / q.sum()).alias("vwap"),
            pl.len().cast(pl.Int64).alias("n"),
        )
        .filter(pl.col("wstart") + w <= wm)
        .sort("symbol", "wstart")
    )


b1, b5 = pl.collect_all([bars(job.MIN1), bars(job.MIN5)])
b1 = job.indicators_polars(b1)
os.makedirs(a.out, exist_ok=True)
b1.write_parquet(f"{a.out}/bars1m.parquet")
b5.write_parquet(f"{a.out}/bars5m.parquet")
job.done(a.out, t0, rows, rows - valid, valid - df.height, version=pl.__version__)
