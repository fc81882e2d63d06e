"""Bars that come ready made, from files and providers.

How messages were cut into records changes nothing: in a live lane the bars of one message come out together, in a load they
wait until there are `AT_ONCE` of them, or the load ends.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import BarBatch
from tickhouse.core.kernels.tumbling import ACCEPTED, DUPLICATE
from tickhouse.core.model import State
from tickhouse.process.closing import Moment
from tickhouse.process.coverage import LIVE
from tickhouse.process.emitted import Key, Run, from_batch, succeeding
from tickhouse.process.lane import Lane

AT_ONCE = 50_000
"""So many bars of a load become public together."""


def take(moment: Moment, batch: BarBatch, channel: str) -> None:
    """Take in given bars in order of arrival, and make those public whose turn has come."""
    lane, source = moment.lane, moment.source
    rows = from_batch(batch, source.coded(batch.symbols, batch.symbol))
    lane.bar_codes |= set(np.unique(rows["code"]).tolist())
    lane.bar_span = [
        min(lane.bar_span[0], int(rows["start"].min())),
        max(lane.bar_span[1], int((rows["start"] + rows["interval"]).max())),
    ]
    number = source.stretches.channel(channel)
    for interval in np.unique(rows["interval"]).tolist():
        for code in np.unique(rows["code"][rows["interval"] == interval]).tolist():
            lane.bar_channels.setdefault((code, interval), number)
    if lane.live:
        for message in _messages(rows):
            _publish(moment, message)
    else:
        lane.given.append(rows)
        release(moment, AT_ONCE)


def release(moment: Moment, least: int) -> None:
    """Make waiting bars of a load public, `AT_ONCE` at a time, as long as there are `least`."""
    given = moment.lane.given
    while sum(map(len, given)) >= max(least, 1):
        rows = np.concatenate(given)
        given[:] = [rows[AT_ONCE:]] if len(rows) > AT_ONCE else []
        _publish(moment, rows[:AT_ONCE])


def _messages(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The bars of one message after the other."""
    cuts = np.flatnonzero(np.diff(rows["first_raw"])) + 1
    yield from np.split(rows, cuts)


def _publish(moment: Moment, rows: NDArray[Any]) -> None:
    """Each bar as the version after the one there is, and what they cover. A bar that says what is known already is left out."""
    made, totals = _versioned(moment, rows), moment.source.totals
    totals[ACCEPTED] += len(made)
    totals[DUPLICATE] += len(rows) - len(made)
    if len(made):
        group = moment.emitted.add(made)
        moment.emitted.analyse(group, Run.NEWER if moment.source.newer(group) else Run.LATE)
        for lane in moment.source.lanes.values():
            _supersede(lane, made)
    _cover(moment, rows)


def _supersede(lane: Lane, made: NDArray[Any]) -> None:
    """Have a lane forget the windows whose bars were given: what comes for them later makes the version after that."""
    windows = lane.windows
    known = np.append(lane.row_of, -1)[np.minimum(made["code"], len(lane.row_of))] >= 0
    near = (made["start"] <= max(windows.newest, windows.closed)) & (made["start"] + made["interval"] > windows.oldest)
    for k, length in enumerate(lane.rules.intervals_us):
        for row in made[known & near & (made["interval"] == length)]:
            lane.spoil(int(row["code"]), k, int(row["start"]))


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


def _cover(moment: Moment, rows: NDArray[Any]) -> None:
    """Say that the stretches of the bars are live, joined to those before where they touch."""
    rows = rows[np.lexsort((rows["start"], rows["interval"], rows["code"]))]
    start, end = rows["start"], rows["start"] + rows["interval"]
    series = (np.diff(rows["code"]) != 0) | (np.diff(rows["interval"]) != 0)
    cuts = np.flatnonzero(series | (start[1:] > end[:-1])) + 1
    firsts, lasts = np.append(0, cuts), np.append(cuts, len(rows)) - 1
    found, lane = [], moment.lane
    columns = (rows["code"][firsts], rows["interval"][firsts], start[firsts], end[lasts])
    for code, interval, since, until in zip(*(column.tolist() for column in columns), strict=True):
        run = lane.bar_runs.get((code, interval))
        if run is None or since > run[1] or until < run[0]:
            run = lane.bar_runs[code, interval] = [since, until]
        else:
            run[0], run[1] = min(run[0], since), max(run[1], until)
        found.append((code, lane.bar_channels[code, interval], run[0], run[1]))
    code, channel, since, until = (np.array(column) for column in zip(*found, strict=True))
    state, missing = np.full(len(found), LIVE, np.uint8), np.zeros(len(found), np.int64)
    moment.source.stretches.say(code.astype(np.int32), channel.astype(np.int32), since, until, state, missing)
