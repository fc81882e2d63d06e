"""What tickhouse says about itself: one-line log events without secrets, and Prometheus metrics.

Metrics are defined here and nowhere else, on a registry of our own. They are told per batch, never per tick.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from tickhouse.core.errors import TickhouseError
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import LogSettings

REGISTRY = CollectorRegistry()
CONTENT_TYPE = CONTENT_TYPE_LATEST

_LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

_COUNTERS = {
    "messages": ("Messages received, by what became of them", ("source", "kind")),
    "ticks": ("Ticks taken in", ("source",)),
    "invalid": ("Rows refused by quality", ("source",)),
    "duplicates": ("Ticks that were duplicates", ("source",)),
    "late": ("Ticks behind the watermark, applied as corrections", ("source",)),
    "bars": ("Bars closed, corrections not counted", ("source", "interval")),
    "corrections": ("Bars corrected after they were closed", ("source", "interval")),
    "anomalies": ("Anomalies detected", ("source", "detector")),
    "findings": ("Findings of quality", ("source", "check")),
    "holes": ("Holes in the trades of a source", ("source", "state")),
    "connections": ("WebSocket connections made", ("host",)),
    "disconnects": ("WebSocket connections lost", ("host", "reason")),
    "requests": ("Answers to HTTP requests", ("feed", "outcome")),
    "rounds": ("Rounds of polled feeds, by how they went", ("feed", "outcome")),
    "switches": ("Times that another feed of a group was taken", ("group", "to")),
    "retries": ("Requests and connections tried again", ("host",)),
    "lake_objects": ("Objects written to the lake", ("kind",)),
    "hot_written": ("Values written to a hot store that is a server", ()),
    "hot_failures": ("Times that a hot store that is a server did not answer or refused", ()),
    "clients": ("WebSocket clients served", ()),
    "conflated": ("Changes merged for slow WebSocket clients", ()),
}
_GAUGES = {
    "inbox_depth": ("Messages between the sockets and ingest, when ingest last took them", ("source",)),
    "inbox_high_water": ("The most messages there ever were in an inbox", ("source",)),
    "journal_end": ("The position the next message will get", ()),
    "journal_position": ("Where a consumer group is", ("group",)),
    "journal_bytes": ("Size of the journal's file and of its log", ()),
    "quota_left": ("Weight left of a provider's quota", ("feed", "window")),
    "poll_every": ("Seconds between two rounds of a polled feed", ("feed",)),
    "feed_active": ("Symbols of a group for which a feed is in use", ("group", "feed")),
    "breaker_open": ("1 while a host is left alone", ("host",)),
    "lines_up": ("1 while a line is connected", ("line",)),
    "watermark": ("Event time up to which a source is complete, seconds since 1970", ("source",)),
    "hot_up": ("1 while a hot store that is a server answers, and writes what it is given", ("part",)),
    "hot_waiting": ("Values that are newer than in the hot store's server, when last written to", ()),
    "clients_now": ("WebSocket clients connected now", ()),
}
_HISTOGRAMS = {
    "lag_seconds": ("From event time to the durable journal, newest tick of each batch", ("source",), _LAGS),
    "append_seconds": ("One append to the journal", (), _LAGS),
    "hot_seconds": ("One write to the hot store's server", (), _LAGS),
    "process_seconds": ("One step of the engine", (), _LAGS),
    "request_seconds": ("One HTTP request", ("host",), _LAGS),
}

_COUNTED = {
    name: Counter(f"tickhouse_{name}", text, labels, registry=REGISTRY) for name, (text, labels) in _COUNTERS.items()
}
_SHOWN = {name: Gauge(f"tickhouse_{name}", text, labels, registry=REGISTRY) for name, (text, labels) in _GAUGES.items()}
_TIMED = {
    name: Histogram(f"tickhouse_{name}", text, labels, registry=REGISTRY, buckets=buckets)
    for name, (text, labels, buckets) in _HISTOGRAMS.items()
}

_children: dict[tuple[Any, ...], Callable[[float], None]] = {}


def count(name: str, n: float = 1, **labels: str) -> None:
    """Add `n` to a counter."""
    key = (name, *labels.items())
    add = _children.get(key)
    if add is None:
        metric = _COUNTED[name]
        add = _children[key] = (metric.labels(**labels) if labels else metric).inc
    add(n)


def gauge(name: str, value: float, **labels: str) -> None:
    """Say how much of something there is now."""
    key = (name, *labels.items())
    put = _children.get(key)
    if put is None:
        metric = _SHOWN[name]
        put = _children[key] = (metric.labels(**labels) if labels else metric).set
    put(value)


def timing(name: str, seconds: float, **labels: str) -> None:
    """Add one duration or lag to a histogram."""
    key = (name, *labels.items())
    add = _children.get(key)
    if add is None:
        metric = _TIMED[name]
        add = _children[key] = (metric.labels(**labels) if labels else metric).observe
    add(seconds)


def exposition() -> bytes:
    """All metrics as Prometheus reads them (`CONTENT_TYPE`)."""
    return generate_latest(REGISTRY)


_beats: dict[str, float] = {}


def beat(role: str) -> None:
    """Say that the work of a role goes on."""
    _beats[role] = time.monotonic()


def pulse() -> dict[str, float]:
    """How many seconds ago each role of this process was last at work."""
    now = time.monotonic()
    return {role: now - at for role, at in _beats.items()}


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth knowing happened: where (a room), what (stable words) and the facts."""

    room: str
    name: str
    level: int = logging.INFO
    facts: Mapping[str, Any] = field(default_factory=dict)


Hook = Callable[[Event], None]


def log_event(event: Event) -> None:
    """The hook that writes events to the log."""
    structlog.get_logger().log(event.level, event.name, room=event.room, **event.facts)


hooks: tuple[Hook, ...] = ()
"""Called in order with every event; `setup` adds the log. Replace the tuple to add one. A hook must not block."""


def tell(room: str, name: str, level: int = logging.INFO, /, **facts: Any) -> None:
    """Tell every hook that something happened."""
    event = Event(room, name, level, facts)
    for hook in hooks:
        hook(event)


def setup(log: LogSettings | None = None, stream: TextIO | None = None) -> None:
    """Set up the log of this process: one event is one line, on stderr, without secrets.

    What libraries log comes the same way, from warnings on.
    """
    log = log or LogSettings()
    out = stream or sys.stderr
    level = logging.getLevelNamesMapping()[log.level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _failure,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    last: Any = structlog.processors.JSONRenderer(default=str)
    if log.format == "console":
        last = structlog.dev.ConsoleRenderer(colors=out.isatty(), sort_keys=False)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.PositionalArgumentsFormatter(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # it brings handlers of its own
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    quiet_libraries()
    global hooks  # noqa: PLW0603
    hooks = tuple(dict.fromkeys((*hooks, log_event)))


def quiet_libraries() -> None:
    """Keep what network libraries log out of the log: at info and debug they write whole URLs and headers, keys included."""
    for name in ("httpx", "httpcore", "websockets", "websockets.client", "websockets.server", "hpack"):
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:
            logger.setLevel(logging.WARNING)


_IN_TEXT = (
    (
        re.compile(r"([?&](?:[a-z_-]*(?:key|token|secret|password|signature|crumb))=)[^&\s\"'#]+", re.IGNORECASE),
        r"\1********",
    ),
    (re.compile(r"(\w://[^/\s:@]*:)[^/\s@]+@"), r"\1********@"),
)
_NAMES = re.compile(r"(^|_)((api|access|secret)?key|token|secret|password|authorization|cookie|crumb)$", re.IGNORECASE)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put stars in place of secrets: by type, by the name of the field, and inside URLs. Line ends are escaped."""
    return {key: "********" if _NAMES.search(key) and value else _clean(value) for key, value in event.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, Mapping):
        return redact(None, "", dict(value))
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    if isinstance(value, BaseException):
        value = str(value)
    if isinstance(value, str):
        for pattern, stars in _IN_TEXT:
            value = pattern.sub(stars, value)
        return value.replace("\r", "\\r").replace("\n", "\\n")
    return value


def _failure(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as one line: our own by its sentence, another with where it was raised."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given if isinstance(given, BaseException) else sys.exc_info()[1]
    if given and error is not None:
        event["error"] = f"{type(error).__name__}: {error}"
        if not isinstance(error, TickhouseError):
            event["trace"] = structlog.processors.format_exc_info(None, "", {"exc_info": error})["exception"]
    return event
