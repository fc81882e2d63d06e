"""From raw messages to durable entries: parse, check, journal. Nothing is computed from a message before this returns."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tickhouse.core import marks, observe
from tickhouse.core.batches import LIVE, BarBatch, Entry, Parsed, RawBatch, TickBatch, every_kind
from tickhouse.core.errors import Busy, Temporary
from tickhouse.core.marks import LINK, Mark
from tickhouse.core.model import Ids, Kind, Reject
from tickhouse.journal import Journal
from tickhouse.journal._accounts import NAMES, tally
from tickhouse.quality._suite import Suite
from tickhouse.steps.lanes import Lanes
from tickhouse.steps.lines import Lines
from tickhouse.steps.newest import Newest
from tickhouse.steps.patience import Patience
from tickhouse.steps.quotes import Note, Quotes, joined
from tickhouse.steps.refusals import noted
from tickhouse.steps.understood import Understood


class Ingest:
    """Takes raw batches of any source and journals what they are and what they mean, in one transaction."""

    def __init__(self, lanes: Lanes, suite: Suite, journal: Journal) -> None:
        self.lanes, self.suite, self.journal = lanes, suite, journal
        self._quotes, self._lines, self._understood = Quotes(journal), Lines(journal), Understood()
        self.patience = Patience("taking in")
        self.newest = Newest({})
        """The newest prices of symbols that are in groups."""
        self.taken: Counter[str] = Counter()
        """What was taken in here, by the names of the ledger."""

    def take(self, batches: Sequence[RawBatch], resume: tuple[str, str] | None = None) -> int:
        """Make the batches durable and return the position after them.

        Raises `Busy` when a consumer is too far behind, `Unreachable` when the journal's server is away and `DiskFull`. Then the
        call may be repeated: nothing was taken, or the repeated call finds that it was.
        """
        entries = [self.entry(raw) for batch in batches for raw in _apart(batch)]
        if resume and entries:
            entries[-1] = replace(entries[-1], resume=resume)
        began = time.perf_counter()
        firsts = self.journal.append(entries)
        observe.timing("append_seconds", time.perf_counter() - began)
        for entry in entries:
            _observed(entry)
            self.newest.note(entry)
            self.taken.update(dict(zip(NAMES, tally(entry), strict=True)))
        return firsts[-1] + len(entries[-1].raw) if entries else self.journal.end()

    def insist(self, batches: Sequence[RawBatch], resume: tuple[str, str] | None = None) -> int:
        """`take`, waiting as long as a consumer is too far behind or the journal's server is away."""
        while True:
            try:
                taken = self.take(batches, resume)
            except Busy as busy:
                time.sleep(busy.retry_after or 0.05)
            except Temporary as away:
                self.patience.wait(away)
            else:
                self.patience.over()
                return taken

    def entry(self, raw: RawBatch) -> Entry:
        """What a raw batch means, ready to be journaled. Raises `SettingsError` when no feed reads it."""
        if raw.channel == LINK:
            raw, evidence = self._evidence(raw)
            notes: tuple[Note, ...] = ()
            if raw.lane == LIVE and evidence:
                self.suite.marks(raw.source, evidence)
                notes = self._lines.note(raw.source, evidence, int(raw.received_at[-1]))
            for mark in evidence:
                self.lanes.learn(raw.source, raw.lane, mark)
            return Entry(raw, every_kind(len(raw), Kind.CONTROL), marks=evidence, notes=notes)
        entry = self.checked(raw, self.lanes.feed(raw.source, raw.lane).parse(raw))
        self._understood.note(entry)
        return entry

    def _evidence(self, raw: RawBatch) -> tuple[RawBatch, tuple[Mark, ...]]:
        """The marks of a batch, where live ones speak of what is understood and not only of what is heard."""
        said = tuple(marks.decode(payload) for payload in raw.payloads())
        if raw.lane != LIVE:
            return raw, said
        true = tuple(self._understood.judged(raw.source, self._lines.channel(raw.source, mark), mark) for mark in said)
        if true == said:
            return raw, said
        return RawBatch.of(raw.source, LINK, [mark.encode() for mark in true], raw.received_at, LIVE), true

    def checked(self, raw: RawBatch, parsed: Parsed) -> Entry:
        """The entry of a parsed batch without the rows that quality refuses."""
        parsed, notes = self._with_ticks_of_quotes(raw, parsed)
        ticks, refused, missed = self._judge_ticks(raw, parsed.ticks)
        bars, refused_bars = self._judge_bars(parsed.bars)
        rejects = _numbered(raw, (*parsed.rejects, *refused, *refused_bars))
        invalid = len(parsed.ticks or ()) - len(ticks or ()) + len(parsed.bars or ()) - len(bars or ())
        return Entry(
            raw, parsed.kinds, ticks, bars, missed, rejects, invalid, notes=notes,
            observations=parsed.observations, actions=parsed.actions,
        )  # fmt: skip

    def _with_ticks_of_quotes(self, raw: RawBatch, parsed: Parsed) -> tuple[Parsed, tuple[Note, ...]]:
        if parsed.quotes is None or not parsed.quotes.num_rows:
            return parsed, ()
        ticks, notes = self._quotes.ticks(parsed.quotes, raw.lane)
        return replace(parsed, ticks=joined(parsed.ticks, ticks)), notes

    def _judge_ticks(
        self, raw: RawBatch, batch: TickBatch | None
    ) -> tuple[TickBatch | None, tuple[Reject, ...], tuple[Mark, ...]]:
        """The good ticks, why the others were refused, and the ids of these where ids prove something.

        Not of live ones: a message may have been spoiled on its way, so history is asked for them like for lost ones.
        """
        if not batch:
            return None, (), ()
        good, verdicts = self.suite.ticks(batch)
        if len(good) == len(batch):
            return good, (), ()
        last_word = raw.lane != LIVE and self.lanes.feed(raw.source, raw.lane).ids is Ids.DENSE
        return good, self.suite.rejects(verdicts, batch.raw), tuple(noted(batch, verdicts)) if last_word else ()

    def _judge_bars(self, batch: BarBatch | None) -> tuple[BarBatch | None, tuple[Reject, ...]]:
        if not batch:
            return None, ()
        good, verdicts = self.suite.bars(batch)
        return good, self.suite.rejects(verdicts, batch.first_raw)


def _apart(batch: RawBatch) -> Iterator[RawBatch]:
    """Marks one by one, so that each keeps its own moment, whoever came together with it."""
    if batch.channel != LINK:
        yield batch
        return
    for index in range(len(batch)):
        yield batch.take(index, index + 1)


def _numbered(raw: RawBatch, rejects: tuple[Reject, ...]) -> tuple[Reject, ...]:
    """Rejects that name the line they are in, where the messages are lines of a file."""
    if raw.lines is None:
        return rejects
    return tuple(replace(one, detail=f"line {raw.lines[one.index]}: {one.detail}") for one in rejects)


def _observed(entry: Entry) -> None:
    source = entry.raw.source
    for kind in Kind if entry.raw.channel != LINK else ():
        if n := int((entry.kinds == kind).sum()):
            observe.count("messages", n, source=source, kind=kind.name.lower())
    if entry.invalid:
        observe.count("invalid", entry.invalid, source=source)
    if entry.ticks is not None and len(entry.ticks) and entry.ticks.lane == LIVE:
        observe.count("ticks", len(entry.ticks), source=source)
        observe.timing(
            "lag_seconds", max(0.0, (entry.ticks.received_at[-1] - entry.ticks.event_time[-1]) / 1e6), source=source
        )
