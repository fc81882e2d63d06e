"""What one client gets of a block, and how faults spoil it on the way."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tickhouse.exchange import I64, MS, Bools, Desk, Dialect, Rendered, Topic, Trades
from tickhouse.exchange import faults as f
from tickhouse.exchange.faults import U64, Account, Faults, chosen
from tickhouse.exchange.wire import framed

HELD = 100_000
"""Messages held back for one client at most; more come at once."""
GARBAGE = (
    b"", b"{", b"null", b"[1,2", b'{"e":"trade","E":,}', b"\x00\x01\x02\x03", b"<html><body>502 Bad Gateway</body></html>",
    b'{"e":"trade","E":1,"s":', b"pong", b'{"stream":"","data":', b'{"e":"trade","p":"1","p":}', b"]}",
)  # fmt: skip
SPOILED = {f.CHANGED: "changed_fields", f.BAD: "bad_values"}


@dataclass(frozen=True)
class Prepared:
    """A topic's messages of a block, framed for the socket, with the fault of each."""

    rendered: Rendered
    frames: list[bytes]
    times: I64
    faults: Faults

    @classmethod
    def of(cls, rendered: Rendered, trades: Trades, faults: Faults) -> "Prepared":
        """Frame the messages of a block."""
        return cls(rendered, [framed(text) for text in rendered.texts], trades.time[rendered.at], faults)

    @cached_property
    def plan(self) -> tuple[NDArray[np.int8], U64]:
        """The fault of each message and its random bits."""
        return chosen(self.faults, self.rendered.code, self.rendered.id)

    def between(self, first: int, last: int) -> tuple[int, int]:
        """The messages that follow the trades [first, last) of the block."""
        at = self.rendered.at
        return int(np.searchsorted(at, first)), int(np.searchsorted(at, last))


class Delivery:
    """The way to one client: what is held back, mute or left out at the moment. `broken` says that the line is to break."""

    def __init__(self, number: int, desk: Desk, dialect: Dialect, account: Account) -> None:
        self.number, self.desk = number, desk
        self.broken = False
        self._dialect, self._account = dialect, account
        self._held: list[tuple[int, int, bytes]] = []
        self._serial = 0
        self._late: dict[tuple[Topic, int], tuple[int, list[bytes]]] = {}
        self._mute: dict[int, int] = {}
        self._gaps: dict[tuple[Topic, int], int] = {}

    @property
    def muted(self) -> list[int]:
        """The instruments that are silent now."""
        return list(self._mute)

    def deliver(self, topic: Topic, one: Prepared, part: tuple[int, int], wanted: Bools) -> Sequence[bytes]:
        """The frames for this client of the messages part[0] to part[1] of a block."""
        first, last = part
        codes = one.rendered.code[first:last]
        picked = np.flatnonzero(wanted[codes])
        if not self._troubled(one, picked + first):
            if len(picked) == last - first:
                return one.frames[first:last]
            return [one.frames[first + place] for place in picked.tolist()]
        return self._spoil(topic, one, (picked + first).tolist())

    def due(self, now: int) -> list[bytes]:
        """What was held back until now (us of event time)."""
        out = []
        while self._held and self._held[0][0] <= now:
            out.append(heapq.heappop(self._held)[2])
        for key in [key for key, (until, _) in self._late.items() if until <= now]:
            out += self._late.pop(key)[1]
        for code in [code for code, until in self._mute.items() if until <= now]:
            del self._mute[code]
        return out

    def next_due(self) -> int | None:
        """When something is due next (us of event time)."""
        moments = [until for until, _ in self._late.values()] + [one[0] for one in self._held[:1]]
        return min(moments, default=None)

    def silence(self, code: int, until: int) -> None:
        """One instrument is mute from now on, until an event time (us) or until it is subscribed anew."""
        self._mute[code] = until
        self._account.note("mutes", symbol=code, connection=self.number, asked=True)

    def leave_out(self, topics: Iterable[Topic], code: int, until: int) -> None:
        """The next trades of one instrument are never sent, up to and including this id."""
        for topic in topics:
            self._gaps[topic, code] = until
        self._account.note("gaps", symbol=code, last_id=until, connection=self.number, asked=True)

    def renew(self) -> None:
        """Instruments that were subscribed anew are heard again."""
        for code in self.desk.renewed:
            self._mute.pop(code, None)
        self.desk.renewed.clear()

    def _troubled(self, one: Prepared, picked: I64) -> bool:
        if self._mute or self._gaps or self._late or self._held:
            return True
        return one.faults.on_messages and bool(one.plan[0][picked].any())

    def _spoil(self, topic: Topic, one: Prepared, picked: list[int]) -> list[bytes]:
        """Message by message: those that a mute, a gap or a burst holds, and those that a fault hits."""
        out: list[bytes] = []
        kinds, bits = one.plan if one.faults.on_messages else (None, None)
        for place in picked:
            frame, code = one.frames[place], int(one.rendered.code[place])
            time, kind = int(one.times[place]), f.NONE if kinds is None else int(kinds[place])
            detail = 0 if bits is None else int(bits[place])
            if self._held or self._late:
                out += self.due(time)
            if self._mute and self._is_mute(code, time):
                continue
            if self._gaps and self._in_gap(topic, one.rendered, place):
                continue
            if self._late and self._is_late(topic, code, time, frame):
                continue
            if kind == f.NONE:
                out.append(frame)
                continue
            out += self._hit(_Hit(topic, one, place, kind, detail, code, time), frame)
            if self.broken:
                break
        return out

    def _hit(self, hit: "_Hit", frame: bytes) -> list[bytes]:
        """One fault on one message: what goes out at once."""
        kind, settings = f.MESSAGE[hit.kind - 1], hit.one.faults
        rendered, place = hit.one.rendered, hit.place
        self._account.note(
            kind, symbol=hit.code, first_id=int(rendered.id[place]), last_id=int(rendered.last[place]), time=hit.time,
            topic=hit.topic.name, connection=self.number,
        )  # fmt: skip
        if hit.kind in (f.DUPLICATE, f.DISORDER):
            return self._again_or_later(hit, frame)
        if hit.kind == f.LATE:
            self._late[hit.topic, hit.code] = (hit.time + round(settings.late_ms * MS), [frame])
        elif hit.kind == f.MUTE:
            self._mute[hit.code] = hit.time + round(settings.mute_ms * MS)
            self._account.counts["mute_messages"] += 1
        elif hit.kind == f.GAP:
            self._gaps[hit.topic, hit.code] = int(rendered.id[place]) + hit.detail % settings.gap_trades
            self._in_gap(hit.topic, rendered, place)
        elif hit.kind == f.DISCONNECT:
            self.broken = True
        else:
            return [framed(self._ruined(rendered.texts[place], hit.kind, hit.detail))]
        return []

    def _again_or_later(self, hit: "_Hit", frame: bytes) -> list[bytes]:
        delay = 1 + hit.detail // 2 % max(round(hit.one.faults.disorder_ms * MS), 1)
        if hit.kind == f.DUPLICATE and (hit.detail & 1 or len(self._held) >= HELD):
            return [frame, frame]
        if len(self._held) < HELD:
            self._serial += 1
            heapq.heappush(self._held, (hit.time + delay, self._serial, frame))
            return [frame] if hit.kind == f.DUPLICATE else []
        return [frame]

    def _ruined(self, text: bytes, kind: int, detail: int) -> bytes:
        if kind == f.HALF:
            return text[: 1 + detail % (len(text) - 1)]
        if kind == f.MALFORMED:
            return GARBAGE[detail % len(GARBAGE)]
        return self._dialect.spoiled(text, SPOILED[kind], detail)

    def _is_mute(self, code: int, time: int) -> bool:
        until = self._mute.get(code)
        if until is None:
            return False
        if time >= until:
            del self._mute[code]
            return False
        self._account.counts["mute_messages"] += 1
        return True

    def _in_gap(self, topic: Topic, rendered: Rendered, place: int) -> bool:
        key = (topic, int(rendered.code[place]))
        end = self._gaps.get(key)
        if end is None:
            return False
        if rendered.last[place] >= end:
            del self._gaps[key]
        if rendered.id[place] > end:
            return False
        self._account.counts["gap_messages"] += 1
        self._account.counts["gap_trades"] += int(rendered.last[place] - rendered.id[place]) + 1
        return True

    def _is_late(self, topic: Topic, code: int, time: int, frame: bytes) -> bool:
        until, frames = self._late.get((topic, code), (0, []))
        if time >= until or len(frames) >= HELD:
            return False
        frames.append(frame)
        self._account.counts["late_messages"] += 1
        return True


@dataclass(frozen=True, slots=True)
class _Hit:
    """A message that a fault hits."""

    topic: Topic
    one: Prepared
    place: int
    kind: int
    detail: int
    code: int
    time: int
