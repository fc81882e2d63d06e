"""Whatever a batch holds comes back bit for bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.examples import tried
from tests.journal.samples import same_ticks
from tickhouse.core.batches import RawBatch, TickBatch
from tickhouse.journal._codec import decode_raw, decode_ticks, encode_raw, encode_ticks, pack, unpack

BITS = st.integers(-(2**63), 2**63 - 1)
DTYPES = st.sampled_from([np.int64, np.int32, np.uint32, np.uint8, np.float64])


@st.composite
def tables(draw):
    rows = draw(st.integers(0, 40))
    return [draw(hnp.arrays(kind, rows)) for kind in draw(st.lists(DTYPES, min_size=1, max_size=6))]


@given(tables(), st.lists(st.lists(st.text())))
@settings(deadline=None, max_examples=tried(150))
def test_columns_of_any_bits_come_back(columns, texts):
    found, words = unpack(pack(columns, texts))
    assert words == texts
    assert [c.tobytes() for c in found] == [c.tobytes() for c in columns]
    assert [c.dtype for c in found] == [c.dtype for c in columns]
    assert all(c.flags.writeable and c.flags.c_contiguous for c in found)


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=5), BITS), max_size=20), st.booleans())
@settings(deadline=None, max_examples=tried(150))
def test_messages_come_back_from_wherever_they_lie_in_their_buffer(parts, backwards):
    """`parts` are messages, each with bytes before it that belong to none."""
    data, offsets, ends = b"", [], []
    for message, before, _ in parts:
        data += before
        offsets.append(len(data))
        data += message
        ends.append(len(data))
    order = slice(None, None, -1) if backwards else slice(None)
    raw = RawBatch(
        "s", "c", "l", np.frombuffer(data, np.uint8), np.array(offsets, np.int64)[order], np.array(ends, np.int64)[order],
        np.array([t for _, _, t in parts], np.int64),
    )  # fmt: skip
    kinds = np.arange(len(parts), dtype=np.uint8)
    found, kept = decode_raw(encode_raw(raw, kinds), raw)
    assert list(found.payloads()) == list(raw.payloads())
    assert found.received_at.tolist() == raw.received_at.tolist()
    assert kept.tolist() == kinds.tolist()


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=tried(60))
def test_ticks_of_any_bits_come_back(rows, seed):
    rng = np.random.default_rng(seed)
    ints = rng.integers(-(2**62), 2**62, (5, rows))
    floats = rng.integers(0, 2**63, (2, rows)).view(np.float64)
    batch = TickBatch(
        "s", "load:x", [f"S{i}" for i in range(9)], rng.integers(0, 9, rows).astype(np.int32), ints[0], ints[1],
        floats[0], floats[1], ints[2], ints[3], ints[4], ["", "a", "b"], rng.integers(0, 3, rows).astype(np.int32),
    )  # fmt: skip
    found = decode_ticks(encode_ticks(batch), 0)
    assert same_ticks(found, batch)
    assert set(found.symbols) == {batch.symbols[i] for i in batch.symbol}
