"""What need not be kept any longer is let go, now and then; readers of ticks do not notice."""

import pytest

from tests.end_to_end.tape import BEGAN
from tickhouse.core.batches import RawBatch
from tickhouse.core.clock import ManualClock
from tickhouse.core.model import Query
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline
from tickhouse.steps.upkeep import Upkeep, trim_journal, trim_warm

MINUTE = 60_000_000
DAY = 1440 * MINUTE


def trades(first: int, count: int) -> RawBatch:
    """A trade a second."""
    payloads = [
        b'{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"5.0","q":"1.0","T":%d,"m":true,"M":true}'
        % (BEGAN + 1000 * n, n, BEGAN + 1000 * n)
        for n in range(first, first + count)
    ]
    return RawBatch.of("binance", "trade", payloads, [1000 * (BEGAN + 1000 * n) for n in range(first, first + count)])


@pytest.fixture
def pipeline(tmp_path):
    made = Pipeline(load(None, tmp_path / "house", journal__retain="10m", warm__retain={"1m": "30m"}), ManualClock())
    yield made
    made.close()


def test_it_works_once_a_minute(clock):
    done = []
    upkeep = Upkeep(clock, done.append)
    for _ in range(130):
        clock.move(1)
        upkeep.step()
    assert len(done) == 2 and done[1] - done[0] == MINUTE


def test_what_there_is_too_much_of_is_done_in_parts_one_a_step(clock):
    left = [True, True, False, False]
    upkeep = Upkeep(clock, lambda now: left.pop(0))
    clock.move(60)
    for expected in (3, 2, 1, 1):
        upkeep.step()
        assert len(left) == expected
    clock.move(60)
    upkeep.step()
    assert not left


def test_the_journal_keeps_what_is_not_archived_and_past_ticks_are_read_from_the_lake_then(pipeline):
    ingest, process = pipeline.ingest(), pipeline.process()
    for first in range(0, 3600, 100):
        ingest.take([trades(first, 100)])
    process.catch_up()
    now = 1000 * BEGAN + 60 * MINUTE
    archive = pipeline.archive()
    trim_journal(pipeline.journal)(now)
    assert pipeline.journal.begin() == 0
    archive.catch_up()
    trim_journal(pipeline.journal)(now)
    assert 2900 <= pipeline.journal.begin() <= 3100
    batches = pipeline.past.ticks("binance", "BTC-USDT", 0, 1 << 62)
    assert [id_ for batch in batches for id_ in batch.last_id.tolist()] == list(range(3600))
    assert [
        id_ for batch in pipeline.past.ticks("binance", "BTC-USDT", 0, 1 << 62, 3005) for id_ in batch.raw.tolist()
    ] == list(range(3005))


def test_old_bars_of_an_interval_go_and_others_stay(pipeline):
    ingest, process = pipeline.ingest(), pipeline.process()
    ingest.take([trades(0, 3600)])
    process.catch_up()
    before = {interval: pipeline.warm.bars(Query(interval=interval)).num_rows for interval in ("1m", "5m")}
    trim = trim_warm(pipeline.warm, pipeline.settings.warm)
    while trim(1000 * BEGAN + 60 * MINUTE):
        pass
    after = {interval: pipeline.warm.bars(Query(interval=interval)).num_rows for interval in ("1m", "5m")}
    assert before["1m"] > 55 and after["1m"] == before["1m"] - 30 and after["5m"] == before["5m"]


def test_findings_and_metrics_have_an_age_of_their_own_and_coverage_stays(pipeline):
    ingest, process = pipeline.ingest(), pipeline.process()
    payloads = [*trades(0, 200).payloads()]
    ingest.take([RawBatch.of("binance", "trade", payloads[:20] + payloads[40:], 1000 * BEGAN + 200_000_000)])
    process.catch_up()
    for day in range(40):
        pipeline.warm.measure(1000 * BEGAN + day * DAY, {("binance", "late"): 1.0})
    trim = trim_warm(pipeline.warm, pipeline.settings.warm)
    kept = []
    for day in (40, 91):
        while trim(1000 * BEGAN + day * DAY):
            pass
        kept.append([getattr(pipeline.warm, kind)(Query()).num_rows for kind in ("metrics", "findings", "coverage")])
    assert kept == [[30, 2, 2], [0, 0, 2]]
