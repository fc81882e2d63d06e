"""The inbox: order, bounds, and no waiting for company."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickhouse.core import marks
from tickhouse.core.clock import ManualClock
from tickhouse.core.inbox import Inbox
from tickhouse.core.marks import LINK, Event, Mark


@given(st.lists(st.tuples(st.sampled_from(["trade", "kline", LINK]), st.binary(max_size=9), st.integers(0, 99))))
def test_everything_comes_out_in_order_grouped_by_runs(items: list[tuple[str, bytes, int]]) -> None:
    inbox = Inbox("s")
    for item in items:
        assert inbox.offer(*item)
    assert inbox.depth == len(items)
    batches = inbox.drain()
    out = [(b.channel, p, t) for b in batches for p, t in zip(b.payloads(), b.received_at.tolist(), strict=True)]
    assert out == items
    assert all(a.channel != b.channel for a, b in pairwise(batches))
    assert (inbox.depth, inbox.bytes, inbox.high_water) == (0, 0, len(items))


async def test_a_message_is_given_as_soon_as_it_is_there() -> None:
    inbox = Inbox("s")
    taking = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    inbox.offer("trade", b"x", 7)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert taking.done()
    (batch,) = taking.result()
    assert (batch.source, batch.channel, batch.lane, batch.payload(0), batch.received_at.tolist()) == (
        "s", "trade", "live", b"x", [7],
    )  # fmt: skip


@pytest.mark.parametrize("bounds", [{"max_messages": 3}, {"max_bytes": 30}])
async def test_put_waits_while_it_is_full_and_nothing_is_dropped(bounds: dict[str, int]) -> None:
    inbox = Inbox("s", **bounds)
    putting = asyncio.create_task(put_all(inbox, 100))
    seen: list[bytes] = []
    while len(seen) < 100:
        await asyncio.sleep(0)
        assert inbox.depth <= 3
        assert inbox.depth < 3 or inbox.full
        seen += [payload for batch in await inbox.take() for payload in batch.payloads()]
    await putting
    assert seen == [b"%010d" % i for i in range(100)]
    assert inbox.high_water == 3


async def put_all(inbox: Inbox, count: int) -> None:
    for i in range(count):
        await inbox.put("trade", b"%010d" % i, i)


async def test_a_message_larger_than_the_bound_passes_alone() -> None:
    inbox = Inbox("s", max_bytes=10)
    assert inbox.offer("trade", b"x" * 100, 1)
    assert not inbox.offer("trade", b"x", 1)
    assert len(await inbox.take()) == 1
    assert inbox.offer("trade", b"x", 1)


async def test_a_mark_is_a_message_of_the_link_channel_received_now(clock: ManualClock) -> None:
    inbox = Inbox("s", clock=clock)
    mark = Mark(Event.CONNECTED, 5, "one", "trade", ("BTC-USDT",))
    await inbox.mark(mark)
    (batch,) = inbox.drain()
    assert (batch.channel, batch.received_at.tolist()) == (LINK, [clock.now()])
    assert marks.decode(batch.payload(0)) == mark


async def test_after_close_the_rest_is_given_and_then_nothing() -> None:
    inbox = Inbox("s")
    inbox.offer("trade", b"x", 1)
    inbox.close()
    assert [len(batch) for batch in await inbox.take()] == [1]
    assert await inbox.take() == []
    waiting = Inbox("s")
    taking = asyncio.create_task(waiting.take())
    await asyncio.sleep(0)
    waiting.close()
    assert await taking == []
