"""One journal into another: the same positions, quarantine, sums and groups, in parts, and again after anything that stopped it."""

from contextlib import ExitStack, closing
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tests import kafka
from tests.journal.samples import SECOND, T0, bars, entry, link, message, noise, rejected
from tickhouse.core.batches import Entry, RawBatch, every_kind
from tickhouse.core.errors import BadQuery, CorruptLog, SettingsError, Unreachable
from tickhouse.core.model import ACTION, Kind, Reject
from tickhouse.core.plugins import open_url
from tickhouse.steps import copying_journal
from tickhouse.steps.copying_journal import JournalCopying, account_of
from tickhouse.steps.records import same

PAIRS = ("sqlite-sqlite", "sqlite-kafka", "kafka-sqlite", "sqlite-memory")


@pytest.fixture
def opened(tmp_path, request):
    """Opens journals of a kind, empty ones."""
    with ExitStack() as stack:

        def opener(kind, query="partitions=3", **options):
            made.append(kind)
            url = {"sqlite": f"sqlite:///{tmp_path}/{len(made)}.db", "memory": "memory://"}.get(kind)
            url = url or stack.enter_context(kafka.prefix(request.getfixturevalue("kafka_url"), query))
            return stack.enter_context(closing(open_url("journal", url, **options)))

        made = []
        yield opener


@pytest.fixture(params=PAIRS)
def both(request, opened):
    """A journal with everything that there can be, and an empty one."""
    old, new = request.param.split("-")
    old = opened(old, retain_seconds=60)
    fill(old)
    return old, opened(new)


def fill(journal):
    """Let-go entries, a gap, what is refused, healed, noted, of every kind of rows."""
    journal.append([rejected((0,), 2, source="gone")])
    journal.trim(T0 + 3600 * SECOND)
    raw = RawBatch.of("csv", "file", [b"a", b"b"], T0, lane="load:x")
    split = [{"symbol": "A", "source": "csv", "date": None, "kind": "split", "value": 4.0, "raw": 1}]
    split[0]["date"] = np.datetime64("2026-01-05").astype(object)
    table = pa.Table.from_pylist(split, ACTION)
    for n in range(4):
        journal.append([entry(5, 5 * n), entry(2, source="other", lane="load:y", resume=("load:y", str(n)))])
    journal.commit("process", journal.end() + 10)
    row = replace(entry(2, 30), rejects=(Reject(1, "price", "0"),), invalid=1, notes=(("note", "é"),))
    journal.append([rejected((0, 2), 3, 20), row, link(T0), noise(3, 5000)])
    journal.append([Entry(raw, every_kind(2, Kind.PARSED), bars=bars(2), actions=table)])
    journal.heal([journal.quarantine()[1].position], [entry(1, 50)])
    journal.commit("process", journal.end())
    journal.commit("archive", 12)


def content(journal):
    """All that can be read of a journal."""
    records = {topic: [*read_all(journal, topic)] for topic in ("raw", "ticks")}
    return records, journal.begin(), journal.quarantine(), account_of(journal)


def read_all(journal, topic):
    position = journal.begin()
    while found := journal.read(topic, position, 4):
        yield from found
        position = found[-1].end


def assert_equal(a, b):
    one, other = content(a), content(b)
    assert one[1:] == other[1:]
    for topic, records in one[0].items():
        assert len(records) == len(other[0][topic]) and all(map(same, records, other[0][topic]))
    assert b.verify().faults == ()


def copying(old, new):
    return JournalCopying(old, new, lambda seconds: None)


def test_everything_is_the_same_there_and_copying_again_changes_nothing(both):
    old, new = both
    done = copying(old, new).run()
    assert_equal(old, new)
    assert (done.messages, done.there, done.quarantined, done.compared) == (40, 0, 3, 40)
    again = copying(old, new).run()
    assert (again.messages, again.there > 40, again.compared) == (0, True, 40)
    assert_equal(old, new)


def test_life_goes_on_there_as_it_would_have_here(both):
    old, new = both
    copying(old, new).run()
    for journal in (old, new):
        first, *_ = journal.append([entry(3, 60), rejected((0,), 2, 63)])
        journal.heal([journal.quarantine()[1].position], [entry(1, 70)])
        journal.commit("archive", first)
        with pytest.raises(BadQuery, match="not in quarantine"):
            journal.heal([journal.begin()], [entry(1)])
    assert_equal(old, new)


def test_it_goes_on_where_it_stopped_and_follows_what_was_healed_meanwhile(both, monkeypatch):
    old, new = both
    monkeypatch.setattr(copying_journal, "MOST", 6)
    first = copying(old, new)

    def stop(done):
        if done.messages > 30:
            raise Unreachable("the power is gone")

    with pytest.raises(Unreachable):
        first.run(stop)
    assert (new.groups(), new.ledger(), new.end() > 30) == ({}, {}, True)
    old.heal([i.position for i in old.quarantine()[1:]], [entry(2, 80)])
    done = copying(old, new).run()
    assert done.messages < 20
    assert_equal(old, new)


def test_a_server_that_is_away_is_waited_for(both):
    old, new = both
    slept, away, adopt = [], [True, True, False], new.adopt

    def shaky(stretch):
        if away and away.pop(0):
            raise Unreachable("away")
        adopt(stretch)

    new.adopt = shaky
    JournalCopying(old, new, slept.append).run()
    assert len(slept) == 2
    assert_equal(old, new)


def test_a_journal_with_something_else_is_left_as_it_is(both):
    old, new = both
    new.append([entry(3, 7)])
    before = content(new)[1:]
    with pytest.raises(SettingsError, match="name an empty place"):
        copying(old, new).run()
    assert content(new)[1:] == before


def test_a_journal_that_went_on_by_itself_is_left_as_it_is(both):
    old, new = both
    copying(old, new).run()
    new.append([entry(1)])
    with pytest.raises(SettingsError, match="has gone on by itself"):
        copying(old, new).run()


def test_ticks_that_were_shared_otherwise_are_refused_before_anything_is_copied(opened):
    old, wrong, right, file = opened("sqlite"), opened("kafka"), opened("kafka", "partitions=2"), opened("sqlite")
    old.append([entry(3)])
    for group in ("archive", "process.0of2", "process.1of2"):
        old.commit(group, 3)
    with pytest.raises(SettingsError, match=r"2 shards share the ticks here, .* have 3 partitions;.*\?partitions=2"):
        copying(old, wrong).run()
    assert (wrong.end(), wrong.groups()) == (0, {})
    for journal in (right, file):
        copying(old, journal).run()
        assert_equal(old, journal)


def test_what_was_copied_wrong_is_named(both, monkeypatch):
    old, new = both
    right = copying_journal.entry
    monkeypatch.setattr(copying_journal, "entry", lambda raw, rows: replace(right(raw, rows), ticks=None))
    with pytest.raises(CorruptLog, match="position 2 on were not copied"):
        copying(old, new).run()


def test_an_empty_journal_and_one_that_let_go_of_everything_are_copied(opened):
    copying(opened("sqlite"), opened("sqlite")).run()
    old, new = opened("sqlite", retain_seconds=1), opened("sqlite")
    old.append([rejected((0, 1), 4)])
    old.trim(T0 * 2)
    copying(old, new).run()
    copying(old, new).run()
    assert_equal(old, new)
    assert (new.begin(), new.end(), len(new.quarantine())) == (4, 4, 2)


def test_a_message_that_the_broker_does_not_take_is_refused_and_one_that_it_refused_before_is_copied(opened):
    small = "partitions=1&max_message=40000"
    old, new = opened("sqlite"), opened("kafka", small)
    large = RawBatch.of("binance", "trade", [message(0), b"x" * 60_000, message(2)], T0)
    old.append([replace(entry(3), raw=large)])
    with pytest.raises(SettingsError, match=r"position 1 has 60,000 bytes.*max_message"):
        copying(old, new).run()
    assert new.end() == 0
    refused = opened("kafka", small)
    refused.append([replace(entry(3), raw=large), replace(entry(3), raw=large)])
    refused.heal([1], [entry(1)])
    for kind in ("sqlite", "kafka"):
        there = opened(kind, small)
        copying(refused, there).run()
        assert_equal(refused, there)
        assert [i.reason for i in there.quarantine()] == ["too_large"]
