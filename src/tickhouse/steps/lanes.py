"""By which feed the messages of a lane are read: that of their source, or of the file that their load began with."""

from collections.abc import Mapping, Sequence

from tickhouse.core.errors import SettingsError
from tickhouse.core.plugins import load
from tickhouse.feeds import Feed
from tickhouse.steps.past import Past


class Lanes:
    """Knows the feeds of the settings, and those of a house's files by the marks that their loads began with."""

    def __init__(self, feeds: Mapping[str, Feed], past: Past) -> None:
        self.feeds, self.past = feeds, past
        self._files: dict[tuple[str, str], Feed | None] = {}

    def of(self, source: str, positions: Sequence[int]) -> dict[int, str]:
        """The lanes of messages at positions, which rise; those that are not kept any longer are left out."""
        return {position: raw.lane for position, raw, _ in self.past.messages(source, positions)}

    def feed(self, source: str, lane: str) -> Feed:
        """Who reads the messages of a lane. Raises `SettingsError` when nobody is known who could."""
        known = self.feeds.get(source)
        if known is None:
            key = source, lane
            if key not in self._files:
                self._files[key] = self._file(source, lane)
            known = self._files[key]
        if known is None:
            raise SettingsError(
                f"the settings have no feed {source}, and how a file of {source} was laid out is not kept any longer"
            )
        return known

    def _file(self, source: str, lane: str) -> Feed | None:
        mark = self.past.begun(source, lane)
        if mark is None or "feed" not in mark.detail:
            return None
        layout = {name: text for name, text in mark.detail.items() if name not in ("feed", "ids")}
        feed: Feed = load("feeds", mark.detail["feed"]).open(**layout)
        return feed
