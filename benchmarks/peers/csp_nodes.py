"""csp (Point72): simulation mode. It has no event-time windows, watermark or deduplication: an adapter feeds
the parsed ticks in arrival order and one node holds the window state; engine time is the running maximum of T."""

import time, os
import job

a = job.args()
from datetime import datetime, timedelta
import orjson, csp
from csp.impl.pulladapter import PullInputAdapter
from csp.impl.wiring import py_pull_adapter_def
from csp import ts

t0 = time.perf_counter()
cnt = {"rows": 0, "bad": 0, "dup": 0}
rows1, rows5 = [], []
BASE = datetime(2026, 1, 1)
US = timedelta(microseconds=1)


class FilePull(PullInputAdapter):
    """One burst of up to 256 ticks an engine cycle (bursts cost less than one cycle a tick)."""

    def __init__(self, path, burst):
        self.path, self.burst = path, burst
        super().__init__()

    def start(self, starttime, endtime):
        super().start(starttime, endtime)
        self.f = open(self.path, "rb")
        self.i = 0
        self.mx = job.T0

    def next(self):
        out = []
        loads = orjson.loads
        add = out.append
        mx = self.mx
        for line in self.f:
            cnt["rows"] += 1
            try:
                d = loads(line)
                x = (d["s"], d["t"], float(d["p"]), float(d["q"]), d["T"])
            except Exception:
                cnt["bad"] += 1
                continue
            if x[4] > mx:
                mx = x[4]
            add(x)
            if len(out) >= self.burst:
                break
        if not out:
            return None
        self.mx = mx
        self.i += 1
        return BASE + timedelta(milliseconds=mx - job.T0) + self.i * US, out


file_pull = py_pull_adapter_def("file_pull", FilePull, ts[list], path=str, burst=int)


@csp.node
def bars(x: ts[list]) -> ts[list]:
    with csp.state():
        s_wins = {job.MIN1: {}, job.MIN5: {}}
        s_seen = set()
        s_old = set()
        s_edge = 0
        s_wm = 0
        s_next = 0
    if csp.ticked(x):
        closed = []
        for s, t, p, q, T in x:
            k = (s, t)
            if k in s_seen or k in s_old:
                cnt["dup"] += 1
                continue
            s_seen.add(k)
            if T - job.LATENESS_MS > s_wm:
                s_wm = T - job.LATENESS_MS
                if s_wm >= s_next:
                    for w, wins in s_wins.items():
                        for ws in sorted([z for z in wins if z + w <= s_wm]):
                            for sy, b in wins.pop(ws).items():
                                closed.append((w, sy, ws, b))
                    s_next = s_wm // job.MIN1 * job.MIN1 + job.MIN1
                if s_wm > s_edge:
                    s_old = s_seen
                    s_seen = set()
                    s_edge = s_wm + 60000
            key = (T, t)
            for w, wins in s_wins.items():
                ws = T - T % w
                win = wins.get(ws)
                if win is None:
                    win = wins[ws] = {}
                b = win.get(s)
                if b is None:
                    win[s] = [key, p, p, p, key, p, q, p * q, 1]
                else:
                    if key < b[0]:
                        b[0] = key
                        b[1] = p
                    if p > b[2]:
                        b[2] = p
                    if p < b[3]:
                        b[3] = p
                    if key > b[4]:
                        b[4] = key
                        b[5] = p
                    b[6] += q
                    b[7] += p * q
                    b[8] += 1
        if closed:
            return closed


@csp.node
def indicators(x: ts[list]) -> ts[bool]:
    with csp.state():
        s_ind = {}
    if csp.ticked(x):
        for w, s, ws, b in x:
            r = (s, ws, b[1], b[2], b[3], b[5], b[6], b[7] / b[6], b[8])
            if w == job.MIN1:
                i = s_ind.get(s)
                if i is None:
                    i = s_ind[s] = job.Indicators()
                rows1.append(r + i.update(b[5]))
            else:
                rows5.append(r)
        return True


@csp.graph
def g(path: str, burst: int):
    csp.add_graph_output("done", indicators(bars(file_pull(path, burst))), tick_count=1)


csp.run(g, a.data, int(os.environ.get("CSP_BURST", 256)), starttime=BASE, endtime=timedelta(days=365))
job.write_rows(a.out, rows1, rows5)
job.done(
    a.out,
    t0,
    cnt["rows"],
    cnt["bad"],
    cnt["dup"],
    ["no event-time window, watermark or dedup of its own: written as Python nodes"],
    version=csp.__version__,
)
