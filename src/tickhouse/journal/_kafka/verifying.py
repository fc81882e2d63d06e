"""Reading a whole journal and naming every fault."""

from tickhouse.core.errors import CorruptLog
from tickhouse.journal import Check, Topic
from tickhouse.journal._kafka.entry import Indexed
from tickhouse.journal._kafka.index import Index
from tickhouse.journal._kafka.read import Reader
from tickhouse.journal._kafka.stream import Gone

AT_A_TIME = 32_768
TOPICS: tuple[Topic, ...] = ("raw", "ticks")


def verify(index: Index, reader: Reader, begin: int, end: int) -> Check:
    """Compare every checksum, and that the entries follow each other."""
    faults: list[str] = []
    records = messages = 0
    position = begin
    while entries := index.read(position, AT_A_TIME):
        for entry in entries:
            about = entry.about
            if records and about.first < position:
                faults.append(
                    f"the record at position {about.first} begins inside the one before, which ends at {position}"
                )
            records, messages, position = records + 1, messages + about.count, entry.end
        faults += _faults(reader, entries)
    if position > end:
        faults.append(f"the index goes to position {position} and the state to {end}")
    return Check(records, messages, tuple(faults))


def _faults(reader: Reader, entries: list[Indexed]) -> list[str]:
    """What is wrong with these; one by one where anything is."""
    found = []
    for topic in TOPICS:
        try:
            reader.records(topic, entries)
        except (CorruptLog, Gone) as error:
            if len(entries) > 1:
                return [fault for entry in entries for fault in _faults(reader, [entry])]
            found.append(
                str(error) or f"what the record at position {entries[0].about.first} points to is not in Kafka any more"
            )
    return found
