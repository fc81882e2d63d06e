"""How far the publishing of each group is: keys of the topic `published`, written in the transaction of what was published.

A shard has a partition of its own: where all were in one, a transaction that is open there (whose process hangs) would hide
what others committed after it began, and these would publish a stretch again, older versions behind newer ones.
"""

from collections.abc import Iterable
from contextlib import closing

from tickhouse.journal._kafka.followed import Followed
from tickhouse.journal._kafka.place import Place
from tickhouse.journal._kafka.state import decode

TOPIC = "published"
TAIL = 500
"""The newest note is looked for in so many last offsets first."""


def noted(place: Place, numbers: Iterable[int] | None = None, tail: int | None = None) -> dict[str, int]:
    """The positions that are noted in these partitions, by group; all are read where none are named. Raises `Unreachable`."""
    found: dict[str, int] = {}
    for number in range(place.partitions) if numbers is None else numbers:
        with closing(Followed(place, place.topic(TOPIC), tail, number)) as log:
            found |= {message.key().decode(): int(decode(message.value())) for message in log.news()}
    return dict(sorted(found.items()))


def noted_of(place: Place, group: str, number: int) -> int:
    """The position up to which everything of a group is published. Raises `Unreachable`."""
    newest = noted(place, [number], TAIL)
    return newest[group] if group in newest else noted(place, [number]).get(group, 0)
