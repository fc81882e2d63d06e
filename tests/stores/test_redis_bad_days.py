"""A Redis that is killed, frozen, cut off, full, or wants another password: nobody waits, and later it gets everything."""

import time
from contextlib import contextmanager

import pytest

from tests.stores.keys import named
from tests.stores.samples import T0, bar, batch, ticks
from tickhouse.core import observe
from tickhouse.core.errors import TickhouseError, Unreachable
from tickhouse.core.plugins import open_url

AT_ONCE = 0.25
"""Seconds within which a call returns that waits for nobody, on a busy machine."""


@pytest.fixture
def told():
    """The names of what was told."""
    events, before = [], observe.hooks
    observe.hooks = (events.append,)
    yield lambda: [event.name for event in events if event.room == "stores"]
    observe.hooks = before


@contextmanager
def store(url):
    hot = open_url("stores", url)
    try:
        yield hot
    finally:
        hot.close()


def write(hot, number, symbols=3):
    """One more tick of each symbol; fails when that takes long."""
    began = time.perf_counter()
    rows = [{"symbol": f"S{i}", "event_time": T0 + number, "price": number + 1.0} for i in range(symbols)]
    hot.ticks(ticks(*rows))
    hot.bars(batch([bar(f"S{i}", number) for i in range(symbols)]))
    assert time.perf_counter() - began < AT_ONCE


def seen(url, symbols=3):
    """What another process reads: the price of each symbol."""
    with store(url) as other:
        found = {row["symbol"]: row["price"] for row in other.latest()}
        assert len(other.forming()) in (0, symbols)
        return found


def until(true, seconds=10.0):
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "it did not come"
        time.sleep(0.02)


def test_killed_and_restarted_without_its_data_it_is_told_everything_again(private_server, make, told):
    server = private_server(make)
    url = named(server.url)
    with store(url) as hot:
        write(hot, 1)
        assert hot.flush()
        server.kill()
        for number in range(2, 40):
            write(hot, number, symbols=2)
            time.sleep(0.01)
        until(lambda: told() == ["hot store away"])
        with pytest.raises(Unreachable, match="cannot be reached"):
            hot.check()
        assert len(hot.latest()) == 3, "what this process saw is still answered"
        assert b'tickhouse_hot_up{part="answers"} 0.0' in observe.exposition()
        for file in (server.folder / "data").rglob("*.aof"):
            file.unlink()
        for file in (server.folder / "data").rglob("*.manifest"):
            file.unlink()
        server.restart()
        assert hot.flush(10)
        assert seen(url) == {"S0": 40.0, "S1": 40.0, "S2": 2.0}, "the one that did not change meanwhile, too"
        until(lambda: told() == ["hot store away", "hot store back"])
        assert "answers" in hot.check()
        assert b'tickhouse_hot_up{part="answers"} 1.0' in observe.exposition()


def test_restarted_between_two_writes_it_is_told_everything_again(private_server, make, told):
    server = private_server(make)
    url = named(server.url)
    with store(url) as hot:
        write(hot, 1)
        assert hot.flush()
        client = hot.address.connect()
        client.flushall()
        client.close()
        hot.ticks(ticks({"symbol": "S0"}, {"symbol": "NEVER"}).take(slice(0, 1)))
        server.restart()
        write(hot, 2, symbols=1)
        until(lambda: hot.flush(0) and seen(url) == {"S0": 3.0, "S1": 2.0, "S2": 2.0})


@pytest.mark.slow
def test_frozen_it_holds_nobody_up_and_gets_the_newest_when_it_goes_on(private_server, make, told):
    server = private_server(make)
    url = named(server.url)
    with store(url) as hot, store(url) as other:
        write(hot, 1)
        assert hot.flush()
        server.freeze()
        began, number = time.monotonic(), 1
        while time.monotonic() - began < 3.0:
            number += 1
            write(hot, number)
            time.sleep(0.005)
        began = time.monotonic()
        assert other.latest() == []
        assert time.monotonic() - began < 1.5, "a reader waits once, and not long"
        began = time.monotonic()
        assert [other.latest(), other.forming()] == [[], []]
        assert time.monotonic() - began < AT_ONCE
        server.thaw()
        assert hot.flush(10)
        assert seen(url) == dict.fromkeys(("S0", "S1", "S2"), number + 1.0)
        until(lambda: len(other.latest()) == 3)
        assert [name for name in told() if name == "hot store away"] == ["hot store away"] * 2, "once by each process"


def test_a_line_that_is_cut_and_mended(private_server, make, told):
    _, line = private_server.with_line(make)
    url = named(_.url)
    with store(url) as hot:
        write(hot, 1)
        assert hot.flush()
        line.drop()
        write(hot, 2)
        assert hot.flush(10)
        line.cut()
        write(hot, 3)
        until(lambda: told()[-1:] == ["hot store away"])
        assert not hot.flush(0.1)
        line.mend()
        assert hot.flush(10)
        assert seen(url) == dict.fromkeys(("S0", "S1", "S2"), 4.0)
        assert told()[-1] == "hot store back"


def test_a_store_that_was_away_when_it_was_opened(private_server, make, told):
    server = private_server(make)
    url = named(server.url)
    server.kill()
    with store(url) as hot:
        write(hot, 1)
        assert len(hot.latest()) == 3
        server.restart()
        assert hot.flush(10)
        assert seen(url) == dict.fromkeys(("S0", "S1", "S2"), 2.0)


def test_out_of_memory_it_says_so_once_answers_still_and_takes_values_again(private_server, make, told):
    server = private_server(make)
    url = named(server.url)
    with store(url) as hot:
        write(hot, 1)
        assert hot.flush()
        client = hot.address.connect()
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1mb")
        for number in range(2, 60):
            write(hot, number)
            time.sleep(0.01)
        until(lambda: told() == ["hot store takes nothing"])
        with pytest.raises(TickhouseError, match="out of memory"):
            hot.check()
        assert seen(url) == dict.fromkeys(("S0", "S1", "S2"), 2.0), "it is read as before"
        assert {row["price"] for row in hot.latest()} == {60.0}, "and this process knows better"
        client.config_set("maxmemory", 0)
        client.close()
        assert hot.flush(10)
        assert seen(url) == dict.fromkeys(("S0", "S1", "S2"), 60.0)
        until(lambda: told() == ["hot store takes nothing", "hot store takes values again"])


def test_a_password_that_was_changed_meanwhile_is_told_and_the_store_waits_for_the_right_one(
    private_server, make, told
):
    server = private_server(make)
    url, secret = named(server.url), server.secret
    with store(url) as hot:
        write(hot, 1)
        assert hot.flush()
        server.kill()
        server.secret = "another"
        server.restart()
        write(hot, 2)
        until(lambda: told()[:1] == ["hot store away"])
        with pytest.raises(TickhouseError) as wrong:
            until(lambda: not hot.check(), 3)
        assert secret not in str(wrong.value)
        server.kill()
        server.secret = secret
        server.restart()
        assert hot.flush(10)
        assert seen(url) == dict.fromkeys(("S0", "S1", "S2"), 3.0)
