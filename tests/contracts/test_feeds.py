"""Laws that every feed obeys, whatever its provider sends."""

import json
import random
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.feeds.samples import Samples
from tickhouse.core import plugins
from tickhouse.core.batches import BarBatch, Parsed, RawBatch, TickBatch
from tickhouse.core.errors import SettingsError, TickhouseError
from tickhouse.core.model import ACTION, OBSERVATION, QUOTE, Ids, Kind, Want, interval_us
from tickhouse.core.plugins import names
from tickhouse.core.requests import Answer, Pace
from tickhouse.core.symbols import CANONICAL


def brought(name: str) -> list[Samples]:
    """The samples of a feed; a feed without any fails its first test."""
    if not find_spec(f"tests.feeds.samples_{name}"):
        return []
    found: list[Samples] = import_module(f"tests.feeds.samples_{name}").samples()
    return found


DAY, NOON = 86_400_000_000, 1_767_268_800_000_000
KEYLESS = ("binance", "frankfurter", "yahoo")
ALL = [samples for name in names("feeds") for samples in brought(name)]
every_channel = pytest.mark.parametrize("samples", ALL, ids=str)
seeds = st.integers(0, 2**32).map(random.Random)

TICK_TYPES = {
    "symbol": np.int32, "event_time": np.int64, "received_at": np.int64, "price": np.float64, "size": np.float64,
    "first_id": np.int64, "last_id": np.int64, "raw": np.int64, "condition": np.int32,
}  # fmt: skip
BAR_TYPES = {
    "symbol": np.int32, "interval": np.int64, "start": np.int64, "open": np.float64, "high": np.float64, "low": np.float64,
    "close": np.float64, "volume": np.float64, "vwap": np.float64, "trades": np.int64, "completeness": np.float64,
    "state": np.uint8, "version": np.int32, "first_raw": np.int64, "last_raw": np.int64, "known_at": np.int64,
}  # fmt: skip


def batch(samples: Samples, payloads: list[bytes], lane: str = "load:x") -> RawBatch:
    """The messages, each received a microsecond after the one before."""
    times = samples.received_at + np.arange(len(payloads))
    return RawBatch.of(samples.feed.name, samples.channel, payloads, times, lane)


def mixed(samples: Samples, choose: random.Random, most: int = 12) -> list[bytes]:
    """Good, control, bad, damaged and random messages."""
    kinds = [samples.good, samples.good, samples.control or samples.good, samples.bad]
    payloads = [choose.choice(choose.choice(kinds)) for _ in range(choose.randrange(most + 1))]
    return [damaged(payload, samples, choose) if choose.random() < 0.4 else payload for payload in payloads]


def damaged(payload: bytes, samples: Samples, choose: random.Random) -> bytes:
    data = bytearray(payload)
    for _ in range(choose.choice((1, 1, 2, 5))):
        at, length = choose.randrange(len(data) + 1), choose.choice((0, 1, 1, 3, 20))
        put = choose.choice((b"", choose.choice(samples.nasty), choose.randbytes(2), bytes(data[at : at + length])))
        data[at : at + length] = put
    return bytes(data)


ODD = (
    None,
    True,
    "",
    "x",
    "NaN",
    -1,
    0,
    2**70,
    1e308,
    -1e-320,
    [],
    {},
    [[]],
    [None],
    {"": {}},
    "\ud800",
    "2026-02-30",
    "\x00",
)
"""What a provider may put where something else was expected."""


def reshaped(payload: bytes, choose: random.Random) -> bytes | None:
    """The JSON with one value changed, missing, doubled or under another name, and otherwise whole; None where it is no JSON."""
    if payload[:1] not in (b"{", b"["):
        return None
    try:
        whole = json.loads(payload)
    except ValueError:
        return None
    places = [
        (within, key)
        for within in _containers(whole)
        for key in (within if isinstance(within, dict) else range(len(within)))
    ]
    if not places:
        return json.dumps(choose.choice(ODD)).encode()
    within, key = choose.choice(places)
    match choose.randrange(5):
        case 0:
            del within[key]
        case 1 if isinstance(within, dict):
            within[f"{key}_"] = within.pop(key)
        case 2 if isinstance(within, list):
            within.insert(choose.randrange(len(within) + 1), within[key])
        case 3:
            within[key] = [within[key]]
        case _:
            within[key] = choose.choice(ODD)
    return json.dumps(whole).encode()


def _containers(value: object) -> list[Any]:
    """Every object and list within a value, itself included."""
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(found for one in inner for found in _containers(one))]


def rows_of(parsed: Parsed) -> list[tuple[dict[str, object], int]]:
    """Every row as plain values with the index of its message, independent of how symbols are coded."""
    found = []
    if parsed.ticks is not None:
        found += [(row | {"raw": 0}, row["raw"]) for row in parsed.ticks.to_arrow().to_pylist()]
    if parsed.bars is not None:
        plain = parsed.bars.to_arrow().to_pylist()
        found += [(row | {"first_raw": 0, "last_raw": 0}, row["first_raw"]) for row in plain]
    found += [(row | {"raw": 0}, row["raw"]) for table, _ in tables_of(parsed) for row in table.to_pylist()]
    return [({k: str(v) for k, v in row.items()}, index) for row, index in found]


def tables_of(parsed: Parsed) -> list[tuple[pa.Table, pa.Schema]]:
    """The tables there are, each with the schema that it must have."""
    tables = ((parsed.quotes, QUOTE), (parsed.observations, OBSERVATION), (parsed.actions, ACTION))
    return [(table, schema) for table, schema in tables if table is not None]


def assert_lawful(samples: Samples, raw: RawBatch, parsed: Parsed) -> None:
    n = len(raw)
    assert parsed.kinds.shape == (n,)
    assert parsed.kinds.dtype == np.uint8
    assert sum(parsed.count(kind) for kind in Kind) == n
    said = {reject.index for reject in parsed.rejects}
    with_rows = {index for _, index in rows_of(parsed)}
    assert said <= set(range(n))
    for index, kind in enumerate(parsed.kinds.tolist()):
        assert (kind != Kind.REJECTED) or index in said, "a rejected message says why"
        assert (kind != Kind.CONTROL) or index not in said, "a control message has no reason"
        assert (index in with_rows) == (kind == Kind.PARSED), "a parsed message has rows, no other has"
    for reject in parsed.rejects:
        assert reject.reason and reject.reason == reject.reason.lower() and " " not in reject.reason
        assert 0 < len(reject.detail) < 500
    for rows, types in ((parsed.ticks, TICK_TYPES), (parsed.bars, BAR_TYPES)):
        if rows is not None and len(rows):
            assert_columns(samples, raw, rows, types)
    for table, schema in tables_of(parsed):
        assert_table(samples, raw, table, schema)


def assert_table(samples: Samples, raw: RawBatch, table: pa.Table, schema: pa.Schema) -> None:
    assert table.schema == schema
    assert table.num_rows, "None stands for no rows"
    assert set(table["source"].to_pylist()) == {samples.feed.name}
    index = table["raw"].to_numpy()
    assert (np.diff(index) >= 0).all() and index[0] >= 0 and index[-1] < len(raw), "rows come in the order of messages"
    for row in table.to_pylist():
        assert CANONICAL.fullmatch(row["symbol"]) if "symbol" in row else row["series"]
        assert all(np.isfinite(value) for value in row.values() if isinstance(value, float)), "null where there is none"
        assert None not in [row[name] for name in ("event_time", "price", "date", "kind") if name in row]
    if schema == QUOTE:
        assert (table["received_at"].cast(pa.int64()).to_numpy() == raw.received_at[index]).all()


def assert_columns(samples: Samples, raw: RawBatch, rows: TickBatch | BarBatch, types: dict[str, type]) -> None:
    assert rows.source == samples.feed.name
    for name, dtype in types.items():
        column = getattr(rows, name)
        assert column.dtype == dtype and column.shape == (len(rows),), name
    assert len(set(rows.symbols)) == len(rows.symbols)
    assert all(CANONICAL.fullmatch(symbol) for symbol in rows.symbols)
    assert rows.symbol.min() >= 0 and rows.symbol.max() < len(rows.symbols)
    index = rows.raw if isinstance(rows, TickBatch) else rows.first_raw
    assert (np.diff(index) >= 0).all(), "rows come in the order of their messages"
    assert index[0] >= 0 and index[-1] < len(raw)
    received = rows.received_at if isinstance(rows, TickBatch) else rows.known_at
    assert (received == raw.received_at[index]).all()
    if isinstance(rows, TickBatch):
        assert rows.lane == raw.lane
        assert np.isfinite(rows.price).all()
        assert (rows.first_id <= rows.last_id).all()


@pytest.mark.parametrize("name", names("feeds"))
def test_a_feed_says_what_it_is(name: str) -> None:
    feeds = {samples.feed.name: samples.feed for samples in ALL}
    assert name in feeds, f"tests/feeds/samples_{name}.py brings samples of this feed"
    feed = feeds[name]
    assert feed.ids in Ids
    assert isinstance(feed.pace, Pace)
    tested = {samples.channel.partition(":")[0] for samples in ALL if samples.feed.name == name}
    assert tested == set(feed.channels), "every channel has samples"
    assert all(line and "\n" not in line for line in feed.channels.values())
    with pytest.raises(SettingsError):
        feed.subscriptions(Want(("BTC-USDT",), "no such channel"))


@pytest.mark.parametrize("name", names("feeds"))
def test_a_feed_says_in_which_ways_its_channels_can_be_had(name: str) -> None:
    feed = plugins.load("feeds", name).open()
    ways = feed.ways
    assert feed.channel == "" or feed.channel in (*ways.socket, *ways.polled)
    assert not set(ways.socket) & set(ways.polled)
    assert set(ways.bars.values()) <= set(ways.history)
    assert all(interval_us(interval) for interval in ways.bars) and ways.every >= 1
    for channel in ("no such channel", *ways.socket):
        with pytest.raises(SettingsError):
            feed.poll(Want(("BTC-USD",), channel))


@pytest.mark.parametrize("name", [name for name in names("feeds") if name != "csv"])
def test_what_history_costs_is_what_it_asks_first(name: str) -> None:
    """Day for day, told before anything is asked, and never less than one call a symbol."""
    feed = plugins.load("feeds", name).open(**({} if name in KEYLESS else {"key": "k"}))
    for channel in feed.ways.history:
        symbols = {"fred": ("GDP", "DGS10"), "frankfurter": ("EUR-USD", "GBP-USD")}.get(name, ("BTC-USD", "ETH-USD"))
        symbols = ("CPI", "UNEMPLOYMENT") if channel == "economic" else symbols
        symbols = ("EUR-USD", "GBP-USD") if channel.startswith("fx_") else symbols
        interval = next((i for i, bars in feed.ways.bars.items() if bars == channel), "")
        options = {"interval": interval} if interval else {}
        cost = feed.cost(Want(symbols, channel, NOON - DAY, NOON, options))
        assert cost.weight >= cost.calls >= len(symbols), channel
        assert feed.cost(Want(symbols, channel, NOON - 400 * DAY, NOON, options)).calls >= cost.calls
        first = next(feed.history(Want(symbols, channel, NOON - DAY, NOON, options)))
        assert first.weight <= cost.weight


@every_channel
def test_samples_are_what_they_are_said_to_be(samples: Samples) -> None:
    for kind, payloads in ((Kind.PARSED, samples.good), (Kind.CONTROL, samples.control), (Kind.REJECTED, samples.bad)):
        for payload in payloads:
            assert samples.feed.parse(batch(samples, [payload])).kinds.tolist() == [kind], payload


@every_channel
def test_no_messages_are_nothing(samples: Samples) -> None:
    parsed = samples.feed.parse(batch(samples, []))
    assert (len(parsed.kinds), rows_of(parsed), parsed.rejects) == (0, [], ())


@every_channel
@settings(max_examples=tried(60))
@given(choose=seeds)
def test_whatever_comes_is_parsed_control_or_rejected(samples: Samples, choose: random.Random) -> None:
    raw = batch(samples, mixed(samples, choose))
    assert_lawful(samples, raw, samples.feed.parse(raw))


@pytest.mark.parametrize("samples", [one for one in ALL if reshaped(one.good[0], random.Random(1))], ids=str)
@settings(max_examples=tried(80), deadline=None)
@given(choose=seeds)
def test_json_of_another_shape_is_parsed_control_or_rejected(samples: Samples, choose: random.Random) -> None:
    """A field that is gone, renamed or of another type, as after a provider's change; the answer is classified too."""
    made = [reshaped(choose.choice(samples.good + samples.control), choose) for _ in range(4)]
    payloads = [payload for payload in made if payload is not None]
    raw = batch(samples, payloads)
    assert_lawful(samples, raw, samples.feed.parse(raw))
    for payload in payloads:
        found = samples.feed.classify(Answer(200, {}, payload, samples.received_at))
        assert found is None or isinstance(found, TickhouseError)


@every_channel
def test_a_pit_of_brackets_is_control_or_rejected(samples: Samples) -> None:
    for depth, opening in product((10, 100_000), (b"[", b'{"a":', b'{"data":[', b'[{"x":')):
        raw = batch(samples, [opening * depth])
        assert_lawful(samples, raw, samples.feed.parse(raw))
        found = samples.feed.classify(Answer(200, {}, opening * depth, samples.received_at))
        assert found is None or isinstance(found, TickhouseError), (depth, opening)


@every_channel
@settings(max_examples=tried(40))
@given(payloads=st.lists(st.binary(max_size=80), max_size=6))
def test_random_bytes_are_parsed_control_or_rejected(samples: Samples, payloads: list[bytes]) -> None:
    raw = batch(samples, payloads)
    assert_lawful(samples, raw, samples.feed.parse(raw))


@every_channel
@settings(max_examples=tried(40))
@given(choose=seeds)
def test_the_parse_of_a_cut_is_the_cut_of_the_parse(samples: Samples, choose: random.Random) -> None:
    raw = batch(samples, mixed(samples, choose, most=20))
    start = choose.randrange(len(raw) + 1)
    stop = choose.randrange(start, len(raw) + 1)
    whole, part = samples.feed.parse(raw), samples.feed.parse(raw.take(start, stop))
    assert whole.kinds[start:stop].tolist() == part.kinds.tolist()
    assert [(row, i - start) for row, i in rows_of(whole) if start <= i < stop] == rows_of(part)
    cut = [(r.index - start, r.reason, r.detail) for r in whole.rejects if start <= r.index < stop]
    assert sorted(cut) == sorted((r.index, r.reason, r.detail) for r in part.rejects)


@every_channel
@settings(max_examples=tried(30))
@given(choose=seeds)
def test_the_same_bytes_give_the_same_rows_for_ever(samples: Samples, choose: random.Random) -> None:
    """What was parsed in between, and where in a buffer a message stands, changes nothing; the bytes stay as they are."""
    raw = batch(samples, mixed(samples, choose))
    before, first = raw.data.tobytes(), samples.feed.parse(raw)
    samples.feed.parse(batch(samples, mixed(samples, choose)))
    again = samples.feed.parse(raw)
    data = np.frombuffer(b"[{" + before + b'0"}]', np.uint8)
    moved = RawBatch(raw.source, raw.channel, raw.lane, data, raw.offsets + 2, raw.ends + 2, raw.received_at)
    assert raw.data.tobytes() == before
    for other in (again, samples.feed.parse(moved)):
        assert first.kinds.tolist() == other.kinds.tolist()
        assert rows_of(first) == rows_of(other)
        assert first.rejects == other.rejects
        if first.ticks is not None and other.ticks is not None:
            assert list(first.ticks.symbols) == list(other.ticks.symbols)


@every_channel
@settings(max_examples=tried(60))
@given(
    choose=seeds,
    status=st.sampled_from([200, 204, 301, 400, 401, 403, 404, 418, 429, 451, 500, 503]),
    body=st.binary(max_size=60),
)
def test_an_answer_is_data_or_one_of_our_errors(
    samples: Samples, choose: random.Random, status: int, body: bytes
) -> None:
    for text in (body, damaged(choose.choice(samples.good), samples, choose)):
        found = samples.feed.classify(Answer(status, {}, text, samples.received_at))
        assert found is None or isinstance(found, TickhouseError)
