"""Polled quotes are late only behind a newer one of their own series."""

import pytest

from tests.process.house import Feeder, House, Row, tick
from tests.process.test_scenes import disturbed, said
from tickhouse.core.batches import Record
from tickhouse.core.marks import Event
from tickhouse.core.model import SNAPSHOT, Ids
from tickhouse.process.rules import Rules

UNIQUE = Rules(ids={"s": Ids.UNIQUE})


def quote(at: float, received: float, symbol: str = "A") -> Row:
    return tick(at, 5.0, None, symbol, received=received, id=round(at * 1000), conditions=SNAPSHOT)


def counts(house: House) -> dict[str, int]:
    return {name: count for (_, name), count in house.outputs[-1].ledger.items()}


def day() -> list[Record]:
    """A line that hears for an hour, a rate of long before, trades and quotes in order and in disorder."""
    feeder = Feeder()
    return [
        feeder.mark(Event.CONNECTED, 3600, symbols=("A", "B")),
        feeder.mark(Event.ALIVE, 3700),
        feeder.ticks([quote(-3000, 3701), quote(100, 3701), quote(100, 3702), quote(90, 3702), quote(200, 3703, "B")]),
        feeder.ticks(
            [tick(60, 5.0, symbol="B", received=3704), quote(3705, 3705), quote(400, 3706, "B"), quote(3700, 3706)]
        ),
        feeder.mark(Event.ALIVE, 4000),
        feeder.ticks([quote(3000, 4001, "B"), quote(2999, 4002, "B"), quote(4000, 4003)]),
    ]


def test_a_quote_is_late_behind_its_own_series_and_a_trade_behind_the_watermark():
    house = House(UNIQUE)
    house.run(*day())
    # late: 90 of A after 100, the trade, 2999 of B after 3000; 3700 of A is behind 3705 and before the watermark
    assert counts(house) == {"accepted": 7 + 1, "duplicate": 1, "late": 3}
    assert len(house.newest()) == 8, "and all of them are in bars, those of A at 4000 in one that is open"


@pytest.mark.parametrize("seed", range(20))
def test_neither_cuts_nor_restarts_change_what_is_late(seed):
    whole = House(UNIQUE)
    whole.run(*day())
    assert disturbed(day(), UNIQUE, seed) == said(whole)
