"""What every journal must do. A new backend is one line in `BACKENDS`."""

import threading
import time
from contextlib import closing, nullcontext
from dataclasses import replace

import numpy as np
import pytest

from tests import kafka
from tests.journal.samples import SECOND, T0, bars, entry, link, message, noise, rejected, same_ticks
from tickhouse.core.batches import Entry, Passing, RawBatch, every_kind
from tickhouse.core.errors import BadQuery, BadSetting, Busy
from tickhouse.core.model import Kind, Reject
from tickhouse.core.plugins import open_url
from tickhouse.core.shards import Shard, cut
from tickhouse.journal import Account, Check, Stretch

BACKENDS = {
    "memory": lambda ask: nullcontext("memory://"),
    "sqlite": lambda ask: nullcontext(f"sqlite:///{ask('tmp_path')}/journal.db"),
    "kafka": lambda ask: kafka.prefix(ask("kafka_url")),
}
DURABLE = ("sqlite", "kafka")


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Opens journals at one place of one backend, and closes them."""
    opened = []
    with BACKENDS[request.param](request.getfixturevalue) as url:

        def opener(**options):
            opened.append(open_url("journal", url, **options))
            return opened[-1]

        opener.durable = request.param in DURABLE
        yield opener
        for journal in opened:
            journal.close()


@pytest.fixture
def journal(backend):
    return backend()


def read_all(journal, topic="raw", step=65_536):
    position, found = journal.begin(), []
    while records := journal.read(topic, position, step):
        found += records
        position = records[-1].end
    return found


def test_an_empty_journal_begins_and_ends_at_zero(journal):
    assert (journal.begin(), journal.end(), journal.read("raw", 0), journal.read("ticks", 0)) == (0, 0, [], [])
    assert (journal.groups(), journal.ledger(), journal.quarantine(), journal.resume("k")) == ({}, {}, [], None)
    assert journal.verify() == Check(0, 0)
    assert journal.recovered is None


def test_positions_are_dense_over_all_sources(journal):
    assert journal.append([entry(3), entry(2, source="other")]) == [0, 3]
    assert journal.append([link(T0)]) == [5]
    assert journal.append([]) == []
    assert journal.end() == 6
    assert [(r.first, r.count, r.source, r.channel) for r in read_all(journal)] == [
        (0, 3, "binance", "trade"), (3, 2, "other", "trade"), (5, 1, "binance", "link")
    ]  # fmt: skip


def test_raw_messages_come_back_byte_for_byte_with_their_kinds(journal):
    payloads = [b"", b"\x00\xff\n", "€".encode(), message(1), b"x" * 100_000]
    raw = RawBatch.of("s", "c", payloads, [5, 5, 4, 9, 7], lane="load:file")
    kinds = np.array([2, 2, 1, 0, 2], np.uint8)
    journal.append([entry(2), Entry(raw, kinds)])
    record = journal.read("raw", 2)[0]
    assert list(record.raw.payloads()) == payloads
    assert record.raw.received_at.tolist() == [5, 5, 4, 9, 7]
    assert (record.raw.first, record.raw.source, record.raw.channel, record.raw.lane) == (2, "s", "c", "load:file")
    assert record.kinds.tolist() == kinds.tolist()
    assert (record.first, record.count, record.received_at, record.lane) == (2, 5, 7, "load:file")
    assert record.ticks is None


def test_lines_used_in_place_come_back_without_their_line_ends(journal):
    data = np.frombuffer(b"header\none,1\r\ntwo,2\nrest", np.uint8)
    raw = RawBatch("csv", "file", "load:f", data, np.array([7, 14]), np.array([12, 19]), np.array([1, 2]))
    scattered = RawBatch("csv", "file", "load:f", data, np.array([20, 0]), np.array([24, 6]), np.array([1, 2]))
    journal.append([Entry(raw, every_kind(2, Kind.PARSED)), Entry(scattered, every_kind(2, Kind.PARSED))])
    assert [list(r.raw.payloads()) for r in journal.read("raw", 0)] == [[b"one,1", b"two,2"], [b"rest", b"header"]]


def test_the_caller_may_use_its_buffer_again(journal):
    buffer = np.frombuffer(b"abc", np.uint8).copy()
    raw = RawBatch("s", "c", "live", buffer, np.array([0]), np.array([3]), np.array([1]))
    journal.append([Entry(raw, every_kind(1, Kind.PARSED))])
    buffer[:] = 0
    assert journal.read("raw", 0)[0].raw.payload(0) == b"abc"


def test_ticks_come_back_bit_for_bit_with_journal_positions(journal):
    first, second = entry(5), entry(4, 5, lane="load:x")
    journal.append([first])
    journal.append([second])
    one, two = journal.read("ticks", 0)
    assert same_ticks(one.ticks, first.ticks)
    assert same_ticks(two.ticks, second.ticks.journaled(5))
    assert two.ticks.raw.tolist() == [5, 6, 7, 8]
    assert (two.lane, two.raw, two.kinds) == ("load:x", None, None)


def test_bars_come_back_bit_for_bit_with_journal_positions(journal):
    raw = RawBatch.of("csv", "file", [b"a", b"b"], T0, lane="load:x")
    journal.append([entry(3), Entry(raw, every_kind(2, Kind.PARSED), bars=bars(2))])
    found = journal.read("ticks", 3)[0].bars
    given = bars(2)
    assert [found.symbols[i] for i in found.symbol] == ["AAPL", "AAPL"]
    for name in given.__slots__:
        if name not in ("source", "symbols", "symbol", "first_raw", "last_raw"):
            column = getattr(given, name)
            assert getattr(found, name).tobytes() == column.tobytes() and getattr(found, name).dtype == column.dtype
    assert found.source == "csv"
    assert found.first_raw.tolist() == found.last_raw.tolist() == [3, 4]


def test_marks_come_back(journal):
    given = link(T0)
    journal.append([given])
    assert journal.read("ticks", 0)[0].marks == given.marks


def test_a_record_without_ticks_is_in_the_topic_ticks_too_so_that_consumers_move_on(journal):
    journal.append([noise(4, 10)])
    (record,) = journal.read("ticks", 0)
    assert (record.first, record.end, record.ticks, record.bars, record.marks) == (0, 4, None, None, ())


def test_an_entry_without_messages_takes_no_position_but_its_resume_key_is_kept(journal):
    empty = Entry(RawBatch.of("s", "c", [], 0), every_kind(0, Kind.PARSED), resume=("load", "42"))
    assert journal.append([entry(2), empty, entry(1, 2)]) == [0, 2, 2]
    assert journal.end() == 3
    assert journal.resume("load") == "42"


@pytest.mark.parametrize("topic", ["raw", "ticks"])
def test_reading_begins_with_the_record_that_holds_the_position(journal, topic):
    journal.append([entry(3), entry(3, 3), entry(3, 6)])
    for position, firsts in ((0, [0, 3, 6]), (2, [0, 3, 6]), (3, [3, 6]), (5, [3, 6]), (8, [6]), (9, []), (100, [])):
        assert [r.first for r in journal.read(topic, position)] == firsts


def test_reading_takes_at_least_one_record_and_about_as_many_messages_as_asked(journal):
    journal.append([entry(3, 3 * i) for i in range(4)])
    assert [r.first for r in journal.read("raw", 0, 1)] == [0]
    assert [r.first for r in journal.read("raw", 0, 6)] == [0, 3]
    assert [r.first for r in journal.read("raw", 0, 8)] == [0, 3]
    assert [r.first for r in read_all(journal, "ticks", 7)] == [0, 3, 6, 9]


def test_a_shard_gets_its_ticks_and_what_it_must_know_of_the_others(journal, backend):
    """Read by who appended it, and by another process, with as many shards as there are partitions or with fewer."""
    strange = entry(5, 60)
    strange.ticks.price[:] = [1.0, np.inf, np.nan, -np.inf, 2.0]
    journal.append(
        [entry(40), link(T0 + 41 * SECOND), strange, rejected(start=50), replace(entry(2, 70), bars=bars(3))]
    )
    whole = journal.read("ticks", 0)
    for reader in (journal, backend()) if backend.durable else (journal,):
        for of in (2, 3):
            for number in range(of):
                shard = Shard(number, of)
                found, expected = reader.read("ticks", 0, shard=shard), [cut(record, shard) for record in whole]
                assert len(found) == len(expected)
                for got, want in zip(found, expected, strict=True):
                    assert (got.first, got.count, got.marks) == (want.first, want.count, want.marks)
                    assert (got.ticks is None) == (want.ticks is None)
                    assert got.ticks is None or same_ticks(got.ticks, want.ticks)
                    assert (got.bars is None) == (want.bars is None)
                    assert (got.passing is None) == (want.passing is None)
                    for name in Passing.__slots__ if want.passing is not None else ():
                        assert np.array_equal(getattr(got.passing, name), getattr(want.passing, name)), name


def test_window_finds_the_records_of_a_source_and_symbol_by_event_time_in_every_lane(journal):
    journal.append([entry(4, 0), entry(4, 100, lane="load:x"), entry(4, 50, source="other"), entry(4, 10), link(T0)])
    found = [r.first for r in journal.window("binance", "S0", T0 + 2 * SECOND, T0 + 101 * SECOND)]
    assert found == [0, 4, 12]
    assert [r.first for r in journal.window("binance", "S0", T0 + 3 * SECOND + 1, T0 + 10 * SECOND)] == []
    assert [r.first for r in journal.window("binance", "S0", T0 + 3 * SECOND, T0 + 10 * SECOND)] == [0]
    assert [r.first for r in journal.window("binance", "S0", T0 + 10 * SECOND, T0 + 10 * SECOND + 1)] == [12]
    assert list(journal.window("binance", "NONE", 0, 1 << 60)) == []
    assert next(iter(journal.window("binance", "S1", 0, 1 << 60))).ticks.raw.tolist() == [0, 1, 2, 3]


def test_a_group_goes_on_where_it_committed_and_a_new_one_at_the_begin(journal):
    journal.append([entry(5)])
    assert journal.committed("process") == 0
    journal.commit("process", 3)
    journal.commit("archive", 0)
    journal.commit("process", 5)
    assert journal.committed("process") == 5
    assert journal.groups() == {"archive": 0, "process": 5}


def test_a_position_committed_beyond_the_end_is_never_given_to_another_message(journal):
    """A store may remember more than a log that lost its end: what it has seen must not be taken for something else."""
    journal.append([entry(2)])
    journal.commit("process", 10)
    assert journal.end() == 10
    assert journal.append([entry(1, 2)]) == [10]
    assert [r.first for r in journal.read("raw", 1)] == [0, 10]
    assert [r.first for r in journal.read("raw", 2)] == [10]
    assert journal.verify().faults == ()


def test_resume_keys_are_kept_with_the_entry(journal):
    journal.append([entry(1, resume=("load:a", "1"))])
    journal.append([entry(1, 1, resume=("load:a", "2")), entry(1, 2, resume=("load:b", "x"))])
    assert (journal.resume("load:a"), journal.resume("load:b"), journal.resume("load:c")) == ("2", "x", None)


def test_the_ledger_balances(journal):
    """Bars are rows too; marks are our own, nobody sent them."""
    journal.append([entry(5, invalid=2), rejected((0, 2), 4, 10), link(T0), entry(1, source="other")])
    journal.append([entry(1, 9, bars=bars(3))])
    assert journal.ledger() == {
        ("binance", "received"): 10, ("binance", "parsed"): 8, ("binance", "control"): 0, ("binance", "rejected"): 2,
        ("binance", "rows"): 13, ("binance", "invalid"): 2,
        ("other", "received"): 1, ("other", "parsed"): 1, ("other", "control"): 0, ("other", "rejected"): 0,
        ("other", "rows"): 1, ("other", "invalid"): 0,
    }  # fmt: skip


def test_rejected_messages_are_in_quarantine_with_bytes_and_reason(journal):
    journal.append([entry(2), rejected((1, 2), 3, 2)])
    first, second = journal.quarantine()
    assert (first.position, first.source, first.channel, first.payload) == (3, "binance", "trade", message(3))
    assert (first.reason, first.detail, first.healed) == ("malformed", "message 1 is no JSON", False)
    assert first.received_at == T0 + 3 * SECOND + SECOND // 2
    assert second.position == 4
    assert [i.position for i in journal.quarantine(limit=1)] == [3]
    assert [i.position for i in journal.quarantine(after=3)] == [4]
    assert [i.position for i in journal.quarantine("malformed", 1, 3)] == [4]
    assert journal.quarantine("truncated") == []


def test_quarantine_knows_the_lane_of_a_message(journal):
    for name in ("load:a.csv:1", "load:b.csv:2"):
        bad = rejected((0, 1), 2, source=name[5], lane=name)
        journal.append([bad])
    assert [i.lane for i in journal.quarantine()] == ["load:a.csv:1"] * 2 + ["load:b.csv:2"] * 2
    assert [i.position for i in journal.quarantine(lane="load:b.csv:2")] == [2, 3]
    assert journal.quarantine("malformed", 1, 2, "load:b.csv:2")[0].position == 3
    assert journal.quarantine(lane="live") == [] and journal.verify().faults == ()


def test_a_refused_row_and_a_rejection_without_a_reason_are_in_quarantine_too(journal):
    whole = entry(3)
    kinds = whole.kinds.copy()
    kinds[2] = Kind.REJECTED
    two = (Reject(0, "price", "price 0 is not positive"), Reject(0, "size", "size is negative"))
    journal.append([replace(whole, kinds=kinds, rejects=two, invalid=2)])
    assert [(i.position, i.reason, i.detail) for i in journal.quarantine()] == [
        (0, "price", "price 0 is not positive; size is negative"), (2, "rejected", "")
    ]  # fmt: skip


def test_healing_moves_a_message_from_rejected_to_parsed(journal):
    journal.append([rejected((0, 2), 3)])
    before = dict(journal.ledger())
    again = RawBatch.of("binance", "trade", [message(0)], T0, lane="refill")
    assert journal.heal([0], [replace(entry(1), raw=again)]) == [3]
    after = journal.ledger()
    assert after["binance", "received"] == before["binance", "received"] == 3
    assert (after["binance", "parsed"], after["binance", "rejected"]) == (2, 1)
    assert after["binance", "rows"] == before["binance", "rows"] + 1
    assert [i.position for i in journal.quarantine()] == [2]
    assert journal.read("ticks", 3)[0].ticks.raw.tolist() == [3]


def test_healing_in_vain_and_healing_a_refused_row_keep_the_ledger_balanced(journal):
    row = replace(entry(2), rejects=(Reject(1, "price", "0"),), invalid=1)
    journal.append([rejected((0,), 2), row])
    journal.heal([0], [rejected((0,), 1)])
    journal.heal([3], [entry(1)])
    ledger = {name: n for (_, name), n in journal.ledger().items()}
    assert ledger["received"] == ledger["parsed"] + ledger["control"] + ledger["rejected"] == 4
    assert ledger["rejected"] == 1
    assert [i.position for i in journal.quarantine()] == [4]


def test_healing_what_is_not_in_quarantine_changes_nothing(journal):
    journal.append([rejected((0, 1), 3)])
    journal.heal([0], [entry(1)])
    before = (journal.end(), dict(journal.ledger()), journal.quarantine())
    for positions in ([0], [2], [1, 1], [1, 99]):
        with pytest.raises(BadQuery, match="not in quarantine"):
            journal.heal(positions, [entry(1)])
    assert (journal.end(), dict(journal.ledger()), journal.quarantine()) == before


def test_a_consumer_that_stops_makes_append_wait_instead_of_growing(backend):
    journal = backend(max_bytes=50_000)
    journal.append([noise(1, 80_000)])
    journal.append([noise(1, 80_000, 1)])  # nobody is registered yet
    journal.commit("process", 2)
    journal.commit("archive", 1)
    with pytest.raises(Busy, match=r"archive.*position 1.*max_bytes") as busy:
        journal.append([entry(3)])
    assert busy.value.retry_after
    assert (journal.end(), journal.ledger().get(("binance", "received"))) == (2, None)
    journal.commit("archive", 2)
    assert journal.append([entry(3)]) == [2]


def test_retention_by_age_never_passes_the_slowest_group(backend):
    journal = backend(retain_seconds=60)
    for i in range(10):
        journal.append([entry(2, 2 * i)])
    journal.commit("process", 20)
    journal.commit("archive", 7)
    far = T0 + 3600 * SECOND
    assert journal.trim(far) == 6  # the record that holds 7 is kept whole
    assert journal.begin() == 6
    assert next(r.first for r in journal.read("raw", 0)) == 6
    assert journal.committed("new") == 6
    journal.commit("archive", 20)
    assert journal.trim(T0 + 70 * SECOND) == 10  # received at T0 + 10 s and before
    assert journal.trim(far) == 20
    assert (journal.begin(), journal.end(), journal.read("raw", 0)) == (20, 20, [])
    assert journal.append([entry(1)]) == [20]
    assert journal.ledger()["binance", "received"] == 21
    assert journal.verify().faults == ()


def test_retention_by_size_keeps_the_newest(backend):
    journal = backend(retain_bytes=100_000)
    for i in range(10):
        journal.append([noise(1, 30_000, i)])
    assert journal.trim(0) == 7
    journal.append([noise(1, 30_000, 11)])
    assert journal.trim(0) == 8
    assert journal.trim(0) == 8


def test_without_limits_everything_is_kept(journal):
    journal.append([entry(2)])
    assert journal.trim(1 << 60) == 0


def test_quarantine_outlives_retention(backend):
    journal = backend(retain_seconds=1)
    journal.append([rejected((0,), 2)])
    journal.trim(T0 * 2)
    assert journal.begin() == 2
    assert [i.payload for i in journal.quarantine()] == [message(0)]
    assert journal.heal([0], [entry(1)]) == [2]


def test_wait_wakes_at_once_for_an_append_of_the_same_process(journal):
    assert journal.wait(0, 0) is False
    assert journal.wait(0, 0.02) is False
    woken = []
    waiter = threading.Thread(target=lambda: woken.append((journal.wait(0, 5), time.monotonic())))
    waiter.start()
    time.sleep(0.05)
    journal.append([entry(1)])
    appended = time.monotonic()
    waiter.join()
    assert woken[0][0] is True
    assert woken[0][1] - appended < 1
    assert journal.wait(0, 0) is True
    assert journal.wait(1, 0) is False


def test_closing_ends_every_wait(backend):
    journal = backend()
    woken = []
    waiter = threading.Thread(target=lambda: woken.append(journal.wait(0, 30)))
    waiter.start()
    time.sleep(0.05)
    journal.close()
    waiter.join(5)
    assert woken == [False]
    assert journal.wait(-1, 5) is False
    journal.close()


def test_many_threads_append_and_read_and_positions_stay_dense(journal):
    def work(source):
        for i in range(20):
            journal.append([entry(2, 2 * i, source=source), entry(1, i, source=source)])
            journal.read("ticks", max(0, journal.end() - 5))
            journal.commit(source, i)

    threads = [threading.Thread(target=work, args=(f"s{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = read_all(journal)
    assert journal.end() == 240
    assert [r.first for r in records[1:]] == [r.end for r in records[:-1]]
    assert sum(journal.ledger()[f"s{i}", "received"] for i in range(4)) == 240
    assert journal.verify() == Check(160, 240)


def test_entries_of_another_journal_keep_their_positions_and_are_not_counted(journal):
    journal.adopt(Stretch(7, [entry(3), entry(2, 3, lane="load:x")]))
    journal.adopt(Stretch(12, [link(T0)]))
    journal.adopt(Stretch(20, [entry(1)]))
    assert (journal.begin(), journal.end(), journal.ledger(), journal.quarantine()) == (7, 21, {}, [])
    assert [(r.first, r.count, r.lane) for r in read_all(journal)] == [
        (7, 3, "live"), (10, 2, "load:x"), (12, 1, "live"), (20, 1, "live")
    ]  # fmt: skip
    found = read_all(journal, "ticks")
    assert same_ticks(found[1].ticks, entry(2, 3, lane="load:x").ticks.journaled(10))
    assert found[2].marks == link(T0).marks
    assert [list(r.raw.payloads()) for r in journal.read("raw", 12)] == [list(link(T0).raw.payloads()), [message(0)]]
    assert journal.verify() == Check(4, 7)
    assert journal.append([entry(1)]) == [21]


def test_a_position_that_is_given_out_is_not_given_to_an_entry_of_another_journal(journal):
    journal.append([entry(2)])
    with pytest.raises(BadQuery, match="ends at position 2"):
        journal.adopt(Stretch(1, [entry(1)]))
    assert (journal.end(), len(read_all(journal))) == (2, 1)


def test_what_is_in_quarantine_elsewhere_is_in_quarantine_here_and_can_be_healed(backend):
    row = replace(entry(2), rejects=(Reject(1, "price", "0"),), invalid=1)
    entries = [rejected((0, 1, 2), 3), row]
    with closing(open_url("journal", "memory://")) as old:
        old.append([rejected((0,), 1), *entries])
        old.heal([1], [entry(1)])
        kept, ledger = old.quarantine(), old.ledger()
    journal = backend()
    journal.adopt(Stretch(1, entries, kept))  # the first of them is of an entry that retention let go
    journal.adopt(Stretch(6, [entry(1)]))
    assert journal.quarantine() == kept and [i.position for i in kept] == [0, 2, 3, 5]
    assert journal.quarantine()[3].kind == Kind.PARSED
    journal.settle(Account(7, ledger, {}, {}))
    journal.heal([0, 5], [entry(1), entry(1, 1)])
    after = {name: n for (_, name), n in journal.ledger().items()}
    assert after["received"] == after["parsed"] + after["control"] + after["rejected"] == 6
    assert (after["rejected"], [i.position for i in journal.quarantine()]) == (2, [2, 3])
    with pytest.raises(BadQuery, match="not in quarantine"):
        journal.heal([1], [entry(1)])
    journal.adopt(Stretch(healed=[2]))
    assert ([i.position for i in journal.quarantine()], journal.verify().faults) == ([3], ())


def test_sums_and_groups_of_another_journal_are_taken_over_as_they_are(journal):
    journal.adopt(Stretch(4, [entry(3)]))
    ledger = {
        ("binance", name): n for n, name in enumerate(("received", "parsed", "control", "rejected", "rows", "invalid"))
    }
    told = Account(9, ledger, {"load:a": "5", "note": "x"}, {"archive": 5, "process": 9})
    for _ in range(2):
        journal.settle(told)
        assert (journal.end(), journal.ledger(), journal.resumes(), journal.groups()) == (
            9,
            ledger,
            told.resumes,
            told.groups,
        )
    assert journal.committed("archive") == 5
    assert journal.append([entry(1)]) == [9] and journal.ledger()["binance", "received"] == 1
    with pytest.raises(BadQuery, match="ends at position 10"):
        journal.settle(told)


def test_every_resume_key_is_known(journal):
    assert journal.resumes() == {}
    journal.append(
        [replace(entry(1, resume=("load:b", "2")), notes=(("n", "3"),)), entry(1, 1, resume=("load:a", "1"))]
    )
    assert journal.resumes() == {"load:a": "1", "load:b": "2", "n": "3"}


@pytest.mark.parametrize("options", [{"durability": "maybe"}, {"max_bytes": -1}, {"retain_seconds": -1}])
def test_a_bad_option_is_named(backend, options):
    with pytest.raises(BadSetting, match=next(iter(options))):
        backend(**options)


def test_everything_is_there_again_after_closing(backend):
    if not backend.durable:
        pytest.skip("memory ends with the process")
    journal = backend()
    journal.append([entry(3, resume=("k", "v")), rejected((1,), 2, 3), link(T0)])
    journal.commit("process", 4)
    journal.close()
    again = backend()
    assert again.recovered is None
    assert (again.begin(), again.end(), again.committed("process"), again.resume("k")) == (0, 6, 4, "v")
    assert len(again.quarantine()) == 1
    assert again.ledger()["binance", "received"] == 5
    assert same_ticks(again.read("ticks", 0)[0].ticks, entry(3).ticks)
    assert again.verify() == Check(3, 6)
