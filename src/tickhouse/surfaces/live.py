"""The hub of the stream: changes come in from any thread and go out to every client that listens.

Changes are sent as soon as the event loop gets to them; what has come together by then goes out together. One counter
numbers the moments, so a client that was away says which number it saw last and gets what it missed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import msgspec
import pyarrow as pa
import structlog

from tickhouse.core import observe
from tickhouse.core.model import Query
from tickhouse.surfaces import MISSED, Columns
from tickhouse.surfaces._changes import COLUMNS, Change, Filter, Item, Merged, Recent, items_of, message
from tickhouse.surfaces._client import Client
from tickhouse.surfaces.desk import Desk
from tickhouse.surfaces.formats import plain, rows
from tickhouse.surfaces.room import Room

MOST_PENDING = 500_000
MOST_RECENT = 5_000
HEARTBEAT_SECONDS = 10.0
SEND_SECONDS = 20.0
SNAPSHOT_SECONDS = 0.5
SNAPSHOT_THREADS = 2
LONGEST_PAUSE = 0.005

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How things stand at `seq`, for all clients with one filter; the two texts differ only in `reset`."""

    seq: int
    taken: float
    fresh: bytes
    again: bytes

    def payload(self, reset: bool) -> bytes:
        """The message."""
        return self.again if reset else self.fresh


class Hub:
    """Every client of the stream, grouped by what it listens to."""

    def __init__(self, room: Room, max_clients: int = 2000) -> None:
        self.room, self.max_clients = room, max_clients
        self.desk = Desk(SNAPSHOT_THREADS, max_clients)
        self.seq = room.clock.now()
        self.recent = Recent(MOST_RECENT, self.seq)
        self.clients: set[Client] = set()
        self.send_seconds, self.heartbeat_seconds = SEND_SECONDS, HEARTBEAT_SECONDS
        self._groups: dict[Filter, set[Client]] = {}
        self._snapshots: dict[tuple[Filter, int], asyncio.Task[Snapshot]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = Lock()
        self._pending: list[tuple[str, Columns]] = []
        self._count = 0
        self._lost = self._scheduled = False
        self._not_before = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen to the house while the context lasts."""
        self._loop = asyncio.get_running_loop()
        stop = self.room.house.listen(self.changed)
        beat = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            stop()
            beat.cancel()
            for client in list(self.clients):
                client.end()
            await asyncio.gather(beat, return_exceptions=True)
            self._loop = None

    @property
    def full(self) -> bool:
        """Whether there is no room for one more client."""
        return len(self.clients) >= self.max_clients

    def stats(self) -> dict[str, int]:
        """How many listen, to how many different things, and the newest number."""
        return {"clients": len(self.clients), "filters": len(self._groups), "seq": self.seq}

    def changed(self, topic: str, changed: Columns) -> None:
        """Take in changes, from any thread; never blocks."""
        loop = self._loop
        if loop is None or topic not in (*COLUMNS, MISSED):
            return
        with self._lock:
            self._pending.append((topic, changed))
            self._count += len(changed["symbol"])
            if topic == MISSED or self._count > MOST_PENDING:
                self._pending.clear()
                self._count, self._lost = 0, True
            if self._scheduled:
                return
            self._scheduled = True
        try:
            loop.call_soon_threadsafe(self._flush)
        except RuntimeError:
            log.debug("changes after the loop closed are not sent")

    def enter(self, client: Client) -> None:
        """A client has come."""
        self.clients.add(client)
        observe.count("clients")
        observe.gauge("clients_now", len(self.clients))

    def exit(self, client: Client) -> None:
        """A client has left."""
        self.clients.discard(client)
        observe.gauge("clients_now", len(self.clients))

    def join(self, client: Client) -> None:
        """Send a client every change from now on."""
        self._groups.setdefault(client.filter, set()).add(client)

    def leave(self, client: Client) -> None:
        """Send a client nothing more."""
        group = self._groups.get(client.filter)
        if group is not None:
            group.discard(client)
            if not group:
                del self._groups[client.filter]

    def _flush(self) -> None:
        loop = self._loop
        if loop is None:
            return
        began = loop.time()
        if began < self._not_before:
            loop.call_at(self._not_before, self._flush)
            return
        with self._lock:
            pending, self._pending = self._pending, []
            lost, self._lost, self._count, self._scheduled = self._lost, False, 0, False
        if lost:
            self._reset()
        if pending:
            self._send(pending)
        now = loop.time()
        self._not_before = now + min(LONGEST_PAUSE, now - began)

    def _send(self, pending: list[tuple[str, Columns]]) -> None:
        """Give one number to what has come together, and send it to each group."""
        self.seq += 1
        merged = Merged()
        for topic, changed in pending:
            merged.add(items_of(topic, changed, self.seq))
        items = merged.items()
        self.recent.add(items)
        by_symbol: dict[str, list[Item]] = {}
        for item in items:
            by_symbol.setdefault(item.symbol, []).append(item)
        for filter_, group in list(self._groups.items()):
            chosen = filter_.choose(items, by_symbol)
            if chosen:
                change = Change(self.seq, chosen)
                for client in list(group):
                    client.offer(change)

    def _reset(self) -> None:
        """More came than could be sent: everybody starts anew from a snapshot."""
        if self.clients:
            log.warning("changes were missed; every listener gets a new snapshot", listeners=len(self.clients))
        self.seq += 1
        self.recent.clear(self.seq)
        for client in list(self.clients):
            client.restart(reset=True)

    async def _beat(self) -> None:
        """Tell every client that has nothing to hear that the stream lives, and how far it is."""
        while True:
            await asyncio.sleep(self.heartbeat_seconds)
            text = message("heartbeat", self.seq, (), at=plain({"at": self.room.clock.now()})["at"])
            for client in list(self.clients):
                if client.idle:
                    client.say(text)

    async def snapshot(self, filter_: Filter, last: int) -> Snapshot:
        """How things stand; clients that ask for the same within half a second share it."""
        key = (filter_, last)
        task = self._snapshots.get(key)
        if task is None or (task.done() and not self._fresh(task)):
            self._snapshots = {k: t for k, t in self._snapshots.items() if not t.done() or self._fresh(t)}
            task = self._snapshots[key] = asyncio.create_task(self._take(filter_, last))
        return await asyncio.shield(task)

    def _fresh(self, task: asyncio.Task[Snapshot]) -> bool:
        if task.cancelled() or task.exception() is not None:
            return False
        found = task.result()
        return asyncio.get_running_loop().time() - found.taken < SNAPSHOT_SECONDS and found.seq >= self.recent.floor

    async def _take(self, filter_: Filter, last: int) -> Snapshot:
        seq = self.seq
        found = await self.desk.do(self._read, filter_, last)
        common = {"simulated": self.room.simulated, "subscription": described(filter_)}

        def encoded(reset: bool) -> bytes:
            return msgspec.json.encode({"type": "snapshot", "seq": seq, "reset": reset, **common, **found})

        return Snapshot(seq, asyncio.get_running_loop().time(), encoded(False), encoded(True))

    def _read(self, filter_: Filter, last: int) -> dict[str, Any]:
        """What a snapshot shows, from the house; runs in a worker thread."""
        found: dict[str, Any] = {}
        for topic, symbols, intervals in filter_.parts:
            names = tuple(sorted(symbols or ()))
            if symbols is not None and not names:
                found[topic] = []
            elif topic == "ticks":
                latest = plain(self.room.house.latest(names))
                found[topic] = [{name: row.get(name) for name in COLUMNS[topic]} for row in latest]
            else:
                found[topic] = self._rows(topic, names, intervals, last)
        known = {row["symbol"] for row in self.room.catalog.rows()}
        unknown = sorted((filter_.symbols or frozenset()) - known)
        return {**found, "unknown": unknown} if unknown else found

    def _rows(self, topic: str, symbols: tuple[str, ...], intervals: frozenset[str] | None, last: int) -> list[Any]:
        ask = getattr(self.room.house, topic)
        wanted: list[str | None] = [*sorted(intervals)] if intervals and topic != "coverage" else [None]
        tables: list[pa.Table] = [ask(Query(symbols, interval, last=last)) for interval in wanted]
        return [row for table in tables for row in rows(table.select(COLUMNS[topic]))]


def described(filter_: Filter) -> dict[str, Any]:
    """A filter as clients see it: per topic the symbols and intervals, null for all."""
    return {
        topic: {"symbols": None if s is None else sorted(s), "intervals": None if i is None else sorted(i)}
        for topic, s, i in filter_.parts
    }
