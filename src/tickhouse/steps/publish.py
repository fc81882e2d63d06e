"""Closed bars and anomalies from the warm store to the topics of a journal that has such: what is stored is told, at least once.

The position up to which everything of a group was published is noted beside the journal. Where that is behind what is stored (the
broker was away, or more came than waits here), the rows stored since are read from the store again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pyarrow as pa

from tickhouse.core import observe
from tickhouse.core.batches import Output
from tickhouse.core.errors import Superseded, Temporary, TickhouseError
from tickhouse.core.model import Query
from tickhouse.core.shards import Shard
from tickhouse.journal import Journal, Publishes, Results
from tickhouse.steps.patience import PAUSE, Patience
from tickhouse.steps.unpublished import Unpublished, of_shard, results_of
from tickhouse.stores import Checkpoint, Warm

PAGE = 5_000
"""Rows that are read from the store at a time."""
NOTE_SECONDS, LEAVE_SECONDS, REFUSED_SECONDS = 1.0, 10.0, 30.0
"""How often positions are noted; how long a clean end waits for the broker; what is refused is tried again after so long."""
SILENT_SECONDS, ASK_SECONDS, LOOK_SECONDS = 10.0, 2.0, 0.1
"""So long the broker answers and takes nothing before that is told; how often it is asked meanwhile; how often is looked."""
KEY = ("symbol", "interval", "start", "source", "version")
KEYS = {"bars": KEY, "anomalies": (*KEY, "detector")}


class _Ended(Exception):
    """It is to end before everything is delivered."""


class Publishing:
    """Publishes what is in a store in a thread of its own; nobody waits for it. Close it before the journal.

    For a journal that has no such topics, or where that is not `wanted`, it does nothing.
    """

    def __init__(self, journal: Journal, warm: Warm, wanted: bool) -> None:
        self._publisher: Callable[[], Publishes] | None = getattr(journal, "publisher", None) if wanted else None
        self._journal, self._warm = journal, warm
        self.patience, self._away, self._answers_since = Patience("publishing"), False, float("inf")
        self._ready = threading.Condition()
        self._groups: dict[str, Unpublished] = {}
        self._leave, self._noted_at = 0.0, 0.0
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    @property
    def position(self) -> int:
        """Up to where everything is published; -1 while that is not known."""
        return min((group.done for group in tuple(self._groups.values())), default=-1)

    def behind(self, warm: Warm, shard: Shard | None) -> Warm:
        """The store as who processes sees it: what is written to it, of a shard where there are such, is published afterwards."""
        return cast(Warm, _Told(warm, shard, self)) if self._publisher else warm

    def begin(self, group: Unpublished) -> None:
        """A group goes on (again) from where it was last stored as a whole, `handed`."""
        if self._failure is not None:
            raise self._failure
        with self._ready:
            self._groups[group.name] = group
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(self._publisher,), name="publish", daemon=True)
                self._thread.start()
            self._ready.notify()

    def take(self, name: str, output: Output) -> None:
        """An output is stored. Returns at once; raises what ended the publishing though it should not."""
        if self._failure is not None:
            raise self._failure
        with self._ready:
            if name in self._groups:
                self._groups[name].take(output)
                self._ready.notify()

    def leave(self, name: str) -> None:
        """Another process has the group now, and publishes what waited here."""
        with self._ready:
            self._groups.pop(name, None)

    def close(self) -> None:
        """Publish what waits, if the broker takes it soon; the rest is published at the next start."""
        with self._ready:
            self._leave = time.monotonic() + (0.0 if self._away or self.patience.away else LEAVE_SECONDS)
            self._ready.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self, publisher: Callable[[], Publishes]) -> None:
        out = publisher()
        try:
            while self._round(out):
                pass
            self._note(out)
        except (_Ended, TickhouseError) as error:
            why = {"reason": str(error)} if isinstance(error, TickhouseError) else {}
            observe.tell("journal", "the rest is published at the next start", **why)
        except Exception as error:
            self._failure = error
        finally:
            out.close()

    def _round(self, out: Publishes) -> bool:
        """Publish what there is; false when it is to end and nothing is left."""
        with self._ready:
            self._ready.wait_for(lambda: self._leave or self._is_more(), NOTE_SECONDS)
            groups = tuple(self._groups.values())
        try:
            for group in groups:
                self._publish(out, group)
            self._away, self._answers_since = False, float("inf")
            self.patience.over()
            if time.monotonic() - self._noted_at > NOTE_SECONDS:
                self._note(out)
        except TickhouseError as error:
            self._failed(error)
        with self._ready:
            return not self._leave or self._is_more()

    def _is_more(self) -> bool:
        return any(group.waiting or group.behind for group in self._groups.values())

    def _publish(self, out: Publishes, group: Unpublished) -> None:
        """Publish what there is of a group; should that fail, all of it is read from the store then."""
        with self._ready:
            behind, upto, waiting = group.behind, group.handed, group.waiting
            group.behind, group.waiting, group.rows = False, [], 0
        try:
            if group.done < 0:
                group.done = min(out.published().get(group.name, 0), group.stored)
            if behind and upto > group.done:
                self._from_store(out, group, upto)
            for output in waiting:
                if output.position > group.done:
                    for results, rows in results_of(output):
                        out.send(results, rows)
            self._settle(out)
        except TickhouseError:
            with self._ready:
                group.fall_behind()
            raise
        group.done = max(group.done, upto)

    def _from_store(self, out: Publishes, group: Unpublished, upto: int) -> None:
        """Publish what was stored since, page by page."""
        asks: tuple[tuple[Results, Callable[[Query], pa.Table]], ...]
        asks = ("bars", self._warm.bars), ("anomalies", self._warm.anomalies)
        for results, ask in asks:
            query: Query | None = Query(versions=True, since=group.done, before=upto, limit=PAGE)
            while query is not None:
                page = ask(query)
                out.send(results, page if group.shard is None else of_shard(group.shard, page))
                self._settle(out)
                last = page.slice(page.num_rows - 1).to_pylist() if page.num_rows == PAGE else []
                query = replace(query, after=tuple(last[0][name] for name in KEYS[results])) if last else None

    def _failed(self, error: TickhouseError) -> None:
        self._away, pause = True, self._say(error)
        with self._ready:
            self._ready.wait_for(lambda: bool(self._leave), pause)
        self._hurry()

    def _say(self, error: TickhouseError) -> float:
        """Say once that nothing is published now; returns for how many seconds to wait.

        A broker that is away, or only just back, is told by the one who reads the journal, and not here again.
        """
        answered = self._has_answered()
        if not isinstance(error, Temporary):
            error, silent = Temporary(str(error), retry_after=REFUSED_SECONDS), 0.0
        else:
            silent = SILENT_SECONDS
        return self.patience.note(error) if answered >= silent else PAUSE

    def _has_answered(self) -> float:
        """For how many seconds the journal has answered, as far as it was asked; -1 when it does not."""
        try:
            self._journal.end()
        except Temporary:
            self._away, self._answers_since = True, float("inf")
            return -1
        self._answers_since = min(self._answers_since, time.monotonic())
        return time.monotonic() - self._answers_since

    def _settle(self, out: Publishes) -> None:
        """Wait until the broker has everything, however long that takes; it is said when it takes long."""
        ask = time.monotonic() + ASK_SECONDS
        while not out.delivered(LOOK_SECONDS):
            self._hurry()
            if time.monotonic() > ask:
                self._say(out.silent())
                ask = time.monotonic() + ASK_SECONDS

    def _note(self, out: Publishes) -> None:
        """Keep how far everything is."""
        fresh = [group for group in tuple(self._groups.values()) if group.done > group.noted]
        positions = [group.done for group in fresh]
        for group, position in zip(fresh, positions, strict=True):
            out.note(group.name, position)
        self._settle(out)
        for group, position in zip(fresh, positions, strict=True):
            group.noted = position
            observe.gauge("journal_position", position, group=f"{group.name}.published")
        self._noted_at = time.monotonic()

    def _hurry(self) -> None:
        if self._leave and time.monotonic() > self._leave:
            raise _Ended


class _Told:
    """A store that tells of what is written to it, once it is there. Who asks for a checkpoint goes on from it."""

    def __init__(self, warm: Warm, shard: Shard | None, publishing: Publishing) -> None:
        self._warm, self._shard, self._publishing = warm, shard, publishing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warm, name)

    def checkpoint(self, group: str) -> Checkpoint | None:
        """See `Warm.checkpoint`."""
        found = self._warm.checkpoint(group)
        stored = self._warm.position(group) or 0
        self._publishing.begin(Unpublished(group, self._shard, stored, found.position if found else 0))
        return found

    def write(self, group: str, output: Output, checkpoint: bytes | None = None, since: int | None = None) -> int:
        """See `Warm.write`."""
        try:
            stored = self._warm.write(group, output, checkpoint, since)
        except Superseded:
            self._publishing.leave(group)
            raise
        self._publishing.take(group, output)
        return stored
