"""Tables for a person: what fits is shown whole, what does not is left out and said."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickhouse.cli.table import Column, cell, fit, show

BARS = pl.DataFrame(
    {
        "symbol": ["BTC-USDT"] * 3, "source": ["binance"] * 3, "interval": ["1m"] * 3,
        "start": ["2026-11-20 14:31:00", "2026-11-20 14:32:00", "2026-11-20 14:33:00"],
        "open": [64512.35, 64514.0, 64520.1], "high": [64515.99, 64514.0, 64521.07], "low": [64510.01, 64511.2, 64519.3],
        "close": [64514.0, 64511.2, 64520.45], "volume": [12.3456789, 1.5, 0.00123], "vwap": [64513.1234567, 64512.0, 64520.0],
        "trades": [812, 93, 5], "completeness": [1.0, 0.8793103448, 1.0], "state": ["final", "corrected", "forming"],
        "version": [0, 1, 0],
    }
)  # fmt: skip


def columns(frame: pl.DataFrame) -> list[Column]:
    numeric = {name: kind.is_numeric() for name, kind in frame.schema.items()}
    return [Column(name, [cell(v) for v in frame[name]], numeric[name], name == "start") for name in frame.columns]


def width(fitted) -> int:
    return sum(column.width + 2 for column in fitted.columns) - 2


@pytest.mark.parametrize("room", [60, 80, 100, 120, 200])
def test_bars_keep_their_prices_and_their_completeness_at_any_width(room):
    fitted = fit(columns(BARS), room)
    assert width(fitted) <= room
    names = [column.name for column in fitted.columns]
    assert {"start", "open", "high", "low", "close", "completeness"} <= set(names)
    shown = {column.name: column.cells for column in fitted.columns}
    assert list(shown["close"]) == ["64514", "64511.2", "64520.45"]
    told = {one.split()[0] for one in fitted.common} | {"2026-11-20"} | set(fitted.missing)
    assert set(BARS.columns) <= {*names, *told}
    assert (room < 200) == bool(fitted.missing or fitted.common)


NUMBERS = st.floats(allow_nan=False).map(cell) | st.integers(-(10**18), 10**18).map(cell)


@given(st.lists(st.tuples(st.booleans(), st.lists(NUMBERS | st.text(max_size=200).map(cell), min_size=3, max_size=3)), min_size=1),
       st.integers(20, 200))  # fmt: skip
def test_no_number_is_ever_cut_and_nothing_is_wider_than_the_terminal(made, room):
    given_ = [Column(f"c{n}", cells, number) for n, (number, cells) in enumerate(made)]
    fitted = fit(given_, room)
    by_name = {column.name: column for column in given_}
    for column in fitted.columns:
        if column.number:
            assert list(column.cells) == list(by_name[column.name].cells)
    assert width(fitted) <= room or len(fitted.columns) == 1
    told = {one.split(" ", 1)[0] for one in fitted.common}
    assert {column.name for column in fitted.columns} | told | set(fitted.missing) == set(by_name)


def test_what_a_value_holds_is_shown_and_never_obeyed(capsys):
    show(pl.DataFrame({"[bold]": ["[/b]", "[red]x", "a\x1b[2Jb\nc"], "n": [1.0, None, 2.5]}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["[bold]", "n"]
    assert [line.split() for line in lines[1:]] == [["[/b]", "1"], ["[red]x", "-"], ["a\\x1b[2Jb\\nc", "2.5"]]


def test_a_pipe_gets_every_column_whole(capsys):
    show(BARS)
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == BARS.columns and len(rows) == 3
