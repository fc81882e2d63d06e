"""What `tickhouse load` says and does: its report, its rejects, files that cannot be read, files that are loaded again."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tickhouse.cli import app
from tickhouse.cli.working import progress
from tickhouse.core.errors import TickhouseError
from tickhouse.core.model import Query
from tickhouse.core.settings import load as settings
from tickhouse.pipeline import Pipeline
from tickhouse.steps.ledger import ledger

TICKS = ["time,price,size", "2026-01-01T00:00:00Z,10,1", "2026-01-01T00:00:01Z,-5,1", "", "2026-01-01T00:00:02Z,abc,1",
         "2026-01-01T00:01:03Z,12,1"]  # fmt: skip
BARS = ["time,open,high,low,close,volume", "2026-01-01T00:00:00Z,10,12,9,11,5", "2026-01-01T00:01:00Z,10,9,11,11,5",
        "2026-01-01T00:02:00Z,-1,12,9,11,5", "2026-01-01T00:03:00Z,10,12,9,11,-5"]  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs commands in a folder of files; returns the exit status, what JSON it printed, and what it said."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> tuple[int, Any, str]:
        done = CliRunner().invoke(app, [*map(str, arguments), "--json", "--data", "house"], catch_exceptions=True)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, json.loads(done.stdout) if done.stdout else None, done.stderr

    return command


def file(name: str, lines: list[str]) -> Path:
    Path(name).write_text("\n".join(lines) + "\n")
    return Path(name)


def test_the_report_counts_bars_as_rows_and_shows_the_rejects_of_this_load_alone(run):
    status, (report,), said = run("load", file("ticks.csv", TICKS), "--symbol", "AAPL")
    assert status == 0
    counts = ("received", "parsed", "control", "rejected", "rows", "invalid")
    assert [report[name] for name in counts] == [6, 3, 2, 1, 3, 1]
    assert "line 3: got -5: a price must be above 0" in said and "line 5: price: got 'abc'" in said

    _, (report,), said = run("load", file("bars.csv", BARS), "--symbol", "MSFT", "-i", "1m")
    assert [report[name] for name in counts] == [5, 4, 1, 0, 4, 3]
    assert "line 3: got open 10, high 9, low 11, close 11" in said and "line 5: got volume -5" in said
    assert "abc" not in said and "got -5: a price" not in said
    pipeline = Pipeline(settings(None, Path("house")))
    row = ledger(pipeline.journal, pipeline.warm)["csv"]
    assert (row["received"], row["rows"], row["accepted"], row["invalid"], row["pending"]) == (11, 7, 3, 4, 0)
    pipeline.close()

    status, items, _ = run("quarantine", "list")
    assert [(item["file"][:4], item["detail"][:7]) for item in items] == [
        ("tick", "line 3:"), ("tick", "line 5:"), ("bars", "line 3:"), ("bars", "line 4:"), ("bars", "line 5:"),
    ]  # fmt: skip


def test_a_file_that_cannot_be_read_does_not_keep_the_others_out(run):
    good, odd = file("good.csv", TICKS), file("odd.csv", ["when,px,qty", "2026-01-01T00:00:00Z,10,1"])
    status, reports, said = run("load", odd, "none.csv", good, "--symbol", "AAPL")
    assert status == 2 and [("error" in report) for report in reports] == [True, True, False]
    assert "odd.csv: --columns: got 'when,px,qty', expected a column for time" in said
    assert "such as time,price,size" in said and "none.csv: there is no such file" in said
    assert "2 of 3 files were not loaded" in said and reports[2]["rows"] == 3

    status, _, said = run("load", good)
    assert status == 2 and "good.csv: --symbol: got nothing" in said and "time,price,size" in said
    status, (report,), _ = run("load", odd, "--columns", "time,price,-", "--symbol", "X")
    assert status == 0 and report["rows"] == 1


def test_a_load_is_known_by_its_file_and_by_how_that_is_read(run):
    path = file("days.csv", ["time,price,size", "02/03/2026 10:00,1,1", "03/03/2026 10:00,2,1"])
    ask = ("load", path, "--symbol", "D")
    assert run(*ask)[1][0]["rows"] == 2
    assert run(*ask)[1][0]["already"]
    status, (report,), said = run(*ask, "--day-first")
    assert status == 0 and report["rows"] == 2 and not report["already"]
    assert "day_first - -> True" in said and "--without days.csv" in said
    assert run(*ask, "--day-first")[1][0]["already"] and run(*ask)[1][0]["already"]

    Path("right").mkdir()
    assert run("replay", "--into", "right/house", "--without", "days.csv")[0] == 0
    done = CliRunner().invoke(app, ["load", "days.csv", "--symbol", "D", "--day-first", "--data", "right/house"])
    assert done.exit_code == 0 and "loaded before" not in done.stderr
    pipeline = Pipeline(settings(None, Path("right/house")))
    days = pipeline.warm.bars(Query(interval="1m"))["start"].to_pylist()
    assert [f"{day:%m-%d}" for day in days] == ["03-02", "03-03"]
    pipeline.close()


def test_settings_that_do_not_fit_the_house_are_refused_before_anything_is_taken(run):
    path = file("ticks.csv", TICKS)
    run("load", path, "--symbol", "AAPL")
    file("tickhouse.toml", ["[process]", 'intervals = ["1m", "15m"]', 'indicators = ["sma(3)"]'])
    other = file("more.csv", [TICKS[0], "2026-01-01T00:05:00Z,20,1"])
    for command in (
        ("load", other, "--symbol", "AAPL"),
        ("quarantine", "replay"),
        ("run", "serve"),
        ("up", "--for", "1s"),
    ):
        with pytest.raises(Exception, match=r"intervals.*replay --into"):
            run(*command)
    pipeline = Pipeline(settings(None, Path("house")))
    assert pipeline.journal.ledger()["csv", "received"] == 6
    pipeline.close()
    Path("new").mkdir()
    assert run("replay", "--into", "new/house")[0] == 0
    pipeline = Pipeline(settings(None, Path("new/house")))
    assert set(pipeline.warm.bars(Query())["interval"].to_pylist()) == {"1m", "15m"}
    pipeline.check()
    pipeline.close()


def test_what_fails_in_the_background_ends_the_load(run):
    """It is not journaled to its end, and not reported as loaded."""
    run("load", file("ticks.csv", TICKS), "--symbol", "AAPL")
    with sqlite3.connect("house/warm.db") as warm:
        warm.execute("DROP TABLE bars")
    lines = [f"{1_767_225_600_000_000 + n * 100_000},10,1" for n in range(600_000)]
    with pytest.raises(TickhouseError, match="warm store"):
        run("load", file("many.csv", [TICKS[0], *lines]), "--symbol", "AAPL")
    pipeline = Pipeline(settings(None, Path("house")))
    assert pipeline.journal.end() < 600_000
    pipeline.close()


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst", "parquet"])
def test_progress_goes_to_the_whole_of_the_file(tmp_path, suffix):
    import gzip

    import polars as pl
    import zstandard

    from tickhouse.cli.loading import _table

    text = "time,price,size\n" + "".join(f"{1_767_225_600_000_000 + n},10,1\n" for n in range(300_000))
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pl.read_csv(text.encode()).write_parquet(path)
    else:
        pack = {"csv": bytes, "csv.gz": gzip.compress, "csv.zst": zstandard.ZstdCompressor().compress}[suffix]
        path.write_bytes(pack(text.encode()))
    opened, seen = _table(path, {"symbol": "A"}, 0), []
    for _ in opened.chunks(0, "load:a"):
        seen.append(opened.gone)
    assert seen == sorted(seen) and seen[-1] == path.stat().st_size


def test_the_bar_has_per_cent_and_the_time_left(monkeypatch, capsys):
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress("[a].csv", 1000) as tell:
        tell(250, "25 lines")
        tell(500, "50 lines")
    said = terminal.getvalue()
    assert "50%" in said and "50 lines" in said and "[a].csv" in said
