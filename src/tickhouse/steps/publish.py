"""Closed bars and anomalies from the warm store to the topics of a journal that has such: what is stored is told, at least once.

The position up to which everything was published is noted beside the journal. Where that is behind what is stored (the broker was
away, or more came than waits here), the rows stored since are read from the store again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pyarrow as pa

from tickhouse.core import observe
from tickhouse.core.batches import BarBatch, Output
from tickhouse.core.errors import Temporary, TickhouseError
from tickhouse.core.model import Query
from tickhouse.journal import Journal, Publishes, Results
from tickhouse.steps.patience import Patience
from tickhouse.stores import Warm

MOST_ROWS, PAGE = 50_000, 5_000
"""Rows that wait here at most; beyond that they are read from the store, so many at a time."""
NOTE_SECONDS, LEAVE_SECONDS, REFUSED_SECONDS = 1.0, 10.0, 30.0
"""How often the position is noted; how long a clean end waits for the broker; what is refused is tried again after so long."""
SILENT_SECONDS = 10.0
LOOK = 0.1
KEY = ("symbol", "interval", "start", "source", "version")
KEYS = {"bars": KEY, "anomalies": (*KEY, "detector")}


def publishing(journal: Journal, warm: Warm) -> "Publishing | None":
    """What publishes from this store to the topics of this journal; None where it has none."""
    publisher: Callable[[], Publishes] | None = getattr(journal, "publisher", None)
    return Publishing(publisher, warm) if publisher else None


@dataclass(frozen=True, slots=True)
class _Rows:
    """What an output has that is published."""

    position: int
    bars: tuple[BarBatch, ...]
    anomalies: pa.Table | None

    def __len__(self) -> int:
        return sum(map(len, self.bars)) + (self.anomalies.num_rows if self.anomalies is not None else 0)


class _Ended(Exception):
    """It is to end before everything is delivered."""


class Publishing:
    """Publishes in a thread of its own; nobody waits for it. `begin` before the first output; close it before the journal."""

    def __init__(self, publisher: Callable[[], Publishes], warm: Warm) -> None:
        self._publisher, self._warm = publisher, warm
        self.patience = Patience("publishing")
        self._ready = threading.Condition()
        self._waiting: list[_Rows] = []
        self._rows = self._handed = self._stored = 0
        self._behind, self._leave = False, 0.0
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._done = self._noted = -1
        self._noted_at = 0.0

    def behind(self, warm: Warm) -> Warm:
        """The store, of which everything that is written to it is published afterwards."""
        return cast(Warm, _Told(warm, self.take))

    @property
    def position(self) -> int:
        """Up to where everything is published; -1 while that is not known."""
        return self._done

    def begin(self, stored: int, position: int) -> None:
        """The store has the rows of outputs up to `stored`; outputs come from `position` on (again)."""
        with self._ready:
            if position > self._handed:
                self._handed, self._behind = position, True
            if self._thread is None:
                self._stored = stored
                self._thread = threading.Thread(target=self._run, name="publish", daemon=True)
                self._thread.start()
            self._ready.notify()

    def take(self, output: Output) -> None:
        """An output is stored. Returns at once; raises what ended the publishing though it should not."""
        if self._failure is not None:
            raise self._failure
        rows = _Rows(output.position, output.bars, output.anomalies)
        with self._ready:
            self._handed = max(self._handed, output.position)
            if len(rows) and not self._behind:
                self._waiting.append(rows)
                self._rows += len(rows)
            if self._rows > MOST_ROWS:
                self._fall_behind()
            self._ready.notify()

    def close(self) -> None:
        """Publish what waits, if the broker takes it soon; the rest is published at the next start."""
        with self._ready:
            self._leave = time.monotonic() + (0.0 if self.patience.away else LEAVE_SECONDS)
            self._ready.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        out = self._publisher()
        try:
            while self._round(out):
                pass
            self._note(out)
        except _Ended:
            observe.tell("journal", "the rest is published at the next start", topics="bars, anomalies")
        except TickhouseError as error:
            observe.tell("journal", "the rest is published at the next start", reason=str(error))
        except Exception as error:
            self._failure = error
        finally:
            out.close()

    def _round(self, out: Publishes) -> bool:
        """Publish what there is; false when it is to end and nothing is left."""
        with self._ready:
            self._ready.wait_for(lambda: self._waiting or self._behind or self._leave, NOTE_SECONDS)
            behind, upto, waiting = self._behind, self._handed, self._waiting
            self._behind, self._waiting, self._rows = False, [], 0
        try:
            if self._done < 0:
                self._done = min(out.published(), self._stored)
            if behind:
                self._from_store(out, upto)
            for rows in waiting:
                if rows.position > self._done:
                    self._send(out, rows)
            self._settle(out)
            self._done = max(self._done, upto)
            self.patience.over()
            if self._done > self._noted and time.monotonic() - self._noted_at > NOTE_SECONDS:
                self._note(out)
        except TickhouseError as error:
            self._failed(error)
        observe.gauge("journal_position", self._done, group="publish")
        with self._ready:
            return not self._leave or self._behind or bool(self._waiting)

    def _failed(self, error: TickhouseError) -> None:
        """What was not delivered is read from the store when it can be."""
        with self._ready:
            self._fall_behind()
            self._ready.wait_for(lambda: bool(self._leave), self._say(error))
        self._hurry()

    def _say(self, error: TickhouseError) -> float:
        """Say once that nothing is published now; returns for how many seconds to wait."""
        waits = error if isinstance(error, Temporary) else Temporary(str(error), retry_after=REFUSED_SECONDS)
        return self.patience.note(waits)

    def _fall_behind(self) -> None:
        self._behind, self._waiting, self._rows = True, [], 0

    def _from_store(self, out: Publishes, upto: int) -> None:
        """Publish what was stored since, page by page."""
        if upto <= self._done:
            return
        for results, ask in (("bars", self._warm.bars), ("anomalies", self._warm.anomalies)):
            query = Query(versions=True, since=self._done, before=upto, limit=PAGE)
            while (page := ask(query)).num_rows:
                out.send(cast(Results, results), page)
                self._settle(out)
                if page.num_rows < PAGE:
                    break
                last = page.slice(page.num_rows - 1).to_pylist()[0]
                query = replace(query, after=tuple(last[name] for name in KEYS[results]))

    def _send(self, out: Publishes, rows: _Rows) -> None:
        for bars in rows.bars:
            out.send("bars", bars)
        if rows.anomalies is not None:
            out.send("anomalies", rows.anomalies)

    def _settle(self, out: Publishes) -> None:
        """Wait until the broker has everything, however long that takes; it is said when it takes long."""
        silent = time.monotonic() + SILENT_SECONDS
        while not out.delivered(LOOK):
            self._hurry()
            if time.monotonic() > silent and not self.patience.away:
                self._say(out.silent())

    def _note(self, out: Publishes) -> None:
        """Keep how far it is."""
        if self._done > self._noted:
            out.note(self._done)
            self._settle(out)
            self._noted, self._noted_at = self._done, time.monotonic()

    def _hurry(self) -> None:
        if self._leave and time.monotonic() > self._leave:
            raise _Ended


class _Told:
    """A store that tells of what is written to it, once it is there."""

    def __init__(self, warm: Warm, tell: Callable[[Output], None]) -> None:
        self._warm, self._tell = warm, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warm, name)

    def write(self, group: str, output: Output, checkpoint: bytes | None = None) -> None:
        """See `Warm.write`."""
        self._warm.write(group, output, checkpoint)
        self._tell(output)
