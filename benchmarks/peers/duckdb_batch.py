"""DuckDB, one shot in SQL. Its names ignore case, so Binance's t/T, e/E, m/M clash: read_json with
columns cannot be used and each field is taken out of the JSON value."""

import time, os
import job

a = job.args()
import duckdb

t0 = time.perf_counter()
con = duckdb.connect()
con.sql(f"set threads={a.threads}")
run = lambda q: con.execute(q).fetchall()
if a.data.endswith(".parquet"):
    rows = valid = run(f"select count(*) from '{a.data}'")[0][0]
    run(f"""create temp table x as select symbol as s, last_id as id, any_value(price) p, any_value("size") q,
           any_value(epoch_ms(event_time)) ts from '{a.data}' group by symbol, last_id""")
else:
    run(f"""create temp table raw as
  select v[1] as s, try_cast(v[2] as bigint) as id, try_cast(v[3] as double) as p, try_cast(v[4] as double) as q, try_cast(v[5] as bigint) as ts
  from (select json_extract_string(json, ['$.s','$.t','$.p','$.q','$.T']) as v
        from read_json_objects('{a.data}', format='newline_delimited', ignore_errors=true))""")
    rows, valid = run(
        "select count(*), count(case when s is not null and id is not null and p is not null and q is not null and ts is not null then 1 end) from raw"
    )[0]
    run("""create temp table x as select s, id, any_value(p) p, any_value(q) q, any_value(ts) ts from raw
       where s is not null and id is not null and p is not null and q is not null and ts is not null group by s, id""")
n, wm = run(f"select count(*), max(ts) - {job.LATENESS_MS} from x")[0]
os.makedirs(a.out, exist_ok=True)


def bars(w, src="x"):
    return f"""select s as symbol, ts // {w} * {w} as wstart, arg_min(p, (ts, id)) as open, max(p) as high, min(p) as low,
      arg_max(p, (ts, id)) as "close", sum(q) as volume, sum(p * q) / sum(q) as vwap, count(*) as n
      from {src} group by 1, 2 having min(ts) // {w} * {w} + {w} <= {wm}"""


run(f"copy ({bars(job.MIN5)}) to '{a.out}/bars5m.parquet' (format parquet)")
run(f"create temp table b1 as {bars(job.MIN1)}")
L = job.N_IND
run(f"""copy (
 with r as (select *, ln("close" / lag("close") over w) as ret, row_number() over w as k, count(*) over w20 as c20,
     avg("close") over w20 as sma, stddev_pop("close") over w20 as sd from b1
     window w as (partition by symbol order by wstart), w20 as (partition by symbol order by wstart rows {L - 1} preceding)),
 v as (select *, case when count(ret) over w20 = {L} then stddev_samp(ret) over w20 end as vol20 from r
     window w20 as (partition by symbol order by wstart rows {L - 1} preceding)),
 -- EMA has no SQL window form: a weighted sum over the whole history of the symbol
 m as (select x.symbol, x.wstart, sum(y."close" * power({1 - job.ALPHA}, x.k - y.k) * case when y.k = 1 then 1 else {job.ALPHA} end) as ema20
     from r x join r y on x.symbol = y.symbol and y.k <= x.k group by 1, 2)
 select v.symbol, v.wstart, open, high, low, "close", volume, vwap, n, case when c20 = {L} then sma end as sma20, ema20,
   case when c20 = {L} then sma + 2 * sd end as bb_up, case when c20 = {L} then sma - 2 * sd end as bb_lo, vol20,
   coalesce(abs(ret) > 3 * lag(vol20) over (partition by v.symbol order by v.wstart), false) as anomaly
 from v join m on v.symbol = m.symbol and v.wstart = m.wstart) to '{a.out}/bars1m.parquet' (format parquet)""")
job.done(
    a.out, t0, rows, rows - valid, valid - n, ["EMA by a self join: SQL has no recurrence"], version=duckdb.__version__
)
