"""Those who only show the warm store ask its replicas, and the server itself where these are away, hang or are too far behind."""

import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from tests.servers import Private
from tests.stores.replica import Replica
from tests.stores.samples import bar, bars_output
from tickhouse.core import observe
from tickhouse.core.errors import BadQuery, BadSetting
from tickhouse.core.model import Query
from tickhouse.core.plugins import open_url
from tickhouse.core.replicas import Places, apart
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline
from tickhouse.steps import replicated
from tickhouse.steps.replicated import Replicated

SOON = 30.0
NUMBERS = count(1)


@pytest.fixture(scope="module")
def servers():
    """A server and its replica."""
    folder = Path(tempfile.mkdtemp(prefix="tickhouse-private-"))
    folder.chmod(0o711)
    private = Private(folder)
    try:
        server = private("postgres")
        replica = Replica(folder / "replica", server)
        try:
            replica.start()
            yield server, replica
        finally:
            replica.remove()
    finally:
        private.remove()


@pytest.fixture
def pair(servers):
    """A store of its own on both servers, and its URL."""
    server, replica = servers
    name = f"store_{next(NUMBERS)}"
    run(server.url, f"CREATE DATABASE {name}")
    url = server.url.replace("/postgres", f"/{name}")
    with closing(open_url("stores", url)) as warm:
        yield SimpleNamespace(server=server, warm=warm, replica=replica, url=f"{url}?replica=127.0.0.1:{replica.port}")


@contextmanager
def shown(pair, lag=10.0):
    """The store as those see it who only show it."""
    places = apart(pair.url)
    with closing(Replicated(pair.warm, Places(places.url, places.replicas, lag))) as store:
        yield store


def asks_replica(store, pair):
    return f":{pair.replica.port}/" in store.url


def until(condition):
    limit = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def run(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def closes(store):
    return [row["close"] for row in store.bars(Query()).to_pylist()]


def test_a_replica_answers_once_it_was_seen_to_be_fit_and_not_when_it_is_too_far_behind(pair):
    pair.warm.write("g", bars_output(1, bar(close=1.0)))
    with shown(pair, lag=600.0) as patient, shown(pair, lag=1.0) as strict:
        assert closes(patient) == closes(strict) == [1.0]
        until(lambda: asks_replica(patient, pair) and asks_replica(strict, pair))
        run(pair.replica.url, "SELECT pg_wal_replay_pause()")
        pair.warm.write("g", bars_output(2, bar(close=2.0)))
        assert closes(patient) == [1.0], "which is what the replica has"
        until(lambda: not asks_replica(strict, pair))
        assert closes(strict) == [2.0] and closes(patient) == [1.0]
        run(pair.replica.url, "SELECT pg_wal_replay_resume()")
        until(lambda: asks_replica(strict, pair) and closes(strict) == [2.0])
        until(lambda: closes(patient) == [2.0])


def test_a_replica_that_is_killed_is_not_missed_and_is_asked_again_when_it_is_back(pair, monkeypatch):
    told = []
    monkeypatch.setattr(observe, "hooks", (told.append,))
    pair.warm.write("g", bars_output(1, bar(close=1.0)))
    with shown(pair) as store:
        store.position("g")
        until(lambda: asks_replica(store, pair))
        told.clear()
        pair.replica.kill()
        try:
            began = time.monotonic()
            assert closes(store) == [1.0] and time.monotonic() - began < 5
            assert not asks_replica(store, pair)
        finally:
            pair.replica.start()
        until(lambda: asks_replica(store, pair))
        assert closes(store) == [1.0]
    assert [event.name for event in told if "replica" in str(event.facts)] == ["line is down", "connected again"]


def test_a_replica_that_hangs_keeps_nobody_waiting(pair):
    pair.warm.write("g", bars_output(1, bar(close=1.0)))
    with shown(pair) as store:
        store.position("g")
        until(lambda: asks_replica(store, pair))
        pair.replica.freeze()
        try:
            began = time.monotonic()
            assert closes(store) == [1.0] and time.monotonic() - began < 6
            began = time.monotonic()
            assert closes(store) == [1.0] and time.monotonic() - began < 1
        finally:
            pair.replica.thaw()
        until(lambda: asks_replica(store, pair))


def test_a_replica_that_hangs_is_let_go_of_at_once_when_we_are_to_end(pair, monkeypatch):
    told = []
    pair.warm.write("g", bars_output(1, bar(close=1.0)))
    with ThreadPoolExecutor() as pool, shown(pair) as store:
        store.position("g")
        until(lambda: asks_replica(store, pair))
        monkeypatch.setattr(observe, "hooks", (told.append,))
        monkeypatch.setattr(replicated, "FRESH_SECONDS", 600.0)  # it counts as fit all the time
        pair.replica.freeze()
        try:
            waiting = pool.submit(closes, store)
            time.sleep(0.5)
            assert not waiting.done()
            began = time.monotonic()
            store.cut()
            assert waiting.result(5) == [1.0], "which the server answers"
            store.close()
            assert time.monotonic() - began < 1.0
            assert [thread for thread in threading.enumerate() if thread.name in ("replica", "replicas")] == []
            assert told == []
        finally:
            pair.replica.thaw()


def test_a_replica_answers_while_its_server_is_away(pair):
    pair.warm.write("g", bars_output(1, bar(close=1.0)))
    with shown(pair) as store:
        store.position("g")
        until(lambda: asks_replica(store, pair) and store.position("g") == 1)
        pair.server.kill()
        try:
            time.sleep(4)
            assert asks_replica(store, pair) and closes(store) == [1.0]
        finally:
            pair.server.start()


def test_a_replica_that_became_a_server_of_its_own_is_not_asked(pair):
    pair.replica = Replica(pair.server.folder.parent / "other", pair.server)
    try:
        pair.replica.start()
        pair.url = f"{pair.url.partition('?')[0]}?replica=127.0.0.1:{pair.replica.port}"
        with shown(pair) as store:
            store.position("g")
            until(lambda: asks_replica(store, pair))
            run(pair.replica.url, "SELECT pg_promote()")
            until(lambda: not asks_replica(store, pair))
            assert closes(store) == []
    finally:
        pair.replica.remove()


def test_a_wrong_question_is_told_to_who_asked_it_and_no_fault_of_the_replica(pair):
    with shown(pair) as store:
        store.symbols()
        until(lambda: asks_replica(store, pair))
        with pytest.raises(BadQuery):
            store.bars(Query(after=("A",), limit=1))
        assert asks_replica(store, pair)


def test_of_a_house_readers_ask_the_replica_and_the_pipeline_its_server(pair, tmp_path):
    from tickhouse.cli.diagnosis import diagnose
    from tickhouse.steps.read import Reader

    settings = load(None, tmp_path / "house", warm__url=f"{pair.url}&replica_lag=5m")
    house = Pipeline(settings)
    with closing(house):
        reader = Reader(house)
        house.warm.write("g", bars_output(1, bar(close=1.0)))
        reader.symbols()
        until(lambda: asks_replica(house.shown, pair) and house.shown.position("g") == 1)
        said = [verdict for verdict in diagnose(settings) if verdict.part == f"replica 127.0.0.1:{pair.replica.port}"]
        assert [(one.ok, "answers" in one.message) for one in said] == [(True, True)]
        run(pair.replica.url, "SELECT pg_wal_replay_pause()")
        house.warm.write("g", bars_output(2, bar(close=2.0)))
        assert closes(reader) == [1.0] and closes(house.past) == [2.0]
        assert reader.sql("SELECT close FROM bars").table["close"].to_pylist() == [1.0]
        run(pair.replica.url, "SELECT pg_wal_replay_resume()")


def test_replicas_have_what_the_url_says_of_everything_else():
    found = apart("postgresql://u:p%2Fw@one:1/d?sslmode=require&replica=two:2,three:3&replica_lag=90s&options=-c x=5")
    assert found.url == "postgresql://u:p%2Fw@one:1/d?sslmode=require&options=-c x=5"
    assert found.replicas == tuple(found.url.replace("one:1", host) for host in ("two:2", "three:3"))
    assert found.lag == 90.0
    assert apart("postgresql://u@/d?host=one&port=3&replica=two").replicas == ("postgresql://u@two/d",)
    assert apart("sqlite:///data/warm.db?replica=x").replicas == ()


@pytest.mark.parametrize(
    "wrong",
    [
        "replica=",
        "replica=a,,b",
        "replica=a,a",
        "replica_lag=5s",
        "replica=a&replica_lag=soon",
        "replica=u:hidden-word@a",
    ],
)
def test_replicas_that_cannot_be_understood_are_refused_in_one_sentence(wrong, tmp_path):
    with pytest.raises(BadSetting, match=r"warm\.url") as error:
        load(None, tmp_path, warm__url=f"postgresql://u:hidden-word@h/d?{wrong}")
    assert "hidden-word" not in str(error.value)
