"""What every lake must do. A new backend is one line in `BACKENDS`; MinIO and VersityGW are two of many S3 servers."""

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.journal.samples import SECOND, T0, entry, link, same_ticks
from tests.lake.buckets import moto, own
from tickhouse.core.batches import Entry, RawBatch, Record, TickBatch, every_kind
from tickhouse.core.model import Kind
from tickhouse.core.plugins import open_url

__all__ = ["moto"]
BACKENDS = {"local": None, "moto": "moto", "minio": "s3", "versity": "s3_second"}
"""Each with the fixture of its server, if it has one."""
DAY = 86_400 * SECOND


@pytest.fixture(params=BACKENDS)
def opener(request, tmp_path):
    """Opens a lake; each call with another name is another place."""
    server = BACKENDS[request.param]
    if server is None:
        yield lambda name="": open_url("lake", f"file://{tmp_path / name}/lake")
    else:
        with own(request.getfixturevalue(server)) as url:
            yield lambda name="": open_url("lake", url(name))


@pytest.fixture
def lake(opener):
    return opener()


def records(*entries: Entry, first: int = 0) -> list[Record]:
    """Entries as both topics of a journal joined."""
    found = []
    for e in entries:
        raw, n = replace(e.raw, first=first), len(e.raw)
        ticks = e.ticks.journaled(first) if e.ticks is not None else None
        received = int(raw.received_at[-1])
        found.append(
            Record(first, n, raw.source, raw.channel, raw.lane, received, raw, e.kinds, ticks, e.bars, e.marks)
        )
        first += n
    return found


def raws(payloads, received=T0, source="s", channel="c", lane="live") -> Entry:
    raw = RawBatch.of(source, channel, payloads, received, lane)
    return Entry(raw, every_kind(len(raw), Kind.PARSED))


def everything(lake, source=None):
    """(position, lane, received_at, payload) of every archived message, object by object."""
    return [
        (batch.first + i, batch.lane, int(batch.received_at[i]), payload)
        for item in lake.objects("bronze", source)
        for batch in lake.read(item)
        for i, payload in enumerate(batch.payloads())
    ]


def test_an_empty_lake_has_nothing(lake):
    assert list(lake.objects()) == list(lake.objects("ticks")) == list(lake.objects("bronze", "binance")) == []
    assert lake.verify() == (0, ())
    assert list(lake.messages(0, 100, "binance")) == list(lake.ticks("binance", "S0", 0, 1 << 60)) == []
    assert lake.write([]) == []


def test_a_run_becomes_one_object_of_messages_and_one_of_ticks(lake):
    written = lake.write(records(entry(3), entry(2, 3), first=7))
    assert [(o.name, o.kind, o.source, o.channel, o.date, o.first, o.last) for o in written] == [
        ("ticks/source=binance/date=2026-01-01/00000000000000000007-00000000000000000011.parquet",
         "ticks", "binance", "", "2026-01-01", 7, 11),
        ("bronze/source=binance/channel=trade/date=2026-01-01/00000000000000000007-00000000000000000011.ndjson.gz",
         "bronze", "binance", "trade", "2026-01-01", 7, 11),
    ]  # fmt: skip
    assert list(lake.objects("ticks")) + list(lake.objects("bronze")) == written
    assert all(o.size > 0 for o in written)
    assert lake.verify() == (2, ())


def test_messages_come_back_with_position_lane_and_receive_time(lake):
    one, two = entry(3), entry(2, 10, lane="load:x")
    lake.write(records(one, two, first=100))
    expected = [(100 + i, "live", int(one.raw.received_at[i]), p) for i, p in enumerate(one.raw.payloads())]
    expected += [(103 + i, "load:x", int(two.raw.received_at[i]), p) for i, p in enumerate(two.raw.payloads())]
    assert everything(lake) == expected


def test_a_batch_is_a_run_of_dense_positions_of_one_lane(lake):
    run = records(raws([b"1", b"2"]), raws([b"3"], lane="refill"), raws([b"4"]), first=5)
    run += records(raws([b"5"]), raws([b"6"]), first=20)
    lake.write(run)
    (item,) = lake.objects()
    assert [(b.first, len(b), b.lane) for b in lake.read(item)] == [
        (5, 2, "live"),
        (7, 1, "refill"),
        (8, 1, "live"),
        (20, 2, "live"),
    ]
    assert (item.first, item.last) == (5, 21)


def test_sources_and_channels_never_share_an_object(lake):
    lake.write(records(entry(1), link(T0), entry(1, 1), raws([b"x"], source="other/one", channel="a=b")))
    assert [(o.source, o.channel, o.first, o.last) for o in lake.objects()] == [
        ("binance", "link", 1, 1), ("binance", "trade", 0, 2), ("other/one", "a=b", 3, 3)
    ]  # fmt: skip
    assert [o.source for o in lake.objects("ticks")] == ["binance"]
    assert [p for _, _, _, p in everything(lake, "other/one")] == [b"x"]


def test_objects_come_by_source_channel_date_and_position(lake):
    lake.write(records(raws([b"a"], T0 + DAY), first=9))
    lake.write(records(raws([b"b"], T0), first=5))
    lake.write(records(raws([b"c"], T0), first=2))
    lake.write(records(raws([b"d"], T0, channel="b"), first=7))
    assert [(o.channel, o.date, o.first) for o in lake.objects("bronze", "s")] == [
        ("b", "2026-01-01", 7), ("c", "2026-01-01", 2), ("c", "2026-01-01", 5), ("c", "2026-01-02", 9)
    ]  # fmt: skip


def test_the_same_records_give_the_same_bytes_and_an_object_is_written_once(opener):
    run = records(entry(50), raws([b"\xff", "€".encode()]))
    one, two = opener("one"), opener("two")
    first = one.write(run)
    assert first == two.write(run) == one.write(run)
    for item in first:
        assert one.content(item) == two.content(item)


def test_lines_are_the_envelope_with_the_payload_verbatim(lake):
    payloads = [
        b'{"a": 1,  "b":[1.50]}',
        b"plain, text",
        "€".encode(),
        b"\xff\x00",
        b'{"a":\n1}',
        b'{"a":"\xe2\x82\xac"}',
        b"",
    ]
    (item,) = lake.write(records(raws(payloads, 123), first=4))
    lines = gzip.decompress(lake.content(item)).splitlines()
    head = b'{"position":%d,"source":"s","channel":"c","lane":"live","received_at":123,'
    assert lines[0] == head % 4 + b'"payload":{"a": 1,  "b":[1.50]}}'
    values = [json.loads(line) for line in lines]
    assert [v["position"] for v in values] == list(range(4, 11))
    assert values[1]["text"] == "plain, text"
    assert values[2]["text"] == "€"
    assert base64.b64decode(values[3]["base64"]) == payloads[3]
    assert values[4]["text"] == '{"a":\n1}'
    assert values[5]["payload"] == {"a": "€"}
    assert values[6]["text"] == ""


ANY = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
        max_leaves=6,
    ).map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [
            b'{"a":1}\n',
            b"[1,",
            b"01",
            b"1e999",
            b'"\\ud800"',
            b"[" * 300 + b"]" * 300,
            b"\r",
            b"tru",
            b'{"a" :1} ',
            b"-",
        ]
    ),
)


@given(
    st.lists(st.tuples(ANY, st.integers(-(2**63) + 1, 2**63 - 1)), min_size=1, max_size=12),
    st.text(min_size=1, max_size=5),
)
@settings(deadline=None, max_examples=tried(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_come_back_exactly(tmp_path_factory, messages, lane):
    lake = open_url("lake", f"file://{tmp_path_factory.mktemp('any')}")
    times = [T0, *(t for _, t in messages[1:])]
    lane = lane.encode("utf-8", "ignore").decode() or "live"
    lake.write(records(raws([p for p, _ in messages], times, lane=lane), first=3))
    assert everything(lake) == [(3 + i, lane, times[i], p) for i, (p, _) in enumerate(messages)]


def test_messages_between_positions_come_in_order_over_all_objects(lake):
    lake.write([*records(raws([b"0", b"1"])), *records(raws([b"6", b"7"]), first=6)])
    lake.write([*records(raws([b"2"], channel="d"), first=2), *records(raws([b"5"], channel="d"), first=5)])
    lake.write(records(raws([b"9"]), first=9))
    lake.write(records(raws([b"x"], source="other"), first=3))

    def between(first, last):
        return [(b.first + i, p) for b in lake.messages(first, last, "s") for i, p in enumerate(b.payloads())]

    assert between(0, 99) == [(0, b"0"), (1, b"1"), (2, b"2"), (5, b"5"), (6, b"6"), (7, b"7"), (9, b"9")]
    assert between(1, 6) == [(1, b"1"), (2, b"2"), (5, b"5"), (6, b"6")]
    assert between(5, 5) == [(5, b"5")]
    assert between(3, 4) == between(100, 200) == []


def test_ticks_come_back_bit_for_bit_by_symbol_and_event_time(lake):
    given_ = entry(40)
    lake.write(records(given_, first=1000))
    (found,) = lake.ticks("binance", "S1", T0 + 5 * SECOND, T0 + 12 * SECOND)
    journaled = given_.ticks.journaled(1000)
    rows = [i for i in range(5, 12) if i % 2]
    assert same_ticks(found, journaled.take(np.array(rows)))
    assert list(lake.ticks("binance", "S9", 0, 1 << 60)) == []
    assert list(lake.ticks("binance", "S1", T0 + 100 * SECOND, T0 + 200 * SECOND)) == []
    assert list(lake.ticks("other", "S1", 0, 1 << 60)) == []


def test_ticks_come_in_order_of_position_over_objects_channels_and_lanes(lake):
    one, two, three = entry(4), entry(2, 50, lane="load:x"), entry(4, 4)
    second = replace(two, raw=replace(two.raw, channel="agg"))
    lake.write([*records(one), *records(three, first=6)])
    lake.write(records(second, first=4))
    lake.write(records(entry(2, 90), first=10))
    found = list(lake.ticks("binance", "S0", 0, 1 << 60))
    assert [i for batch in found for i in batch.raw.tolist()] == [0, 2, 4, 6, 8, 10]
    assert [(batch.lane, len(batch)) for batch in found] == [("live", 2), ("load:x", 1), ("live", 2), ("live", 1)]


def test_positions_say_which_objects_and_ticks_are_wanted(lake):
    for first in (0, 10, 20):
        lake.write(records(entry(6, first), first=first))
    assert [o.first for o in lake.objects("bronze", "binance", 5, 10)] == [0, 10]
    assert [o.first for o in lake.objects("ticks", "binance", 16, 19)] == []
    assert [o.first for o in lake.objects("ticks", first=12)] == [10, 20]
    found = lake.ticks("binance", "S0", 0, 1 << 60, 2, 20)
    assert [i for batch in found for i in batch.raw.tolist()] == [2, 4, 10, 12, 14, 20]


def test_what_is_written_after_a_question_is_in_the_next_answer(lake):
    for n in range(5):
        lake.write(records(entry(2, 2 * n), first=2 * n))
        assert [o.first for o in lake.objects("ticks")] == list(range(0, 2 * n + 1, 2))
        assert sum(len(batch) for batch in lake.ticks("binance", "S0", 0, 1 << 60)) == n + 1


def test_objects_of_one_channel_and_the_end_of_it(lake):
    lake.write(
        records(raws([b"1", b"2"]), link(T0), raws([b"3"], channel="c2"), raws([b"4"], source="s/2", channel="c"))
    )
    assert [(o.source, o.first) for o in lake.objects(channel="c")] == [("s", 0), ("s/2", 4)]
    assert [o.first for o in lake.objects("bronze", "s", channel="c2")] == [3]
    assert [lake.end("s", channel) for channel in ("c", "c2", "none")] == [2, 4, 0]
    assert (lake.end("s/2", "c"), lake.end("none", "c")) == (5, 0)


def test_an_object_holds_ticks_of_all_kinds(lake):
    about = {"symbol": "A", "event_time": 5, "received_at": 9, "raw": 0}
    rows = [
        {**about, "price": float("inf"), "size": None},
        {**about, "price": -0.0, "size": 0.0, "first_id": 3, "last_id": 9, "conditions": "€"},
    ]
    raw = RawBatch.of("s", "c", [b"[]"], T0)
    given_ = Entry(raw, every_kind(1, Kind.PARSED), TickBatch.of("s", rows))
    lake.write(records(given_, first=7))
    (found,) = lake.ticks("s", "A", 0, 10)
    assert same_ticks(found, given_.ticks.journaled(7))


def for_polars(reach):
    """The same in the words of Polars."""
    if not reach:
        return None
    scheme = "https" if reach["USE_SSL"] == "true" else "http"
    return {
        "aws_endpoint_url": f"{scheme}://{reach['ENDPOINT']}", "aws_region": reach["REGION"], "aws_allow_http": "true",
        "aws_access_key_id": reach["KEY_ID"], "aws_secret_access_key": reach["SECRET"],
    }  # fmt: skip


def test_a_glob_of_each_kind_reads_with_duckdb_and_polars(lake):
    import duckdb
    import polars as pl

    lake.write(records(entry(10), raws([b"plain"], source="other")))
    lake.write(records(entry(5, 10), first=11))
    connection = duckdb.connect()
    if reach := lake.reach():
        extensions = pytest.importorskip(
            "duckdb_extension_httpfs", reason="DuckDB reads S3 with duckdb-extension-httpfs"
        )
        connection.load_extension(str(next(Path(extensions.__path__[0]).rglob("*.duckdb_extension"))))
        connection.execute(f"CREATE SECRET (TYPE s3, {', '.join(f'{k} {v!r}' for k, v in reach.items())})")
    assert connection.sql(f"SELECT count(*) FROM read_parquet('{lake.url('ticks')}')").fetchone() == (15,)
    assert pl.scan_parquet(lake.url("ticks"), storage_options=for_polars(reach)).collect().height == 15
    columns = "{position: 'BIGINT', payload: 'JSON', text: 'VARCHAR'}"
    bronze = f"read_json('{lake.url('bronze')}', format = 'newline_delimited', columns = {columns})"
    rows = connection.sql(f"SELECT position, payload->>'t', text FROM {bronze} ORDER BY position").fetchall()
    assert rows[0] == (0, "0", None)
    assert rows[10] == (10, None, "plain")
    assert [p for p, _, _ in rows] == list(range(16))


def test_verify_counts_what_is_there(lake):
    lake.write(records(entry(10), link(T0)))
    assert lake.verify() == (3, ())


def test_objects_are_taken_over_as_they_are(opener, tmp_path):
    lake, other = opener("one"), open_url("lake", f"file://{tmp_path}/other")
    lake.write(records(entry(10), link(T0)))
    items = [item for kind in ("ticks", "bronze") for item in lake.objects(kind)]
    for _ in range(2):
        assert [other.take(item, lake.content(item)) for item in items] == items
    assert [other.content(item) for item in items] == [lake.content(item) for item in items]
    back = opener("two")
    assert [back.take(item, other.content(item)) for item in items] == items
    assert (back.verify(), everything(back)) == ((3, ()), everything(lake))
