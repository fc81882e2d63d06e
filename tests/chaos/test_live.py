"""The whole pipeline on a simulated exchange over loopback, on good days and bad ones, compared with what the exchange made."""

import pytest

from tests.chaos.live import FastClock, assert_balanced, assert_true, held_ids, world
from tickhouse.exchange.faults import Faults


def test_on_a_good_day_every_trade_is_there_once_and_bars_are_what_the_exchange_made(tmp_path):
    with world(tmp_path, rate=400) as w:
        with w.up() as up:
            up.heard()
            w.wait(25)
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


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_leaves_the_bars_as_the_exchange_made_them(tmp_path, kind):
    with world(tmp_path, FAULTS[kind], rate=400) as w:
        with w.up() as up:
            up.heard()
            w.wait(30)
            w.exchange.change(Faults())
            w.wait(10)
            up.healed()
            w.wait(3)
        with w.stopped() as house:
            assert_balanced(house)
            assert assert_true(w, house) > 20
