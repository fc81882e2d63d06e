"""What is merged for slow readers and kept for those who come back, against plain references."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickhouse.core.times import rfc3339
from tickhouse.surfaces._changes import Change, Filter, Item, Merged, Recent, _time, frame, items_of, message
from tickhouse.surfaces.stream import Refused, opening, wanted_parts, with_parts, without_parts

MINUTE = 60_000_000


def bar(
    symbol: str, minute: int, state: str = "forming", close: float = 1.0, version: int = 0, interval: str = "1m"
) -> dict[str, Any]:
    """A row as listeners get it."""
    return {"symbol": symbol, "source": "s", "interval": interval, "start": minute * MINUTE, "open": 1.0, "high": 1.0, "low": 1.0,
            "close": close, "volume": 1.0, "vwap": 1.0, "trades": 1, "completeness": 1.0, "state": state, "version": version,
            "first_raw": 0, "last_raw": 0, "known_at": 0}  # fmt: skip


def row_item(topic: str, row: dict[str, Any], seq: int) -> Item:
    """The item of one row."""
    return next(items_of(topic, {name: [value] for name, value in row.items()}, seq))


def rows_of(items: list[Item]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(item.raw) for item in items]


step = st.tuples(
    st.sampled_from("AB"), st.integers(0, 3), st.sampled_from(["forming", "final", "corrected"]), st.integers(0, 999)
)


@given(st.lists(step, max_size=40))
def test_merging_keeps_every_firm_bar_and_the_newest_forming_one(steps: list[tuple[str, int, str, int]]) -> None:
    """Against a reference: firm rows as they came; of forming ones the newest a series, unless a firm one ended it later."""
    merged, firm, shown = Merged(), [], {}
    for symbol, minute, state, close in steps:
        row = bar(symbol, minute, state, float(close))
        merged.add([row_item("bars", row, 1)])
        if state == "forming":
            if symbol not in shown or shown[symbol]["start"] <= row["start"]:
                shown[symbol] = row
        else:
            firm.append(row)
            if symbol in shown and shown[symbol]["start"] <= row["start"]:
                del shown[symbol]
    got = [(r["symbol"], r["state"], r["close"]) for r in rows_of(merged.items())]
    assert got == [(r["symbol"], r["state"], r["close"]) for r in (*firm, *shown.values())]


@given(st.lists(step, max_size=60), st.integers(0, 60), st.integers(1, 50))
def test_who_comes_back_has_what_one_who_stayed_has(
    steps: list[tuple[str, int, str, int]], left: int, most: int
) -> None:
    """The state of a reader that left at a moment and resumed is that of one that heard all, or resuming is refused."""
    recent = Recent(most, 0)
    items = [row_item("bars", bar(s, m, state, float(c)), i + 1) for i, (s, m, state, c) in enumerate(steps)]
    for item in items:
        recent.add([item])
    left = min(left, len(items))
    if not recent.covers(left, len(items)):
        assert sum(item.key is None for item in items) > most
        return
    heard = _state(items)
    assert _state([*items[:left], *recent.since(left)]) == heard


def _state(items: list[Item]) -> tuple[dict[Any, float], list[tuple[Any, ...]]]:
    """What a reader shows: the last close by series, and every firm bar that it was told, in order."""
    firm = [(r["symbol"], r["start"], r["state"], r["close"]) for r in rows_of([i for i in items if i.key is None])]
    forming: dict[Any, tuple[str, float]] = {}
    for row in rows_of(items):
        if row["state"] == "forming":
            if forming.get(row["symbol"], ("",))[0] <= row["start"]:
                forming[row["symbol"]] = (row["start"], row["close"])
        elif row["symbol"] in forming and forming[row["symbol"]][0] <= row["start"]:
            del forming[row["symbol"]]
    return forming, firm


def test_a_stretch_of_coverage_that_ended_is_kept_beside_the_one_that_grows() -> None:
    row = {"source": "s", "symbol": "A", "channel": "trade", "start": 0, "end": 5, "state": "live", "missing": 0}
    merged = Merged()
    merged.add([row_item("coverage", {**row, "end": end}, 1) for end in (5, 6, 7)])
    merged.add([row_item("coverage", {**row, "start": 7, "end": 9, "state": "blind"}, 2)])
    assert [(r["end"][-4:], r["state"]) for r in rows_of(merged.items())] == [("007Z", "live"), ("009Z", "blind")]


def test_the_memory_of_the_past_is_bounded_and_says_how_far_it_reaches() -> None:
    recent = Recent(3, 10)
    recent.add(row_item("bars", bar("A", i, "final"), 11 + i) for i in range(5))
    assert len(list(recent.since(0))) == 3 and recent.floor == 12
    assert recent.covers(12, 15) and not recent.covers(11, 15) and not recent.covers(16, 15)


SYMBOLS = st.frozensets(st.sampled_from("ABCD"), min_size=1, max_size=3)


@given(
    st.none() | SYMBOLS,
    st.none() | st.just(frozenset({"1m"})),
    st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from(["1m", "5m"])), max_size=12),
)
def test_a_filter_chooses_what_a_plain_test_would(
    symbols: Any, intervals: Any, given_rows: list[tuple[str, str]]
) -> None:
    filter_ = Filter.of([("bars", symbols, intervals)])
    items = [row_item("bars", bar(s, i, interval=n), 1) for i, (s, n) in enumerate(given_rows)]
    by_symbol: dict[str, list[Item]] = {}
    for item in items:
        by_symbol.setdefault(item.symbol, []).append(item)
    plain = {
        id(i)
        for i in items
        if (symbols is None or i.symbol in symbols) and (intervals is None or i.interval in intervals)
    }
    assert {id(item) for item in filter_.choose(items, by_symbol)} == plain


def test_equal_questions_share_their_messages() -> None:
    one = opening({"topics": "ticks,bars", "symbols": "eth-usdt,BTC-USDT"})[0]
    other = opening({"topics": "bars,ticks", "symbols": "BTC-USDT,ETH-USDT"})[0]
    assert one == other and hash(one) == hash(other)
    change = Change(5, [row_item("bars", bar("A", 1), 5)])
    assert change.frame is change.frame and change.text.encode() == change.payload


@given(st.binary(max_size=70_000))
def test_a_frame_is_what_rfc_6455_says(payload: bytes) -> None:
    made = frame(payload)
    size, offset = made[1], 2
    if size == 126:
        size, offset = int.from_bytes(made[2:4], "big"), 4
    elif size == 127:
        size, offset = int.from_bytes(made[2:10], "big"), 10
    assert made[0] == 0x81 and size == len(payload) and made[offset:] == payload


def test_a_message_is_json_with_the_rows_by_topic() -> None:
    tick = {"symbol": "A", "source": "s", "price": float("nan"), "size": None, "event_time": 0, "received_at": 1}
    found = msgspec.json.decode(
        message("changes", 7, [row_item("bars", bar("A", 1), 7), row_item("ticks", tick, 7)], resumed=True)
    )
    assert found["seq"] == 7 and found["resumed"] is True and found["bars"][0]["start"] == "1970-01-01T00:01:00Z"
    assert found["ticks"] == [
        {**tick, "price": None, "event_time": "1970-01-01T00:00:00Z", "received_at": "1970-01-01T00:00:00.000001Z"}
    ]


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_times_on_the_stream_are_those_of_rest(us: int) -> None:
    assert _time(us) == rfc3339(us)


def test_subscriptions_add_up_and_can_be_taken_back() -> None:
    held = with_parts(Filter(), wanted_parts({"topics": ["bars"], "symbols": ["btc-usdt"], "interval": "1m"}))
    held = with_parts(held, wanted_parts({"topics": ["bars", "ticks"], "symbols": ["ETH-USDT"], "interval": ["5m"]}))
    assert held.topics["bars"] == (frozenset({"BTC-USDT", "ETH-USDT"}), frozenset({"1m", "5m"}))
    assert held.topics["ticks"] == (frozenset({"ETH-USDT"}), None)
    held = without_parts(held, {"symbols": ["ETH-USDT"]})
    assert list(held.topics) == ["bars"] and held.topics["bars"][0] == frozenset({"BTC-USDT"})
    assert without_parts(held, {"topics": ["bars"]}).parts == ()


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"topics": ["prices"]}, "coverage"), ({"topics": 5}, "list"), ({"symbols": ["x y"]}, "AAPL"), ({"interval": "1x"}, "1m"),
        ({"symbols": [f"S{i}" for i in range(2001)]}, "2000"), ({"interval": [f"{i}m" for i in range(1, 20)]}, "16"),
        ({"symbol": "A"}, "symbols"),
    ],
)  # fmt: skip
def test_a_bad_subscription_is_refused_with_what_is_allowed(said: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused, match=word):
        wanted_parts(said)
