"""Bars that come ready made, from files and providers.

A bar that its provider says is not over yet is shown, and replaced by the next that comes; it is neither kept nor rolled up.
What is over is kept, and rolled up to longer intervals (`process/rolling.py`).

How messages were cut into records changes nothing: in a live lane the bars of one message come out together, in a load they
wait until there are `AT_ONCE` of them, or the load ends.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import BarBatch
from tickhouse.core.kernels.bars import BARS
from tickhouse.core.kernels.tumbling import ACCEPTED, DUPLICATE
from tickhouse.core.model import State
from tickhouse.process.closing import Moment
from tickhouse.process.coverage import LIVE
from tickhouse.process.emitted import NO_BARS, Key, Run, from_batch, succeeding
from tickhouse.process.lane import Lane
from tickhouse.process.rolling import Window, rolled, series_of
from tickhouse.process.rules import MINUTE

AT_ONCE = 50_000
"""So many bars of a load become public together."""


def take(moment: Moment, batch: BarBatch, channel: str) -> None:
    """Take in given bars in order of arrival, and make those public whose turn has come."""
    lane, source = moment.lane, moment.source
    rows = _over(moment, from_batch(batch, source.coded(batch.symbols, batch.symbol)))
    if not len(rows):
        return
    lane.bar_codes |= set(np.unique(rows["code"]).tolist())
    lane.bar_span = [
        min(lane.bar_span[0], int(rows["start"].min())),
        max(lane.bar_span[1], int((rows["start"] + rows["interval"]).max())),
    ]
    number, series = source.stretches.channel(channel), series_of(rows)
    for one in series:
        lane.bar_channels.setdefault(one, number)
    lane.rolling.meet(series)
    if lane.live:
        for message in _messages(rows):
            _publish(moment, message)
    else:
        lane.given.append(rows)
        _release(moment, AT_ONCE)


def _over(moment: Moment, rows: NDArray[Any]) -> NDArray[Any]:
    """The bars that are over. Those that are not are shown, where they are live and newer than all that are."""
    forming = rows["state"] == State.FORMING
    if not forming.any():
        return rows
    moment.source.totals[ACCEPTED] += int(forming.sum())
    for row in rows[forming] if moment.lane.live else ():
        if moment.source.is_ahead(row):
            moment.emitted.forming[int(row["code"]), int(row["interval"]), int(row["start"])] = row
    over: NDArray[Any] = rows[~forming]
    return over


def finish(moment: Moment) -> None:
    """A load is at its end: make public what waits."""
    _release(moment, 1)
    _roll(moment, moment.lane.rolling.take_overdue(None), NO_BARS)


def tell(moment: Moment, now: int) -> None:
    """Time has come to `now` (us): roll up what has waited for long enough."""
    _roll(moment, moment.lane.rolling.take_overdue(now), NO_BARS)


def _release(moment: Moment, least: int) -> None:
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
    made, totals, rolling = _versioned(moment, rows), moment.source.totals, moment.lane.rolling
    totals[ACCEPTED] += len(made)
    totals[DUPLICATE] += len(rows) - len(made)
    _emit(moment, made)
    _cover(moment, rows)
    rolling.touch(made, moment.lane.rules.intervals_us)
    _roll(moment, rolling.take_due(np.unique(rows["code"]).tolist()), made)


def _emit(moment: Moment, made: NDArray[Any]) -> None:
    for key in made[["code", "interval", "start"]].tolist() if moment.emitted.forming else ():
        moment.emitted.forming.pop(key, None)
    if len(made):
        group = moment.emitted.add(made)
        moment.emitted.analyse(group, Run.NEWER if moment.source.newer(group) else Run.LATE)
        for lane in moment.source.lanes.values():
            _supersede(lane, made)


def _roll(moment: Moment, windows: Sequence[Window], made: NDArray[Any]) -> None:
    """Roll up windows of which the provider has sent no bar itself; `made` are bars that were just made public."""
    source, lane = moment.source, moment.lane
    windows = sorted(window for window in windows if not source.own.has(window))
    found: dict[Window, list[NDArray[Any]]] = {}
    for length in sorted({length for window in windows for length in lane.rolling.parts(window)}):
        wanted = [window for window in windows if length in lane.rolling.parts(window)]
        for window, parts in _parts(moment, wanted, length, made).items():
            found.setdefault(window, []).append(parts)
    if not found:
        return
    fullest = [each[0] if len(each) == 1 else max(each, key=_known) for each in found.values()]
    bars = rolled(list(found), fullest)
    bars = bars[np.lexsort((bars["start"], bars["interval"], bars["code"]))]
    ends = bars["start"] + bars["interval"]
    lane.bar_span = [min(lane.bar_span[0], int(bars["start"].min())), max(lane.bar_span[1], int(ends.max()))]
    _emit(moment, _versioned(moment, bars))


def _known(parts: NDArray[Any]) -> float:
    """How much of their window parts know, in us."""
    return float((parts["completeness"] * parts["interval"]).sum())


def _whole(made: NDArray[Any], length: int, windows: Sequence[Window]) -> dict[Window, NDArray[Any]]:
    """The windows of which every part was just made, each once."""
    rows, found = made[made["interval"] == length], {}
    rows = rows[np.lexsort((rows["start"], rows["code"]))]
    if not _rising(rows):
        return {}
    for interval in {interval for _, interval, _ in windows}:
        begin = rows["start"] - rows["start"] % interval
        cuts = np.flatnonzero((np.diff(begin) != 0) | (np.diff(rows["code"]) != 0)) + 1
        edges = np.concatenate(([0], cuts, [len(rows)])).tolist()
        for since, until in pairwise(edges):
            if until - since == interval // length:
                found[int(rows["code"][since]), interval, int(begin[since])] = rows[since:until]
    return found


def _parts(moment: Moment, windows: list[Window], length: int, made: NDArray[Any]) -> dict[Window, NDArray[Any]]:
    """The newest bars of a length in each window: of what was just made where that is all, else of all there is."""
    whole = _whole(made, length, windows)
    found = {window: whole[window] for window in windows if window in whole}
    keys = {
        window: [(window[0], length, start) for start in range(window[2], window[2] + window[1], length)]
        for window in windows
        if window not in found
    }
    newest = moment.emitted.newest([key for each in keys.values() for key in each], moment.past) if keys else {}
    for window, each in keys.items():
        parts = [newest[key] for key in each if key in newest]
        if parts:
            found[window] = np.array(parts, BARS)
    return found


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
        if interval in lane.rules.intervals_us and interval > min(lane.rules.base_us, MINUTE):
            moment.source.own.add((code, interval), since, until)
    code, channel, since, until = (np.array(column) for column in zip(*found, strict=True))
    state, missing = np.full(len(found), LIVE, np.uint8), np.zeros(len(found), np.int64)
    moment.source.stretches.say(code.astype(np.int32), channel.astype(np.int32), since, until, state, missing)
