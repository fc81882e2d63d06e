"""What every hot store must do. A new backend is one line in `BACKENDS`."""

import math
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.stores.keys import forget, named
from tests.stores.samples import MINUTE, T0, bar, batch, ticks
from tickhouse.core.model import BAR, State
from tickhouse.core.plugins import open_url


class Beside:
    """Writes to a server as one process and reads as another, which took in nothing itself."""

    def __init__(self, request, server):
        url = named(request.getfixturevalue(server))
        self.writer, self.reader = open_url("stores", url), open_url("stores", url)
        request.addfinalizer(lambda: forget(self.writer, self.reader))
        self.ticks, self.bars = self.writer.ticks, self.writer.bars

    def latest(self, symbols=()):
        assert self.writer.flush()
        return self.reader.latest(symbols)

    def forming(self, symbols=(), interval=None):
        assert self.writer.flush()
        return self.reader.forming(symbols, interval)


BACKENDS = {
    "memory": lambda request: open_url("stores", "memory://"),
    "redis": lambda request: Beside(request, "redis_url"),
    "valkey": lambda request: Beside(request, "valkey_url"),
}


@pytest.fixture(params=BACKENDS)
def new(request):
    """Makes an empty store."""
    return lambda: BACKENDS[request.param](request)


@pytest.fixture
def hot(new):
    """An empty store."""
    return new()


def prices(hot, *symbols):
    return {(row["symbol"], row["source"]): row["price"] for row in hot.latest(symbols)}


def test_an_empty_store_answers_with_nothing(hot):
    assert (hot.latest(), hot.latest(["A"]), hot.forming()) == ([], [], [])
    hot.ticks(ticks())
    assert hot.latest() == []


def test_a_symbol_of_which_no_tick_is_left_has_no_price(hot):
    hot.ticks(ticks({"symbol": "A"}, {"symbol": "B"}).take(slice(0, 1)))
    assert [row["symbol"] for row in hot.latest()] == ["A"]
    assert hot.latest(["B"]) == []


def test_the_newest_price_of_each_symbol_and_source_is_plain_values(hot):
    hot.ticks(ticks({"symbol": "A", "price": 1.0}, {"symbol": "A", "price": 2.0, "event_time": T0 + 1, "size": None}))
    hot.ticks(ticks({"symbol": "A", "price": 3.0}, source="csv"))
    hot.ticks(ticks({"symbol": "B", "price": 4.0}))
    newest = {
        "symbol": "A",
        "source": "binance",
        "price": 2.0,
        "size": None,
        "event_time": T0 + 1,
        "received_at": T0 + 5,
    }
    assert newest in hot.latest(["A"])
    assert prices(hot, "A") == {("A", "binance"): 2.0, ("A", "csv"): 3.0}
    assert prices(hot) == {("A", "binance"): 2.0, ("A", "csv"): 3.0, ("B", "binance"): 4.0}


def test_an_older_event_time_never_replaces_a_newer_one_and_of_equal_ones_the_later_wins(hot):
    hot.ticks(ticks({"price": 5.0, "event_time": T0 + 9}, {"price": 1.0, "event_time": T0 + 3}))
    hot.ticks(ticks({"price": 2.0, "event_time": T0 + 8}))
    assert prices(hot) == {("BTC-USDT", "binance"): 5.0}
    hot.ticks(ticks({"price": 6.0, "event_time": T0 + 9}))
    assert prices(hot) == {("BTC-USDT", "binance"): 6.0}


def test_a_load_of_old_ticks_changes_no_newer_price(hot):
    hot.ticks(ticks({"event_time": T0 + 100, "price": 9.0}))
    hot.ticks(ticks(*({"event_time": T0 + n} for n in range(50)), lane="load:old"))
    assert prices(hot) == {("BTC-USDT", "binance"): 9.0}


def test_the_newest_bar_of_each_series_is_plain_values(hot):
    hot.bars(
        batch([bar("A", 1, vwap=math.nan, state=State.FORMING), bar("A", 0), bar("A", 0, interval="5m"), bar("B", 0)])
    )
    found = {(row["symbol"], row["interval"]): row for row in hot.forming()}
    assert set(found) == {("A", "1m"), ("A", "5m"), ("B", "1m")}
    assert set(found["A", "1m"]) == set(BAR.names)
    assert (found["A", "1m"]["start"], found["A", "1m"]["state"], found["A", "1m"]["vwap"]) == (
        T0 + MINUTE,
        "forming",
        None,
    )
    assert [row["symbol"] for row in hot.forming(["B"])] == ["B"]
    assert [row["interval"] for row in hot.forming(["A"], "5m")] == ["5m"]


@pytest.mark.parametrize("later", [
    {"start": T0 + MINUTE, "state": State.FORMING},
    {"state": State.FINAL, "known_at": T0},
    {"version": 1, "state": State.CORRECTED},
    {"state": State.FORMING, "known_at": T0 + 9 * MINUTE},
])  # fmt: skip
def test_a_bar_gives_way_to_a_later_one_and_not_the_other_way_round(hot, later):
    forming = bar(state=State.FORMING, close=1.5)
    newer = {**forming, "close": 2.5, **later}
    for row in (forming, newer, forming):
        hot.bars(batch([row]))
    assert [row["close"] for row in hot.forming()] == [2.5]
    hot.bars(batch([newer, forming]))
    assert [row["close"] for row in hot.forming()] == [2.5]


TICK = st.tuples(st.sampled_from("ABC"), st.integers(0, 20), st.integers(1, 99))


@settings(max_examples=tried(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(TICK, min_size=1, max_size=12), max_size=6))
def test_however_ticks_are_batched_the_newest_one_is_shown(new, batches):
    hot, newest = new(), {}
    for rows in batches:
        hot.ticks(ticks(*({"symbol": s, "event_time": T0 + t, "price": float(p)} for s, t, p in rows)))
        for symbol, time, price in rows:
            if time >= newest.get(symbol, (0, 0.0))[0]:
                newest[symbol] = time, float(price)
    assert prices(hot) == {(symbol, "binance"): price for symbol, (_, price) in newest.items()}


def test_several_threads_may_write_and_read(hot):
    def write(source):
        for n in range(200):
            hot.ticks(ticks({"symbol": f"S{n % 40}", "event_time": T0 + n, "price": float(n + 1)}, source=source))
            if n % 20 == 0:
                hot.latest()

    threads = [threading.Thread(target=write, args=(f"s{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hot.latest()) == 160
    assert {row["price"] for row in hot.latest(["S39"])} == {200.0}


def test_what_a_process_took_in_itself_can_be_had_apart(hot):
    mine = getattr(hot, "writer", hot)
    mine.ticks(ticks({"symbol": "A", "price": 1.0}))
    mine.bars(batch([bar("A")]))
    assert prices(mine.own) == {("A", "binance"): 1.0}
    assert [row["symbol"] for row in mine.own.forming(["A"])] == ["A"]


def test_a_store_that_is_well_says_so_in_one_sentence(hot):
    said = getattr(hot, "writer", hot).check()
    assert said
    assert "\n" not in said
