"""Findings are few and true: one row for each thing found between two checkpoints, exact also after a crash."""

from itertools import count

import pytest

from tests.end_to_end.tape import BEGAN
from tickhouse.core.batches import LIVE, RawBatch
from tickhouse.core.clock import ManualClock
from tickhouse.core.model import Query
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline


class House:
    """A house that is fed small batches, each with an id that comes twice."""

    def __init__(self, folder) -> None:
        self.clock, self.settings, self.ids = ManualClock(1000 * BEGAN), load(None, folder), count(1)
        self.open()

    def open(self) -> None:
        self.pipeline = Pipeline(self.settings, self.clock)
        self.ingest, self.process = self.pipeline.ingest(), self.pipeline.process()

    def feed(self, batches: int) -> None:
        for _ in range(batches):
            id_ = next(self.ids)
            text = b'{"e":"trade","E":%d,"s":"%bUSDT","t":%d,"p":"5.0","q":"1.0","T":%d,"m":true,"M":true}'
            payloads = [text % (BEGAN + id_, symbol, id_, BEGAN + id_) for symbol in (b"A", b"A", b"B", b"B", b"B")]
            self.ingest.take([RawBatch.of("binance", "trade", payloads, [1000 * (BEGAN + id_)] * 5, LIVE)])
            self.process.step(0)

    def found(self) -> list[tuple[str, str, int]]:
        rows = self.pipeline.warm.findings(Query()).to_pylist()
        return sorted((row["symbol"], row["message"], row["count"]) for row in rows)


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path / "house")
    yield made
    made.pipeline.close()


SAID = "repeated: the id of a tick came before"


def test_what_is_found_again_and_again_is_one_row_that_counts(house):
    house.feed(50)
    assert house.found() == []
    house.process.checkpoint()
    assert house.found() == [("A-USDT", SAID, 50), ("B-USDT", SAID, 100)]
    house.feed(3)
    house.process.checkpoint()
    assert house.found() == [("A-USDT", SAID, 3), ("A-USDT", SAID, 50), ("B-USDT", SAID, 6), ("B-USDT", SAID, 100)]


def test_a_crash_loses_no_finding_and_counts_none_twice(house):
    house.feed(10)
    house.process.checkpoint()
    house.feed(7)
    house.pipeline.close()
    house.open()
    house.feed(5)
    house.process.catch_up()
    assert house.found() == [("A-USDT", SAID, 10), ("A-USDT", SAID, 12), ("B-USDT", SAID, 20), ("B-USDT", SAID, 24)]


def test_the_first_of_them_gives_the_row_its_moment_and_its_message(house):
    house.feed(4)
    house.process.checkpoint()
    (first, _) = house.pipeline.warm.findings(Query()).to_pylist()
    assert first["raw"] == 1 and round(first["at"].timestamp() * 1000) == BEGAN + 1
