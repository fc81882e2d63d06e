"""`kill -9` at random moments while a tape loads: after a restart the house holds what an undisturbed one holds."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import tickhouse as th
from tests.end_to_end.tape import write

KILLS = int(os.environ.get("KILLS", "12"))


def command(data: Path, tape: Path) -> list[str]:
    return [sys.executable, "-m", "tickhouse", "load", str(tape), "--as", "binance", "--json", "--data", str(data)]


def contents(data: Path) -> dict[str, object]:
    """Everything that must be the same: all versions of bars, indicators, anomalies, the ledger, and bronze's payloads."""
    with th.open(data) as house:
        tables = {
            name: house.sql(f"select * from warm.{name} order by all").drop("position", "known_at", strict=False).rows()
            for name in ("bars", "indicators", "anomalies")
        }
        lake = house._pipeline.lake
        bronze = [
            (batch.first + number, payload)
            for item in sorted(lake.objects("bronze"), key=lambda o: o.first)
            for batch in lake.read(item)
            for number, payload in enumerate(batch.payloads())
            if batch.channel != "link"
        ]
        ledger = dict(house.status()["ledger"]["binance"])
    return {**tables, "bronze": bronze, "ledger": ledger}


@pytest.mark.slow
@pytest.mark.timeout(max(3600, 15 * KILLS))
def test_a_killed_load_goes_on_and_ends_like_an_undisturbed_one(tmp_path):
    """Kills at random moments over several tapes until the number asked for is reached; nothing for an operator to do."""
    killed, round_ = 0, 0
    while killed < KILLS:
        folder = tmp_path / f"round{round_}"
        folder.mkdir()
        tape = write(folder / "tape.ndjson", trades=60_000, symbols=20, rate=100.0, seed=round_)
        began = time.monotonic()
        loaded(folder / "calm", tape.path)
        whole = time.monotonic() - began
        killed += kill_until_loaded(folder / "wild", tape.path, whole, random.Random(round_), min(12, KILLS - killed))
        assert contents(folder / "wild") == contents(folder / "calm")
        round_ += 1
        sys.stdout.write(f"{killed} of {KILLS} kills\n")


def loaded(data: Path, tape: Path) -> None:
    """Load to the end, undisturbed."""
    done = subprocess.run(command(data, tape), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def kill_until_loaded(data: Path, tape: Path, whole: float, random_: random.Random, most: int) -> int:
    """Start the load again and again and kill it at random moments, `most` times at most; then let it end."""
    kills = 0
    for _ in range(most):
        process = subprocess.Popen(command(data, tape), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(random_.uniform(0.35, 0.95) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        said = process.communicate()[1].decode()
        assert process.returncode in (0, -signal.SIGKILL), said
    loaded(data, tape)
    return kills


def test_the_truth_of_the_tape_is_what_an_undisturbed_load_makes(tmp_path):
    """Bars equal a plain loop over the trades; the ledger says what the tape was made of."""
    tape = write(tmp_path / "tape.ndjson")
    subprocess.run(command(tmp_path / "house", tape.path), capture_output=True, text=True, check=True)
    with th.open(tmp_path / "house") as house:
        bars = pl.concat([house.bars(row["symbol"], "1m") for row in house.reader.symbols()])
        ledger = house.status()["ledger"]["binance"]
    got = {(r["symbol"], round(r["start"].timestamp() * 1000)): r for r in bars.to_dicts()}
    assert set(got) == set(tape.bars)
    for key, expected in tape.bars.items():
        assert {name: got[key][name] for name in expected} == expected, key
    assert ledger["received"] == tape.messages
    assert ledger["rejected"] == tape.malformed
    assert ledger["duplicate"] == tape.duplicates
    assert ledger["accepted"] + ledger["late"] == tape.trades
    assert ledger["pending"] == 0 and ledger["balanced"]
