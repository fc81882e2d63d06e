"""What must be known at once, by key: the end, the ledger, resume keys, where each group is. The topic `state`, compacted.

Keys are `end`, `ledger/<source>`, `resume/<key>` and `group/<name>`; values are JSON. A value of ours counts from its delivery on,
one of another process from the moment that it is read; of two the one with the higher offset counts.
"""

import threading
from typing import Any

import msgspec

from tickhouse.journal._accounts import NAMES
from tickhouse.journal._kafka.followed import Followed
from tickhouse.journal._kafka.place import Place

encode = msgspec.json.encode
decode = msgspec.json.decode


class State:
    """The newest value of every key. Safe for several threads."""

    def __init__(self, place: Place) -> None:
        self.topic = place.topic("state")
        self._log = Followed(place, self.topic)
        self._lock = threading.RLock()
        self._values: dict[str, tuple[int, Any]] = {}
        self.sync()

    def sync(self) -> None:
        """Take in what others wrote. Raises `Unreachable`."""
        with self._lock:
            for message in self._log.news():
                self.put(message.key().decode(), decode(message.value()), message.offset())

    def put(self, key: str, value: Any, offset: int) -> None:
        """Take in a value that is at an offset."""
        with self._lock:
            if self._values.get(key, (-1, None))[0] < offset:
                self._values[key] = (offset, value)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key."""
        return self._values.get(key, (0, default))[1]

    def under(self, prefix: str) -> dict[str, Any]:
        """The values of the keys that begin so, by the rest of the key."""
        with self._lock:
            found = {k.removeprefix(prefix): v for k, (_, v) in self._values.items() if k.startswith(prefix)}
        return dict(sorted(found.items()))

    @property
    def end(self) -> int:
        """The position that the next message will get."""
        return int(self.get("end", [0, 0])[0])

    @property
    def total(self) -> int:
        """The bytes of all entries."""
        return int(self.get("end", [0, 0])[1])

    def ledger(self) -> dict[tuple[str, str], int]:
        """The counts of each source by name."""
        rows = self.under("ledger/").items()
        return {(source, name): n for source, counts in rows for name, n in zip(NAMES, counts, strict=True)}

    def close(self) -> None:
        """Let go of the connection."""
        self._log.close()
