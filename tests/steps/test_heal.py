"""What was refused is parsed again after a fix, and reaches the bars that it belongs to."""

from dataclasses import replace

from tickhouse.core.batches import RawBatch
from tickhouse.core.model import Query
from tickhouse.feeds.csv import Csv, Layout, read
from tickhouse.steps.heal import Heal
from tickhouse.steps.ledger import ledger
from tickhouse.steps.load import Load
from tickhouse.steps.replay import Replay
from tickhouse.steps.upkeep import trim_journal

T0 = 1_767_225_600_000_000
MINUTE = 60_000_000
TICKS = Layout("ticks", {"time": 0, "symbol": 1, "price": 2, "size": 3}, 4, separator=";", decimal=",")
BARS = Layout(
    "bars", {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}, 6, ";", symbol="X", interval="1m", decimal=","
)  # fmt: skip
VALUES = ("symbol", "interval", "start", "open", "high", "low", "close", "volume", "vwap", "trades")


def lines(count=240):
    """A trade a second of two symbols in turn; every seventh price has a decimal comma, one line is none at all."""
    made = [
        f"{T0 + n * 1_000_000};{'AB'[n % 2]};{10 + n % 5}{',5' if n % 7 == 0 else ''};{1 + n % 3}" for n in range(count)
    ]
    made[100] = "no line; of this file"
    return made


def taken(pipeline, path, layout, parser=None):
    """Load a file; `parser` is the layout as the parser of the day takes it."""
    feed, now = Csv(parser or layout), pipeline.clock.now()
    detail = {"feed": "csv", "ids": str(feed.ids), **layout.to_detail()}
    Load(pipeline.ingest({"csv": feed}), "csv", path, pipeline.clock, detail).run(
        lambda skip, lane: read(path, layout, lane, now, skip)
    )
    process = pipeline.process()
    process.catch_up()
    return process


def healed(pipeline, process, **settings):
    done = Heal(pipeline.ingest(), pipeline.clock).run(page=10)
    process.catch_up()
    return done


def bars(pipeline, **query):
    return [{name: row[name] for name in VALUES} for row in pipeline.warm.bars(Query(**query)).to_pylist()]


def assert_balanced(pipeline, source="csv"):
    row = ledger(pipeline.journal, pipeline.warm)[source]
    assert row["balanced"] and row["pending"] == 0, row
    return row


def test_lines_of_a_file_are_read_by_the_layout_of_their_load_and_correct_its_bars(house, tmp_path):
    """An old parser knew no decimal comma; with the new one the bars are those of a house that never had the old one."""
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines()) + "\n")
    pipeline, undisturbed = house(), house("undisturbed")
    process = taken(pipeline, path, TICKS, replace(TICKS, decimal="."))
    refused = len(pipeline.journal.quarantine(limit=1000))
    assert refused == 240 // 7 + 2

    done = healed(pipeline, process)
    assert (done.seen, done.healed, dict(done.refused), dict(done.unread)) == (refused, refused - 1, {"columns": 1}, {})
    taken(undisturbed, path, TICKS)
    assert bars(pipeline) == bars(undisturbed) != []
    assert pipeline.warm.bars(Query(("A",), "1m"))["state"].to_pylist() == ["corrected"] * 4
    row = assert_balanced(pipeline)
    assert (row["rejected"], row["accepted"]) == (1, 239)
    (kept,) = pipeline.journal.quarantine()
    assert kept.payload == b"no line; of this file" and kept.reason == "columns"
    assert healed(pipeline, process).healed == 0


def test_a_row_refused_by_quality_is_taken_once_the_settings_allow_it(house, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"{T0};A;10;1\n{T0 + 1};A;99;1\n{T0 + 2 * MINUTE};A;99;1\n")
    pipeline = house(quality__max_price=50.0)
    process = taken(pipeline, path, TICKS)
    assert dict(healed(pipeline, process).refused) == {"price": 2}
    done = healed(house(quality__max_price=100.0), process)
    assert (done.seen, done.healed) == (2, 2)
    assert [(bar["high"], bar["trades"]) for bar in bars(pipeline, interval="1m")] == [(99.0, 2), (99.0, 1)]
    assert_balanced(pipeline)


def test_bars_of_a_file_are_read_again_too(house, tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("".join(f"{T0 + n * MINUTE};10;12,5;9;11;{100 + n}\n" for n in range(3)))
    pipeline = house()
    process = taken(pipeline, path, BARS, replace(BARS, decimal="."))
    assert bars(pipeline) == []
    assert healed(pipeline, process).healed == 3
    assert [(bar["high"], bar["volume"]) for bar in bars(pipeline, interval="1m")] == [
        (12.5, 100 + n) for n in range(3)
    ]
    assert [bar["volume"] for bar in bars(pipeline, interval="5m")] == [303.0], "rolled up of them"
    assert_balanced(pipeline)


def test_what_the_journal_let_go_is_healed_by_what_the_lake_has(house, tmp_path, clock):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines()) + "\n")
    pipeline = house(journal__retain="1h")
    process = taken(pipeline, path, TICKS, replace(TICKS, decimal="."))
    pipeline.archive().catch_up()
    clock.move(7200)
    trim_journal(pipeline.journal)(clock.now())
    assert pipeline.journal.begin() == pipeline.journal.end()
    assert healed(pipeline, process).healed == 35
    assert_balanced(pipeline)


def test_who_can_be_read_by_nobody_stays_and_is_said(house):
    pipeline = house()
    other = RawBatch.of("csv", "ticks", [b"x"], T0)
    feed = Csv(TICKS)
    ingest = pipeline.ingest({"csv": feed})
    ingest.take([other])
    done = healed(pipeline, pipeline.process())
    ((why, count),) = done.unread.items()
    assert count == done.seen == 1 and "no feed csv" in why and done.healed == 0
    assert len(pipeline.journal.quarantine()) == 1


def test_a_live_message_is_judged_as_one_and_fills_its_lane(house):
    """What came from the future is not healed by being old now; a price that is allowed now is."""
    trade = b'{"e":"trade","E":5,"s":"BTCUSDT","t":%d,"p":"%d","q":"1","T":%d,"m":true,"M":true}'
    payloads = [trade % (n, 1000 if n == 7 else 10, (T0 // 1000) + 10_000 * n) for n in range(30)]
    payloads[8] = trade % (8, 10, T0 // 1000 + 86_400_000)
    pipeline = house(quality__max_price=100.0)
    process = pipeline.process()
    pipeline.ingest().take([RawBatch.of("binance", "trade", payloads, [T0 + 10_000_000 * n for n in range(30)])])
    process.catch_up()
    done = healed(house(), process)
    assert (done.healed, dict(done.refused)) == (1, {"ahead": 1})
    first, second = pipeline.warm.bars(Query(interval="1m", last=30)).to_pylist()[:2]
    assert (second["high"], second["trades"], second["state"]) == (1000.0, 5, "corrected") and first["version"] == 0
    assert_balanced(pipeline, "binance")


def test_a_replay_of_a_house_of_files_gives_its_bars_and_nothing_healed_twice(house, tmp_path):
    """From the journal and from the lake alike, in the order of positions."""
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines()) + "\n")
    old = house(journal__retain_bytes=1)
    process = taken(old, path, TICKS, replace(TICKS, decimal="."))
    healed(old, process)
    for name in ("of the journal", "of the lake"):
        new = house(name)
        Replay(old.past).run(new.ingest(past=old.past))
        new.process().catch_up()
        assert bars(new) == bars(old) != []
        assert assert_balanced(new)["accepted"] == 239
        old.archive().catch_up()
        old.journal.trim(old.clock.now())
    assert old.journal.begin() > 0
