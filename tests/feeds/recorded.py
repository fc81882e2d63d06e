"""The messages that others captured of one provider, as its index describes them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tickhouse.core.requests import Answer
from tickhouse.core.times import instant

Entry = Mapping[str, Any]


def index(recordings: Path, provider: str) -> dict[str, Entry]:
    """What is known of each file of a provider, by its name."""
    entries = json.loads((recordings / provider / "index.json").read_text())["entries"]
    return {entry["file"]: entry for entry in entries}


def answer(recordings: Path, provider: str, name: str, **changed: Any) -> Answer:
    """A recorded answer, with its status and headers unless `changed`; received when it was captured."""
    entry = index(recordings, provider)[name]
    known = {"status": entry.get("status", 200), "headers": entry.get("headers", {}), **changed}
    return Answer(body=(recordings / provider / name).read_bytes(), received_at=captured(entry), **known)


def captured(entry: Entry) -> int:
    """The moment of capture (us), or the year 2027 where only a month or nothing is known."""
    text = entry.get("captured", "")
    return instant(text, 0) if len(text) >= 10 and text[4] == "-" and " and " not in text else 1_800_000_000_000_000


def frames(recordings: Path, provider: str, name: str) -> list[bytes]:
    """The frames of a recorded socket."""
    lines = (recordings / provider / name).read_text().splitlines()
    return [json.loads(line)["raw"].encode() for line in lines]
