"""A replay makes a house that says the same as the one it was made of, bit for bit."""

import pytest

from tests.steps.filled import T0, bars, facts, live, parquet, processed, tape, ticks, trade
from tickhouse.core.batches import RawBatch
from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.steps.notes import inherit, note, notes
from tickhouse.steps.replay import Part, Replay


def fills(folder):
    """By name, what houses are filled with, alone and together."""
    alone = {"ticks": ticks(folder), "bars": bars(folder), "parquet": parquet(folder), "tape": tape, "live": live}

    def several(pipeline):
        live(pipeline)
        for fill in (ticks(folder), ticks(folder, "binance2"), bars(folder), parquet(folder), tape):
            fill(pipeline)

    return alone | {"several": several}


def replayed(old, new, part=Part(), most=65_536):  # noqa: B008
    """Replay one house into another, which processes so many messages at a time."""
    replay, ingest = Replay(old.past, part), new.ingest(past=old.past)
    replay.done(new.journal)
    inherit(old.settings.data, new.settings.data)
    taken = replay.run(ingest)
    processed(new, most)
    return taken


@pytest.mark.parametrize(
    "kind", ["ticks", "bars", "parquet", "tape", "live", pytest.param("several", marks=pytest.mark.slow)]
)
def test_a_replay_says_the_same_bit_for_bit(house, tmp_path, kind):
    """From the journal and from the lake alike, however the new house cuts what it reads."""
    old = house("old", journal__retain_bytes=1, lake__roll_bytes="20KiB")
    fills(tmp_path)[kind](old)
    processed(old, 777)
    said = facts(old)
    assert (
        said["bars"] and said["indicators"] and said["coverage"] and all(r["balanced"] for r in said["ledger"].values())
    )
    replayed(old, house("of the journal"))
    old.archive().catch_up()
    old.journal.trim(old.clock.now())
    assert old.journal.begin() == old.journal.end()
    replayed(old, house("of the lake"), most=50)
    for name in ("of the journal", "of the lake"):
        for what, rows in facts(house(name)).items():
            assert rows == said[what], (name, what)


def test_a_file_that_has_the_name_of_a_feed_is_read_as_the_file_it_was(house, tmp_path):
    old, new = house("old"), house("new")
    ticks(tmp_path, "binance")(old)
    processed(old)
    replayed(old, new)
    assert facts(new) == facts(old)


def test_rules_of_conditions_and_the_label_simulated_travel_along(house, tmp_path):
    old, new = house("old"), house("new")
    ticks(tmp_path)(old)
    note(old.settings.data, simulated=True)
    replayed(old, new)
    assert notes(new.settings.data) == {"simulated": True, "conditions": {"csv": "us-equities"}}


@pytest.mark.slow
def test_a_replay_that_was_interrupted_goes_on_where_it_stopped(house, tmp_path):
    old, new = house("old"), house("new")
    fills(tmp_path)["several"](old)
    processed(old)

    class Killed(Exception):
        pass

    def kill(position):
        if position > kill.at:
            raise Killed

    done = -1
    for kill.at in (500, 900, 1700, 2400):
        with pytest.raises(Killed):
            Replay(old.past).run(new.ingest(past=old.past), progress=kill)
        assert Replay(old.past).done(new.journal) > done
        done = Replay(old.past).done(new.journal)
    inherit(old.settings.data, new.settings.data)
    replayed(old, new)
    assert facts(new) == facts(old)
    assert replayed(old, new) == 0
    assert facts(new) == facts(old)


def test_a_house_that_has_something_else_is_no_place_for_a_replay(house):
    old, other, new = house("old"), house("other"), house("new")
    old.ingest().take([RawBatch.of("binance", "trade", [trade(1)], T0)])
    other.ingest().take([RawBatch.of("binance", "trade", [trade(2)], T0 + 1)])
    replayed(old, new)
    for wrong, said in ((other, "messages of its own"), (new, "of another house")):
        source = other if wrong is new else old
        with pytest.raises(SettingsError, match=said):
            replayed(source, wrong)
    with pytest.raises(SettingsError, match="another part"):
        replayed(old, new, Part(start=T0))
    with pytest.raises(SettingsError, match="nothing to replay"):
        Replay(house("empty").past)


def test_a_load_can_be_left_out(house, tmp_path):
    old, new, never = house("old"), house("new"), house("never")
    ticks(tmp_path)(old)
    for pipeline in (old, never):
        bars(tmp_path)(pipeline)
        processed(pipeline)
    replayed(old, new, Part(without=("csv.csv",)))
    said, expected = facts(new), facts(never)
    assert said["bars"] == expected["bars"] and said["ledger"] == expected["ledger"]
    with pytest.raises(BadSetting, match=r"load:csv\.csv:"):
        Replay(old.past, Part(without=("cvs.csv",)))


def test_a_part_of_the_time_is_what_was_received_in_it(house):
    old, new = house("old"), house("new")
    times = [T0, T0 + 50, T0 + 10, T0 + 99, T0 + 20]
    old.ingest().take([RawBatch.of("binance", "trade", [trade(n) for n in range(5)], times)])
    assert replayed(old, new, Part(T0 + 5, T0 + 60)) == 3
    kept = new.journal.read("raw", 0)
    assert [p for record in kept for p in record.raw.payloads()] == [trade(1), trade(2), trade(4)]


def test_each_mark_keeps_its_own_moment_whoever_it_came_with(house):
    """Marks that waited together are apart in the journal, so that it does not matter which of them did."""
    pipeline = house()
    marks = [Mark(Event.ALIVE, T0 + n, "one").encode() for n in range(3)]
    pipeline.ingest().take([RawBatch.of("binance", LINK, marks, [T0 + 10, T0 + 20, T0 + 30])])
    records = pipeline.journal.read("ticks", 0)
    assert [(record.received_at - T0, len(record.marks)) for record in records] == [(10, 1), (20, 1), (30, 1)]
