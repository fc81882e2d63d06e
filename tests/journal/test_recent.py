"""What is kept of a journal in memory says the same as the file, and never more than it may."""

import numpy as np

from tests.journal.samples import entry
from tickhouse.core.batches import RawBatch
from tickhouse.journal._recent import Recent
from tickhouse.journal.sqlite import open as opened


def same(one, other):
    """Whether two records say the same, whatever their symbols' codes are."""
    assert (one.first, one.count, one.source, one.channel, one.lane, one.received_at) == (
        other.first, other.count, other.source, other.channel, other.lane, other.received_at,
    )  # fmt: skip
    if one.raw is not None:
        assert list(one.raw.payloads()) == list(other.raw.payloads())
        assert (one.kinds == other.kinds).all()
    if one.ticks is not None:
        assert one.ticks.to_arrow().to_pylist() == other.ticks.to_arrow().to_pylist()
    return one.marks == other.marks


def test_what_was_just_appended_is_read_from_memory_as_from_the_file(tmp_path):
    url = f"sqlite:///{tmp_path}/j.db"
    journal, other = opened(url), opened(url)
    for i in range(5):
        journal.append([entry(3, 3 * i), entry(2, 100 + 2 * i, source="x")])
    for topic in ("raw", "ticks"):
        for position in (0, 1, 3, 12, 24):
            mine, theirs = journal.read(topic, position, 7), other.read(topic, position, 7)
            assert all(same(a, b) for a, b in zip(mine, theirs, strict=True))
    journal.close()
    other.close()


def test_a_gap_in_the_positions_forgets_what_was_before():
    recent = Recent()
    recent.add([0], [entry(3, 0)])
    recent.add([5], [entry(2, 3)])
    assert recent.read("raw", 0, 10) is None
    assert [r.first for r in recent.read("raw", 5, 10)] == [5]
    assert recent.read("raw", 7, 10) is None


def test_it_is_bounded_in_messages_and_in_bytes():
    recent = Recent(most_messages=10)
    for first in range(0, 40, 4):
        recent.add([first], [entry(4, first)])
    assert recent.read("ticks", 31, 10) is None
    assert [r.first for r in recent.read("ticks", 32, 100)] == [32, 36]
    small = Recent(most_bytes=1)
    small.add([0], [entry(4, 0)])
    assert small.read("raw", 0, 10) is None


def test_bytes_that_the_caller_uses_again_are_copied():
    buffer = bytearray(b"onetwo")
    made = entry(2, 0)
    data = np.frombuffer(buffer, np.uint8)
    raw = RawBatch("a", "trade", "live", data, np.array([0, 3]), np.array([3, 6]), made.raw.received_at)
    recent = Recent()
    recent.add([0], [type(made)(raw, made.kinds)])
    buffer[:] = b"xxxxxx"
    assert list(recent.read("raw", 0, 10)[0].raw.payloads()) == [b"one", b"two"]


def test_what_retention_let_go_is_not_read_from_memory(tmp_path):
    journal = opened(f"sqlite:///{tmp_path}/j.db", retain_seconds=1)
    journal.append([entry(2, 0)])
    journal.append([entry(2, 2)])
    journal.commit("a", 2)
    assert journal.trim(1 << 60) == 2
    assert [r.first for r in journal.read("raw", 0)] == [2]
    journal.close()
