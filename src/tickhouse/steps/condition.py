"""How a house is: what is going on in it, and whether it can answer."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tickhouse.core.errors import TickhouseError
from tickhouse.steps import grouped, locks
from tickhouse.steps.archive import GROUP as ARCHIVE
from tickhouse.steps.ledger import ledger
from tickhouse.steps.process import GROUP as PROCESS
from tickhouse.steps.quota import quotas

if TYPE_CHECKING:
    from tickhouse.pipeline import Pipeline


def status(pipeline: "Pipeline") -> dict[str, Any]:
    """What is going on: the ledger, how far each role has come, groups of feeds, quotas, who runs which role."""
    journal, data = pipeline.journal, pipeline.settings.data
    end, groups = journal.end(), dict(journal.groups())
    # what is stored is done, though the journal is kept up to the checkpoint before it
    done = {group: pipeline.warm.position(group) or 0 for group in pipeline.warm.parts(PROCESS)}
    come = {group: max(position, done.get(group, 0)) for group, position in groups.items()}
    return {
        "house": str(data),
        "ledger": ledger(journal, pipeline.warm),
        "journal": {
            "begin": journal.begin(),
            "end": end,
            "groups": groups,
            "behind": {group: end - position for group, position in come.items()},
        },
        "process": {"position": pipeline.warm.position(PROCESS), "parts": len(done)},
        "archive": {"position": groups.get(ARCHIVE)},
        "groups": grouped.groups(pipeline.settings, journal, pipeline.warm),
        "hot": _tried(pipeline.hot.check),
        "quota": _quota(pipeline),
        "roles": {name: locks.holder(data, name) for name in ("ingest", "process", "archive")},
        "recovered": getattr(journal, "recovered", None),
    }


def health(pipeline: "Pipeline") -> Mapping[str, Any]:
    """Whether the house can answer, part by part; without its hot store it can, from the warm one."""
    parts = {
        "journal": _tried(pipeline.journal.end),
        "warm": _tried(lambda: pipeline.warm.position(PROCESS)),
    }
    return {"ready": all(part["ok"] for part in parts.values()), **parts, "hot": _tried(pipeline.hot.check)}


def _quota(pipeline: "Pipeline") -> dict[str, Any]:
    """What is left of the quotas of the feeds in the settings, as far as they have any."""
    sections = pipeline.settings.feeds
    paces = {name: sections[name].paced(feed.pace) for name, feed in pipeline.feeds.items()}
    found = quotas(pipeline.settings, paces, pipeline.clock)
    return {name: quota for name, quota in found.items() if quota["allowed"]}


def _tried(question: Callable[[], Any]) -> dict[str, Any]:
    try:
        said = question()
    except TickhouseError as error:
        return {"ok": False, "message": str(error)}
    return {"ok": True, "message": said if isinstance(said, str) else "answers"}
