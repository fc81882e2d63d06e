"""What other processes do to a store in the tests: they write until they are killed, read while others write, open at once."""

import time
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from os import getpid

from tests.stores.samples import MINUTE, T0, anomaly, bar, bars_output, finding, output
from tickhouse.core.batches import Output, TickBatch
from tickhouse.core.model import Query
from tickhouse.core.plugins import open_url

ROWS = 40


def step(position: int) -> Output:
    """The whole output of a position: as many bars, anomalies and findings, all known by it."""
    bars = [bar(f"S{n}", position, trades=position) for n in range(ROWS)]
    rest = output(
        position,
        anomalies=[anomaly(f"S{n}", position, value=float(position)) for n in range(ROWS)],
        findings=[finding(T0 + position, symbol=f"S{n}", raw=n) for n in range(ROWS)],
    )
    ledger = {("binance", "accepted"): position}
    rows = [{"symbol": "A", "event_time": T0 + position, "price": 1.0, "raw": position} for _ in range(ROWS)]
    return Output(
        position, bars_output(0, *bars).bars, anomalies=rest.anomalies, findings=rest.findings, ledger=ledger,
        ticks=(TickBatch.of("binance", rows),),
    )  # fmt: skip


def write_on(url: str, told: Connection) -> None:
    """Write one output after the other from where the store stands, and say so after each."""
    warm = open_url("stores", url)
    position = warm.position("g") or 0
    while True:
        position += 1
        warm.write("g", step(position), b"%d" % position)
        told.send(position)


def killed(started: tuple[BaseProcess, Connection], seconds: float) -> int:
    """Kill who does `write_on` so many seconds after its first word; returns the last position that it said."""
    process, told = started
    said = int(told.recv())
    time.sleep(seconds)
    process.kill()
    process.join()
    while told.poll():
        try:
            said = told.recv()
        except EOFError:
            break
    return said


def write_ticks(url: str, told: Connection) -> None:
    """Write ticks of thirty days of one's own, all processes the same days; says what went wrong, or nothing."""
    first = getpid() << 20
    with closing(open_url("stores", url)) as warm:
        for day in range(30):
            rows = [
                {"symbol": "A", "event_time": T0 + 1440 * MINUTE * day, "price": 1.0, "raw": first + 50 * day + n}
                for n in range(50)
            ]
            try:
                warm.write("g", Output(day, ticks=(TickBatch.of("binance", rows),)))
            except Exception as error:
                told.send(repr(error))
                return
    told.send("")


def position(url: str) -> int:
    """How far a store says that it is."""
    with closing(open_url("stores", url)) as warm:
        return warm.position("g") or 0


def wrong(url: str) -> str:
    """What is not whole in a store that `write_on` wrote; empty when all is."""
    warm = open_url("stores", url)
    position = warm.position("g") or 0
    bars, anomalies = warm.bars(Query(versions=True)), warm.anomalies(Query())
    found = {
        "bars": bars.num_rows == ROWS * position
        and bars["trades"].to_pylist().count(position) == (ROWS if position else 0),
        "anomalies": anomalies.num_rows == ROWS * position,
        "findings": warm.findings(Query()).num_rows == ROWS * position,
        "ledger": dict(warm.ledger()) == ({("binance", "accepted"): position} if position else {}),
        "checkpoint": (warm.checkpoint("g") or None) is None or warm.checkpoint("g").position == position,
        "symbols": all(row["last_start"] == T0 + position * MINUTE for row in warm.symbols()),
    }
    warm.close()
    return ", ".join(name for name, right in found.items() if not right)


def read_on(url: str, told: Connection) -> None:
    """Read until told to stop, and report how often, and the first answer that showed half an output."""
    warm = open_url("stores", url, upgrade=False)
    reads, torn = 0, ""
    while not told.poll():
        rows = warm.bars(Query(versions=True)).num_rows
        reads += 1
        if rows % ROWS:
            torn = torn or f"{rows} bars"
    told.send((reads, torn))


def open_once(url: str, told: Connection) -> None:
    """Open a store and say its version."""
    told.send(open_url("stores", url).upgrade())
