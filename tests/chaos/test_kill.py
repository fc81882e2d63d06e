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

KILLS = int(os.environ.get("TICKHOUSE_KILLS", "50"))


def command(data: Path, tape: Path) -> list[str]:
    return [sys.executable, "-m", "tickhouse", "load", str(tape), "--as", "binance", "--json", "--data", str(data)]


def contents(data: Path) -> dict[str, object]:
    """Everything that must be the same: all versions of bars, indicators, anomalies, the ledger, and bronze's payloads."""
    with th.open(data) as house:
        hidden = ["known_at", "first_raw", "last_raw"]
        tables = {
            name: house.sql(f"select * from warm.{name} order by all").drop("position", "known_at", strict=False).rows()
            for name in ("bars", "indicators", "anomalies")
        }
        del hidden
        lake = house._pipeline.lake
        bronze = [
            (batch.first + number, payload)
            for item in sorted(lake.objects("bronze"), key=lambda o: o.first)
            for batch in lake.read(item)
            for number, payload in enumerate(batch.payloads())
            if batch.channel != "link"
        ]
        ledger = {k: v for k, v in house.status()["ledger"]["binance"].items()}
    return {**tables, "bronze": bronze, "ledger": ledger}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_killed_load_goes_on_and_ends_like_an_undisturbed_one(tmp_path):
    """Kills at random moments over several tapes until the number asked for is reached; nothing for an operator to do."""
    killed, round_ = 0, 0
    while killed < KILLS:
        folder = tmp_path / f"round{round_}"
        folder.mkdir()
        tape = write(folder / "tape.ndjson", trades=60_000, symbols=20, rate=100.0, seed=round_)
        calm = folder / "calm"
        began = time.monotonic()
        done = subprocess.run(command(calm, tape.path), capture_output=True, text=True, check=True)
        whole = time.monotonic() - began
        assert json.loads(done.stdout)[0]["received"] > 0
        random_ = random.Random(round_)
        wild = folder / "wild"
        for _ in range(min(25, KILLS - killed)):
            process = subprocess.Popen(command(wild, tape.path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(random_.uniform(0.2, 1.0) * whole)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
            process.wait()
        last = subprocess.run(command(wild, tape.path), capture_output=True, text=True, check=True)
        assert json.loads(last.stdout), last.stderr
        assert contents(wild) == contents(calm)
        round_ += 1


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
    assert ledger["received"] - 2 == tape.messages
    assert ledger["rejected"] == tape.malformed
    assert ledger["duplicate"] == tape.duplicates
    assert ledger["accepted"] + ledger["late"] == tape.trades
    assert ledger["pending"] == 0 and ledger["balanced"]
