"""The role `process` where several processes share the ticks: each has some shards, and another takes them over when it is gone.

Every shard has an engine, a position and a checkpoint of its own. A shard that moves is gone on with from its checkpoint; should
the process that had it still be at work (it was only stopped for a while), the store refuses what it writes from then on.
"""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from tickhouse.core import observe
from tickhouse.core.errors import SettingsError, Superseded, Temporary
from tickhouse.core.model import Hole
from tickhouse.core.settings import Settings
from tickhouse.core.shards import Shard
from tickhouse.journal import Journal, Members, Partitioned
from tickhouse.process import Engine
from tickhouse.steps.patience import Patience
from tickhouse.steps.process import GROUP, Process, Published
from tickhouse.stores import Warm

Made = Callable[[Shard | None], Process]


class All:
    """The only member: it has all of so many shards."""

    def __init__(self, of: int) -> None:
        self._all = frozenset(range(of))

    def poll(self) -> frozenset[int]:
        """All of them."""
        return self._all

    def close(self) -> None:
        """Nothing to leave."""


class Shared:
    """The shards of this process, as one step: those it has as a `member`, or all. `made` makes the step of one."""

    def __init__(self, journal: Journal, warm: Warm, made: Made, member: bool) -> None:
        self.journal, self.warm, self._made = journal, warm, made
        self.of = journal.partitions if isinstance(journal, Partitioned) else 1
        self._processes: dict[int, Process] = {}
        self._patience = Patience("processing")
        self._publish: Published = lambda records, output: None
        self._members: Members = All(self.of)
        if member and isinstance(journal, Partitioned):
            self._members = journal.members(GROUP, self._leave)

    @property
    def publish(self) -> Published:
        """What is called with the records and the output of each step."""
        return self._publish

    @publish.setter
    def publish(self, publish: Published) -> None:
        self._publish = publish
        for process in self._processes.values():
            process.publish = publish

    @property
    def leads(self) -> bool:
        """Whether what must be done once is to be done here."""
        return any(process.shard is not None and process.shard.leads for process in self._processes.values())

    @property
    def position(self) -> int:
        """The position of the next message to be processed, of the shard that is behind the others."""
        return min((process.position for process in self._processes.values()), default=0)

    @property
    def caught_up(self) -> bool:
        """Whether little waits in any shard."""
        return all(process.caught_up for process in self._processes.values())

    def open_holes(self) -> tuple[Hole, ...]:
        """The trades of these shards that are known to be lost and that nothing has filled yet."""
        return tuple(hole for process in self._processes.values() for hole in process.open_holes())

    def step(self, timeout: float = 0.25) -> bool:
        """Process the next records of every shard, waiting up to `timeout` seconds for some; false when there were none."""
        self._join()
        if self._steps():
            return True
        if not self._processes:
            time.sleep(timeout)  # there is nothing whose end could be waited for
            return False
        with suppress(Temporary):
            self.journal.wait(self.position, timeout)
        return False

    def catch_up(self, seconds: float = float("inf")) -> None:
        """Process everything there is in the shards that are here, or what can be done in so many seconds, and store the state."""
        self._join()
        until = time.monotonic() + seconds
        while (self._steps() or self._patience.away) and time.monotonic() < until:
            pass
        self._leave(tuple(self._processes))

    def close(self) -> None:
        """Let others have the shards."""
        self._members.close()

    def _steps(self) -> bool:
        """Process the next records of every shard, or until the journal is away; whether there were any."""
        busy = False
        for number in tuple(self._processes):
            busy |= self._step(number)
            if self._patience.away:
                break
        return busy

    def _join(self) -> None:
        """Take the shards that are new here."""
        for number in sorted(self._members.poll() - self._processes.keys()):
            self._take(number)

    def _take(self, number: int) -> None:
        process = self._made(Shard(number, self.of))
        process.publish, process.patience = self._publish, self._patience
        self._processes[number] = process
        observe.tell("process", "shard taken", shard=number, of=self.of, position=process.position)

    def _leave(self, numbers: Iterable[int]) -> None:
        """Store how far shards have come, for who takes them next."""
        for number in numbers:
            process = self._processes.pop(number, None)
            if process is not None:
                with suppress(Superseded):  # then they have been taken already
                    process.checkpoint()
                observe.tell("process", "shard left", shard=number, of=self.of, position=process.position)

    def _step(self, number: int) -> bool:
        process = self._processes.get(number)
        if process is None:
            return False
        try:
            return process.step(timeout=0)
        except Superseded as error:
            observe.tell("process", "shard was taken over", logging.WARNING, shard=number, reason=str(error))
            del self._processes[number]
            return False


def shards(settings: Settings, journal: Journal) -> int | None:
    """How many shards the ticks have where they are shared. Raises `SettingsError` for a journal whose ticks cannot be."""
    if not settings.process.shared:
        return None
    if not isinstance(journal, Partitioned):
        raise SettingsError('process.shared needs a journal whose ticks have partitions: journal.url = "kafka://..."')
    return journal.partitions


def check(warm: Warm, of: int | None, engine: Callable[[], Engine]) -> None:
    """Raise `SettingsError` when what is stored was shared out otherwise, or processed with other rules than an `engine` has."""
    wanted = {f"{GROUP}.{Shard(number, of)}" for number in range(of)} if of else {GROUP}
    strange = sorted(set(warm.parts(GROUP)) - wanted)
    if strange:
        here = f"by {of} shards" if of else "by one process (process.shared = false)"
        raise SettingsError(
            f"what is stored was processed as {strange[0]!r}, and the settings would go on {here}; put process.shared and the "
            f"partitions back as they were, or begin a new house"
        )
    for group in warm.parts(GROUP):
        found = warm.checkpoint(group)
        if found:
            engine().restore(found.state)
