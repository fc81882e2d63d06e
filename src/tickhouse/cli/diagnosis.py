"""`tickhouse doctor`: one plain verdict for each part of a house."""

import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from urllib.parse import urlsplit

from tickhouse.cli.common import FAILED, TEMPORARY, none_in, status_of
from tickhouse.core.errors import Busy, TickhouseError
from tickhouse.core.model import Want
from tickhouse.core.plugins import open_url
from tickhouse.core.settings import Settings, guard_public
from tickhouse.feeds import Feed
from tickhouse.lake import Lake
from tickhouse.pipeline import Pipeline
from tickhouse.steps import chosen
from tickhouse.steps.notes import is_house
from tickhouse.steps.process import GROUP

LOW_DISK = 1 << 30
MOST_COUNTED = 10_000
"""A listing of more objects takes longer than who asks wants to wait."""
REACH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one part, and the exit status when it is not well; 0 when it is only not there yet."""

    part: str
    ok: bool
    message: str
    status: int = FAILED

    @property
    def word(self) -> str:
        """One word for a person."""
        return "ok" if self.ok else "WRONG" if self.status else "none"


def diagnose(settings: Settings) -> list[Verdict]:
    """Every verdict, in the order of the flow. Nothing is made that is not there."""
    feeds: dict[str, Feed] = {}
    found = [_judged("settings", lambda: _settings(settings)), *_chosen(settings, feeds), _disk(settings)]
    if is_house(settings):
        found += _house(settings)
    else:
        found.append(Verdict("house", False, f"{none_in(settings)} yet; `tickhouse up`, `load` and `demo` make one", 0))
        found += _server(settings)
    return [*found, *(_reach(name, feed, settings) for name, feed in feeds.items())]


def _judged(part: str, check: Callable[[], str]) -> Verdict:
    try:
        return Verdict(part, True, check())
    except (TickhouseError, OSError) as error:
        return Verdict(part, False, str(error), status_of(error))


def _settings(settings: Settings) -> str:
    guard_public(settings.serve)
    return f"the house is {settings.data.absolute()}"


def _chosen(settings: Settings, feeds: dict[str, Feed]) -> Iterator[Verdict]:
    """One verdict for each kind of thing that settings name; fills `feeds`."""

    def opened() -> str:
        feeds.update(chosen.feeds(settings))
        return ", ".join(feeds) or "none"

    checks: Mapping[str, Callable[[], str]] = {
        "feeds": opened,
        "indicators": lambda: ", ".join(one.label for one in chosen.indicators(settings)) or "none",
        "detectors": lambda: ", ".join(one.label for one in chosen.detectors(settings)) or "none",
        "conditions": lambda: (
            ", ".join(f"{source}: {rule.name}" for source, rule in chosen.rules(settings).items()) or "none"
        ),
        "checks": lambda: ", ".join(check.name for check in chosen.suite(settings).checks) or "none",
    }
    return (_judged(part, check) for part, check in checks.items())


def _disk(settings: Settings) -> Verdict:
    folder = next(p for p in (settings.data.absolute(), *settings.data.absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    return Verdict("disk", free > LOW_DISK, f"{free / 1e9:,.1f} GB free" + ("" if free > LOW_DISK else "; make room"))


def _house(settings: Settings) -> list[Verdict]:
    try:
        pipeline = Pipeline(_making_nothing(settings))
    except (TickhouseError, OSError) as error:
        return [Verdict("house", False, str(error), status_of(error))]
    checks: dict[str, Callable[[], str]] = {
        "journal": lambda: f"next position {pipeline.journal.end()}; {pipeline.journal.recovered or 'closed cleanly'}",
        "lake": lambda: _lake(pipeline.lake),
        "warm store": lambda: f"{len(pipeline.warm.symbols())} symbols, tables at {pipeline.warm.upgrade()}",
        "hot store": pipeline.hot.check,
        "state": lambda: _state(pipeline),
    }
    places = settings.warm_places
    for url in places.replicas:
        checks |= {f"replica {urlsplit(url).netloc.rpartition('@')[2]}": partial(_replica, url, places.lag)}
    try:
        return [_judged(part, check) for part, check in checks.items()]
    finally:
        pipeline.close()


def _server(settings: Settings) -> Iterator[Verdict]:
    """Whether the servers of a house that is still to be made answer, where a store or its lake is on one."""
    if not settings.warm_url.startswith(("sqlite:", "memory:")):
        yield _judged("warm store", lambda: _warm(settings.warm_url))
    if not settings.lake_url.startswith("file:"):
        yield _judged("lake", lambda: _lake(open_url("lake", settings.lake_url, **settings.lake.key())))
    if not settings.hot_url.startswith("memory:"):
        yield _judged("hot store", lambda: _hot(settings.hot_url))


def _warm(url: str) -> str:
    with closing(open_url("stores", url, upgrade=False)) as warm:
        version = warm.version()
    return f"answers, tables at {version}" if version else "answers, and has no tables yet"


def _replica(url: str, lag: float) -> str:
    with closing(open_url("stores", url, upgrade=False)) as store:
        behind = store.behind(None)
    if behind > lag:
        raise Busy(f"{behind:g} s behind, so it is not asked: the most is {lag:g} s")
    return f"answers, {behind:g} s behind what it has received"


def _hot(url: str) -> str:
    with closing(open_url("stores", url)) as hot:
        said: str = hot.check()
    return said


def _lake(lake: Lake) -> str:
    found = sum(1 for _ in islice(lake.objects(), MOST_COUNTED + 1))
    return f"more than {MOST_COUNTED:,} bronze objects" if found > MOST_COUNTED else f"{found} bronze objects"


def _making_nothing(settings: Settings) -> Settings:
    """The settings with a journal that makes no topics."""
    url = settings.journal.url
    if not url.startswith("kafka:"):
        return settings
    own = settings.journal.model_copy(update={"url": f"{url}{'&' if '?' in url else '?'}create=no"})
    return settings.model_copy(update={"journal": own})


def _state(pipeline: Pipeline) -> str:
    """Whether the engine can go on with what it stored, by the settings there are now."""
    pipeline.check()
    found = [stored for group in pipeline.warm.parts(GROUP) if (stored := pipeline.warm.checkpoint(group))]
    if not found:
        return "none stored yet"
    parts = f" in {len(found)} parts" if len(found) > 1 else ""
    return f"stored at position {min(stored.position for stored in found)}{parts}; the settings fit"


def _reach(name: str, feed: Feed, settings: Settings) -> Verdict:
    part, section = f"network for {name}", settings.feeds[name]
    try:
        want = Want(settings.symbols_of(name), section.channel or feed.channel)
        ask = feed.poll if feed.ways.is_polled(want.channel) else feed.subscriptions
        url = next((one.url for one in ask(want)), "") if want.symbols else ""
    except TickhouseError as error:
        return Verdict(part, False, str(error), status_of(error))
    if not url:
        return Verdict(part, True, "nothing is subscribed")
    address = urlsplit(url)
    port = address.port or (443 if address.scheme in ("wss", "https") else 80)
    where = f"{address.hostname}:{port}"
    try:
        socket.create_connection((address.hostname or "", port), timeout=REACH_SECONDS).close()
    except OSError as error:
        message = f"{where} cannot be reached ({error.strerror or error}); live data needs a network, the demo does not"
        return Verdict(part, False, message, TEMPORARY)
    return Verdict(part, True, f"{where} answers")
