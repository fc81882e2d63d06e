"""`tickhouse replay`: one house through the pipeline again, into another."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tickhouse.cli.common import existing, settings
from tickhouse.cli.working import progress, working
from tickhouse.core.errors import BadSetting
from tickhouse.core.reading import FILE
from tickhouse.core.secrets import without_password
from tickhouse.core.settings import Settings
from tickhouse.pipeline import Pipeline
from tickhouse.steps import locks
from tickhouse.steps.notes import inherit
from tickhouse.steps.replay import Part, Replay

PLACES = ("journal_url", "lake_url", "warm_url")


@dataclass(frozen=True, slots=True)
class Replaying:
    """One `replay` command: the house that is replayed, and the one that is made."""

    data: Path | None
    config: Path | None
    into: Path

    def run(self, start: str | None, end: str | None, without: tuple[str, ...], speed: str) -> dict[str, Any]:
        """Replay, or go on where an earlier run stopped; returns what was taken."""
        from tickhouse.core.times import instant

        pace = _pace(speed)
        old_settings = existing(self.data, self.config)
        new_settings = self._settings(old_settings)
        old = Pipeline(old_settings)
        try:
            now = old.clock.now()
            span = [None if text is None else instant(text, now) for text in (start, end)]
            return self._into(new_settings, old, Replay(old.past, Part(span[0], span[1], without)), pace)
        finally:
            old.close()

    def _into(self, new_settings: Settings, old: Pipeline, replay: Replay, pace: float | None) -> dict[str, Any]:
        new = Pipeline(new_settings)
        try:
            with locks.role(new_settings.data, "ingest"):
                before = replay.done(new.journal)
                inherit(old.settings.data, new_settings.data)
                self._keep_file(old.settings)
                new.check()
                name = f"{old.settings.data} into {self.into}"
                with working(new) as check, progress(name, old.journal.end()) as tell:

                    def told(position: int) -> None:
                        check()
                        tell(position, f"{position:,} messages")

                    taken = replay.run(new.ingest(past=old.past), pace, told)
        finally:
            new.close()
        return {"messages": taken, "before": before, "into": str(self.into)}

    def _settings(self, old: Settings) -> Settings:
        """Those that hold for the new house, else those of the old one; it has places of its own.

        Raises `BadSetting`.
        """
        own = self.config or next((f for f in (Path(FILE), self.into / FILE) if f.is_file()), None)
        new = settings(self.into, self.config) if own else old.model_copy(update={"data": self.into})
        if old.data.resolve() == new.data.resolve():
            raise BadSetting("--into", str(self.into), "another house than the one that is replayed")
        for place in PLACES:
            url = getattr(new, place)
            if url == getattr(old, place) and not url.startswith("memory:"):
                key = place.replace("_", ".")
                raise BadSetting(
                    key, without_password(url), "a place of its own for each house, such as one with {data} in it"
                )
        return new

    def _keep_file(self, old: Settings) -> None:
        """The settings file that lies in the old house holds for the new one too."""
        file = old.data / FILE
        if self.config is None and not Path(FILE).is_file() and file.is_file() and not (self.into / FILE).exists():
            shutil.copy2(file, self.into / FILE)


def _pace(speed: str) -> float | None:
    try:
        pace = None if speed == "max" else float(speed)
    except ValueError:
        pace = 0.0
    if pace is not None and not pace > 0:
        raise BadSetting("--speed", speed, "max, or a number above 0: times the pace the messages came at")
    return pace
