"""What the settings choose by name, opened; what is wrong is told by the key that chose it."""

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting, UnknownName, nearest
from tickhouse.core.model import Ids, interval_us
from tickhouse.core.plugins import load, open_url
from tickhouse.core.settings import Settings
from tickhouse.feeds import Feed
from tickhouse.feeds._whole import whole
from tickhouse.journal import Journal
from tickhouse.process import Detector, Indicator, catalog, sale_conditions
from tickhouse.process.rules import Rules
from tickhouse.process.sale_conditions import ConditionRule
from tickhouse.quality._suite import Suite
from tickhouse.steps.notes import conditions
from tickhouse.steps.replicated import Replicated
from tickhouse.stores import Warm

T = TypeVar("T")


def check(settings: Settings) -> None:
    """Open everything, to see that it can be. Raises `BadSetting`, as all of these do."""
    for kind in (feeds, indicators, detectors, rules, suite):
        kind(settings)


def journal(settings: Settings) -> Journal:
    """The journal, opened. Raises `SettingsError`; `Unreachable` when its server is away."""
    j = settings.journal
    more = {"password": j.password} if j.password else {}
    opened: Journal = open_url(
        "journal", settings.journal_url, durability=j.durability, max_bytes=j.max_bytes, retain_bytes=j.retain_bytes,
        retain_seconds=j.retain, **more,
    )  # fmt: skip
    return opened


def shown(warm: Warm, settings: Settings) -> Warm:
    """The warm store for those who only show it: beside its replicas, where it has any."""
    places = settings.warm_places
    return cast(Warm, Replicated(warm, places)) if places.replicas else warm


def feeds(settings: Settings) -> dict[str, Feed]:
    """The feed of each section, by its name."""
    return {name: _feed(settings, name) for name in settings.feeds}


def feed(settings: Settings, name: str) -> Feed:
    """The feed of that name: as its section says, or as it is without one."""
    if name in settings.feeds:
        return _feed(settings, name)
    return whole(named(f"feeds.{name}", name, lambda text: load("feeds", text)).open(), name)


def indicators(settings: Settings) -> list[Indicator]:
    """The indicators, in order."""
    return _each("process.indicators", settings.process.indicators, catalog.indicator)


def detectors(settings: Settings) -> list[Detector]:
    """The detectors, in order."""
    return _each("process.detectors", settings.process.detectors, catalog.detector)


def rules(settings: Settings) -> dict[str, ConditionRule]:
    """The rule of sale conditions of each source that has one."""
    return {
        source: named(f"process.conditions.{source}", name, sale_conditions.load)
        for source, name in conditions(settings).items()
    }


def engine_rules(settings: Settings, feeds: Mapping[str, Feed]) -> Rules:
    """When windows open and close, and what the ids of each feed prove."""
    p = settings.process
    return Rules(
        intervals_us=tuple(interval_us(i) for i in p.intervals), lateness_us=round(p.lateness * SECOND),
        grace_us=round(p.grace * SECOND), horizon_us=round(p.horizon * SECOND),
        ids={name: Ids.DENSE if feed.ids is Ids.DENSE else Ids.UNIQUE for name, feed in feeds.items()},
        conditions=rules(settings),
    )  # fmt: skip


def suite(settings: Settings) -> Suite:
    """The quality checks, with a memory of their own."""
    _each("quality.checks", settings.quality.checks, lambda name: load("quality", name))
    return Suite.from_names(settings.quality.checks, settings.quality.options())


def named(key: str, text: str, opener: Callable[[str], T]) -> T:
    """What `opener` makes of the text of a setting. Raises `BadSetting` with the key and the whole text.

    >>> named("process.indicators.0", "sma(0)", catalog.indicator)
    Traceback (most recent call last):
    tickhouse.core.errors.BadSetting: process.indicators.0: got 'sma(0)', expected a whole number of bars from 1 to 10000 as period
    """
    try:
        return opener(text)
    except BadSetting as bad:
        _, colon, part = bad.key.rpartition(": ")
        raise BadSetting(key, text, f"{bad.expected} as {part}" if colon else bad.expected) from bad
    except UnknownName as unknown:
        raise BadSetting(key, text, _one_of(text, unknown.known)) from unknown


def _each(key: str, texts: tuple[str, ...], opener: Callable[[str], T]) -> list[T]:
    return [named(f"{key}.{place}", text, opener) for place, text in enumerate(texts)]


def _feed(settings: Settings, name: str) -> Feed:
    section = settings.feeds[name]
    module = named(f"feeds.{name}", name, lambda text: load("feeds", text))
    given = {
        "symbols": settings.symbols_of(name),
        "channel": section.channel,
        "rest_url": section.url,
        "ws_url": section.ws_url,
        "key": section.key,
    }
    try:
        feed = module.open(**{key: value for key, value in given.items() if value is not None}, **section.options)
    except BadSetting as bad:
        prefix = f"feeds.{name}."
        raise BadSetting(prefix + bad.key.removeprefix(prefix), bad.given, bad.expected) from bad
    return whole(feed, name)


def _one_of(text: str, known: list[str]) -> str:
    near = nearest(text.partition("(")[0], known)
    return f"one of {', '.join(known)}{f'; did you mean {near!r}?' if near else ''}"
