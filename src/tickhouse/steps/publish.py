"""Closed bars and anomalies from the warm store to the topics of a journal that has such: what is stored is told, at least once.

The position up to which everything of a group is published is noted in the transaction of what was published. Where that is behind
what is stored (the broker was away, or more came than waits here), the rows stored since are read from the store again. Who begins
to publish for a group shuts out whoever did before: so one that hung while another took over never sends what it had queued.
"""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import pyarrow as pa

from tickhouse.core import observe
from tickhouse.core.batches import BarBatch, Output
from tickhouse.core.errors import Superseded, Temporary, TickhouseError
from tickhouse.core.shards import Shard
from tickhouse.journal import Journal, Publishes, Results, Tells
from tickhouse.steps.patience import PAUSE, Patience
from tickhouse.steps.unpublished import NOTE_SECONDS, Given, Unpublished, results_of, stored
from tickhouse.stores import Checkpoint, Warm

LEAVE_SECONDS, REFUSED_SECONDS = 10.0, 30.0
"""How long a clean end waits for the broker; what is refused is tried again after so long."""
SILENT_SECONDS, ASK_SECONDS, LOOK_SECONDS = 10.0, 2.0, 0.1
"""So long the broker answers and takes nothing before that is told; how often it is asked meanwhile; how often is looked."""
CUT_SECONDS, IDLE_SECONDS = 5.0, 300.0
"""The longest of a transaction, within which nobody reads what it has; so long a connection is kept that is not used."""
Publisher = Callable[[str], Publishes]
"""Makes what publishes for a group, see `Tells.publisher`."""


class _Ended(Exception):
    """It is to end before everything is delivered."""


class Publishing:
    """Publishes what is in a store in a thread of its own; nobody waits for it. Close it before the journal.

    For a journal that has no such topics, or where that is not `wanted`, it does nothing.
    """

    def __init__(self, journal: Journal, warm: Warm, wanted: bool) -> None:
        self._publisher: Publisher | None = journal.publisher if wanted and isinstance(journal, Tells) else None
        self._journal, self._warm = journal, warm
        self.patience, self._away, self._answers_since = Patience("publishing"), False, float("inf")
        self._ready = threading.Condition()
        self._groups: dict[str, Unpublished] = {}
        self._outs: dict[str, Publishes] = {}
        self._leave = 0.0
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    @property
    def position(self) -> int:
        """Up to where everything is published; -1 while that is not known."""
        return min((group.done for group in self._all()), default=-1)

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

    def _run(self, publisher: Publisher) -> None:
        try:
            while self._round(publisher):
                pass
            for group in self._all():
                group.noted_at = 0.0
                self._publish(publisher, group)
        except (_Ended, TickhouseError) as error:
            why = {"reason": str(error)} if isinstance(error, TickhouseError) else {}
            observe.tell("journal", "the rest is published at the next start", **why)
        except Exception as error:
            self._failure = error
        finally:
            for name in tuple(self._outs):
                self._let_go(name)

    def _round(self, publisher: Publisher) -> bool:
        """Publish what there is; false when it is to end and nothing is left."""
        with self._ready:
            self._ready.wait_for(lambda: self._leave or self._is_more(), NOTE_SECONDS)
        try:
            for group in self._all():
                self._publish(publisher, group)
            self._away, self._answers_since = False, float("inf")
            self.patience.over()
        except TickhouseError as error:
            self._failed(error)
        self._rest()
        with self._ready:
            return not self._leave or self._is_more()

    def _all(self) -> tuple[Unpublished, ...]:
        with self._ready:
            return tuple(group for group in self._groups.values() if not group.lost)

    def _is_more(self) -> bool:
        return any(group.has_more for group in self._groups.values())

    def _publish(self, publisher: Publisher, group: Unpublished) -> None:
        """Publish what there is of a group; should that fail, all of it is read from the store then."""
        with self._ready:
            given = group.give()
        try:
            if given.behind or given.outputs or (group.note_is_due and given.upto > group.noted):
                self._send(self._out(publisher, group), group, given)
            group.done = max(group.done, given.upto)
        except Superseded:
            self._let_go(group.name)
            with self._ready:
                group.lose()
        except TickhouseError:
            self._let_go(group.name)
            with self._ready:
                group.fall_behind()
            raise

    def _out(self, publisher: Publisher, group: Unpublished) -> Publishes:
        """What publishes for a group. Should it begin now, another may have published meanwhile, and all is as that noted."""
        out = self._outs.get(group.name)
        if out is None or group.done < 0:
            self._let_go(group.name)
            out = self._outs[group.name] = publisher(group.name)
            known = out.begin()
            # a store that was made anew has not come so far yet
            group.done = group.noted = min(known, self._warm.position(group.name) or 0)
            group.renewed = True
        group.used = time.monotonic()
        return out

    def _send(self, out: Publishes, group: Unpublished, given: Given) -> None:
        """Publish what was given of a group in one transaction, with the note that it is; in several when that takes long."""
        rows, cut = 0, time.monotonic() + CUT_SECONDS
        for results, some in self._rows(group, given):
            out.send(results, some)
            rows += len(some)
            if given.behind:
                self._settle(out, out.delivered)
            if time.monotonic() > cut:
                self._settle(out, partial(out.commit, None))
                cut = time.monotonic() + CUT_SECONDS
        upto = max(group.done, given.upto)
        if rows or (group.note_is_due and upto > group.noted):
            self._settle(out, partial(out.commit, upto))
            group.note(upto)

    def _rows(self, group: Unpublished, given: Given) -> Iterator[tuple[Results, BarBatch | pa.Table]]:
        """What is to be published of what was given."""
        renewed, group.renewed = group.renewed, False
        if renewed or given.behind:
            yield from stored(self._warm, group, given.upto) if given.upto > group.done else ()
            return
        for output in given.outputs:
            if output.position > group.done:
                yield from results_of(output)

    def _rest(self) -> None:
        """Let go of connections that are used no more: those of shards that others have now."""
        for name in tuple(self._outs):
            group = self._groups.get(name)
            if group is None or time.monotonic() - group.used > IDLE_SECONDS:
                self._let_go(name)

    def _let_go(self, name: str) -> None:
        out = self._outs.pop(name, None)
        if out is not None:
            out.close()

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

    def _settle(self, out: Publishes, done: Callable[[float], bool]) -> None:
        """Wait until the broker has everything, however long that takes; it is said when it takes long."""
        ask = time.monotonic() + ASK_SECONDS
        while not done(LOOK_SECONDS):
            self._hurry()
            if time.monotonic() > ask:
                self._say(out.silent())
                ask = time.monotonic() + ASK_SECONDS

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
        self._publishing.begin(Unpublished(group, self._shard, found.position if found else 0))
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
