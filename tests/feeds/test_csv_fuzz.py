"""No bytes make the parser raise, every line is one of parsed, control, rejected, and the kernels agree with the strict reader."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.model import Kind
from tickhouse.feeds._csv_layout import PRICES
from tickhouse.feeds._csv_line import Refused, decoded, is_control, read_line
from tickhouse.feeds.csv import Csv, Layout

LAYOUTS = [
    Layout(
        "ticks",
        {"time": 0, "symbol": 1, "price": 2, "size": 3, "id": 4, "conditions": 5},
        6,
        header="time,symbol,price,size,id,conditions",
    ),
    Layout(
        "ticks",
        {"time": 0, "price": 2, "size": 1},
        3,
        separator=";",
        decimal=",",
        symbol="X",
        tz="America/New_York",
        day_first=True,
    ),
    Layout(
        "ticks", {"time": 0, "bid": 1, "ask": 2}, 4, separator="\t", symbol="X", price="mid", tz="+05:30", scale=10_000
    ),
    Layout("ticks", {"time": 0, "price": 1, "symbol": 2}, 3, symbol="X", date="2013-10-07", tz="America/New_York"),
    Layout(
        "bars",
        {"time": 0, "clock": 1, "open": 2, "high": 3, "low": 4, "close": 5, "volume": 6, "trades": 7},
        8,
        interval="1m",
        symbol="X",
    ),
]

FORMS = (
    "%Y%m%d %H%M%S%f",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%d-%b-%Y %H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%H:%M:%S",
    "%Y%m%d",
    "%b %d, %Y",
)
MOMENT = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1))
TIME = st.one_of(
    MOMENT.map(str),
    st.dates().map(str),
    st.integers(10**9, 2 * 10**9).map(str),
    st.integers(0, 86_400_000).map(str),
    st.builds(datetime.strftime, MOMENT, st.sampled_from(FORMS)),
    st.text("0123456789APMJan:/-., ", max_size=20),
)
WORDS = ["", "nan", "null", "-", "1e3", "1 000", "0,5", "AAPL", "btc/usdt", "x y", "2000"]
VALUE = st.one_of(
    st.floats(0.01, 1e5).map(str),
    st.integers(0, 10**6).map(str),
    st.integers(0, 10**9).map("{:,}".format),
    st.decimals(0, 1000, places=3).map(str),
    st.sampled_from(WORDS),
    st.text(max_size=6),
)
SPACED = st.sampled_from(["{}", "{}", "{}", '"{}"', " {}", "{} ", '"{}" ', ' "{}"', "\t{}", '"{}', '"a""b{}"'])


@st.composite
def lines(draw: st.DrawFn, layout: Layout) -> bytes:
    """A line that is nearly right, or anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=40))
    count = layout.width + draw(st.sampled_from([0, 0, 0, 0, -1, 1]))
    fields = [
        draw(SPACED).format(draw(TIME if i == 0 or (i == 1 and layout.kind == "bars") else VALUE)) for i in range(count)
    ]
    line = layout.separator.join(fields).encode()
    prefix = draw(st.sampled_from([b"", b"", b"", b"", b"\xef\xbb\xbf", b"#", b"  "]))
    cut = draw(st.integers(0, len(line))) if draw(st.integers(0, 9)) == 0 else len(line)
    return prefix + line[:cut]


@given(
    st.sampled_from(LAYOUTS).flatmap(lambda layout: st.tuples(st.just(layout), st.lists(lines(layout), max_size=12)))
)
@settings(max_examples=tried(400), deadline=None)
def test_the_kernels_agree_with_the_strict_reader(case: tuple[Layout, list[bytes]]) -> None:
    layout, given_lines = case
    assert_kernels_agree(layout, [line.replace(b"\n", b"").replace(b"\r", b"") for line in given_lines])


def assert_kernels_agree(layout: Layout, given_lines: list[bytes]) -> None:
    """The feed makes of lines what the strict reader makes of them, and rejects the lines that it refuses."""
    parsed = Csv(layout).parse(RawBatch.of("csv", layout.kind, given_lines, 5))
    expected = [judged(line, layout) for line in given_lines]
    assert parsed.kinds.tolist() == [kind for kind, _ in expected], given_lines
    rows = [row for kind, row in expected if kind == Kind.PARSED]
    assert rows == found(parsed)
    assert [r.index for r in parsed.rejects] == [i for i, (kind, _) in enumerate(expected) if kind == Kind.REJECTED]


@given(st.sampled_from(LAYOUTS), st.lists(st.binary(max_size=60), max_size=8))
@settings(max_examples=tried(200), deadline=None)
def test_any_bytes_are_one_of_parsed_control_rejected(layout: Layout, payloads: list[bytes]) -> None:
    parsed = Csv(layout).parse(RawBatch.of("csv", layout.kind, payloads, 5))
    rows = parsed.ticks if parsed.ticks is not None else parsed.bars
    assert parsed.count(Kind.PARSED) + parsed.count(Kind.CONTROL) + parsed.count(Kind.REJECTED) == len(payloads)
    assert len(rows or ()) == parsed.count(Kind.PARSED) and len(parsed.rejects) == parsed.count(Kind.REJECTED)
    assert all(r.reason and r.detail and parsed.kinds[r.index] == Kind.REJECTED for r in parsed.rejects)


def test_the_header_again_is_control_and_a_batch_may_be_empty() -> None:
    feed = Csv(LAYOUTS[0])
    header = LAYOUTS[0].header.encode()
    parsed = feed.parse(
        RawBatch.of("csv", "ticks", [header, b"\xef\xbb\xbf" + header, b" " + header + b" ", b"", b"\t", b"# x"], 5)
    )
    assert parsed.kinds.tolist() == [Kind.CONTROL] * 6
    for layout in LAYOUTS:
        empty = Csv(layout).parse(RawBatch.of("csv", layout.kind, [], 5))
        assert len(empty.kinds) == 0 and not empty.rejects


def judged(line: bytes, layout: Layout) -> tuple[Kind, tuple[object, ...] | None]:
    """What the strict reader alone makes of a line."""
    try:
        text = decoded(line)
        if is_control(text, layout):
            return Kind.CONTROL, None
        row = read_line(text, layout)
    except Refused:
        return Kind.REJECTED, None
    time = utc(row.time, layout) if row.local else row.time
    values = {name: value / layout.scale if name in PRICES else value for name, value in row.values.items()}
    if time is None or (layout.price == "mid" and not (values["bid"] > 0 and values["ask"] > 0)):
        return Kind.REJECTED, None
    if layout.kind == "bars":
        volume = 0.0 if np.isnan(values["volume"]) else values["volume"]
        prices = tuple(values[name] for name in ("open", "high", "low", "close"))
        return Kind.PARSED, (row.texts["symbol"], time, *prices, volume, max(row.integers["trades"], 0))
    price = (values["bid"] + values["ask"]) / 2 if layout.price == "mid" else values["price"]
    size = repr(values.get("size", float("nan")))
    return Kind.PARSED, (
        row.texts["symbol"],
        time,
        price,
        size,
        row.integers.get("id", -1),
        row.texts.get("conditions", ""),
    )


def utc(local: int, layout: Layout) -> int | None:
    """A local time in UTC by the standard library, None for one that was skipped."""
    naive = datetime(1970, 1, 1) + timedelta(microseconds=local)
    zone = (
        ZoneInfo(layout.tz)
        if "/" in layout.tz
        else datetime.strptime(layout.tz, "%z").tzinfo
        if layout.tz != "UTC"
        else UTC
    )
    moment = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
    back = moment.astimezone(zone).replace(tzinfo=None)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) if back == naive else None


def found(parsed: Parsed) -> list[tuple[object, ...]]:
    """The rows of a batch in the same shape."""
    b, t = parsed.bars, parsed.ticks
    if b is not None:
        columns = (b.open, b.high, b.low, b.close, b.volume, b.trades)
        return list(
            zip(
                [b.symbols[c] for c in b.symbol.tolist()], b.start.tolist(), *(c.tolist() for c in columns), strict=True
            )
        )
    assert t is not None
    names, words = [t.symbols[c] for c in t.symbol.tolist()], [t.conditions[c] for c in t.condition.tolist()]
    sizes = [repr(size) for size in t.size.tolist()]
    return list(zip(names, t.event_time.tolist(), t.price.tolist(), sizes, t.last_id.tolist(), words, strict=True))
