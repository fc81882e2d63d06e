"""The whole pipeline on a simulated exchange over loopback, on good days and bad ones, compared with what the exchange made."""

import pytest

from tests.chaos.live import FastClock, assert_balanced, assert_true, held_ids, world
from tickhouse.core.model import Query
from tickhouse.exchange.faults import ANSWER, MESSAGE, Faults


def test_on_a_good_day_every_trade_is_there_once_and_bars_are_what_the_exchange_made(tmp_path):
    with world(tmp_path, rate=150) as w:
        with w.up() as up:
            up.heard()
            w.wait(40)
        with w.stopped() as house:
            assert assert_true(w, house) > 12
            row = assert_balanced(house)
            assert row["duplicate"] == row["invalid"] == row["rejected"] == 0
            for symbol in w.symbols:
                ids = held_ids(house, symbol)
                assert ids == list(range(ids[0], ids[-1] + 1))


FAULTS = {
    "gaps": Faults(gaps=0.01, gap_trades=5), "duplicates": Faults(duplicates=0.1), "disorder": Faults(disorder=0.2),
    "late": Faults(late=0.001, late_ms=8000), "malformed": Faults(malformed=0.05), "half_frames": Faults(half_frames=0.05),
    "changed_fields": Faults(changed_fields=0.05), "bad_values": Faults(bad_values=0.05),
    "disconnects": Faults(disconnects=0.002),
    "rest": Faults(gaps=0.02, error_bodies=0.1, too_many=0.05, server_errors=0.2, slow=0.1, half_answers=0.1),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_leaves_the_bars_as_the_exchange_made_them(tmp_path, kind):
    with world(tmp_path, FAULTS[kind], rate=150) as w:
        with w.up() as up:
            up.heard()
            w.wait(30)
            w.exchange.change(Faults())
            up.until(up.connected, 60)
            w.wait(15)
            up.healed()
            w.wait(3)
        with w.stopped() as house:
            assert_balanced(house)
            assert assert_true(w, house) > 20


@pytest.mark.slow
@pytest.mark.alone
def test_a_downtime_of_the_pipeline_is_closed_by_ids(tmp_path):
    """Stopped amid late trades, left alone for a while, started again: the first trade shows what was missed, and it is fetched."""
    with world(tmp_path, Faults(disorder=0.2, duplicates=0.05), rate=150) as w:
        with w.up() as up:
            up.heard()
            w.wait(15)
        w.wait(20)
        with w.up() as up:
            w.wait(15)
            up.healed()
            w.wait(2)
            assert up.local.refill.filled >= 1
        with w.stopped() as house:
            assert_balanced(house)
            assert assert_true(w, house) > 20
            assert "backfilled" in covers(w, house)


@pytest.mark.slow
@pytest.mark.alone
def test_a_hole_that_could_not_be_filled_is_filled_after_a_restart(tmp_path):
    """While REST is down holes stay open and are shown blind; a later run knows them still, and fills them."""
    with world(tmp_path, Faults(gaps=0.01, gap_trades=5), rate=150) as w:
        w.exchange.change(Faults(gaps=0.01, gap_trades=5, server_errors=1.0))
        with w.up() as up:
            up.heard()
            w.wait(25)
            up.until(lambda: bool(up.engine.open_holes()))
            open_before = {(h.symbol, h.first_id) for h in up.engine.open_holes()}
            assert up.local.refill.filled == 0
        with w.stopped() as house:
            assert "blind" in covers(w, house)
        w.exchange.change(Faults())
        with w.up() as up:
            up.heard()
            w.wait(5)
            up.healed()
            w.wait(3)
        with w.stopped() as house:
            assert open_before
            assert_balanced(house)
            assert assert_true(w, house) > 10


@pytest.mark.slow
@pytest.mark.alone
def test_a_symbol_that_alone_falls_mute_is_subscribed_anew_and_its_hole_filled(tmp_path):
    with world(tmp_path, rate=150, quality__stale_after=5) as w:
        with w.up() as up:
            up.heard()
            w.wait(8)
            w.exchange.change(Faults(mutes=1.0, mute_ms=3_600_000))
            w.wait(1)
            w.exchange.change(Faults())
            up.until(lambda: up.local.renewed >= 4)
            w.wait(30)
            up.healed()
            w.wait(3)
        with w.stopped() as house:
            assert_balanced(house)
            assert assert_true(w, house) > 12


@pytest.mark.slow
@pytest.mark.alone
def test_a_symbol_that_never_said_a_word_is_told_and_subscribed_anew(tmp_path):
    """Every symbol is mute from its first trade on: none is heard until it is subscribed anew."""
    with world(tmp_path, Faults(mutes=1.0, mute_ms=3_600_000), rate=150, symbols=2, quality__stale_after=5) as w:
        with w.up() as up:
            up.until(lambda: w.exchange.counts()["faults"]["mutes"] >= 2)
            w.exchange.change(Faults())
            up.until(lambda: up.local.renewed >= 2)
            up.heard()
            w.wait(45)
        with w.stopped() as house:
            assert_balanced(house)
            assert assert_true(w, house) > 2
            told = [row for row in house.warm.findings(Query()).to_pylist() if row["message"].startswith("mute")]
            assert sorted(row["symbol"] for row in told) == sorted(w.symbols)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_four_minutes_of_everything_at_once_leaves_the_bars_as_the_exchange_made_them(tmp_path):
    """Nearly a third of all messages and requests are spoiled, for four minutes of the exchange's clock."""
    with world(tmp_path, Faults.storm(0.3), rate=250, symbols=6, quality__stale_after=10) as w:
        with w.up() as up:
            up.heard()
            w.wait(240)
            assert_storm(w.exchange.counts()["faults"])
            w.exchange.change(Faults())
            up.until(up.connected, 60)
            w.wait(40)
            up.healed(120)
            w.wait(5)
        with w.stopped() as house:
            row = assert_balanced(house)
            assert row["rejected"] > 100 and row["duplicate"] > 100
            assert assert_true(w, house, ("5s", "15s")) > 200


def assert_storm(counts: dict[str, int]) -> None:
    """Every kind of fault has happened."""
    missing = [kind for kind in MESSAGE if not counts[kind] and kind != "bad_values"]
    assert not missing, counts
    assert sum(counts[kind] for kind in ANSWER) > 10, counts


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_clock_an_hour_off_breaks_nothing(tmp_path, ahead):
    """What comes from the future is refused or shown late, never counted wrongly."""
    with world(tmp_path, rate=100, house_clock=FastClock(10.0, ahead)) as w:
        with w.up() as up:
            up.until(lambda: up.pipeline.journal.end() > 1000)
            w.wait(10)
        with w.stopped() as house:
            row = assert_balanced(house)
            assert row["rows"] > 300


@pytest.mark.slow
@pytest.mark.alone
def test_intake_waits_while_nobody_processes_and_goes_on_after(tmp_path):
    with world(tmp_path, rate=150, journal__max_bytes=150_000) as w:
        with w.up() as up:
            up.heard()
            w.wait(5)
        with w.up(("ingest",)) as up:
            up.until(lambda: up.stands_still(1.5), 40)
            stood = up.pipeline.journal.end()
            assert stood > 1000
        with w.up() as up:
            up.until(lambda: up.pipeline.journal.end() > stood + 1000)
            w.wait(15)
            up.healed()
            w.wait(2)
        with w.stopped() as house:
            assert_balanced(house)
            assert assert_true(w, house) > 8


def covers(world, house) -> set[str]:
    """The states that coverage has anywhere."""
    return set(house.warm.coverage(Query(world.symbols))["state"].to_pylist())
