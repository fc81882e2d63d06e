"""What readers are told where the hot store has little, or is behind."""

from tests.steps import filled
from tests.stores.samples import bar, batch
from tickhouse.core.model import Query, State
from tickhouse.steps.read import Reader
from tickhouse.stores import memory


def restarted(house):
    """A house with bars in its warm store, and a hot store that knows nothing."""
    pipeline = house()
    filled.live(pipeline)
    filled.processed(pipeline)
    pipeline.hot = memory.open()
    return pipeline, Reader(pipeline)


def test_symbols_that_the_hot_store_lacks_have_their_last_close(house):
    pipeline, reader = restarted(house)
    closes = {row["symbol"]: row["price"] for row in reader.latest()}
    assert set(closes) == {"BTC-USDT", "SOL-USDT"}
    pipeline.hot.ticks(
        next(r.ticks for r in pipeline.journal.read("ticks", 0) if r.ticks is not None).take(slice(0, 1))
    )
    held = pipeline.hot.latest()[0]
    other = next(symbol for symbol in closes if symbol != held["symbol"])
    found = {row["symbol"]: row["price"] for row in reader.latest(tuple(closes))}
    assert found == {held["symbol"]: held["price"], other: closes[other]}


def test_a_forming_bar_whose_window_is_stored_as_closed_is_not_shown(house):
    pipeline, reader = restarted(house)
    query = Query(("BTC-USDT",), "1m")
    stored = reader.bars(query)
    last = int(stored["start"].cast("int64")[-1].as_py())
    pipeline.hot.bars(batch([bar(start=last, state=State.FORMING)]))
    assert reader.bars(query).equals(stored)
    pipeline.hot.bars(batch([bar(start=last + filled.MINUTE, state=State.FORMING)]))
    assert reader.bars(query)["state"].to_pylist()[-2:] == [stored["state"].to_pylist()[-1], "forming"]
