"""The embedded engine, one behaviour a test."""

import math
from random import Random

import numpy as np
import pytest

from tests.process.house import MINUTE, SECOND, T0, Feeder, House, Row, given, rows_of, tick
from tickhouse.core.batches import LIVE, REFILL, Record
from tickhouse.core.errors import SettingsError
from tickhouse.core.kernels.tumbling import SLOT
from tickhouse.core.marks import Event
from tickhouse.core.model import Ids
from tickhouse.process import state
from tickhouse.process.analysis import Analysis
from tickhouse.process.catalog import default_indicators, detector
from tickhouse.process.rules import Rules
from tickhouse.process.sale_conditions import ConditionRule

NONE = Rules()
DENSE = Rules(ids={"s": Ids.DENSE})


@pytest.fixture
def feeder() -> Feeder:
    return Feeder()


def brief(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in ("open", "high", "low", "close", "volume", "trades", "state", "version"))


def test_a_window_closes_when_the_watermark_passes_its_end_and_not_before(feeder):
    house = House(NONE)
    assert not house.run(feeder.ticks([tick(1, 10), tick(30, 12), tick(64.999, 7)])).bars
    output = house.run(feeder.ticks([tick(65, 8)]))
    [batch] = output.bars
    assert [brief(row) for row in rows_of(batch)] == [(10, 12, 10, 12, 2, 2, "final", 0)]
    assert output.position == 4


def test_open_and_close_go_by_event_time_then_id_then_arrival(feeder):
    rows = [tick(5, 3, id=3), tick(2, 2, id=2), tick(2, 1, id=1), tick(9, 8, id=8), tick(9, 9, id=9), tick(9, 7, id=7)]
    house = House(NONE)
    house.run(feeder.ticks([*rows, tick(100)]))
    bar = house.newest()["A", 0]
    assert (bar["open"], bar["close"]) == (1, 9)
    house = House(NONE)
    house.run(Feeder().ticks([tick(2, 1), tick(2, 2), tick(9, 3), tick(9, 4), tick(100)]))
    bar = house.newest()["A", 0]
    assert (bar["open"], bar["close"]) == (1, 4)


def test_volume_is_the_correctly_rounded_sum_whatever_the_order(feeder):
    random = Random(1)
    sizes = [round(random.expovariate(1), 8) * random.choice([1e-6, 1, 1e6]) for _ in range(2000)]
    for order in (sizes, sorted(sizes), sorted(sizes, reverse=True)):
        house = House(NONE)
        house.run(Feeder().ticks([*(tick(1, 3.7, size) for size in order), tick(100)]))
        bar = house.newest()["A", 0]
        assert bar["volume"] == math.fsum(sizes)
        assert bar["vwap"] == math.fsum(3.7 * size for size in sizes) / math.fsum(sizes)


def test_quotes_without_size_have_no_volume_and_no_vwap_and_count_one_each(feeder):
    house = House(NONE)
    house.run(feeder.ticks([tick(1, 5, None), tick(2, 6, None), tick(100)]))
    bar = house.newest()["A", 0]
    assert (bar["volume"], bar["trades"]) == (0, 2)
    assert math.isnan(bar["vwap"])


def test_an_aggregate_counts_its_trades_and_repeats_if_any_of_its_ids_was_seen(feeder):
    house = House(DENSE)
    rows = [
        tick(1, first_id=10, last_id=14),
        tick(2, first_id=15, last_id=15),
        tick(3, first_id=14, last_id=16),
        tick(100, id=16),
    ]
    output = house.run(feeder.ticks(rows))
    assert house.newest()["A", 0]["trades"] == 6
    assert output.ledger == {("s", "accepted"): 3, ("s", "duplicate"): 1, ("s", "late"): 0}


def test_sale_conditions_say_what_sets_a_price_and_what_is_volume(feeder):
    rule = ConditionRule("test", 1, no_price=frozenset({"avg"}), no_volume=frozenset({"odd"}))
    house = House(Rules(conditions={"s": rule}))
    rows = [
        tick(1, 99, 2, conditions="avg"),
        tick(2, 10, 4, conditions="odd"),
        tick(3, 11, 8),
        tick(4, 1, 16, conditions="avg"),
    ]
    house.run(feeder.ticks([*rows, tick(70, 5, 1, conditions="avg"), tick(200)]))
    bar = house.newest()["A", 0]
    assert (bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"], bar["trades"]) == (10, 11, 10, 11, 26, 4)
    assert bar["vwap"] == (99 * 2 + 11 * 8 + 16) / 26
    assert ("A", 60) not in house.newest()
    house.run(feeder.ticks([tick(71, 6)]), feeder.mark(Event.ALIVE, 200))
    assert brief(house.newest()["A", 60]) == (6, 6, 6, 6, 2, 2, "final", 0)


def test_a_late_tick_corrects_its_bar_from_state_at_the_next_second(feeder):
    house = House(NONE)
    house.run(feeder.ticks([tick(1, 10), tick(70.0, 20)]))
    assert not house.run(feeder.ticks([tick(2, 50, received=70.1), tick(3, 5, received=70.2), tick(70.9, 20)])).bars
    output = house.run(feeder.ticks([tick(71, 20)]))
    assert [brief(row) for row in house.versions()] == [
        (10, 10, 10, 10, 1, 1, "final", 0),
        (10, 50, 5, 5, 3, 3, "corrected", 1),
    ]
    assert house.versions()[1]["known_at"] == T0 + round(70.2 * SECOND)
    assert output.ledger["s", "late"] == 2
    assert house.asked == 1  # only for the first window, which an earlier run may have made


def test_a_tick_later_than_the_horizon_corrects_its_bar_from_history(feeder):
    house = House(DENSE)
    house.run(feeder.ticks([tick(10 * n, n, id=n) for n in range(1, 400) if n not in (2, 9)]))
    before = house.asked
    house.run(feeder.ticks([tick(20, 2000, id=2)]))
    house.run(feeder.ticks([tick(4000, id=400), tick(4001, id=401)]))
    assert house.asked > before
    versions = [brief(row) for row in house.versions(at=0)]
    assert versions[0] == (1, 5, 1, 5, 4, 4, "final", 0)
    assert versions[-1] == (1, 2000, 1, 5, 5, 5, "corrected", len(versions) - 1)
    assert house.newest("5m")["A", 0]["high"] == 2000


def test_a_late_tick_in_a_window_without_a_bar_makes_its_first_version(feeder):
    house = House(NONE)
    house.run(feeder.ticks([tick(1), tick(200), tick(90, 7, received=200), tick(202)]))
    assert [brief(row) for row in house.versions(at=60)] == [(7, 7, 7, 7, 1, 1, "final", 0)]


def test_a_tick_an_hour_ahead_closes_nothing_and_counts_in_its_window_later(feeder):
    house = House(DENSE)
    output = house.run(feeder.ticks([tick(1, 5, id=1), tick(3601, 9, id=2, received=2), tick(30, 6, id=3)]))
    assert not output.bars and output.ledger["s", "accepted"] == 3
    house.run(feeder.ticks([tick(70, id=4), *(tick(3600 + n, 4, id=n) for n in range(5, 12)), tick(3700, id=12)]))
    assert brief(house.newest()["A", 0]) == (5, 6, 5, 6, 2, 2, "final", 0)
    assert brief(house.newest()["A", 3600]) == (9, 9, 4, 4, 8, 8, "final", 0)


def test_windows_of_quiet_symbols_close_by_the_source_and_by_the_clock(feeder):
    house = House(NONE)
    house.run(feeder.ticks([tick(1, symbol="QUIET"), tick(2)]))
    house.run(feeder.ticks([tick(66)]))
    assert ("QUIET", 0) in house.newest()
    house.run(feeder.mark(Event.ALIVE, 129))
    assert ("A", 60) not in house.newest()
    house.run(feeder.mark(Event.ALIVE, 130))
    assert ("A", 60) in house.newest()


def test_a_source_that_is_down_lets_its_last_windows_close_and_makes_no_flat_bars(feeder):
    house = House(NONE)
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("A",)), feeder.ticks([tick(1)]))
    for at in range(40, 400, 20):
        house.run(feeder.mark(Event.DISCONNECTED, 30, received=at))
    assert list(house.newest()) == [("A", 0)]
    assert house.newest()["A", 0]["completeness"] == 0.5
    assert house.coverage()["A", 0][1:] == ("blind", 0)


def test_missing_ids_make_a_hole_and_lower_completeness_until_they_are_refilled(feeder):
    house = House(DENSE)
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("A",)))
    house.run(feeder.ticks([tick(n, n, id=n) for n in range(1, 200) if n not in (20, 21, 130)]))
    [hole, later] = house.holes
    assert (hole.symbol, hole.first_id, hole.last_id, hole.start, hole.end) == (
        "A",
        20,
        21,
        T0 + 19 * SECOND,
        T0 + 22 * SECOND,
    )
    assert (later.first_id, later.last_id) == (130, 130)
    assert house.newest()["A", 0]["completeness"] == 57 / 59
    assert house.coverage()["A", 0] == (60, "blind", 2)
    assert house.coverage()["A", 60] == (120, "live", 0)
    filled = [tick(20, 500, id=20, received=210), tick(21, 1, id=21, received=211)]
    house.run(feeder.mark(Event.BEGIN, 210, REFILL), feeder.ticks(filled, REFILL))
    output = house.run(feeder.mark(Event.END, 212, REFILL))
    [bar] = [row for batch in output.bars for row in rows_of(batch) if row["interval"] == "1m"]
    assert (bar["high"], bar["trades"], bar["completeness"], bar["state"], bar["version"]) == (
        500,
        59,
        1,
        "corrected",
        1,
    )
    assert house.coverage()["A", 0] == (60, "backfilled", 0)
    assert len(house.holes) == 2
    assert output.ledger == {("s", "accepted"): 198, ("s", "duplicate"): 0, ("s", "late"): 0}


def test_a_trade_that_quality_refused_is_no_hole_and_its_bar_is_not_complete(feeder):
    """It came, so nobody need ask for it, and nothing was blind; taken in later, it corrects its bar."""
    house = House(DENSE)
    rows = [tick(n, id=n, refused=n in (1, 20, 21, 70)) for n in range(1, 131)]
    house.run(feeder.ticks(rows, page=3))
    assert not house.holes and not house.engine.open_holes()
    assert [house.newest()["A", at]["completeness"] for at in (0, 60)] == [56 / 58 * 58 / 60, 59 / 60]
    assert {state for _, state, _ in house.coverage().values()} == {"live"}
    house.restart()
    house.run(feeder.ticks([tick(20, 50, id=20, received=140), tick(21, 1, id=21, received=140)], REFILL))
    house.run(feeder.ticks([tick(n, id=n) for n in range(131, 250)]))
    assert brief(house.newest()["A", 0])[1:] == (50, 1, 1, 58, 58, "corrected", 1)
    assert house.newest()["A", 0]["completeness"] == 58 / 60 and house.newest()["A", 60]["version"] == 0


def test_a_hole_is_closed_when_what_fills_it_is_refused(feeder):
    house = House(DENSE)
    house.run(feeder.ticks([tick(n, id=n) for n in range(1, 131) if n not in (20, 21, 22)]))
    assert [(hole.first_id, hole.last_id) for hole in house.engine.open_holes()] == [(20, 22)]
    before = house.newest()["A", 0]["completeness"]
    for _ in range(2):
        rows = [tick(n, id=n, refused=n == 21, received=140) for n in (20, 21, 22)]
        house.run(feeder.ticks(rows, REFILL, "history", 3), feeder.mark(Event.END, 140, REFILL))
        assert not house.engine.open_holes()
    bar = house.newest()["A", 0]
    assert (bar["trades"], bar["version"], bar["completeness"]) == (58, 1, 58 / 59 * 59 / 60) and bar[
        "completeness"
    ] > before
    assert house.coverage()["A", 1] == (60, "backfilled", 0)
    house.run(feeder.ticks([tick(21, id=21, received=150)], REFILL), feeder.mark(Event.END, 150, REFILL))
    assert (house.newest()["A", 0]["version"], house.newest()["A", 0]["completeness"]) == (2, 59 / 60)


def test_the_time_of_a_refused_trade_is_not_believed_when_it_cannot_be(feeder):
    house = House(DENSE)
    odd = [tick(9e6, id=50, refused=True, received=50), tick(-1.75e9, id=51, refused=True, received=51)]
    house.run(feeder.ticks([tick(n, id=n) for n in range(1, 50)] + odd + [tick(n, id=n) for n in range(52, 131)]))
    assert not house.engine.open_holes()
    assert house.newest()["A", 0]["completeness"] == pytest.approx(57 / 60)
    assert house.newest()["A", 60]["completeness"] == 1


def test_a_gap_over_the_end_of_a_window_counts_in_both(feeder):
    house = House(DENSE)
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("A",)))
    house.run(feeder.ticks([tick(n, id=n) for n in range(1, 200) if n not in (59, 60, 61)]))
    assert house.versions(at=0)[0]["completeness"] == 1
    assert house.newest()["A", 0]["completeness"] == 58 / 61
    assert house.newest()["A", 60]["completeness"] == 58 / 61
    assert house.coverage()["A", 0][1:] == ("blind", 3)


def test_disorder_within_the_lateness_is_not_seen(feeder):
    random, rows = Random(5), [tick(n / 5, n, id=n) for n in range(1, 2000)]
    rows.sort(key=lambda row: row["event_time"] + random.choice([0, 0, random.uniform(0, 4.9e6)]))
    house = House(DENSE)
    house.run(feeder.ticks([*rows, tick(500, id=2000)]))
    assert not house.holes
    assert {row["version"] for row in house.made} == {0}
    assert {row["completeness"] for row in house.made if row["start"] > T0} == {1.0}


def test_blind_time_counts_until_the_next_id_proves_that_nothing_was_lost(feeder):
    house = House(DENSE)
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("A",)), feeder.ticks([tick(10, id=1)]))
    house.run(feeder.mark(Event.DISCONNECTED, 45), feeder.mark(Event.DISCONNECTED, 45, received=75))
    assert house.newest()["A", 0]["completeness"] == 0.75
    assert house.coverage()["A", 0] == (60, "blind", 0)
    house.run(
        feeder.mark(Event.CONNECTED, 80, symbols=("A",)), feeder.ticks([tick(81, id=2)]), feeder.mark(Event.ALIVE, 82)
    )
    assert [(row["version"], row["completeness"]) for row in house.versions()] == [(0, 0.75), (1, 1.0)]
    assert house.coverage()["A", 0] == (60, "live", 0)


def test_blind_time_in_which_ids_were_lost_becomes_a_hole_with_its_count(feeder):
    house = House(DENSE)
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("A",)), feeder.ticks([tick(n, id=n) for n in range(1, 46)]))
    house.run(feeder.mark(Event.DISCONNECTED, 45), feeder.mark(Event.DISCONNECTED, 45, received=75))
    house.run(feeder.mark(Event.CONNECTED, 80, symbols=("A",)), feeder.ticks([tick(81, id=81), tick(82, id=82)]))
    house.run(feeder.mark(Event.ALIVE, 140))
    [hole] = house.holes
    assert (hole.first_id, hole.last_id) == (46, 80)
    assert house.newest()["A", 0]["completeness"] == 45 / (45 + 35)
    assert house.newest()["A", 60]["completeness"] == 2 / (2 + 35)
    assert house.coverage()["A", 0] == (120, "blind", 35)


def test_without_ids_completeness_is_the_connected_part_of_the_time(feeder):
    house = House(NONE)
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("A",)), feeder.ticks([tick(10)]))
    house.run(feeder.mark(Event.DISCONNECTED, 15), feeder.mark(Event.CONNECTED, 30, symbols=("A",)))
    house.run(feeder.ticks([tick(50), tick(100), tick(200)]))
    assert house.newest()["A", 0]["completeness"] == 0.75
    assert house.newest()["A", 60]["completeness"] == 1


def test_silence_that_is_noticed_late_corrects_what_was_believed(feeder):
    house = House(NONE)
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("A",)))
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("B",), line="two"))
    house.run(feeder.ticks([tick(1), tick(1, symbol="B"), tick(100, symbol="B")]))
    assert house.newest()["A", 0]["completeness"] == 1
    house.run(feeder.mark(Event.MUTE, 30, received=101))
    assert [(row["version"], row["completeness"]) for row in house.versions("A")] == [(0, 1), (1, 0.5)]
    assert [row["completeness"] for row in house.versions("B")] == [1]
    assert house.versions("A")[1]["known_at"] == T0 + 101 * SECOND
    assert house.coverage()["A", 0] == (60, "blind", 0)
    assert house.coverage()["B", 0] == (60, "live", 0)


def test_the_first_window_is_complete_from_the_first_evidence_on(feeder):
    house = House(DENSE)
    house.run(feeder.mark(Event.CONNECTED, 15, symbols=("A",)), feeder.ticks([tick(30, id=1), tick(100, id=2)]))
    assert house.newest()["A", 0]["completeness"] == 0.75
    house = House(DENSE)
    house.run(Feeder().ticks([tick(30, id=1), tick(20, id=0), tick(100, id=2)]))
    assert house.newest()["A", 0]["completeness"] == 40 / 60


def test_a_trade_from_before_the_connection_proves_that_nothing_is_missing_after_it(feeder):
    """On a busy machine it comes after the line was noted as connected; from its id on every loss would be known."""
    house = House(DENSE)
    trades = [tick(59, id=1), tick(62, id=2), tick(130, id=3), tick(200, id=4)]
    house.run(feeder.mark(Event.CONNECTED, 61, symbols=("A",)), feeder.ticks(trades))
    assert house.newest()["A", 0]["completeness"] == 1 / 60
    assert house.newest()["A", 60]["completeness"] == 1
    assert house.coverage()["A", 59][1:] == ("live", 0)


def test_coverage_begins_where_the_first_window_is_watched_from(feeder):
    house = House(DENSE)
    house.run(feeder.mark(Event.CONNECTED, 15, symbols=("A", "B")), feeder.ticks([tick(30, id=1), tick(100, id=2)]))
    house.run(feeder.mark(Event.ALIVE, 200))
    assert house.coverage()["A", 15] == (120, "live", 0)
    assert house.coverage()["B", 15] == (180, "quiet", 0)
    assert house.newest()["A", 0]["completeness"] == 0.75
    early = House(NONE)
    early.run(Feeder().mark(Event.CONNECTED, 65, symbols=("A",)), feeder.ticks([tick(50), tick(70), tick(200)]))
    assert early.coverage()["A", 0] == (120, "live", 0), "a trade from before the connection came all the same"


def test_coverage_tells_live_quiet_and_delayed_apart(feeder):
    house = House(NONE)
    house.run(feeder.mark(Event.CONNECTED, 0, symbols=("A", "B")))
    house.run(feeder.ticks([tick(1), tick(130, received=150), tick(140, received=170), tick(141), tick(400)]))
    assert house.coverage() == {
        ("A", 0): (60, "live", 0), ("A", 60): (120, "quiet", 0), ("A", 120): (180, "delayed", 0), ("A", 180): (360, "quiet", 0),
        ("B", 0): (360, "quiet", 0),
    }  # fmt: skip


def test_a_load_has_a_watermark_of_its_own_and_closes_at_its_end(feeder):
    house = House(DENSE)
    house.run(feeder.ticks([tick(100_000, id=900)]))
    lane = "load:tape"
    output = house.run(
        feeder.mark(Event.BEGIN, 100_001, lane),
        feeder.ticks([tick(0, 1, id=1), tick(10, 2, id=2), tick(70, 3, id=3), tick(90, 4, id=4)], lane),
        feeder.mark(Event.END, 100_002, lane),
    )
    assert output.ledger["s", "late"] == 0
    assert brief(house.newest()["A", 0]) == (1, 2, 1, 2, 2, 2, "final", 0)
    assert house.newest()["A", 60]["completeness"] == 0.5
    assert not house.holes
    more = "load:again"
    again = house.run(feeder.ticks([tick(n, id=n) for n in (1, 2, 3)], more), feeder.mark(Event.END, 9, more))
    assert again.ledger["s", "duplicate"] == 3 and not again.bars


def test_two_lanes_that_know_parts_of_a_window_make_one_bar(feeder):
    house = House(DENSE)
    house.run(feeder.ticks([tick(1, 5, id=1), tick(20, 6, id=3), tick(100, id=5)]))
    assert house.versions()[-1]["trades"] == 2
    lane = "load:rest"
    house.run(
        feeder.ticks([tick(1, 5, id=1), tick(10, 50, id=2), tick(30, 7, id=4)], lane), feeder.mark(Event.END, 100, lane)
    )
    bar = house.newest()["A", 0]
    assert brief(bar) == (5, 50, 5, 7, 4, 4, "corrected", bar["version"])
    house.run(feeder.ticks([tick(0, 1, id=0), tick(200, id=6)]))
    assert house.newest()["A", 0]["trades"] == 5
    house.run(feeder.ticks([tick(400, id=7)]))
    assert house.newest("5m")["A", 0]["trades"] == 7


def test_ids_without_order_know_repeats_in_memory_only(feeder):
    house = House(Rules(ids={"s": Ids.UNIQUE}, horizon_us=MINUTE))
    rows = [tick(n, id=(n * 7919) % 5000 if n % 3 else 17) for n in range(1, 1000)]
    output = house.run(feeder.ticks(rows))
    assert output.ledger["s", "duplicate"] == 332


def test_ready_made_bars_pass_as_they_are_and_only_news_makes_a_version(feeder):
    day = 86_400 * SECOND

    def bars(*closes: float, start: int = 0) -> Record:
        rows = [("A", (start + n) * 86_400, close) for n, close in enumerate(closes)]
        return feeder.bars(given(rows, interval=day), LIVE, page=9)

    house = House(NONE)
    house.run(bars(1, 2, 3))
    assert [row["version"] for row in house.made] == [0, 0, 0]
    assert not house.run(bars(1, 2, 3)).bars
    house.run(bars(2, 9, start=1), bars(4, start=3))
    assert [(row["close"], row["version"], row["state"]) for row in house.made[3:]] == [
        (9, 1, "corrected"),
        (4, 0, "final"),
    ]
    assert house.coverage() == {("A", 0): (4 * 86_400, "live", 0)}


def test_bars_of_a_file_come_out_together_at_its_end(feeder):
    """So it does not matter in which portions, and in which order, its lines were read."""
    house, lane = House(NONE), "load:bars"
    house.run(feeder.mark(Event.BEGIN, 0, lane), *(feeder.bars(given([("A", 60 * n, n + 1)]), lane) for n in (2, 1, 0)))
    assert not house.made and not house.coverage()
    house.restart()
    house.run(feeder.mark(Event.END, 0, lane))
    assert [(row["close"], row["version"]) for row in house.made if row["interval"] == "1m"] == [(1, 0), (2, 0), (3, 0)]
    assert house.coverage() == {("A", 0): (180, "live", 0)}


def test_forming_bars_are_the_newest_state_of_the_open_windows_touched(feeder):
    house = House(NONE)
    output = house.run(feeder.ticks([tick(1, 5), tick(2, 9), tick(3, 7, symbol="B")]))
    [batch] = output.forming
    found = {(row["symbol"], row["interval"]): brief(row) for row in rows_of(batch)}
    assert found["A", "1m"] == found["A", "5m"] == (5, 9, 5, 9, 2, 2, "forming", 0)
    assert found["B", "1m"] == (7, 7, 7, 7, 1, 1, "forming", 0)
    [batch] = house.run(feeder.ticks([tick(100, 3)])).forming
    assert [(row["symbol"], row["interval"], row["trades"]) for row in rows_of(batch)] == [
        ("A", "1m", 1),
        ("A", "5m", 3),
    ]
    assert not house.run(feeder.mark(Event.ALIVE, 101)).forming


def test_records_before_the_position_are_passed_over(feeder):
    house, record = House(NONE), feeder.ticks([tick(1), tick(100)])
    house.run(record)
    output = house.run(record)
    assert not output.bars and output.ledger["s", "accepted"] == 2


def test_a_snapshot_whose_slots_are_laid_out_otherwise_is_read(feeder):
    """As of versions in which a slot kept the number of the call that touched it."""
    house, other = House(NONE), House(NONE)
    records = [
        feeder.ticks([tick(1, 3), tick(70, 5), tick(80, 7)]),
        feeder.ticks([tick(90, 2), tick(30, 9), tick(400)]),
    ]
    house.run(records[0])
    arrays, values = state.unpacked(house.engine.snapshot())
    old = [(name, "i4" if name == "touched" else kind[0]) for name, kind in (SLOT.fields or {}).items()]
    slots = arrays["source.0.lane.0.windows.slots"].astype(np.dtype(old, align=True))
    slots["touched"] = 1
    other.engine.restore(state.packed(arrays | {"source.0.lane.0.windows.slots": slots}, values))
    assert [rows_of(bars) for bars in other.run(records[1]).bars] == [
        rows_of(bars) for bars in house.run(records[1]).bars
    ]
    assert other.engine.snapshot() == house.engine.snapshot()


def test_the_state_of_a_symbol_takes_less_than_five_kilobytes(feeder):
    """With the usual intervals, horizon, indicators and detectors, however symbols come."""
    house = House(DENSE, lambda house: Analysis(default_indicators(), [detector("returns"), detector("volume")], house))
    for number in range(400):
        house.run(
            feeder.ticks([tick(number / 10, symbol=f"S{number}", id=5), tick(number / 10, symbol=f"S{number}", id=7)])
        )
    house.run(feeder.mark(Event.ALIVE, 400))
    source = house.engine._sources["s"]
    held = [source.lanes["live"].windows, source.lanes["live"].coverage, source.dense, house.engine._analysis._series]
    arrays = [array for one in held for array in flat(vars(one).values()) if isinstance(array, np.ndarray)]
    assert sum(array.nbytes for array in arrays) / 400 < 5000


def flat(values):
    """The values, and those in lists and dictionaries among them."""
    for value in values:
        yield from (
            flat(value.values() if isinstance(value, dict) else value) if isinstance(value, dict | list) else [value]
        )


def test_a_snapshot_of_other_rules_is_refused_with_the_rule_that_differs():
    house = House(NONE)
    house.run(Feeder().ticks([tick(1)]))
    stored = house.engine.snapshot()
    for other, name in (
        (Rules(intervals_us=(MINUTE,)), "intervals"),
        (Rules(lateness_us=1), "lateness_us"),
        (DENSE, "ids"),
    ):
        with pytest.raises(SettingsError, match=name):
            House(other).engine.restore(stored)
    with pytest.raises(SettingsError, match="cannot be read"):
        house.engine.restore(b"nonsense")


def test_a_series_that_another_line_takes_over_is_blind_as_long_as_the_line_it_had_was(feeder):
    """Asked no more, it belongs to a line that hears nothing; asked again, its old blind time stays so."""
    house = House(NONE)
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("A", "B")), feeder.ticks([tick(1), tick(1, symbol="B")]))
    house.run(feeder.mark(Event.DISCONNECTED, 15, symbols=("A",), line="not asked"))
    house.run(feeder.ticks([tick(70, symbol="B")]), feeder.mark(Event.ALIVE, 72))
    assert (house.newest()["A", 0]["completeness"], house.newest()["B", 0]["completeness"]) == (0.25, 1)
    house.run(feeder.mark(Event.CONNECTED, 90, symbols=("A",)), feeder.ticks([tick(91), tick(130)]))
    house.run(feeder.mark(Event.ALIVE, 190))
    assert [house.newest()["A", at]["completeness"] for at in (0, 60, 120)] == [0.25, 0.5, 1]


def test_a_series_that_joins_a_blind_line_late_corrects_what_was_believed(feeder):
    house = House(NONE)
    house.run(feeder.mark(Event.CONNECTED, -60, symbols=("A", "B")), feeder.ticks([tick(1), tick(1, symbol="B")]))
    house.run(feeder.mark(Event.DISCONNECTED, 2, symbols=("B",), line="not asked"))
    house.run(feeder.ticks([tick(100)]), feeder.mark(Event.ALIVE, 101))
    assert house.newest()["A", 0]["completeness"] == 1
    house.run(feeder.mark(Event.DISCONNECTED, 30, symbols=("A",), line="not asked", received=101))
    assert [row["completeness"] for row in house.versions("A")] == [1, 0.5]
