"""Bars that come ready made, from files and providers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import BarBatch
from tickhouse.core.model import State
from tickhouse.process.closing import Moment
from tickhouse.process.coverage import LIVE
from tickhouse.process.emitted import Key, from_batch, succeeding


def take(moment: Moment, batch: BarBatch, channel: str) -> None:
    """Make given bars public, each as the version after the one there is, and say what they cover.

    A bar that says what is known already is left out.
    """
    lane, source = moment.lane, moment.source
    rows = from_batch(batch, source.coded(batch.symbols, batch.symbol))
    start, end = rows["start"], rows["start"] + rows["interval"]
    lane.bar_codes |= set(np.unique(rows["code"]).tolist())
    lane.bar_span = [min(lane.bar_span[0], int(start.min())), max(lane.bar_span[1], int(end.max()))]
    made = _versioned(moment, rows)
    if len(made):
        moment.emit(made)
    _cover(moment, rows, channel)


def _versioned(moment: Moment, rows: NDArray[Any]) -> NDArray[Any]:
    """The bars that say something new, with their versions."""
    rows["version"], rows["state"] = 0, State.FINAL
    if _rising(rows) and all(
        moment.source.is_new(length, rows["code"][here], rows["start"][here])
        for length in np.unique(rows["interval"]).tolist()
        for here in [rows["interval"] == length]
    ):
        return rows
    keys: list[Key] = rows[["code", "interval", "start"]].tolist()
    newest = moment.emitted.newest(keys, moment.past)
    kept = []
    for i, key in enumerate(keys):
        row = succeeding(rows[i], newest.get(key))
        if row is not None:
            newest[key] = rows[i].copy()
            kept.append(i)
    return rows[kept]


def _rising(rows: NDArray[Any]) -> bool:
    """Whether the bars of each series come in order of start, none twice."""
    order = np.lexsort((rows["interval"], rows["code"]))
    rows = rows[order]
    same = (np.diff(rows["code"]) == 0) & (np.diff(rows["interval"]) == 0)
    return bool((np.diff(rows["start"])[same] > 0).all())


def _cover(moment: Moment, rows: NDArray[Any], channel: str) -> None:
    """Say that the stretches of the bars are live, joined to those before where they touch."""
    rows = rows[np.lexsort((rows["start"], rows["interval"], rows["code"]))]
    start, end = rows["start"], rows["start"] + rows["interval"]
    series = (np.diff(rows["code"]) != 0) | (np.diff(rows["interval"]) != 0)
    cuts = np.flatnonzero(series | (start[1:] > end[:-1])) + 1
    firsts, lasts = np.append(0, cuts), np.append(cuts, len(rows)) - 1
    found, runs = [], moment.lane.bar_runs
    stretches = moment.source.stretches
    columns = (rows["code"][firsts], rows["interval"][firsts], start[firsts], end[lasts])
    for code, interval, since, until in zip(*(column.tolist() for column in columns), strict=True):
        run = runs.get((code, interval))
        if run is None or since > run[1] or until < run[0]:
            run = runs[code, interval] = [since, until]
        else:
            run[0], run[1] = min(run[0], since), max(run[1], until)
        found.append((code, run[0], run[1]))
    code, since, until = (np.array(column) for column in zip(*found, strict=True))
    n, number = len(found), stretches.channel(channel)
    state, missing = np.full(n, LIVE, np.uint8), np.zeros(n, np.int64)
    stretches.say(code.astype(np.int32), np.full(n, number, np.int32), since, until, state, missing)
