"""What readers are told of a symbol of a group when they name no source: pages, newest rows, changes, prices."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.stores.samples import T0, bar, bars_output
from tickhouse.core.batches import Output
from tickhouse.core.clock import SECOND
from tickhouse.core.model import SWITCH, Query
from tickhouse.steps.preferred import Preferred
from tickhouse.stores import sqlite
from tickhouse.stores._warm import SqlWarm

MINUTE = 60 * SECOND
ORDER = {"BTC-USDT": ("binance", "other")}


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[SqlWarm]:
    """Ten minutes of both sources; in the third to sixth the other one was in use, and the first choice nearly blind."""
    store = sqlite.open(f"sqlite:///{tmp_path / 'warm.db'}")
    rows = [bar(minute=n, close=1.0, completeness=0.1 if 3 <= n < 6 else 1.0) for n in range(10)]
    store.write("process", bars_output(1, *rows))
    store.write("process", bars_output(2, *(bar(minute=n, close=2.0, source="other") for n in range(10))))
    moments = ((3, "binance", "other"), (6, "other", "binance"))
    switches = [
        {"symbol": "BTC-USDT", "at": T0 + n * MINUTE, "from_source": a, "to_source": b, "reason": "r", "raw": n}
        for n, a, b in moments
    ]
    store.write("process", Output(3, switches=pa.Table.from_pylist(switches, schema=SWITCH)))
    yield store
    store.close()


WANTED = ["binance"] * 3 + ["other"] * 3 + ["binance"] * 4


def sources(table: pa.Table) -> list[str]:
    return [str(one) for one in table["source"].to_pylist()]


def test_every_window_is_there_once(warm: SqlWarm) -> None:
    told = Preferred(ORDER, warm).rows(warm.bars, Query(("BTC-USDT",), "1m"))
    assert sources(told) == WANTED


def test_pages_of_any_size_give_the_same_rows(warm: SqlWarm) -> None:
    preferred = Preferred(ORDER, warm)
    for size in (1, 2, 3, 7):
        found, after = list[str](), None
        while True:
            page = preferred.rows(warm.bars, Query(("BTC-USDT",), "1m", limit=size, after=after))
            if not page.num_rows:
                break
            found += sources(page)
            row = page.slice(page.num_rows - 1).to_pylist()[0]
            after = ("BTC-USDT", "1m", round(row["start"].timestamp() * SECOND), row["source"], row["version"])
        assert found == WANTED


def test_the_newest_are_so_many_of_the_one_series(warm: SqlWarm) -> None:
    for last in (1, 5, 8, 20):
        assert sources(Preferred(ORDER, warm).rows(warm.bars, Query(("BTC-USDT",), "1m", last=last))) == WANTED[-last:]


def test_of_a_symbol_in_no_group_each_source_has_its_newest(warm: SqlWarm) -> None:
    preferred = Preferred({"ETH-USDT": ("binance", "other")}, warm)
    warm.write(
        "process",
        bars_output(4, *(bar("ETH-USDT", minute=n, source=s) for n in range(3) for s in ("binance", "other"))),
    )
    told = preferred.rows(warm.bars, Query(("BTC-USDT", "ETH-USDT"), "1m", last=2))
    assert told["symbol"].to_pylist().count("BTC-USDT") == 4 and told["symbol"].to_pylist().count("ETH-USDT") == 2


def test_with_a_source_and_without_a_group_nothing_is_left_out(warm: SqlWarm) -> None:
    assert sources(Preferred(ORDER, warm).rows(warm.bars, Query(("BTC-USDT",), "1m", "other"))) == ["other"] * 10
    assert Preferred({}, warm).rows(warm.bars, Query(("BTC-USDT",), "1m")).num_rows == 20


def price(source: str, at: int) -> dict[str, Any]:
    return {"symbol": "BTC-USDT", "source": source, "price": 1.0, "event_time": at}


def test_the_newest_price_is_that_of_the_feed_in_use(warm: SqlWarm) -> None:
    preferred = Preferred(ORDER, warm)
    rows = [price("binance", 1), price("other", 2), {**price("other", 3), "symbol": "ETH-USDT"}]
    assert preferred.latest(rows) == [rows[0], rows[2]]
    assert preferred.latest(rows[1:]) == rows[1:], "an old price of another is better than none"


def test_changes_are_those_of_the_series_that_is_told(warm: SqlWarm) -> None:
    preferred = Preferred(ORDER, warm)

    def shown(*rows: tuple[str, int, str, float]) -> list[str]:
        names = ("source", "start", "state", "completeness")
        changed = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        changed |= {"symbol": ["BTC-USDT"] * len(rows), "interval": ["1m"] * len(rows)}
        return list(preferred.shown(changed)["source"])

    late = T0 + 20 * MINUTE
    assert shown(("binance", late, "forming", 1.0), ("other", late, "forming", 1.0)) == ["binance"]
    at = T0 + 4 * MINUTE
    assert shown(("binance", at, "final", 0.1), ("other", at, "final", 1.0)) == ["other"]
    assert shown(("binance", at, "corrected", 1.0)) == ["binance"], "refilled, it counts again"
