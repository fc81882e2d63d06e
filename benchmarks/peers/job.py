"""The job every peer runs: definition, seeded input generator, batch reference, result check.

usage:
  python job.py gen   --n 2000000 --symbols 100 --rate 1000 --out DATA.ndjson
  python job.py ref   --data DATA.ndjson --out REFDIR
  python job.py check --ref REFDIR --got RESULTDIR
"""

import argparse, json, math, os, sys, time

# ------------------------------------------------------------------ definition
T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z in ms
MIN1, MIN5 = 60_000, 300_000
LATENESS_MS = 5_000  # watermark = max event time seen - 5 s
N_IND = 20  # bars in every indicator
ALPHA = 2.0 / (N_IND + 1)
SEED = 20260101
# Output of a peer: a folder with
#   bars1m.parquet  symbol, wstart (int64 ms), open, high, low, close, volume, vwap, n,
#                   sma20, ema20, bb_up, bb_lo, vol20, anomaly
#   bars5m.parquet  symbol, wstart, open, high, low, close, volume, vwap, n
#   stats.json      {"rows": lines read, "malformed": n, "duplicates": n,
#                    "job_s": seconds from first byte read to last file written, "notes": [...]}
# Rules:
#   tick       = line with s, t, T and numeric p and q. Any other line is malformed: counted, skipped.
#   duplicate  = (s, t) already seen: counted, dropped.
#   open/close = price at the least / greatest (T, t) of the window.
#   bar closes = when the watermark passes the window end. Only closed windows are compared; a peer may
#                also flush the open ones at the end of the input.
#   on each closed 1-minute bar, over that symbol's own sequence of bars (gaps are not filled):
#     ret    = ln(close / previous close)
#     sma20  = mean of the last 20 closes                                 (null before 20)
#     ema20  = alpha 2/21, seeded with the first close                    (never null)
#     bb_*   = sma20 +- 2 * population std of the last 20 closes          (null before 20)
#     vol20  = sample std (ddof 1) of the last 20 ret                     (null before 20 ret)
#     anomaly= |ret| > 3 * vol20 of the PREVIOUS bar                      (false while that is null)


PIECE = 2_000_000  # ticks made at once


def gen(n, symbols, rate, out, seed=SEED):
    """Roughly ordered event time (10 % of the ticks delayed by up to 2 s), 0.1 % exact duplicates,
    0.01 % malformed lines, Zipf-like activity over the symbols."""
    import numpy as np

    rng, ids, tmp = np.random.default_rng(seed), np.full(symbols, 1_000_000), out + ".part"
    with open(tmp, "w") as f:
        for done in range(0, n, PIECE):
            piece(f, rng, min(PIECE, n - done), symbols, rate, T0 + int(done * 1000.0 / rate), ids)
    os.replace(tmp, out)


def piece(f, rng, n, symbols, rate, t0, ids):
    """The next n ticks, from time t0 on; `ids` has the next trade id of each symbol."""
    import numpy as np, polars as pl

    w = 1.0 / (np.arange(symbols) + 10.0)
    w /= w.sum()
    sym = rng.choice(symbols, size=n, p=w).astype(np.int64)
    arrive = t0 + (np.arange(n) * (1000.0 / rate)).astype(np.int64)
    slow = rng.random(n) < 0.10
    delay = np.where(slow, rng.integers(0, 2001, n), rng.integers(0, 51, n))
    T = np.maximum(arrive - delay, t0)
    # trade ids and the price walk follow exchange time within a symbol
    order = np.lexsort((np.arange(n), T, sym))
    s_o = sym[order]
    start = np.r_[True, s_o[1:] != s_o[:-1]]
    first = np.flatnonzero(start)
    grp = np.cumsum(start) - 1
    rank = np.arange(n) - first[grp]
    step = rng.normal(0, 2e-4, n)
    jump = rng.random(n) < 2e-5
    step = np.where(jump, rng.choice([-1, 1], n) * 0.03, step)
    step[start] = 0
    c = np.cumsum(step)
    c = c - c[first][grp]
    base = 20 + 400 * ((s_o * 7919) % 997) / 997.0
    price = np.maximum(np.round(base * np.exp(c), 3), 0.001)
    t = np.empty(n, np.int64)
    p = np.empty(n)
    t[order] = ids[s_o] + rank
    ids += np.bincount(sym, minlength=symbols)
    p[order] = price
    q = np.maximum(np.round(rng.exponential(0.5, n), 2), 0.01)
    maker = rng.random(n) < 0.5
    width = 3 if symbols <= 1000 else len(str(symbols - 1))
    df = pl.DataFrame({"s": sym, "t": t, "p": p, "q": q, "T": T, "m": maker}).select(
        pl.format(
            '{"e":"trade","E":{},"s":"SYM{}","t":{},"p":"{}","q":"{}","T":{},"m":{},"M":true}'.replace(
                '{"e"', '<"e"'
            ).replace("true}", "true>"),
            pl.col("T") + 1,
            pl.col("s").cast(pl.String).str.zfill(width),
            "t",
            pl.col("p").cast(pl.String),
            pl.col("q").cast(pl.String),
            "T",
            pl.when("m").then(pl.lit("true")).otherwise(pl.lit("false")),
        ).alias("l")
    )
    lines = df["l"].str.replace("<", "{", literal=True).str.replace(">", "}", literal=True).to_list()
    del df
    # duplicates: repeat a line 1..500 places later; malformed: break a copy of a line, inserted
    extra = {}
    dup = rng.choice(n - 600, size=max(1, n // 1000), replace=False)
    for i, k in zip(dup.tolist(), rng.integers(1, 501, len(dup)).tolist()):
        extra.setdefault(i + k, []).append(lines[i])
    bad = rng.choice(n, size=max(3, n // 10000), replace=False).tolist()
    for j, i in enumerate(bad):
        l = lines[i]
        b = (
            l[: len(l) // 2],  # cut off
            l.replace('"p":"', '"p":"x', 1),  # price is no number
            l.replace('"t":', '"t":,', 1),
        )[j % 3]  # no JSON, though in braces
        extra.setdefault(i, []).append(b)
    pos = 0
    for i in sorted(extra):
        f.write("\n".join(lines[pos : i + 1]))
        f.write("\n")
        f.write("\n".join(extra[i]))
        f.write("\n")
        pos = i + 1
    if pos < n:
        f.write("\n".join(lines[pos:]))
        f.write("\n")


# ------------------------------------------------------------------ reference
def load_valid(path):
    """Line by line with a strict parser: the ground truth of what is valid, as a frame; with the lines and the bad ones."""
    import orjson, polars as pl

    frames, names, bad, rows = [], ("s", "t", "p", "q", "tt"), 0, 0
    columns = [[] for _ in names]
    with open(path, "rb") as f:
        for line in f:
            rows += 1
            try:
                d = orjson.loads(line)
                values = d["s"], d["t"], float(d["p"]), float(d["q"]), d["T"]
            except Exception:
                bad += 1
                continue
            for column, value in zip(columns, values):
                column.append(value)
            if len(columns[0]) == PIECE:
                frames.append(pl.DataFrame(dict(zip(names, columns))))
                columns = [[] for _ in names]
    frames.append(pl.DataFrame(dict(zip(names, columns)), schema=frames[0].schema if frames else None))
    return rows, bad, pl.concat(frames)


def ref(path, out):
    """Bars by DuckDB, indicators by a plain loop: neither shares code with the Polars peers."""
    import duckdb, polars as pl

    rows, bad, df = load_valid(path)
    df = df.to_arrow()  # DuckDB names ignore case: t and T would clash
    con = duckdb.connect()
    con.execute(
        "create table x as select s, t, any_value(p) p, any_value(q) q, any_value(tt) tt from df group by s, t"
    ).fetchall()
    n = con.execute("select count(*) from x").fetchall()[0][0]
    wm = con.execute("select max(tt) from x").fetchall()[0][0] - LATENESS_MS
    os.makedirs(out, exist_ok=True)

    def bars(w):
        return con.sql(f"""select s as symbol, (tt // {w}) * {w} as wstart,
            arg_min(p, (tt, t)) as open, max(p) as high, min(p) as low, arg_max(p, (tt, t)) as close,
            fsum(q) as volume, fsum(p * q) / fsum(q) as vwap, count(*) as n
            from x group by 1, 2 having (tt // {w}) * {w} + {w} <= {wm} order by 1, 2""").pl()

    b1, b5 = bars(MIN1), bars(MIN5)
    ind = {k: [] for k in ("sma20", "ema20", "bb_up", "bb_lo", "vol20", "anomaly")}
    cur, cl, rt, ema, pvol = None, [], [], 0.0, None
    for sy, c in zip(b1["symbol"].to_list(), b1["close"].to_list()):
        if sy != cur:
            cur, cl, rt, ema, pvol = sy, [], [], c, None
            r = None
        else:
            r = math.log(c / cl[-1])
            rt.append(r)
            ema = ALPHA * c + (1 - ALPHA) * ema
        cl.append(c)
        cl = cl[-N_IND:]
        rt = rt[-N_IND:]
        sma = up = lo = vol = None
        if len(cl) == N_IND:
            sma = math.fsum(cl) / N_IND
            sd = math.sqrt(math.fsum((x - sma) ** 2 for x in cl) / N_IND)
            up, lo = sma + 2 * sd, sma - 2 * sd
        if len(rt) == N_IND:
            m = math.fsum(rt) / N_IND
            vol = math.sqrt(math.fsum((x - m) ** 2 for x in rt) / (N_IND - 1))
        for k, v in zip(ind, (sma, ema, up, lo, vol, bool(r is not None and pvol is not None and abs(r) > 3 * pvol))):
            ind[k].append(v)
        pvol = vol
    b1 = b1.with_columns([pl.Series(k, v, dtype=pl.Boolean if k == "anomaly" else pl.Float64) for k, v in ind.items()])
    b1.write_parquet(f"{out}/bars1m.parquet")
    b5.write_parquet(f"{out}/bars5m.parquet")
    json.dump(
        {
            "rows": rows,
            "malformed": bad,
            "duplicates": rows - bad - n,
            "watermark": wm,
            "bars1m": b1.height,
            "bars5m": b5.height,
            "anomalies": int(b1["anomaly"].sum()),
        },
        open(f"{out}/stats.json", "w"),
    )


# ------------------------------------------------------------------ check
def check(refdir, got, rtol=1e-9):
    import numpy as np, polars as pl

    rs = json.load(open(f"{refdir}/stats.json"))
    msgs = []
    gs = json.load(open(f"{got}/stats.json"))
    for k in ("malformed", "duplicates"):
        if gs.get(k) is None:
            msgs.append(f"{k}: not reported")
        elif gs[k] != rs[k]:
            msgs.append(f"{k}: {gs[k]} != {rs[k]}")
    for name, w in (("bars1m", MIN1), ("bars5m", MIN5)):
        fn = f"{got}/{name}.parquet"
        if not os.path.exists(fn):
            msgs.append(f"{name}: missing")
            continue
        a = pl.read_parquet(f"{refdir}/{name}.parquet").sort("symbol", "wstart")
        b = pl.read_parquet(fn).with_columns(pl.col("symbol").cast(pl.String), pl.col("wstart").cast(pl.Int64))
        b = b.filter(pl.col("wstart") + w <= rs["watermark"]).sort("symbol", "wstart")
        if a.height != b.height or not (a["symbol"].equals(b["symbol"]) and a["wstart"].equals(b["wstart"])):
            msgs.append(f"{name}: rows differ ({a.height} expected, {b.height} got)")
            continue
        for c in a.columns[2:]:
            if c not in b.columns:
                msgs.append(f"{name}.{c}: missing")
                continue
            if c == "anomaly":
                if (a[c] != b[c].fill_null(False)).any():
                    msgs.append(f"{name}.{c}: {(a[c] != b[c]).sum()} differ")
                continue
            x = a[c].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            y = b[c].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            scale = np.maximum(np.abs(x), 1e-300)
            # vol20 is a difference of nearly equal numbers: its error is judged against the return's size
            ok = (np.isnan(x) & np.isnan(y)) | (np.abs(x - y) <= rtol * scale)
            if not ok.all():
                rel = np.nanmax(np.abs(x - y) / scale)
                msgs.append(f"{name}.{c}: {int((~ok).sum())} of {len(x)} differ (max rel {rel:.2e})")
    return msgs


# ------------------------------------------------------------------ what several peers share
def indicators_polars(b1):
    """Batch indicators as Polars window expressions; b1 has symbol, wstart, close."""
    import polars as pl

    c = pl.col("close")
    o = "symbol"
    return (
        b1.sort("symbol", "wstart")
        .with_columns((c / c.shift(1).over(o)).log().alias("ret"))
        .with_columns(
            c.rolling_mean(N_IND).over(o).alias("sma20"),
            c.ewm_mean(alpha=ALPHA, adjust=False).over(o).alias("ema20"),
            c.rolling_std(N_IND, ddof=0).over(o).alias("sd"),
            pl.col("ret").rolling_std(N_IND, ddof=1).over(o).alias("vol20"),
        )
        .with_columns(
            (pl.col("sma20") + 2 * pl.col("sd")).alias("bb_up"),
            (pl.col("sma20") - 2 * pl.col("sd")).alias("bb_lo"),
            (pl.col("ret").abs() > 3 * pl.col("vol20").shift(1).over(o)).fill_null(False).alias("anomaly"),
        )
        .drop("ret", "sd")
    )


class Indicators:
    """Incremental indicators of one symbol in plain Python (row-at-a-time peers)."""

    __slots__ = ("cl", "rt", "ema", "pvol")

    def __init__(self):
        self.cl, self.rt, self.ema, self.pvol = [], [], None, None

    def update(self, c):
        cl, rt = self.cl, self.rt
        r = None
        if cl:
            r = math.log(c / cl[-1])
            rt.append(r)
            if len(rt) > N_IND:
                del rt[0]
            self.ema = ALPHA * c + (1 - ALPHA) * self.ema
        else:
            self.ema = c
        cl.append(c)
        if len(cl) > N_IND:
            del cl[0]
        sma = up = lo = vol = None
        if len(cl) == N_IND:
            sma = sum(cl) / N_IND
            sd = math.sqrt(sum([(x - sma) ** 2 for x in cl]) / N_IND)
            up, lo = sma + 2 * sd, sma - 2 * sd
        if len(rt) == N_IND:
            m = sum(rt) / N_IND
            vol = math.sqrt(sum([(x - m) ** 2 for x in rt]) / (N_IND - 1))
        an = r is not None and self.pvol is not None and abs(r) > 3 * self.pvol
        self.pvol = vol
        return (sma, self.ema, up, lo, vol, an)


BAR_COLS = ("symbol", "wstart", "open", "high", "low", "close", "volume", "vwap", "n")
IND_COLS = ("sma20", "ema20", "bb_up", "bb_lo", "vol20", "anomaly")


def write_rows(out, rows1, rows5):
    import polars as pl

    os.makedirs(out, exist_ok=True)
    f = pl.Float64
    sch = dict(zip(BAR_COLS, (pl.String, pl.Int64, f, f, f, f, f, f, pl.Int64)))
    pl.DataFrame(rows5, schema=sch, orient="row").write_parquet(f"{out}/bars5m.parquet")
    sch.update(dict(zip(IND_COLS, (f, f, f, f, f, pl.Boolean))))
    pl.DataFrame(rows1, schema=sch, orient="row").write_parquet(f"{out}/bars1m.parquet")


def args():
    a = argparse.ArgumentParser()
    a.add_argument("--data", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--threads", type=int, default=2)
    return a.parse_args()


def done(out, t_start, rows, malformed, duplicates, notes=(), **kw):
    json.dump(
        {
            "rows": rows,
            "malformed": malformed,
            "duplicates": duplicates,
            "job_s": time.perf_counter() - t_start,
            "notes": list(notes),
            **kw,
        },
        open(f"{out}/stats.json", "w"),
    )


if __name__ == "__main__":
    a = argparse.ArgumentParser()
    a.add_argument("cmd")
    for k in ("data", "out", "ref", "got"):
        a.add_argument("--" + k)
    a.add_argument("--n", type=int, default=2_000_000)
    a.add_argument("--symbols", type=int, default=100)
    a.add_argument("--rate", type=float, default=1000)
    a = a.parse_args()
    if a.cmd == "gen":
        gen(a.n, a.symbols, a.rate, a.out)
    elif a.cmd == "ref":
        ref(a.data, a.out)
    elif a.cmd == "check":
        m = check(a.ref, a.got)
        print("\n".join(m) or "equal")
        sys.exit(bool(m))
