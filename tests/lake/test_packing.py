"""Small records that follow each other become one, with nothing lost and nothing moved."""

import numpy as np

from tests.contracts.test_lake import everything, records
from tests.journal.samples import T0, entry, link
from tickhouse.lake._packing import FEW, PACK, Packed
from tickhouse.lake.local import open as open_lake


def packed(run):
    found = Packed()
    for record in run:
        found.add(record)
    return found.records


def messages(run):
    found = []
    for r in run:
        rows = zip(r.raw.payloads(), r.raw.received_at.tolist(), strict=True)
        found += [(r.first + i, payload, at) for i, (payload, at) in enumerate(rows)]
    return found


def ticks(run):
    found = []
    for r in run:
        t = r.ticks
        if t is not None:
            found += zip([t.symbols[i] for i in t.symbol], [t.conditions[i] for i in t.condition], t.raw.tolist(), t.price.tolist(),
                         t.event_time.tolist(), t.last_id.tolist(), strict=True)  # fmt: skip
    return found


def test_many_small_records_become_few_and_say_the_same():
    """Sizes from one to seven messages, more than two packs of them, with a symbol that comes late."""
    run, at = [], 0
    for i in range(2 * PACK + 5):
        run.append(entry(1 + i % 7, at))
        at += 1 + i % 7
    run = records(*run)
    made = packed(run)
    assert len(made) == 2 + 5
    assert [(r.first, r.end) for r in made[:2]] == [
        (run[0].first, run[PACK - 1].end),
        (run[PACK].first, run[2 * PACK - 1].end),
    ]
    assert messages(made) == messages(run)
    assert ticks(made) == ticks(run)
    assert np.concatenate([r.kinds for r in made]).tolist() == np.concatenate([r.kinds for r in run]).tolist()
    assert all(r.received_at == r.raw.received_at[-1] for r in made[:2])


def test_a_gap_ends_what_is_packed():
    """Messages of another channel take positions in between; what came before them is one record, if it is worth it."""
    run = records(
        *[entry(2, 2 * i) for i in range(FEW)], link(T0), *[entry(2, 2 * (FEW + i)) for i in range(3)], link(T0)
    )
    trades = [r for r in run if r.channel != "link"]
    made = packed(trades)
    assert [r.count for r in made] == [2 * FEW, 2, 2, 2]
    assert messages(made) == messages(trades)


def test_large_records_are_left_alone():
    """A load has thousands of messages a record."""
    run = records(*[entry(1500, 1500 * i) for i in range(3)], *[entry(1, 4500 + i) for i in range(FEW - 1)])
    assert [r.count for r in packed(run)] == [r.count for r in run]


def test_objects_have_the_same_messages_packed_or_not(tmp_path):
    """What is read back from an object does not tell how its records were cut."""
    run = records(*[entry(3, 3 * i) for i in range(PACK + 20)])
    plain, small = (open_lake(f"file://{tmp_path}/{name}") for name in ("plain", "small"))
    plain.write(run)
    small.write(packed(run))
    assert everything(plain) == everything(small)
    found = [
        [(b.raw.tolist(), b.price.tolist()) for b in lake.ticks("binance", "S0", 0, 1 << 60)] for lake in (plain, small)
    ]
    assert found[0] == found[1]
