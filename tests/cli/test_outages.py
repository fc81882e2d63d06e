"""A network that is away: told in a sentence, shown on the panel, and in the exit status."""

import json
import logging
import socket

import pytest
from rich.console import Console

from tests.cli.terminal import on_terminal
from tickhouse.cli.outages import Outages
from tickhouse.cli.panel import ledger_of, outages
from tickhouse.core.line import Health
from tickhouse.core.observe import Event

WHY = "cannot reach x:9443: name not resolved"


def down(line: str = "binance-0", error: str = WHY, attempts: int = 1) -> Event:
    return Event("transport", "line is down", logging.WARNING, {"line": line, "error": error, "attempts": attempts})


def up(line: str = "binance-0") -> Event:
    return Event("transport", "connected again", logging.INFO, {"line": line, "host": "x:9443"})


@pytest.fixture
def told():
    """What was logged and what was said."""
    return [], []


@pytest.fixture
def hook(told):
    return Outages(told[0].append, told[1].append)


def test_a_line_that_is_down_is_told_once_and_again_when_it_is_back(hook, told):
    for number in range(50):
        hook(down(attempts=number))
        hook(down("binance-1", attempts=number))
    hook(up())
    assert told[1] == [f"{WHY}; tickhouse goes on trying"]
    hook(up("binance-1"))
    hook(down(error="refused"))
    assert told[1][1:] == ["connected to x:9443", "refused; tickhouse goes on trying"]
    assert told[0] == []


def test_what_else_happens_is_logged_and_the_same_trouble_once_a_minute(hook, told):
    hook(up())
    other = Event("journal", "trimmed", logging.INFO, {"line": "binance-0"})
    hook(other)
    trying = [Event("transport", "trying again", logging.WARNING, {"error": error}) for error in ("a", "a", "b", "a")]
    for event in trying:
        hook(event)
    assert told == ([up(), other, trying[0], trying[2]], [])


@pytest.fixture
def nobody(elsewhere):
    """A settings file whose feed nobody serves."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    text = f'[serve]\nport = 0\n[feeds.binance]\nurl = "http://127.0.0.1:{port}"\nws_url = "ws://127.0.0.1:{port}"\n'
    (elsewhere / "tickhouse.toml").write_text(text)
    return port


@pytest.mark.slow
def test_up_without_a_network_says_what_is_wrong_and_ends_with_a_status_that_waiting_can_help(th, nobody):
    said = th("up", "--for", "4s", "--data", "house", "--json")
    summary = json.loads(said.out)
    assert summary["lines"][0]["attempts"] >= 2 and summary["lines"][0]["connections"] == 0
    assert said.status == 75
    (sentence,) = said.err.splitlines()
    assert sentence.startswith(f"cannot reach 127.0.0.1:{nobody}: ") and sentence.endswith("; tickhouse goes on trying")


@pytest.mark.slow
def test_the_panel_says_what_is_wrong_and_fits_eighty_columns(nobody):
    lines = on_terminal(80, "up", "--for", "4s", "--data", "house")
    assert any("tickhouse goes on trying" in line for line in lines)
    assert max(map(len, lines)) <= 80 and not any("…" in line for line in lines)


def test_lines_that_are_down_for_one_reason_are_one_sentence():
    lines = {f"b-{n}": Health(f"b-{n}", "x", "down", 0, WHY, n) for n in range(3)}
    lines["c"] = Health("c", "y", "connected", 0, "an old story", 0, 1)
    assert [text.plain for text in outages(lines)] == [f"{WHY}; tickhouse goes on trying (2 so far)"]


def test_the_ledger_of_the_panel_shows_whole_numbers_in_eighty_columns():
    row = {
        "received": 123_456_789,
        "parsed": 123_450_000,
        "control": 6_000,
        "rejected": 789,
        "rows": 123_450_000,
        "accepted": 123_400_000,
        "duplicate": 40_000,
        "late": 5_000,
        "invalid": 3_000,
        "pending": 2_000,
        "balanced": True,
    }

    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(*ledger_of("binance", row), sep="\n")
    text = captured.get()
    assert all(f"{value:,}" in " ".join(text.split()) for name, value in row.items() if name != "balanced")
    assert max(map(len, text.splitlines())) <= 80 and "balances" in text
