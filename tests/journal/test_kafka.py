"""What the journal on Kafka does beyond the contract: what other clients find, what a broker refuses, what is not sure."""

import json
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from tests import kafka
from tests.journal.samples import T0, bars, entry, message, rejected, same_ticks
from tickhouse.core.batches import Entry, RawBatch, every_kind
from tickhouse.core.errors import BadSetting, CorruptLog, SettingsError, TickhouseError, Unreachable
from tickhouse.core.model import Kind
from tickhouse.core.plugins import open_url
from tickhouse.journal._kafka.place import place
from tickhouse.journal._recent import Recent


@pytest.fixture
def url(kafka_url):
    with kafka.prefix(kafka_url) as found:
        yield found


@pytest.fixture
def journal(url):
    opened = open_url("journal", url)
    yield opened
    opened.close()


def other(url, **options):
    """Another process's view: nothing is in memory."""
    return open_url("journal", url, **options)


def plain(journal, topic, partition=0):
    """What a plain client finds in a topic."""
    place, until = TopicPartition(journal.place.topic(topic), partition, 0), time.monotonic() + 30
    settings = {"bootstrap.servers": journal.place.servers, "group.id": "anybody"}
    with closing(Consumer(settings | {"isolation.level": "read_uncommitted"})) as anything:
        _, end = anything.get_watermark_offsets(place, timeout=30)
    consumer = Consumer(settings | {"isolation.level": "read_committed"})
    consumer.assign([place])
    # a topic may hear of a transaction's end a moment after who wrote it
    while (high := consumer.get_watermark_offsets(place, timeout=30)[1]) < end and time.monotonic() < until:
        time.sleep(0.01)
    found = []
    # the newest offset is that of the mark of the transaction
    while high and time.monotonic() < until and (not found or found[-1].offset() < high - 2):
        if (one := consumer.poll(0.2)) is not None and one.error() is None:
            found.append(one)
    consumer.close()
    return found


def test_who_waits_hears_of_what_was_learned_in_another_way(url, journal):
    """A commit or a question for the begin reads the index to its end, too: the thread that listens then begins after it."""
    with closing(other(url)) as second:
        journal.append([entry(4)])
        until = time.monotonic() + 10
        while second.index.last is None:  # its transaction may be seen in one topic before it is in another
            assert second.begin() in (0, 4) and time.monotonic() < until
        assert second.wait(0, 0)
        assert second.read("ticks", 0)[0].count == 4


def test_any_client_reads_messages_as_they_came_and_ticks_as_json_keyed_by_symbol(journal):
    journal.append([entry(4)])
    raws = plain(journal, "raw.binance")
    assert [m.value() for m in raws] == [message(i) for i in range(4)]
    assert dict(raws[2].headers()) == {
        "position": b"2", "received_at": b"%d" % (T0 + 2_500_000), "kind": b"0", "channel": b"trade", "lane": b"live"
    }  # fmt: skip
    keys = {}
    for partition in range(3):
        for one in plain(journal, "ticks", partition):
            told = json.loads(one.value())
            assert one.key().decode() == told["symbol"]
            assert keys.setdefault(one.key(), partition) == partition
            assert dict(one.headers()) == {"position": b"%d" % told["raw"], "source": b"binance", "lane": b"live"}
            if told["raw"] == 1:
                assert told == {
                    "symbol": "S1", "source": "binance", "event_time": T0 + 1_000_000, "received_at": T0 + 1_500_000,
                    "price": 101.25, "size": 1.5, "first_id": 1, "last_id": 1, "conditions": "odd", "raw": 1,
                }  # fmt: skip
    assert keys.keys() == {b"S0", b"S1"}


def test_keys_are_where_kafkas_own_clients_put_them(journal):
    placed = {}
    producer = Producer({"bootstrap.servers": journal.place.servers, "partitioner": "murmur2"})
    for symbol in ("BTC-USDT", "A", "AB", "ABC", "ABCD", "EUR-USD", "日経"):
        producer.produce(
            journal.place.topic("bars"),
            b"",
            symbol,
            on_delivery=lambda e, m, s=symbol: placed.__setitem__(s, m.partition()),
        )
    producer.flush(10)
    from tickhouse.core.shards import partition

    assert {symbol: partition(symbol, 3) for symbol in placed} == placed and len(placed) == 7


def test_numbers_come_back_bit_for_bit_whatever_they_are(journal, url):
    given = entry(3000)
    rng = np.random.default_rng(3)
    price = np.frombuffer(
        rng.bytes(8 * 3000), np.float64
    ).copy()  # any bits: infinite, not a number, the smallest there are
    size = np.frombuffer(rng.bytes(8 * 3000), np.float64).copy()
    price[:3], size[:3] = (-0.0, 5e-324, np.inf), (np.nan, -np.inf, 0.1 + 0.2)
    ids = rng.integers(0, 1 << 62, 3000)
    ticks = replace(given.ticks, price=price, size=size, first_id=ids, last_id=ids, symbols=['"S\\', "日経 0"])
    journal.append([replace(given, ticks=ticks)])
    for one in (journal, other(url)):
        assert same_ticks(one.read("ticks", 0)[0].ticks, ticks)
        one.close()


def test_a_reader_in_another_process_sees_what_is_committed_at_once(journal, url):
    reader = other(url)
    assert reader.wait(0, 0) is False
    reader.wait(0, 0.5)
    journal.append([entry(2)])
    began = time.monotonic()
    assert reader.wait(0, 5) and time.monotonic() - began < 1
    assert [r.first for r in reader.read("raw", 0)] == [0]
    journal.append([rejected((0,), 2, 2), replace(entry(1), resume=("k", "v"))])
    until = time.monotonic() + 2  # Kafka shows a transaction to others a moment after it was committed
    while time.monotonic() < until and (reader.end() < 5 or not reader.quarantine()):
        time.sleep(0.01)
    assert (reader.end(), reader.resume("k"), [i.position for i in reader.quarantine()]) == (5, "v", [2])
    reader.commit("archive", 3)
    assert journal.groups() == {"archive": 3}
    reader.close()


@pytest.mark.slow
def test_old_entries_are_found_by_search(url, monkeypatch):
    from tickhouse.journal._kafka import index

    monkeypatch.setattr(index, "MOST", 4)
    monkeypatch.setattr(index, "LAST", 4)
    writer = open_url("journal", url)
    for i in range(20):
        writer.append([entry(3, 3 * i), entry(2, i, source="other")])
    writer._recent = Recent()
    for one in (writer, other(url)):
        for position in (0, 1, 3, 4, 47, 50, 96, 99):
            record = one.read("raw", position, 1)[0]
            assert record.first <= position < record.end
            assert same_ticks(one.read("ticks", position, 1)[0].ticks, one.read("ticks", record.first, 1)[0].ticks)
        found, position = [], 0
        while records := one.read("ticks", position, 7):
            found += [r.first for r in records]
            position = records[-1].end
        assert found == sorted([*range(0, 100, 5), *range(3, 100, 5)])
        assert one.read("raw", 100) == []
        one.commit("late", 52)
        assert one.groups() == {"late": 52}
        one.close()


def test_kafkas_own_group_follows_so_that_lag_tools_work(journal):
    journal.append([entry(2), entry(2, 2)])
    journal.commit("archive", 2)
    consumer = Consumer({"bootstrap.servers": journal.place.servers, "group.id": f"{journal.place.prefix}.archive"})
    where = TopicPartition(journal.index.topic, 0)

    def told():
        for _ in range(50):
            (found,) = consumer.committed([where], timeout=5)
            if found.offset >= 0:
                return found.offset, json.loads(found.metadata)
            time.sleep(0.1)
        raise AssertionError("Kafka knows no offset of the group")

    offset, about = told()
    assert (offset, about["position"]) == (1, 2)
    journal.commit("archive", 4)
    for _ in range(50):
        if told()[0] != offset:
            break
        time.sleep(0.1)
    assert told()[0] == consumer.get_watermark_offsets(where, timeout=5)[1] == 3
    consumer.close()


def test_a_message_larger_than_the_broker_takes_is_refused_with_its_bytes_kept(kafka_url):
    with kafka.prefix(kafka_url, "partitions=2&max_message=64KiB") as url:
        journal = open_url("journal", url)
        whole = entry(3)
        huge = np.random.default_rng(1).bytes(150_000)
        raw = RawBatch.of("binance", "trade", [message(0), huge, message(2)], T0)
        assert journal.append([replace(whole, raw=raw)]) == [0]
        for one in (journal, other(url)):
            (record,) = one.read("ticks", 0)
            assert record.ticks.raw.tolist() == [0, 2]
            (record,) = one.read("raw", 0)
            assert list(record.raw.payloads()) == [message(0), huge, message(2)]
            assert record.kinds.tolist() == [Kind.PARSED, Kind.REJECTED, Kind.PARSED]
            (item,) = one.quarantine()
            assert (item.position, item.reason, item.payload) == (1, "too_large", huge)
            assert "150,000 bytes" in item.detail and "max.message.bytes" in item.detail
            assert one.ledger()["binance", "rejected"] == 1 and one.verify().faults == ()
        one.close()
        admin = AdminClient({"bootstrap.servers": kafka_url})
        wider = [
            ConfigResource(
                ConfigResource.Type.TOPIC, journal.place.topic(name),
                incremental_configs=[ConfigEntry("max.message.bytes", str(1 << 20), incremental_operation=AlterConfigOpType.SET)],
            )
            for name in ("quarantine", "raw.binance")
        ]  # fmt: skip
        for future in admin.incremental_alter_configs(wider).values():
            future.result(10)
        journal.close()
        again = open_url("journal", url)
        healed = RawBatch.of("binance", "trade", [huge], T0, lane="refill")
        assert again.heal([1], [Entry(healed, every_kind(1, Kind.PARSED))]) == [3]
        assert again.quarantine() == [] and again.ledger()["binance", "rejected"] == 0
        again._recent = Recent()
        assert again.read("raw", 0)[0].raw.payload(1) == huge
        assert again.verify().faults == ()
        again.close()


def test_bars_of_many_rows_fit_beside_the_index(journal, url):
    raw = RawBatch.of("csv", "file", [b"a"] * 30_000, T0, lane="load:x")
    journal.append([Entry(raw, every_kind(30_000, Kind.PARSED), bars=bars(30_000))])
    reader = other(url)
    assert reader.read("ticks", 0)[0].bars.close.tobytes() == bars(30_000).close.tobytes()
    reader.close()


def test_a_broker_that_is_not_there_is_said_to_be_away_in_bounded_time(kafka_url):
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 does not answer") as error:
        open_url("journal", "kafka://127.0.0.1:9/house?timeout=1s")
    assert time.monotonic() - began < 5 and error.value.retry_after


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("kafka://h:1", "prefix"), ("kafka:///house", "prefix"), ("kafka://h:1/a b", "prefix"),
        ("kafka://h:1/house?acks=1", "acks"), ("kafka://h:1/house?partitions=0", "partitions"),
        ("kafka://h:1/house?compression=rar", "lz4"), ("kafka://h:1/house?mechanism=NTLM", "SCRAM"),
        ("kafka://me@h:1/house", "TICKHOUSE_JOURNAL__PASSWORD"), ("kafka://h:1/house?tls=perhaps", "yes or no"),
        ("kafka://h:1/house?timeout=soon", "5s"), ("kafka://h:1/house?ca=/no/such/file", "ca"),
    ],
)  # fmt: skip
def test_a_bad_url_is_told_by_what_is_wrong_in_it(url, what):
    with pytest.raises(SettingsError, match=what):
        open_url("journal", url)


def test_a_password_is_never_shown():
    where = place("kafka://me:topsecret@h:1/house?mechanism=SCRAM-SHA-512")
    assert dict(where.secure) == {
        "security.protocol": "sasl_plaintext", "sasl.username": "me", "sasl.mechanism": "SCRAM-SHA-512"
    }  # fmt: skip
    assert "topsecret" not in repr(where)
    assert where.settings()["sasl.password"] == "topsecret"
    with pytest.raises(BadSetting) as error:
        place("kafka://me:topsecret@h:1")
    assert "topsecret" not in str(error.value) and "me:********@h:1" in str(error.value)


def test_topics_that_are_not_there_are_not_made_where_that_is_forbidden(url):
    with pytest.raises(SettingsError, match="tickhouse journal create"):
        open_url("journal", f"{url}&create=no")
    open_url("journal", url).close()
    open_url("journal", f"{url}&create=no").close()


def test_more_copies_than_brokers_is_told_in_one_sentence(kafka_url):
    with kafka.prefix(kafka_url, "replication=7") as url, pytest.raises(SettingsError, match=r"[Rr]eplication"):
        open_url("journal", url)


def test_a_foreign_message_among_ours_is_found(journal, url):
    journal.append([entry(2)])
    producer = Producer({"bootstrap.servers": journal.place.servers})
    producer.produce(journal.place.raw("binance"), b"not ours", partition=0)
    producer.flush(5)
    journal.append([entry(2, 2)])
    journal._recent = Recent()
    assert [r.first for r in journal.read("raw", 0)] == [0, 2]
    assert journal.verify().faults == ()


def test_what_is_not_in_kafka_any_more_is_a_fault_and_not_silence(journal, url):
    journal.append([entry(2)])
    journal.append([entry(2, 2)])
    lost = TopicPartition(journal.place.raw("binance"), 0, 3)
    with journal.place.admin() as admin:
        for future in admin.delete_records([lost]).values():
            future.result(10)
    reader = other(url)
    with pytest.raises(CorruptLog, match="not in Kafka any more"):
        reader.read("raw", 0)
    check = reader.verify()
    assert len(check.faults) == 1 and "position 0" in check.faults[0]
    reader.close()


def test_an_append_of_which_it_is_not_known_whether_it_was_committed_is_not_repeated(journal, monkeypatch):
    """The broker commits and its answer is lost: the caller is told to try again, and the second try finds the first."""
    journal.append([entry(1)])
    appender = journal._appender
    commit = appender._producer.commit_transaction

    class Lost:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __len__(self):
            return len(self.inner)

        def commit_transaction(self, timeout):
            commit(timeout)
            from confluent_kafka import KafkaError, KafkaException

            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "lost"))

    appender._producer = Lost(appender._producer)
    with pytest.raises(Unreachable):
        journal.append([entry(2, 1)])
    assert journal.append([entry(2, 1)]) == [1]
    assert journal.append([entry(2, 1)]) == [3]
    assert (journal.end(), journal.ledger()["binance", "received"]) == (5, 5)
    assert journal.verify().messages == 5


def test_retention_lets_records_go_in_kafka_too(url):
    journal = open_url("journal", url, retain_seconds=60)
    for i in range(6):
        journal.append([entry(2, 2 * i)])
    journal.commit("archive", 8)
    assert journal.trim(T0 + 3_600_000_000) == 8
    rows = {row["topic"]: row for row in journal.topics() if row["topic"].endswith((".journal", ".raw.binance"))}
    assert rows[journal.index.topic]["begin"] == 7 and rows[journal.place.raw("binance")]["begin"] == 11
    journal.close()
    again = open_url("journal", url)
    assert (again.begin(), again.end(), again.committed("archive")) == (8, 12, 8)
    assert [r.first for r in again.read("ticks", 0)] == [8, 10]
    again.close()
    last = open_url("journal", url, retain_seconds=60)
    last.commit("archive", 12)
    assert last.trim(T0 + 3_600_000_000) == 12
    last.close()
    began = time.monotonic()
    empty = open_url("journal", url)
    assert (empty.begin(), empty.end(), empty.read("raw", 0), empty.committed("new")) == (12, 12, [], 12)
    assert time.monotonic() - began < 5
    assert empty.append([entry(1)]) == [12] and empty.begin() == 12
    empty.close()


@pytest.mark.slow
def test_a_wrong_password_or_certificate_is_the_users_to_mend(private_server, tmp_path):
    server = private_server("kafka-guarded")
    form = f"kafka://{server.user}@{server.url}/house?partitions=1&ca={server.certificate}"
    journal = open_url("journal", form, password=server.secret)
    assert journal.append([entry(2)]) == [0] and len(journal.read("ticks", 0)) == 1
    journal.close()
    with pytest.raises(SettingsError, match="refuses the user or the password") as error:
        open_url("journal", f"{form}&timeout=3s", password="wrong-word")
    assert "wrong-word" not in str(error.value)
    with pytest.raises(SettingsError, match="TLS"):
        open_url("journal", f"kafka://{server.user}@{server.url}/house?timeout=3s&tls=yes", password=server.secret)


@pytest.mark.slow
def test_a_user_of_scram_is_let_in_by_the_right_password_alone(private_server):
    server = private_server("kafka-scram")
    form = f"kafka://{server.user}@{server.url}/house?partitions=1&mechanism=scram-sha-512"
    journal = open_url("journal", form, password=server.secret)
    assert journal.append([entry(2)]) == [0] and len(journal.read("ticks", 0)) == 1
    journal.close()
    for url in (f"{form}&timeout=3s", f"{form.replace('sha-512', 'sha-256')}&timeout=3s"):
        with pytest.raises(SettingsError, match="refuses the user or the password") as error:
            open_url("journal", url, password="wrong-word")
        assert "wrong-word" not in str(error.value) and "\n" not in str(error.value)


def test_a_topic_made_by_others_with_other_partitions_is_used_as_it_is(kafka_url):
    with kafka.prefix(kafka_url, "partitions=3") as url:
        where = place(url)
        with where.admin() as admin:
            admin.create_topics([NewTopic(where.topic("ticks"), 2, 1)])[where.topic("ticks")].result(10)
        journal = open_url("journal", url)
        journal.append([entry(6)])
        journal._recent = Recent()
        assert same_ticks(journal.read("ticks", 0)[0].ticks, entry(6).ticks)
        journal.close()


def test_a_source_of_any_name_has_a_topic(journal):
    for name in ("my file.csv", "ä/b", "x" * 30):
        journal.append([entry(1, source=name)])
    assert {s for s, _ in journal.ledger()} == {"my file.csv", "ä/b", "x" * 30}
    assert journal.verify().faults == ()


def test_errors_of_ours_come_out_of_a_closed_journal(journal):
    journal.close()
    with pytest.raises(TickhouseError):
        journal.append([entry(1)])
