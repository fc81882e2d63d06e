"""Bronze: raw messages as received and the ticks made of them, written once. The Lake contract.

    bronze/source=<s>/channel=<c>/date=<YYYY-MM-DD>/<first>-<last>.ndjson.gz     the envelope, payload verbatim
    ticks/source=<s>/date=<YYYY-MM-DD>/<first>-<last>.parquet                    typed ticks, schema `model.TICK` + lane

`first` and `last` are journal positions (20 digits, zero padded) and `date` is the UTC day of receipt of the first
message, so writing an object twice writes the same object, and finding the bytes behind a bar is arithmetic. A bronze
line is one JSON object: `{"position":..,"source":..,"channel":..,"lane":..,"received_at":..,"payload":<verbatim JSON>}`, or
`"text": "..."` where the payload is not JSON on one line, or `"base64": "..."` where it is not UTF-8. An object never mixes sources
or channels; positions rise inside it but need not be dense.

One backend, one file, with a function `open(url, **options) -> Lake`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tickhouse.core.batches import RawBatch, Record, TickBatch


@dataclass(frozen=True, slots=True)
class LakeObject:
    """One object: its name below the lake's root, what it holds, and its size in bytes."""

    name: str
    kind: str
    source: str
    channel: str
    date: str
    first: int
    last: int
    size: int


class Lake(Protocol):
    """A place of write-once objects. An object is visible whole or not at all."""

    def write(self, records: Sequence[Record]) -> list[LakeObject]:
        """Write the objects of a run of records (topic `raw` and `ticks` joined) and return them, durable.

        The same records give the same names and the same bytes; an object that exists is left as it is.
        """

    def objects(
        self,
        kind: str = "bronze",
        source: str | None = None,
        first: int = 0,
        last: int | None = None,
        channel: str | None = None,
    ) -> Iterator[LakeObject]:
        """The objects there are that reach into the positions from `first` to `last`, ordered by (source, channel, date, first),
        without holding them all in memory. Of one `channel` there are only bronze objects."""  # fmt: skip

    def end(self, source: str, channel: str) -> int:
        """The position after the last message of a source and channel that is here, 0 when there is none."""

    def read(self, item: LakeObject) -> Iterator[RawBatch]:
        """The raw messages of a bronze object again, byte for byte, with their positions (one batch per run of dense
        positions of one lane) and receive times. Raises `CorruptLog` when the object is damaged."""

    def messages(self, first: int, last: int, source: str) -> Iterator[RawBatch]:
        """The raw messages of a source between two positions, inclusive."""

    def ticks(
        self, source: str, symbol: str, start: int, end: int, first: int = 0, last: int | None = None
    ) -> Iterator[TickBatch]:
        """The archived ticks of a symbol with event times in [start, end) (us) and positions from `first` to `last`, ordered by
        position. Objects that the positions rule out by their names are not touched."""

    def verify(self) -> tuple[int, tuple[str, ...]]:
        """Read every object: how many there are, and one sentence for each fault found."""

    def content(self, item: LakeObject) -> bytes:
        """The bytes of an object as they are stored."""

    def take(self, item: LakeObject, content: bytes) -> LakeObject:
        """Store an object of another lake under its name, durable, as its bytes are; one that exists is left as it is."""

    def url(self, kind: str) -> str:
        """A glob that DuckDB or Polars can scan for objects of a kind."""

    def reach(self) -> Mapping[str, str]:
        """What DuckDB must be told to reach `url`, as the options of its secret of type s3; nothing for files. Never shown."""
