"""One listener of the stream: what it still has to be sent, and the task that sends it."""

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from tickhouse.core import observe
from tickhouse.core.errors import TickhouseError
from tickhouse.surfaces._changes import Change, Filter, Merged, frame, message
from tickhouse.surfaces.problems import of
from tickhouse.surfaces.wire import NAME, Wire

if TYPE_CHECKING:
    from tickhouse.surfaces.live import Hub

MOST_WAITING = 8
MOST_FIRM = 5_000

log = structlog.get_logger()


class Client:
    """An open WebSocket. Only the event loop touches it.

    A message goes straight to the socket while the client keeps up. Once it does not, what waits is merged: of a forming bar
    or a price only the newest is kept, closed and corrected bars and anomalies all. When more than `MOST_FIRM` of those wait,
    they are given up and the client gets a new snapshot that says `reset`.
    """

    def __init__(self, socket: WebSocket, hub: "Hub", filter_: Filter, last: int) -> None:
        self.socket, self.hub, self.filter, self.last = socket, hub, filter_, last
        extension = socket.scope.get("extensions", {}).get(NAME)
        self._wire: Wire | None = extension["wire"] if extension else None
        self._waiting: list[Change] = []
        self._merged: Merged | None = None
        self._says: list[bytes] = []
        self._seq = 0
        self._needs_snapshot: bool | None = None
        self._sending = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be sent."""
        return not (self._sending or self._waiting or self._merged or self._says or self._needs_snapshot is not None)

    def offer(self, change: Change) -> None:
        """Send a change, or keep it until the client can take it."""
        if self._needs_snapshot is not None:
            return
        if self.idle and self._wire is not None and self._wire.write_frame(change.frame):
            return
        self._seq = change.seq
        if self._merged is None and len(self._waiting) < MOST_WAITING:
            self._waiting.append(change)
        else:
            self._merge(change)
        self._wake.set()

    def say(self, payload: bytes) -> None:
        """Send a message that is for this client alone."""
        self._says.append(payload)
        self._wake.set()

    def restart(self, reset: bool) -> None:
        """Give up what waits and send a snapshot instead."""
        self.hub.leave(self)
        self._waiting, self._merged = [], None
        self._needs_snapshot = reset or bool(self._needs_snapshot)
        self._wake.set()

    def listen_to(self, wanted: Filter) -> None:
        """Listen to something else from now on, beginning with a snapshot of it."""
        self.hub.leave(self)
        self.filter = wanted
        self.restart(reset=False)

    def end(self) -> None:
        """Stop sending; the connection is closed by whoever runs it."""
        if self._task is not None:
            self._task.cancel()

    def _merge(self, change: Change) -> None:
        if self._merged is None:
            self._merged = Merged()
            for waiting in self._waiting:
                self._merged.add(waiting.items)
            self._waiting = []
        self._merged.add(change.items)
        observe.count("conflated", len(change.items))
        if len(self._merged.firm) > MOST_FIRM:
            self.restart(reset=True)

    async def write(self, resume: int | None) -> None:
        """Send what there is to send until the connection ends. Raises TimeoutError for a client that takes nothing."""
        if resume is None or not self._resumed(resume):
            self.restart(reset=resume is not None)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while not self.idle:
                await self._send(await self._next())

    def _resumed(self, seq: int) -> bool:
        hub = self.hub
        if not hub.recent.covers(seq, hub.seq):
            return False
        items = [item for item in hub.recent.since(seq) if self.filter.wants(item)]
        self.say(message("changes", hub.seq, items, resumed=True))
        hub.join(self)
        return True

    async def _next(self) -> bytes:
        if self._says:
            return self._says.pop(0)
        if self._needs_snapshot is not None:
            return await self._snapshot()
        if self._merged is not None:
            merged, self._merged = self._merged, None
            return message("changes", self._seq, merged.items())
        return self._waiting.pop(0).payload

    async def _snapshot(self) -> bytes:
        """A snapshot, and behind it what changed while it was taken; from then on the client hears every change."""
        hub, wanted = self.hub, self.filter
        found = await hub.snapshot(wanted, self.last)
        if self.filter != wanted or not hub.recent.covers(found.seq, hub.seq):
            return b""
        reset, self._needs_snapshot = bool(self._needs_snapshot), None
        missed = [item for item in hub.recent.since(found.seq) if wanted.wants(item)]
        if missed:
            self._seq = hub.seq
            self._waiting.append(Change(hub.seq, missed))
        hub.join(self)
        return found.payload(reset)

    async def _send(self, payload: bytes) -> None:
        if not payload:
            await asyncio.sleep(0.01)
            return
        self._sending = True
        try:
            async with asyncio.timeout(self.hub.send_seconds):
                await self._deliver(payload)
        except TimeoutError:
            if self._wire is not None:
                self._wire.abort()
            raise
        finally:
            self._sending = False

    async def _deliver(self, payload: bytes) -> None:
        """Write one message and wait while the client is behind."""
        if self._wire is not None:
            await self._wire.writable.wait()
            if self._wire.write_frame(frame(payload)):
                return
        try:
            await self.socket.send_text(payload.decode())
        except RuntimeError as closed:
            raise WebSocketDisconnect(1006) from closed

    async def _give_up(self, error: TickhouseError) -> None:
        """Say why the stream cannot go on, and close it: the client may come again."""
        log.warning("stream closed", reason=str(error))
        try:
            await self._deliver(message("error", self.hub.seq, (), detail=of(error).detail))
            await self.socket.close(1013, "try again later")
        except (WebSocketDisconnect, OSError) as ended:
            log.debug("listener left", reason=repr(ended))

    async def serve(self, read: Any, resume: int | None) -> None:
        """Read and write until either ends."""
        self._task = asyncio.create_task(self.write(resume))
        tasks = [asyncio.create_task(read), self._task]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()
        except (WebSocketDisconnect, TimeoutError, OSError) as ended:
            log.debug("listener left", reason=repr(ended))
        except TickhouseError as error:
            await self._give_up(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.hub.leave(self)
