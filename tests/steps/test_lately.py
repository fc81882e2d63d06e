"""Ticks of the last days reach a PostgreSQL store with the position of their group: each that is no repeat, once."""

import random

import pytest

from tests.end_to_end.tape import BEGAN
from tests.stores import databases
from tickhouse.core.batches import RawBatch, TickBatch
from tickhouse.core.clock import SECOND, ManualClock
from tickhouse.core.errors import BadSetting
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline
from tickhouse.steps import lately
from tickhouse.steps.lately import DAY, Lately
from tickhouse.steps.upkeep import trim_warm

T0 = 1000 * BEGAN
"""The beginning of a day."""
TRADE = b'{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"5.0","q":"1.0","T":%d,"m":true,"M":true}'


def trades(ids, began=BEGAN, lane="live"):
    """The trade n is n seconds after the beginning (ms)."""
    payloads = [TRADE % (began + 1000 * n, n, began + 1000 * n) for n in ids]
    return RawBatch.of("binance", "trade", payloads, T0 + 1000 * SECOND, lane)


def at(*times):
    return TickBatch.of("s", [{"symbol": "A", "event_time": time, "price": 1.0} for time in times])


@pytest.fixture
def house(tmp_path):
    """Opens a house whose warm store is on a server, again and again; and the URL of that."""
    opened = []
    with databases.migrated() as url:

        def again(**settings):
            clock = ManualClock(T0 + 1000 * SECOND)
            opened.append(Pipeline(load(None, tmp_path / "house", warm__url=url, **settings), clock))
            return opened[-1]

        yield again, url
        for pipeline in opened:
            pipeline.close()


def stored(url):
    return [id_ for (id_,) in databases.run("SELECT last_id FROM gold.ticks ORDER BY last_id", url=url)]


def test_days_that_are_kept_and_no_others_are_gathered():
    waiting = Lately(ManualClock(T0 + 10 * DAY + 5), 2 * 86_400)
    first, end = T0 + 8 * DAY, T0 + 12 * DAY
    waiting.add([at(first - 1, first, T0 + 10 * DAY), at(end - 1, end), at(5)])
    assert [batch.event_time.tolist() for batch in waiting.take()] == [[first, T0 + 10 * DAY], [end - 1]]
    assert waiting.take() == ()


def test_many_are_written_without_waiting(monkeypatch):
    monkeypatch.setattr(lately, "FULL", 3)
    waiting = Lately(ManualClock(T0), 86_400)
    waiting.add([at(T0, T0)])
    assert not waiting.full
    waiting.add([at(T0)])
    assert waiting.full and waiting.take() and not waiting.full


def test_each_tick_that_the_ledger_accepts_is_stored_once_however_often_processing_is_cut_off(house):
    again, url = house
    pipeline = again(warm__keep_ticks="2d")
    ids, dice = [n for n in range(900) if n % 7], random.Random(3)
    repeated = sorted(dice.sample(ids, 60))
    ingest = pipeline.ingest()
    for begin in range(0, len(ids), 50):
        ingest.take([trades([*ids[begin : begin + 50], *repeated[begin // 15 : begin // 15 + 3]])])
    for _ in range(12):
        process = again(warm__keep_ticks="2d").process()
        process.clock.move(2)  # from here on what is gathered is stored, but the state of the engine is not
        process.checkpoint_seconds = 1e9 if dice.random() < 0.7 else 0
        process.step(timeout=0, max_messages=dice.randrange(20, 200))
        assert len(stored(url)) == len(set(stored(url)))
    process = again(warm__keep_ticks="2d").process()
    process.catch_up()
    assert set(repeated) <= set(ids) and stored(url) == ids
    ledger = pipeline.warm.ledger()
    assert ledger["binance", "duplicate"] > 0
    assert ledger["binance", "accepted"] + ledger["binance", "late"] == len(ids)


def test_late_and_loaded_ticks_of_kept_days_are_stored_and_older_ones_are_not(house):
    again, url = house
    pipeline = again(warm__keep_ticks="2d")
    ingest, day = pipeline.ingest({"load": pipeline.feeds["binance"]}), 86_400_000
    ingest.take([trades([500, 501])])
    ingest.take([trades([400]), trades([300, 301], BEGAN - day, "load:a"), trades([200], BEGAN - 9 * day, "load:b")])
    pipeline.process().catch_up()
    assert stored(url) == [300, 301, 400, 500, 501]
    assert pipeline.warm.ledger()["binance", "accepted"] + pipeline.warm.ledger().get(("binance", "late"), 0) == 6


def test_none_is_stored_unless_it_is_set(house):
    again, url = house
    pipeline = again()
    pipeline.ingest().take([trades(range(100))])
    pipeline.process().catch_up()
    assert stored(url) == [] and pipeline.warm.position("process") == 100


def test_days_that_are_too_old_go_and_all_of_them_when_it_is_switched_off(house):
    again, url = house
    pipeline = again(warm__keep_ticks="1d")
    pipeline.ingest().take([trades(range(100))])
    pipeline.process().catch_up()
    for days, settings, left in ((1, "1d", 100), (2, "1d", 0)):
        trim = trim_warm(pipeline.warm, again(warm__keep_ticks=settings).settings.warm)
        while trim(T0 + days * DAY + 5):
            pass
        assert len(stored(url)) == left
    pipeline.ingest().take([trades(range(100, 200))])
    pipeline.process().catch_up()
    assert len(stored(url)) == 100
    trim = trim_warm(pipeline.warm, again().settings.warm)
    while trim(T0 + DAY + 5):
        pass
    assert stored(url) == []


def test_a_store_without_a_server_refuses_in_one_sentence(tmp_path):
    with pytest.raises(BadSetting, match=r"^warm.keep_ticks: got '2d', expected 0, because only .* postgresql://"):
        load(None, tmp_path, warm__keep_ticks="2d")
    assert load(None, tmp_path, warm__keep_ticks=0).warm.keep_ticks == 0
