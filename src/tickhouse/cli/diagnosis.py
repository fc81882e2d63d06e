"""`tickhouse doctor`: one plain verdict for each part of a house."""

import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from tickhouse.core.errors import SettingsError, TickhouseError
from tickhouse.core.settings import Settings, guard_public
from tickhouse.pipeline import Pipeline

LOW_DISK = 1 << 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one part; `optional` when the house can do without it."""

    part: str
    ok: bool
    message: str
    optional: bool = False


def diagnose(settings: Settings) -> list[Verdict]:
    """Every verdict, in the order of the flow."""
    verdicts = [_judged("settings", lambda: _settings(settings)), _disk(settings)]
    pipeline = _open(settings, verdicts)
    if pipeline is None:
        return verdicts
    try:
        checks: dict[str, Callable[[], str]] = {
            "journal": lambda: (
                f"next position {pipeline.journal.end()}; {pipeline.journal.recovered or 'closed cleanly'}"
            ),
            "lake": lambda: f"{sum(1 for _ in pipeline.lake.objects())} bronze objects",
            "warm store": lambda: f"{len(pipeline.warm.symbols())} symbols, tables at {pipeline.warm.upgrade()}",
            "feeds": lambda: ", ".join(pipeline.feeds) or "none",
        }
        verdicts += [_judged(part, check) for part, check in checks.items()]
        verdicts += [_reach(name, pipeline) for name in pipeline.feeds]
    finally:
        pipeline.close()
    return verdicts


def _open(settings: Settings, verdicts: list[Verdict]) -> Pipeline | None:
    try:
        return Pipeline(settings)
    except (TickhouseError, OSError) as error:
        verdicts.append(Verdict("house", False, str(error)))
        return None


def _judged(part: str, check: Callable[[], str]) -> Verdict:
    try:
        return Verdict(part, True, check())
    except TickhouseError as error:
        return Verdict(part, False, str(error))


def _settings(settings: Settings) -> str:
    guard_public(settings.serve)
    return f"the house is {settings.data.absolute()}"


def _disk(settings: Settings) -> Verdict:
    folder = next(p for p in (settings.data.absolute(), *settings.data.absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    return Verdict("disk", free > LOW_DISK, f"{free / 1e9:,.1f} GB free" + ("" if free > LOW_DISK else "; make room"))


def _reach(name: str, pipeline: Pipeline) -> Verdict:
    from tickhouse.core.model import Want

    section, feed = pipeline.settings.feeds[name], pipeline.feeds[name]
    want = Want(tuple(section.symbols), section.channel or feed.channel)
    try:
        url = next(
            (one.url for one in (feed.poll if feed.ways.is_polled(want.channel) else feed.subscriptions)(want)), ""
        )
    except SettingsError as error:
        return Verdict(f"settings of {name}", False, str(error))
    if not url or not section.symbols:
        return Verdict(f"network for {name}", True, "nothing is subscribed", optional=True)
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme in ("wss", "https") else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=5).close()
    except OSError as error:
        where = f"{parts.hostname}:{port} cannot be reached ({error.strerror or error})"
        message = f"{where}; live data needs a network, the demo does not"
        return Verdict(f"network for {name}", False, message, optional=True)
    return Verdict(f"network for {name}", True, f"{parts.hostname}:{port} answers")
