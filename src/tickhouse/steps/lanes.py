"""By which feed the messages of a lane are read: as the mark says that it began with, else by that of their source."""

from collections.abc import Mapping, Sequence

from tickhouse.core.batches import LIVE, REFILL
from tickhouse.core.errors import SettingsError
from tickhouse.core.marks import Event, Mark
from tickhouse.core.plugins import load
from tickhouse.feeds import Feed
from tickhouse.feeds._whole import whole
from tickhouse.steps.past import Past

FIRST_LINE = "first_line"
"""The detail of a mark that says that each message of its lane is a line of a file, and what number the first one has."""
ABOUT = ("feed", "ids", FIRST_LINE)
"""What the mark that a load begins with says besides how the file is laid out."""
Key = tuple[str, str]
"""A source and a lane."""


class Lanes:
    """Knows the feeds of the settings, and how the files of a house were read by the marks that their loads began with.

    `given` are feeds of sources that are known already, such as that of the file that is being loaded.
    """

    def __init__(self, feeds: Mapping[str, Feed], past: Past, given: Mapping[str, Feed] | None = None) -> None:
        self.feeds, self.past, self.given = feeds, past, given or {}
        self._own: dict[Key, Feed | None] = {}

    def of(self, source: str, positions: Sequence[int]) -> dict[int, str]:
        """The lanes of messages at positions, which rise; those that are not kept any longer are left out."""
        return {position: raw.lane for position, raw, _ in self.past.messages(source, positions)}

    def learn(self, source: str, lane: str, mark: Mark) -> None:
        """Take note of a mark that passes by: a lane begins with it."""
        if mark.event is Event.BEGIN and source not in self.given:
            self._own[source, lane] = self._named(mark)

    def feed(self, source: str, lane: str) -> Feed:
        """Who reads the messages of a lane. Raises `SettingsError` when nobody is known who could."""
        found = self.given.get(source) or self._of_lane(source, lane) or self.feeds.get(source)
        if found is None:
            raise SettingsError(
                f"the settings have no feed {source}, and how a file of {source} was laid out is not kept any longer"
            )
        return found

    def _of_lane(self, source: str, lane: str) -> Feed | None:
        """The feed that the mark names which a load began with."""
        if lane in (LIVE, REFILL):
            return None
        key = source, lane
        if key not in self._own:
            mark = self.past.begun(source, lane)
            self._own[key] = self._named(mark) if mark is not None else None
        return self._own[key]

    def _named(self, mark: Mark) -> Feed | None:
        name = mark.detail.get("feed", "")
        layout = {key: text for key, text in mark.detail.items() if key not in ABOUT}
        if not name or (not layout and name in self.feeds):
            return self.feeds.get(name)
        return whole(load("feeds", name).open(**layout), name)
