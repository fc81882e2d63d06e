"""A trade that quality refuses is no hole: it is not asked for again, its bar says that it lacks it, and healing brings it back."""

import pytest

from tests.steps.filled import SECOND, T0, mark, processed, trade
from tickhouse.core.batches import REFILL, RawBatch
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import Query
from tickhouse.steps.heal import Heal

STRICT = {"quality__max_price": 103.5}


def says(pipeline):
    """The newest bars and the coverage, without what tells how they came to be."""
    bars = pipeline.warm.bars(Query()).to_pylist()
    names = ("interval", "start", "open", "high", "low", "close", "volume", "trades", "completeness")
    coverage = pipeline.warm.coverage(Query()).to_pylist()
    return [{name: bar[name] for name in names} for bar in bars], coverage


def prices(numbers):
    return [trade(n, 100 + n % 5) for n in numbers]


def session(pipeline):
    """A live line that hears a trade a second; some of them cost too much."""
    ingest = pipeline.ingest()
    marks = [Mark(Event.CONNECTED, T0, "one", "trade", ("BTC-USDT",)), Mark(Event.ALIVE, T0 + 300 * SECOND, "one")]
    connected, alive = (RawBatch.of("binance", LINK, [mark.encode()], mark.at) for mark in marks)
    ingest.take([connected])
    for n in range(0, 200, 7):
        numbers = range(n, min(n + 7, 200))
        ingest.take([RawBatch.of("binance", "trade", prices(numbers), [T0 + k * SECOND for k in numbers])])
    ingest.take([alive])


def tape(pipeline):
    """The same trades from a tape."""
    ingest, lane = pipeline.ingest(), "load:tape"
    ingest.take([mark(pipeline, Event.BEGIN, lane, {"feed": "binance"})])
    ingest.take([RawBatch.of("binance", "trade", prices(range(200)), [T0 + k * SECOND for k in range(200)], lane)])
    ingest.take([mark(pipeline, Event.END, lane)])


@pytest.mark.parametrize("fill", [session, tape])
def test_healing_repairs_bars_completeness_and_coverage_at_once(house, fill):
    strict, plain = house(**STRICT), house("plain")
    for pipeline in (strict, plain):
        fill(pipeline)
    process = strict.process()
    process.catch_up()
    assert not process.engine.open_holes()
    minutes = strict.warm.bars(Query(interval="1m")).to_pylist()
    assert [(bar["trades"], round(bar["completeness"], 2)) for bar in minutes[:2]] == [(48, 0.8), (48, 0.8)]
    assert {row["state"] for row in strict.warm.coverage(Query()).to_pylist()} <= {"live", "quiet"}

    healing = house()
    done = Heal(healing.ingest(), healing.clock).run()
    assert (done.seen, done.healed) == (40, 40)
    processed(healing)
    processed(plain)
    assert says(healing) == says(plain)


def test_what_a_refill_brings_and_quality_refuses_closes_the_hole(house):
    strict = house(**STRICT)
    ingest, process = strict.ingest(), strict.process()
    kept = [n for n in range(200) if n != 64]
    ingest.take([RawBatch.of("binance", "trade", prices(kept), [T0 + k * SECOND for k in kept])])
    process.catch_up()
    assert [(hole.first_id, hole.last_id) for hole in process.engine.open_holes()] == [(64, 64)]
    began, ended = (mark(strict, event, REFILL) for event in (Event.BEGIN, Event.END))
    ingest.take([began, RawBatch.of("binance", "trade", prices([64]), T0 + 210 * SECOND, REFILL), ended])
    process.catch_up()
    assert not process.engine.open_holes()
    assert [item.reason for item in strict.journal.quarantine(limit=100)].count("price") == 40
