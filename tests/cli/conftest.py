"""What tests of the command line use: the command line, and a small house."""

from pathlib import Path

import pytest

from tests.cli.inside import CommandLine

LINES = (
    "time,symbol,price,size",
    "2026-01-01T00:00:00Z,AAPL,10,1",
    "2026-01-01T00:00:31Z,AAPL,12,2",
    "2026-01-01T00:01:00Z,AAPL,11,1",
    "2026-01-01T00:01:01Z,AAPL,[red]x,1",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own, and no settings but those of the test."""
    monkeypatch.delenv("TICKHOUSE_DATA", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture(autouse=True)
def restored(log_as_it_was: None) -> None:
    """Commands set up the log of this process."""


@pytest.fixture
def th(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Runs a command in this process."""
    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def house(th: CommandLine, elsewhere: Path) -> Path:
    """A house with two bars of one symbol, and one line in quarantine."""
    (elsewhere / "trades.csv").write_text("\n".join(LINES) + "\n")
    said = th("load", "trades.csv", "--data", "house")
    assert said.status == 0, said.err
    return elsewhere / "house"
