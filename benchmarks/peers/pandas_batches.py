"""pandas micro-batches of 20k lines with carried state (orjson per line: pandas' own reader stops at a bad line)."""

import time, os
import job

a = job.args()
import itertools, numpy as np, pandas as pd, orjson

B, L = 20_000, job.N_IND
t0 = time.perf_counter()
rows = bad = dup = 0
wm = 0
state = {job.MIN1: None, job.MIN5: None}
recent = None
out1, out5 = [], []


def parse(lines):
    s, t, p, q, T = [], [], [], [], []
    nb = 0
    for l in lines:
        try:
            d = orjson.loads(l)
            x = (d["s"], d["t"], float(d["p"]), float(d["q"]), d["T"])
        except Exception:
            nb += 1
            continue
        s.append(x[0])
        t.append(x[1])
        p.append(x[2])
        q.append(x[3])
        T.append(x[4])
    return pd.DataFrame({"s": s, "t": t, "p": p, "q": q, "T": T}), nb


AGG = dict(
    open=("open", "first"),
    high=("high", "max"),
    low=("low", "min"),
    close=("close", "last"),
    volume=("volume", "sum"),
    pv=("pv", "sum"),
    n=("n", "sum"),
)


class Ind:
    """Indicators over all symbols at once: ring arrays addressed by symbol code."""

    def __init__(self):
        self.code = {}
        self.n = 0
        self.cap = 0
        self.cl = np.empty((0, L))
        self.rt = np.empty((0, L))
        self.k = np.empty(0, int)
        self.ema = np.empty(0)
        self.pvol = np.empty(0)

    def update(self, sym, close):
        idx = np.array([self.code.setdefault(s, len(self.code)) for s in sym])
        if len(self.code) > self.cap:
            new = max(64, 2 * len(self.code))
            g = new - self.cap
            self.cl = np.vstack([self.cl, np.full((g, L), np.nan)])
            self.rt = np.vstack([self.rt, np.full((g, L), np.nan)])
            self.k = np.r_[self.k, np.zeros(g, int)]
            self.ema = np.r_[self.ema, np.full(g, np.nan)]
            self.pvol = np.r_[self.pvol, np.full(g, np.nan)]
            self.cap = new
        k = self.k[idx]
        prev = self.cl[idx, (k - 1) % L]
        ret = np.log(close / prev)
        has = k > 0
        self.cl[idx, k % L] = close
        self.rt[idx[has], (k[has] - 1) % L] = ret[has]
        self.ema[idx] = np.where(has, job.ALPHA * close + (1 - job.ALPHA) * self.ema[idx], close)
        self.k[idx] = k + 1
        w = self.cl[idx]
        full = k + 1 >= L
        sma = np.where(full, w.mean(1), np.nan)
        sd = w.std(1)
        vol = np.where(k >= L, self.rt[idx].std(1, ddof=1), np.nan)
        an = np.abs(ret) > 3 * self.pvol[idx]
        self.pvol[idx] = vol
        return sma, self.ema[idx], sma + 2 * sd, sma - 2 * sd, vol, an


ind = Ind()


def close(wm):
    for w, outp in ((job.MIN1, out1), (job.MIN5, out5)):
        st = state[w]
        if st is None:
            continue
        m = st["wstart"] + w <= wm
        if not m.any():
            continue
        c = st[m]
        state[w] = st[~m]
        if w == job.MIN1:
            for _, g in c.groupby("wstart", sort=True):
                sma, ema, up, lo, vol, an = ind.update(g["s"].to_numpy(), g["close"].to_numpy())
                outp.append(g.assign(sma20=sma, ema20=ema, bb_up=up, bb_lo=lo, vol20=vol, anomaly=an))
        else:
            outp.append(c)


with open(a.data, "rb") as f, np.errstate(all="ignore"):
    while True:
        lines = list(itertools.islice(f, B))
        if not lines:
            break
        rows += len(lines)
        df, nb = parse(lines)
        bad += nb
        n0 = len(df)
        df = df.drop_duplicates(["s", "t"])
        keys = pd.MultiIndex.from_frame(df[["s", "t"]])
        if recent is not None:
            df = df[~keys.isin(recent[0])]
        recent = (keys if recent is None else keys.append(recent[0])[: 3 * B],)
        dup += n0 - len(df)
        df = df.sort_values(["T", "t"])
        for w in (job.MIN1, job.MIN5):
            part = pd.DataFrame(
                {
                    "s": df["s"],
                    "wstart": df["T"] // w * w,
                    "T": df["T"],
                    "t": df["t"],
                    "open": df["p"],
                    "high": df["p"],
                    "low": df["p"],
                    "close": df["p"],
                    "volume": df["q"],
                    "pv": df["p"] * df["q"],
                    "n": 1,
                }
            )
            g = part.groupby(["s", "wstart"], sort=False)
            new = g.agg(kf=("T", "first"), kft=("t", "first"), kl=("T", "last"), klt=("t", "last"), **AGG).reset_index()
            st = state[w]
            if st is not None and len(st):
                both = pd.concat([st, new], ignore_index=True)
                o = (
                    both.sort_values(["kf", "kft"])
                    .groupby(["s", "wstart"], sort=False)
                    .agg(kf=("kf", "first"), kft=("kft", "first"), open=("open", "first"))
                )
                c = (
                    both.sort_values(["kl", "klt"])
                    .groupby(["s", "wstart"], sort=False)
                    .agg(kl=("kl", "last"), klt=("klt", "last"), close=("close", "last"))
                )
                r = both.groupby(["s", "wstart"], sort=False).agg(
                    **{k: v for k, v in AGG.items() if k not in ("open", "close")}
                )
                new = r.join(o).join(c).reset_index()
            state[w] = new
        wm = max(wm, int(df["T"].max()) - job.LATENESS_MS)
        close(wm)
os.makedirs(a.out, exist_ok=True)
for outp, name, cols in ((out1, "bars1m", job.BAR_COLS + job.IND_COLS), (out5, "bars5m", job.BAR_COLS)):
    x = pd.concat(outp, ignore_index=True).rename(columns={"s": "symbol"})
    x["vwap"] = x["pv"] / x["volume"]
    x[list(cols)].to_parquet(f"{a.out}/{name}.parquet")
job.done(a.out, t0, rows, bad, dup, version=pd.__version__)
