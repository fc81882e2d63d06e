"""From the journal through the engine to the stores and the listeners."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa

from tickhouse.core import observe
from tickhouse.core.batches import LIVE, BarBatch, Output, Record, TickBatch
from tickhouse.core.clock import Clock
from tickhouse.core.errors import Temporary
from tickhouse.core.marks import LINK, Event
from tickhouse.core.model import SWITCH, Hole
from tickhouse.core.shards import Shard
from tickhouse.journal import Journal
from tickhouse.process import Engine
from tickhouse.quality import Verdict
from tickhouse.quality._suite import Suite, mute
from tickhouse.steps.counted import Counted
from tickhouse.steps.gathered import Gathered
from tickhouse.steps.lately import Lately
from tickhouse.steps.patience import Patience
from tickhouse.stores import NEVER_STORED, Hot, Warm

GROUP = "process"
MOST_MESSAGES = 65_536
"""Messages of one step."""
Published = Callable[[Sequence[Record], Output], None]


class Process:
    """One consumer of the topic `ticks`. `step` does what there is to do and returns how far it came.

    With `write` false it only follows: it shows what the engine says, keeps the newest values for this process alone, and leaves
    storing to the process that has the role. The engine has gone on when its output is stored, so `warm` should be one that is
    waited for (`steps.awaited`). With a `shard` it takes the symbols of that alone.
    """

    def __init__(self, journal: Journal, engine: Engine, warm: Warm, hot: Hot, suite: Suite, clock: Clock) -> None:
        self.journal, self.engine, self.warm, self.hot = journal, engine, warm, hot
        self.suite, self.clock = suite, clock
        self.patience = Patience("processing")
        self.write = True
        self.shard: Shard | None = None
        self.checkpoint_seconds = 10.0
        self.publish: Published = lambda records, output: None
        self._ledger: dict[tuple[str, str], int] = {}
        self._since = NEVER_STORED
        self._counted, self._gathered = Counted({}), Gathered()
        self._ticks: Lately | None = None
        self._checkpointed = self._written = self._told = clock.monotonic()

    @property
    def group(self) -> str:
        """The consumer group whose position is kept."""
        return GROUP if self.shard is None else f"{GROUP}.{self.shard}"

    @property
    def leads(self) -> bool:
        """Whether what must be done once is to be done here."""
        return self.shard is None or self.shard.leads

    @property
    def position(self) -> int:
        """The position of the next message to be processed."""
        return self.engine.position

    def open_holes(self) -> tuple[Hole, ...]:
        """The trades that are known to be lost and that nothing has filled yet."""
        return self.engine.open_holes()

    def recover(self) -> int:
        """Go on from the newest checkpoint; what follows it is processed again and gives the same rows again."""
        self._shown.busy()
        stored = self.warm.position(self.group)
        self._since = NEVER_STORED if stored is None else stored
        found = self.warm.checkpoint(self.group)
        if found:
            self.engine.restore(found.state)
        self._counted = Counted(self.warm.ledger(self.group))
        if self.write:
            self.journal.commit(self.group, max(self.engine.position, self.journal.begin()))
        return self.engine.position

    def keep_ticks(self, seconds: float) -> None:
        """Have the store keep the ticks of the last so many seconds, too; 0: none."""
        self._ticks, self.engine.tells_ticks = Lately(self.clock, seconds) if seconds else None, bool(seconds)

    def step(self, timeout: float = 0.25, max_messages: int = MOST_MESSAGES) -> bool:
        """Process the next records, waiting up to `timeout` seconds for some; false when there were none.

        A journal whose server is away is waited for: that is said once, and nothing is lost by it.
        """
        self._shown.busy()
        try:
            waiting = self.journal.wait(self.engine.position, timeout)
            records = self.journal.read("ticks", self.engine.position, max_messages, self.shard) if waiting else []
            self.patience.prove(self.journal.end)
        except Temporary as away:
            self.patience.wait(away)
            records = []
        else:
            self.patience.over()
        if not records:
            self._keep(None)
            return False
        self.handle(records)
        return True

    def handle(self, records: Sequence[Record]) -> Output:
        """Take records in: the stores first, then the screens."""
        for record in records:
            if record.ticks is not None:
                self._shown.ticks(record.ticks)
        began = self.clock.monotonic()
        output = _with_tables(records, self._judged(records, self.engine.process(records)))
        observe.timing("process_seconds", self.clock.monotonic() - began)
        self._ledger.update(output.ledger)
        self._gathered.add(output.findings)
        if self._ticks:
            self._ticks.add(output.ticks)
        self._keep(output)
        for batch in (*output.bars, *output.forming):
            self._shown.bars(batch)
        self._shown.announce(output)
        self.publish(records, output)
        self._counted.output(output)
        return output

    @property
    def _shown(self) -> Hot:
        return self.hot if self.write else self.hot.own

    @property
    def caught_up(self) -> bool:
        """Whether less waits than is read at once; not while the journal is away."""
        try:
            return self.journal.end() - self.engine.position < MOST_MESSAGES
        except Temporary:
            return False

    def catch_up(self, seconds: float = math.inf) -> None:
        """Process everything there is, or what can be done in so many seconds, and store the state."""
        until = self.clock.monotonic() + seconds
        while (self.step(timeout=0) or self.patience.away) and self.clock.monotonic() < until:
            pass
        self.checkpoint()

    def close(self) -> None:
        """Nothing to let go of."""

    def checkpoint(self) -> None:
        """Store the engine's state with its position."""
        self._store(Output(self.engine.position), self.engine.snapshot())

    def _judged(self, records: Sequence[Record], output: Output) -> Output:
        found = [output.findings]
        for record in records:
            if record.ticks is not None:
                found.append(self._findings(self.suite.ticks(record.ticks)[1], record.ticks, record.received_at))
            if record.channel == LINK and record.lane == LIVE:
                found.append(mute(self.suite.marks(record.source, record.marks), record.received_at, record.first))
        for bars in output.bars:
            found.append(self._findings(self.suite.bars(bars)[1], bars, int(bars.known_at.max())))
        tables = [table for table in found if table is not None and table.num_rows]
        return replace(output, findings=pa.concat_tables(tables)) if tables else output

    def _findings(self, verdicts: list[Verdict], batch: TickBatch | BarBatch, at: int) -> pa.Table | None:
        return self.suite.findings([v for v in verdicts if not v.reject], batch, at) if verdicts else None

    def _keep(self, output: Output | None) -> None:
        now = self.clock.monotonic()
        if now - self._told > 1.0:
            self._told = now
            observe.gauge("journal_position", self.engine.position, group=self.group)
            with suppress(Temporary):
                observe.gauge("journal_end", self.journal.end())
            self._counted.watermarks(self.engine.watermarks())
        if now - self._checkpointed > self.checkpoint_seconds:
            self._store(output or Output(self.engine.position), self.engine.snapshot())
        elif output is not None and (has_rows(output) or (self._ticks and self._ticks.full)):
            self._store(output, None)
        elif now - self._written > 1.0 and (output is not None or self.engine.position > max(self._since, 0)):
            self._store(output or Output(self.engine.position), None)

    def _store(self, output: Output, state: bytes | None) -> None:
        if not self.write:
            return
        found = self._gathered.take() if state is not None else None
        told = replace(output, ledger=self._ledger, findings=found, ticks=self._ticks.take() if self._ticks else ())
        self._since = self.warm.write(self.group, told, state, self._since)
        self._written = self.clock.monotonic()
        if state is not None:
            self._checkpointed = self._written
            self._commit(output.position)

    def _commit(self, position: int) -> None:
        """Tell the journal how far we are. Where it is away the next checkpoint does: the store knows the position."""
        try:
            self.journal.commit(self.group, position)
        except Temporary as away:
            self.patience.note(away)


def _with_tables(records: Sequence[Record], output: Output) -> Output:
    """The output with what needs no engine: observations, actions and switches go to the stores as they came."""
    switched = [row for record in records if record.channel == LINK for row in switches(record)]
    if switched:
        output = replace(output, switches=pa.Table.from_pylist(switched, schema=SWITCH))
    observations = [record.observations for record in records if record.observations is not None]
    actions = [record.actions for record in records if record.actions is not None]
    if not observations and not actions:
        return output
    return replace(
        output,
        observations=pa.concat_tables(observations) if observations else None,
        actions=pa.concat_tables(actions) if actions else None,
    )


def switches(record: Record) -> Iterable[dict[str, Any]]:
    """The switches of groups that the marks of a record tell of."""
    for number, mark in enumerate(record.marks):
        if mark.event is Event.SWITCHED:
            said = {"from_source": mark.detail["from"], "to_source": record.source, "reason": mark.detail["why"]}
            for symbol in mark.symbols:
                yield {"symbol": symbol, "at": mark.at, **said, "raw": record.first + number}


def has_rows(output: Output) -> bool:
    """Whether there is anything in it to store at once; findings wait for the checkpoint."""
    tables = (
        output.indicators,
        output.anomalies,
        output.coverage,
        output.observations,
        output.actions,
        output.switches,
    )
    return bool(output.bars) or any(table is not None for table in tables)
