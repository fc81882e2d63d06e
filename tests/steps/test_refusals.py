"""What quality refuses for good is no hole: nobody asks again, its bar says that it lacks it, and healing brings it back."""

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


def healed(strict, house):
    """The house again with settings that refuse nothing, after quarantine replay."""
    healing = house()
    done = Heal(healing.ingest(), healing.clock).run()
    assert (done.seen, done.healed) == (40, 40)
    processed(healing)
    return healing


def test_healing_a_load_repairs_bars_completeness_and_coverage_at_once(house):
    strict, plain = house(**STRICT), house("plain")
    for pipeline in (strict, plain):
        tape(pipeline)
        processed(pipeline)
    minutes = strict.warm.bars(Query(interval="1m")).to_pylist()
    assert [(bar["trades"], round(bar["completeness"], 2)) for bar in minutes[:2]] == [(48, 0.8), (48, 0.8)]
    assert {row["state"] for row in strict.warm.coverage(Query()).to_pylist()} == {"live"}
    assert says(healed(strict, house)) == says(plain)


def test_healing_a_live_line_repairs_its_bars_at_once(house):
    strict, plain = house(**STRICT), house("plain")
    for pipeline in (strict, plain):
        session(pipeline)
        processed(pipeline)
    process = strict.process()
    assert len(process.engine.open_holes()) == 39
    healing = healed(strict, house)
    assert says(healing)[0] == says(plain)[0]
    assert "blind" not in {row["state"] for row in says(healing)[1]}
    assert not healing.process().engine.open_holes()


def test_what_history_brings_and_quality_refuses_closes_the_hole(house):
    """A live trade that was refused may have been spoiled on its way: history is asked for it once."""
    strict = house(**STRICT)
    ingest, process = strict.ingest(), strict.process()
    session(strict)
    process.catch_up()
    holes = process.engine.open_holes()
    assert len(holes) == 39
    began, ended = (mark(strict, event, REFILL) for event in (Event.BEGIN, Event.END))
    page = b"[%b]" % b",".join(history(n) for n in range(200))
    ingest.take([began, RawBatch.of("binance", "historicalTrades:BTCUSDT", [page], T0 + 310 * SECOND, REFILL), ended])
    process.catch_up()
    assert not process.engine.open_holes()
    assert "blind" not in {row["state"] for row in strict.warm.coverage(Query()).to_pylist()}
    minutes = strict.warm.bars(Query(interval="1m")).to_pylist()
    assert [round(bar["completeness"], 2) for bar in minutes[:2]] == [0.8, 0.8]


def test_what_was_spoiled_on_its_way_comes_from_history(house):
    """The message said a price that cannot be, history says the right one."""
    pipeline = house()
    spoiled = [trade(64, -1.0) if n == 64 else message for n, message in enumerate(prices(range(200)))]
    ingest, process = pipeline.ingest(), pipeline.process()
    ingest.take([RawBatch.of("binance", "trade", spoiled, [T0 + n * SECOND for n in range(200)])])
    process.catch_up()
    assert [(hole.first_id, hole.last_id) for hole in process.engine.open_holes()] == [(64, 64)]
    began, ended = (mark(pipeline, event, REFILL) for event in (Event.BEGIN, Event.END))
    page = b"[%b]" % history(64)
    ingest.take([began, RawBatch.of("binance", "historicalTrades:BTCUSDT", [page], T0 + 310 * SECOND, REFILL), ended])
    process.catch_up()
    assert not process.engine.open_holes()
    _, second = pipeline.warm.bars(Query(interval="1m")).to_pylist()[:2]
    assert (second["trades"], second["completeness"], second["version"]) == (60, 1.0, 1)


def history(n: int) -> bytes:
    """A trade as the provider's history gives it."""
    at = (T0 + n * SECOND) // 1000
    return b'{"id":%d,"price":"%d","qty":"1","time":%d,"isBuyerMaker":true,"isBestMatch":true}' % (n, 100 + n % 5, at)
