"""What one process writes is heard by others, in numbers that show when something was missed."""

import time

import pyarrow as pa
import pytest

from tests.stores.keys import forget, named
from tests.stores.samples import MINUTE, T0, anomaly, bar, bars_output, batch, output, stretch, ticks
from tickhouse.core.model import ANOMALY, State
from tickhouse.core.plugins import open_url
from tickhouse.stores import _redis_fanout, _redis_writer, memory


@pytest.fixture
def ends(hot_url, monkeypatch):
    """A store that is written to, and one that follows it."""
    monkeypatch.setattr(_redis_fanout, "BEAT_SECONDS", 0.0)  # it is asked each time whether anybody hears
    url = named(hot_url)
    writer, reader = open_url("stores", url), open_url("stores", url)
    changes = reader.follow()
    assert changes.next(0.05) is None
    yield writer, changes
    changes.close()
    forget(writer, reader)


def heard(changes, seconds=2.0):
    """Everything that is said until nothing more comes."""
    found = []
    while (one := changes.next(seconds)) is not None:
        found.append(one)
        seconds = 0.1
    return found


def test_prices_and_forming_bars_are_heard_as_they_were_taken_in(ends):
    writer, changes = ends
    writer.ticks(ticks({"symbol": "A", "price": 0.1 + 0.2, "size": None}, {"symbol": "B", "price": 2.0}))
    writer.bars(batch([bar("A", 1, state=State.FORMING, vwap=float("nan")), bar("B", 0)]))
    plain = memory.open()
    for one in heard(changes):
        assert one.whole
        for some in one.ticks:
            plain.ticks(some)
        assert not one.output.bars, "a closed bar is firm, and said by announce"
        for bars in one.output.forming:
            plain.bars(bars)
    assert sorted(plain.latest(), key=str) == sorted(writer.own.latest(), key=str)
    assert plain.forming() == writer.own.forming(["A"])


def test_what_is_firm_is_heard_whole_and_once(ends):
    writer, changes = ends
    rows = [bar("A", 0), bar("A", 1, state=State.CORRECTED, version=1), bar("B", 0, source="csv", interval="5m")]
    said = bars_output(9, *rows, anomalies=pa.Table.from_pylist([anomaly("A")], schema=ANOMALY))
    writer.announce(said)
    writer.announce(output(10, coverage=[stretch(0, 5)]))
    found = heard(changes)
    columns = [batch.columns() for one in found for batch in one.output.bars]
    assert columns == [batch.columns() for batch in said.bars]
    tables = [one.output.anomalies for one in found if one.output.anomalies is not None]
    assert pa.concat_tables(tables).equals(said.anomalies)
    assert [one.output.coverage.num_rows for one in found if one.output.coverage is not None] == [1]
    assert all(one.whole for one in found)


def test_who_is_busy_is_heard_though_nothing_comes_and_for_a_while_only(redis_url, monkeypatch):
    monkeypatch.setattr(_redis_fanout, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(_redis_writer, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(_redis_writer, "BUSY_SECONDS", 1.0)
    url = named(redis_url)
    writer, reader = open_url("stores", url), open_url("stores", url)
    changes = reader.follow()
    assert changes.next(0.05) is None
    for _ in range(2):
        writer.busy()
        began = time.monotonic()
        found = heard(changes, 2.0)
        assert len(found) > 5 and all(one.whole for one in found)
        assert not any(one.ticks or one.output.bars or one.output.forming for one in found)
        assert 0.5 < time.monotonic() - began < 3
    changes.close()
    forget(writer, reader)


def test_bars_closed_together_with_the_next_forming_one_are_not_lost(ends):
    writer, changes = ends
    writer.bars(batch([bar("A", 0)]))
    writer.bars(batch([bar("A", 1, state=State.FORMING)]))
    writer.announce(bars_output(9, bar("A", 0)))
    found = heard(changes)
    assert [int(b.start[0]) for one in found for b in one.output.bars] == [T0]
    assert [int(b.start[0]) for one in found for b in one.output.forming][-1] == T0 + MINUTE


def test_more_than_can_wait_is_noticed_and_another_writer_from_its_beginning_on_is_no_loss(ends, hot_url, monkeypatch):
    writer, changes = ends
    writer.ticks(ticks({"symbol": "A"}))
    assert [one.whole for one in heard(changes)] == [True]
    monkeypatch.setattr(_redis_fanout, "MOST_ROWS", 2)
    writer.announce(bars_output(9, *(bar("A", n) for n in range(5))))
    writer.ticks(ticks({"symbol": "A", "event_time": T0 + 1}))
    assert not all(one.whole for one in heard(changes))
    other = open_url("stores", f"{hot_url}?prefix={writer.address.prefix}&ttl=10m")
    other.ticks(ticks({"symbol": "B"}))
    assert other.flush()
    writer.ticks(ticks({"symbol": "A", "event_time": T0 + 2}))
    assert all(one.whole for one in heard(changes))
    other.close()
