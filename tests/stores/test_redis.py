"""What is particular to the hot store on Redis: its keys, its URL, and what happens when several write at once."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.stores.keys import forget, named
from tests.stores.samples import MINUTE, T0, bar, batch, ticks
from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.core.model import State
from tickhouse.core.plugins import open_url
from tickhouse.stores import memory


@pytest.fixture
def place(hot_url):
    """A URL with keys of its own, which are removed."""
    url = named(hot_url)
    yield url
    forget(open_url("stores", url))


@pytest.fixture
def opened(place):
    """Opens stores on the same keys."""
    stores = []

    def new(url=place):
        stores.append(open_url("stores", url))
        return stores[-1]

    yield new
    for store in stores:
        store.close()


def test_prices_and_bars_are_hashes_that_a_person_can_read(opened):
    hot = opened()
    hot.ticks(ticks({"symbol": "BTC-USDT", "price": 0.1 + 0.2, "size": None}))
    hot.bars(batch([bar("BTC-USDT", state=State.FORMING)]))
    assert hot.flush()
    client, prefix = hot.address.connect(decode_responses=True), hot.address.prefix
    price = client.hgetall(f"{prefix}:price:BTC-USDT:binance")
    assert price == {
        "symbol": "BTC-USDT", "source": "binance", "price": "0.30000000000000004", "size": "", "event_time": str(T0),
        "received_at": str(T0 + 5),
    }  # fmt: skip
    shown = client.hgetall(f"{prefix}:bar:BTC-USDT:1m:binance")
    assert (shown["state"], shown["close"], shown["start"]) == ("forming", "3.0", str(T0))
    assert client.zrange(f"{prefix}:prices", 0, -1) == ["BTC-USDT:binance"]
    assert 590 < client.ttl(f"{prefix}:price:BTC-USDT:binance") <= 600
    client.close()


def test_a_value_that_expired_is_gone_from_the_answers_and_from_the_list(opened, place):
    hot, other = opened(place.replace("ttl=10m", "ttl=1d")), opened()
    hot.ticks(ticks({"symbol": "A"}, {"symbol": "B"}))
    assert hot.flush()
    client, prefix = hot.address.connect(), hot.address.prefix
    client.delete(f"{prefix}:price:A:binance")
    assert [row["symbol"] for row in other.latest()] == ["B"]
    assert client.zrange(f"{prefix}:prices", 0, -1) == [b"B:binance"]
    client.close()


def test_a_symbol_that_begins_like_another_is_not_taken_for_it(opened):
    hot, other = opened(), opened()
    hot.ticks(ticks({"symbol": "A"}, {"symbol": "AB"}, {"symbol": "A-B"}, {"symbol": "A.B"}))
    assert hot.flush()
    assert [row["symbol"] for row in other.latest(["A"])] == ["A"]


def test_more_series_than_one_call_takes(opened):
    n = 1203
    rows = [{"symbol": f"S{i}", "price": i + 0.5, "event_time": T0 + i} for i in range(n)]
    hot, other = opened(), opened()
    hot.ticks(ticks(*rows))
    assert hot.flush()
    assert {row["symbol"]: row["price"] for row in other.latest()} == {row["symbol"]: row["price"] for row in rows}


def test_the_newer_of_the_servers_value_and_of_ones_own_is_shown(opened):
    ours, theirs = opened(), opened()
    ours.own.ticks(ticks({"symbol": "A", "event_time": T0 + 1, "price": 1.0}, {"symbol": "B", "event_time": T0 + 9}))
    theirs.ticks(ticks({"symbol": "A", "event_time": T0 + 2, "price": 2.0}, {"symbol": "B", "event_time": T0}))
    assert theirs.flush()
    assert {row["symbol"]: row["event_time"] for row in ours.latest()} == {"A": T0 + 2, "B": T0 + 9}
    ours.close()
    assert {row["symbol"]: row["event_time"] for row in theirs.latest()} == {"A": T0 + 2, "B": T0}, "own stays own"


def test_what_waits_is_written_when_the_store_is_closed(opened):
    hot = opened()
    hot.ticks(ticks({"symbol": "A", "price": 7.0}))
    hot.close()
    assert [row["price"] for row in opened().latest()] == [7.0]


def test_scripts_that_the_server_forgot_are_given_again(opened):
    hot = opened()
    hot.ticks(ticks({"symbol": "A"}))
    assert hot.flush()
    client = hot.address.connect()
    client.script_flush()
    client.close()
    hot.ticks(ticks({"symbol": "B"}))
    assert hot.flush()
    assert len(opened().latest()) == 2


PRICE = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 60)), min_size=1, max_size=8)
BAR = st.lists(st.tuples(st.sampled_from("AB"), *(st.integers(0, 2) for _ in range(4))), min_size=1, max_size=6)


@settings(max_examples=tried(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PRICE, max_size=6), st.lists(BAR, max_size=6), st.randoms(use_true_random=False))
def test_whoever_writes_what_at_the_same_time_the_end_is_that_of_the_store_in_memory(hot_url, prices, bars, chance):
    """A value is a function of its rank here: of two that are equally new it does not matter which one is shown."""
    given_ = [
        ("ticks", ticks(*({"symbol": s, "event_time": T0 + t, "price": t + 1.0} for s, t in rows))) for rows in prices
    ]
    given_ += [("bars", batch([_bar(*row) for row in rows])) for rows in bars]
    url, plain = named(hot_url), memory.open()
    stores = [open_url("stores", url) for _ in range(3)]
    try:
        for method, one in given_:
            getattr(plain, method)(one)
        chance.shuffle(given_)
        threads = [threading.Thread(target=_write, args=(store, given_[i::3])) for i, store in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reader = open_url("stores", url)
        assert sorted(reader.latest(), key=str) == sorted(plain.latest(), key=str)
        assert sorted(reader.forming(), key=str) == sorted(plain.forming(), key=str)
        reader.close()
    finally:
        forget(*stores)


def _bar(symbol, minute, version, state, known):
    rank = ((minute * 3 + version) * 2 + (state > 0)) * 3 + known
    return bar(symbol, minute, version=version, state=min(state, 1), known_at=T0 + known * MINUTE, close=1.0 + rank)


def _write(store, work):
    for method, one in work:
        getattr(store, method)(one)
        store.flush()


@pytest.mark.parametrize(("url", "said"), [
    ("redis://127.0.0.1:1/mine", "hot.url"),
    ("redis:///0", "hot.url"),
    ("redis://127.0.0.1:99999/0", "hot.url"),
    ("redis://:verysecret@127.0.0.1:1/0?colour=red", "colour"),
    ("redis://:verysecret@127.0.0.1:1/0?ttl=soon", "ttl"),
    ("redis://127.0.0.1:1/0?ssl_ca_certs=x.pem", "ssl_ca_certs"),
])  # fmt: skip
def test_a_url_that_cannot_be_is_refused_without_telling_the_password(url, said):
    with pytest.raises(BadSetting, match=said) as refused:
        open_url("stores", url)
    assert "verysecret" not in str(refused.value)


def test_a_wrong_password_a_missing_one_and_a_missing_database_are_refused_in_one_sentence(hot_url):
    secret = hot_url.split("@")[0].rpartition(":")[2]
    for url, said in (
        (hot_url.replace(secret, "wrong"), "refuses the password"),
        (hot_url.replace(f":{secret}@", ""), "wants a password"),
        (hot_url.removesuffix("/0") + "/4711", "no database of that number"),
    ):
        with pytest.raises(SettingsError, match=said) as refused:
            open_url("stores", url)
        assert "\n" not in str(refused.value)
        assert "wrong" not in str(refused.value)


def test_ten_thousand_new_values_cost_whoever_has_them_no_more_than_in_memory(opened, clock_of_the_machine):
    """What it costs the pipeline: the store in memory, and noting what changed."""
    n, rng = 10_000, np.random.default_rng(1)
    rows = [{"symbol": f"S{i % 1000}", "event_time": T0 + i, "price": float(rng.random() + 1)} for i in range(n)]
    one, hot = ticks(*rows), opened()
    hot.ticks(one)
    assert min(clock_of_the_machine(lambda: hot.ticks(one)) for _ in range(5)) / n < 4 * 330e-9
