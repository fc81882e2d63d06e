"""One source: its symbols, its lanes, the ids they share, and what it counts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import I32, I64, LIVE, REFILL, U8, TickBatch
from tickhouse.core.kernels import bars as kernels
from tickhouse.core.kernels.tumbling import NEVER, NO_PRICE, NO_VOLUME
from tickhouse.core.model import Ids
from tickhouse.process.coverage import Stretches
from tickhouse.process.growth import longer, room
from tickhouse.process.identity import DenseIds, UniqueIds
from tickhouse.process.lane import Lane
from tickhouse.process.rolling import Own
from tickhouse.process.rules import Rules
from tickhouse.process.sale_conditions import ConditionRule
from tickhouse.process.state import part

PastLane = tuple[int, int, NDArray[np.int32]]
"""The oldest and newest event time of a lane that has ended, and the codes of its symbols in order."""

LEDGER = ("accepted", "duplicate", "late")


class Source:
    """The state of a source. A symbol's code is its place among `symbols`, in the order in which they came."""

    def __init__(self, name: str, rules: Rules) -> None:
        self.name, self.rules = name, rules
        self.ids = rules.ids_of(name)
        self.dense = DenseIds(rules.max_ahead_us) if self.ids is Ids.DENSE else None
        self.codes: dict[str, int] = {}
        self.lanes: dict[str, Lane] = {}
        self.past: list[PastLane] = []
        self.own = Own()
        self.stretches = Stretches()
        self.totals: I64 = np.zeros(3, np.int64)
        self.latest: dict[int, I64] = {}
        self._symbols: tuple[str, ...] = ()
        self._mapped: tuple[Sequence[str], int, I32] = ((), 0, np.zeros(0, np.int32))
        self._meant: tuple[Sequence[str], int, U8] = ((), 0, np.zeros(0, np.uint8))

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol, by code."""
        if len(self._symbols) != len(self.codes):
            self._symbols = tuple(self.codes)
        return self._symbols

    def lane(self, name: str) -> Lane:
        """The lane of that name, begun if need be; what fills holes belongs to the live lane."""
        name = LIVE if name == REFILL else name
        if name not in self.lanes:
            lane = self.lanes[name] = Lane(name, self.rules, self.stretches, self.dense)
            lane.unique = UniqueIds() if self.ids is Ids.UNIQUE else None
        return self.lanes[name]

    def code(self, symbol: str) -> int:
        """The code of a symbol; a new one gets the next."""
        return self.codes.setdefault(symbol, len(self.codes))

    def coded(self, symbols: Sequence[str], symbol: I32) -> I32:
        """The codes of ticks or bars whose `symbol` are places in `symbols`. New symbols are numbered in order of arrival."""
        known, length, table = self._mapped
        if known is not symbols or length != len(symbols):
            table = np.fromiter((self.codes.get(name, -1) for name in symbols), np.int32, len(symbols))
            self._mapped = symbols, len(symbols), table
        codes: I32 = table[symbol]
        if codes.size and codes.min() < 0:
            fresh = symbol[codes < 0]
            _, first = np.unique(fresh, return_index=True)
            for place in fresh[np.sort(first)].tolist():
                table[place] = self.code(symbols[place])
            codes = table[symbol]
        return codes

    def meaning(self, conditions: Sequence[str]) -> U8:
        """The bits of each sale condition."""
        known, length, bits = self._meant
        if known is not conditions or length != len(conditions):
            rule = self.rules.conditions.get(self.name)
            bits = np.fromiter((condition_bits(rule, text) for text in conditions), np.uint8, len(conditions))
            self._meant = conditions, len(conditions), bits
        return bits

    def rows(self, lane: Lane, batch: TickBatch, channel: str) -> I32:
        """The lane's row of each tick of a batch."""
        codes = self.coded(batch.symbols, batch.symbol)
        rows: I32 | None = None
        if codes.max() < len(lane.row_of):
            rows = lane.row_of[codes]
        if rows is None or rows.min() < 0:
            unknown = codes if rows is None else codes[rows < 0]
            _, first = np.unique(unknown, return_index=True)
            unknown = unknown[np.sort(first)]
            known = lane.row_of[np.minimum(unknown, len(lane.row_of) - 1)] if len(lane.row_of) else -1
            lane.admit(unknown[(known < 0) | (unknown >= len(lane.row_of))], channel)
            rows = lane.row_of[codes]
        return rows

    def others(self, lane: Lane, code: I32, start: I64, end: I64) -> NDArray[np.bool_]:
        """Which windows of a lane another lane, or a bar from elsewhere, may have bars of too."""
        mask = start < lane.memory
        low, high = (int(start.min()), int(end.max())) if len(start) else (0, 0)
        if lane.bar_codes:
            mask |= np.isin(code, list(lane.bar_codes))
        for other in self.lanes.values():
            since, until = other.span()
            if other is not lane and since < high and until >= low:
                inside = (start <= until) & (end > since)
                mask |= inside & other.has_each(code)
        for since, until, codes in self.past:
            if since < high and until >= low:
                mask |= (start <= until) & (end > since) & np.isin(code, codes)
        return mask

    def watched(self, code: int, start: int, end: int) -> float:
        """The largest part of a window that one lane with the symbol watched."""
        begin, finish, best = np.array([start]), np.array([end]), 0.0
        for lane in self.lanes.values():
            if code in lane.bar_codes or not lane.has(code):
                continue
            row = np.array([lane.row_of[code]], np.int64)
            best = max(best, float(lane.watched(row, begin, finish)[0][0]))
        for since, until, codes in self.past:
            if since < end and until >= start and code in codes:
                best = max(best, (min(end, until) - max(start, since)) / (end - start))
        return best

    def completeness(self, code: int, start: int, end: int, trades: int) -> float:
        """How complete a bar made of the ticks of all lanes is."""
        lacking = 0
        for lane in self.lanes.values():
            if lane.dense is not None and code < len(lane.row_of) and lane.row_of[code] >= 0:
                row = np.array([lane.row_of[code]], np.int64)
                lacking = max(lacking, int(lane.lacking(row, np.array([start]), np.array([end]))[0]))
        return trades / (trades + lacking) * self.watched(code, start, end)

    def spoil(self, code: int, k: int, start: int) -> None:
        """Have every lane forget what it knows of a window, because the newest version of its bar was made elsewhere."""
        for lane in self.lanes.values():
            lane.spoil(code, k, start)

    def end(self, lane: Lane) -> None:
        """Let go of a lane that is complete; the ids it has seen stay known."""
        since, until = lane.span()
        codes = np.union1d(lane.code[: lane.rows], np.array(sorted(lane.bar_codes), np.int32)).astype(np.int32)
        if len(codes):
            self.past.append((since, until, codes))
        self.totals += lane.windows.counts[:3]
        if self.dense is not None:
            self.dense.retire(lane.ids[: lane.rows].tolist(), lane.code[: lane.rows].tolist())
        del self.lanes[lane.name]

    def newer(self, bars: NDArray[Any]) -> bool:
        """Whether each bar is newer than all of its series before; then they go on where their series stand."""
        fine = True
        for interval in set(bars["interval"].tolist()):
            fine &= kernels.newer(bars, interval, self._latest(interval))
        return fine

    def is_new(self, interval: int, code: I32, start: I64) -> bool:
        """Whether every bar is newer than one of its series that was made before."""
        latest = self._latest(interval)[code]
        return bool(((start > latest) & (latest != NEVER)).all())

    def is_ahead(self, bar: Any) -> bool:
        """Whether no bar of its series as new as this one is public yet."""
        return bool(bar["start"] > self._latest(int(bar["interval"]))[bar["code"]])

    def _latest(self, interval: int) -> I64:
        latest = self.latest.get(interval, np.zeros(0, np.int64))
        if len(latest) < len(self.codes):
            latest = self.latest[interval] = longer(latest, room(len(latest), len(self.codes)), NEVER)
        return latest

    def ledger(self) -> dict[tuple[str, str], int]:
        """The running totals of ticks and ready-made bars."""
        return {(self.name, name): int(count) for name, count in zip(LEDGER, self._counted(), strict=True)}

    def _counted(self) -> I64:
        totals = self.totals.copy()
        for lane in self.lanes.values():
            totals += lane.windows.counts[:3]
        return totals

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """All state as arrays, and what is not an array."""
        arrays: dict[str, NDArray[Any]] = {"totals": self._counted()}
        values: dict[str, Any] = {
            "symbols": self.symbols,
            "lanes": {},
            "past": [],
            "channels": list(self.stretches.channels),
            "own": self.own.snapshot(),
        }
        for interval, latest in self.latest.items():
            arrays[f"latest.{interval}"] = latest[: len(self.codes)]
        for number, (since, until, codes) in enumerate(self.past):
            values["past"].append([since, until])
            arrays[f"past.{number}"] = codes
        if self.dense is not None:
            dense, values["dense"] = self.dense.snapshot()
            arrays |= {f"dense.{name}": array for name, array in dense.items()}
        for number, (name, lane) in enumerate(self.lanes.items()):
            made, values["lanes"][name] = lane.snapshot()
            arrays |= {f"lane.{number}.{key}": array for key, array in made.items()}
        return arrays, values

    def restore(self, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""

        self.codes = {name: code for code, name in enumerate(values["symbols"])}
        for channel in values["channels"]:
            self.stretches.channel(channel)
        self.totals = arrays["totals"].copy()
        self.latest = {int(interval): latest.copy() for interval, latest in part(arrays, "latest.").items()}
        self.past = [(since, until, arrays[f"past.{n}"]) for n, (since, until) in enumerate(values["past"])]
        self.own.restore(values.get("own", ()))
        if self.dense is not None:
            self.dense = DenseIds.restored(part(arrays, "dense."), values["dense"])
        for number, (name, given) in enumerate(values["lanes"].items()):
            self.lane(name).restore(part(arrays, f"lane.{number}."), given)


def condition_bits(rule: ConditionRule | None, text: str) -> int:
    """What a sale condition means, as bits of `tumbling`."""
    if rule is None:
        return 0
    return (int(NO_PRICE) if text in rule.no_price else 0) | (int(NO_VOLUME) if text in rule.no_volume else 0)
