"""The way to a Redis server: its address, what its refusals mean, and when it is left alone."""

import logging
import random
import time
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from tickhouse.core import observe
from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.core.quantities import seconds

OLDEST = 5
"""The first version of Redis that will do. Valkey, which came later, tells the one of Redis that it does as much as."""
CONNECT_SECONDS, ANSWER_SECONDS = 1.0, 1.0
"""How long a connection, and an answer, is waited for."""
SHORTEST_REST, LONGEST_REST = 0.1, 2.0
KEEP_SECONDS = 7 * 86_400.0
MEANWHILE = "screens show what this process saw itself and what the warm store has; nothing is lost"
SAID = {
    "answers": ("hot store away", "hot store back"),
    "writes": ("hot store takes nothing", "hot store takes values again"),
}
URL = "redis://[[user]:password@]host[:port][/db], with ?ttl=7d&prefix=tickhouse if others are wanted"
TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
REFUSED = (AuthenticationError, AuthenticationWrongNumberOfArgsError, AuthorizationError)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and how keys are named and kept there; `ttl` in seconds, 0 for ever."""

    server: str
    where: str
    prefix: str
    ttl: float

    @classmethod
    def of(cls, url: str) -> "Address":
        """From the URL in the settings. Raises `BadSetting`, without the password."""
        try:
            parts = urlsplit(url)
            where, database = f"{parts.hostname or ''}:{parts.port or 6379}", parts.path.strip("/") or "0"
        except ValueError:
            raise BadSetting("hot.url", "a URL that is none", URL) from None
        shown = f"{parts.scheme}://{where}{parts.path}"
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or not database.isdigit():
            raise BadSetting("hot.url", shown, URL)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        prefix, ttl = options.pop("prefix", "tickhouse"), seconds(options.pop("ttl", KEEP_SECONDS), "hot.url ttl")
        unknown = [name for name in options if parts.scheme == "redis" or name not in TLS]
        if unknown or not prefix or any(c.isspace() for c in prefix):
            raise BadSetting("hot.url", f"{shown} with {unknown[0] if unknown else f'the prefix {prefix!r}'}", URL)
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return cls(parts._replace(query=query, path=f"/{database}").geturl(), f"{where}/{database}", prefix, ttl)

    @property
    def named(self) -> bool:
        """Whether a password is given."""
        return bool(unquote(urlsplit(self.server).password or ""))

    def connect(self, **options: Any) -> Redis:
        """A client that never waits long and tries nothing twice."""
        return Redis.from_url(
            self.server, protocol=2, retry=Retry(NoBackoff(), 0), socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS, **options,
        )  # fmt: skip

    def unsettled(self, error: Exception) -> SettingsError | None:
        """What the user has to put right, where it is that, in one sentence."""
        if isinstance(error, REFUSED):
            if "without any password" in str(error):
                return SettingsError(f"hot.url: Redis at {self.where} has no password; leave it out")
            what = "refuses the password" if self.named else "wants a password"
            return SettingsError(
                f"hot.url: Redis at {self.where} {what}; give the right one in TICKHOUSE_HOT__URL or hot.url"
            )
        if isinstance(error, ResponseError) and "DB index" in str(error):
            return SettingsError(f"hot.url: Redis at {self.where} has no database of that number; 0 is always there")
        if isinstance(error, TypeError | ValueError):
            return SettingsError(f"hot.url: {error}")
        return None

    def outdated(self, version: str) -> SettingsError | None:
        """What the user has to put right, where a server tells such a version; one that tells none is believed to be new."""
        major = version.partition(".")[0]
        if not major.isdigit() or int(major) >= OLDEST:
            return None
        return SettingsError(
            f"hot.url: the hot store needs Redis {OLDEST} or newer, or Valkey; the server at {self.where} has {version}"
        )

    def why(self, error: Exception) -> str:
        """What is wrong and what helps, in one sentence."""
        if unsettled := self.unsettled(error):
            return str(unsettled)
        if isinstance(error, BusyLoadingError):
            return f"Redis at {self.where} is loading its data; it comes by itself"
        if isinstance(error, TimeoutError):
            return f"Redis at {self.where} does not answer within {ANSWER_SECONDS:g} s; is it frozen, or the network?"
        if isinstance(error, OutOfMemoryError):
            advice = "raise its maxmemory, remove other keys, or give hot.url a shorter ttl"
            return f"Redis at {self.where} is out of memory and takes nothing; {advice}"
        if isinstance(error, ReadOnlyError):
            return f"Redis at {self.where} is a replica that takes nothing; hot.url must name the primary"
        if isinstance(error, NoPermissionError):
            return f"Redis at {self.where} does not let this user do it ({error}); it needs @scripting and ~{self.prefix}:*"
        if isinstance(error, ResponseError):
            return f"Redis at {self.where} refuses: {error}"
        return f"Redis at {self.where} cannot be reached ({error}); start it, or put its address into hot.url"


class Circuit:
    """Whether the server is to be asked now. After a failure it is left alone, longer each time; then one may try.

    `part` is what is asked of it: answers, or writes. It says once that it stopped, and once that it is back. Safe to use from
    several threads.
    """

    def __init__(self, address: Address, part: str) -> None:
        self.address, self.part = address, part
        self.reason = ""
        """Why it is left alone; empty while all is well."""
        self._lock = Lock()
        self._rest = 0.0
        self._until = self._since = 0.0

    @property
    def wait(self) -> float:
        """Seconds until it may be tried."""
        return max(0.0, self._until - time.monotonic())

    def enter(self) -> bool:
        """Whether the server may be asked; who may says `succeeded` or `failed` afterwards."""
        with self._lock:
            if not self.reason:
                return True
            if self.wait:
                return False
            self._until = time.monotonic() + CONNECT_SECONDS + ANSWER_SECONDS
            return True

    def failed(self, error: Exception) -> None:
        """The server did not answer, or refused."""
        with self._lock:
            first, self.reason = not self.reason, self.address.why(error)
            self._rest = min(LONGEST_REST, max(SHORTEST_REST, 2 * self._rest))
            now = time.monotonic()
            self._until = now + self._rest * random.uniform(0.75, 1.0)
            self._since = now if first else self._since
        observe.count("hot_failures")
        self.show()
        if first:
            said = SAID[self.part][0]
            observe.tell("stores", said, logging.WARNING, reason=self.reason, meanwhile=MEANWHILE)

    def succeeded(self) -> None:
        """The server did what it was asked."""
        if not self.reason:
            return
        with self._lock:
            was, self.reason = self.reason, ""
            self._until = self._rest = 0.0
            away = time.monotonic() - self._since
        self.show()
        if was:
            observe.tell(
                "stores", SAID[self.part][1], logging.WARNING, where=self.address.where, after_seconds=round(away, 1)
            )

    def show(self) -> None:
        """Set the metric."""
        observe.gauge("hot_up", 0 if self.reason else 1, part=self.part)


def is_away(error: Exception) -> bool:
    """Whether the server gave no answer, as against one that says no to this one wish."""
    return not isinstance(error, ResponseError) or isinstance(error, BusyLoadingError)
