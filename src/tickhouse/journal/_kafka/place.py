"""Where a journal on Kafka is, and how its broker is talked to: everything that a URL says."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tickhouse.core import quantities
from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.core.secrets import Secret, secret, without_password

FORM = "kafka://host:9092/prefix, or kafka://one:9092,two:9092/prefix?partitions=8&replication=3"
FILES = {"ca": "ssl.ca.location", "certificate": "ssl.certificate.location", "key": "ssl.key.location"}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
COMPRESSIONS = ("lz4", "zstd", "none")
KNOWN = ("partitions", "replication", "compression", "max_message", "timeout", "create", "tls", "mechanism", *FILES)
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
Client = TypeVar("Client")
Message = Any
"""A message of the client library; its types say of every part that it may be absent, also of those that never are."""
log = logging.getLogger("tickhouse.kafka")
silent = logging.getLogger("tickhouse.kafka.client")
"""What the client library would write to standard error; what matters comes as an error of ours."""
silent.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Place:
    """A prefix on a cluster. `timeout` is how many seconds a broker that does not answer is waited for."""

    servers: str
    prefix: str
    partitions: int = 8
    replication: int = 1
    compression: str = "lz4"
    max_message: int = 8 << 20
    timeout: float = 10.0
    create: bool = True
    secure: tuple[tuple[str, str], ...] = ()
    password: Secret | None = None
    trouble: list[KafkaError] = field(default_factory=list, compare=False, repr=False)
    """What a client last said of its connection."""

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return f"{self.prefix}.{name}"

    def raw(self, source: str) -> str:
        """The topic of a source's messages; a letter that Kafka does not allow in names is written as its number.

        >>> Place("h:1", "house").raw("my file")
        'house.raw.my.x20.file'
        """
        return self.topic("raw." + "".join(c if c in LETTERS else f".x{ord(c):x}." for c in source))

    def settings(self) -> dict[str, Any]:
        """What every client is told."""
        own: dict[str, Any] = dict(self.secure)
        if self.password is not None:
            own["sasl.password"] = self.password.reveal()
        return {
            "bootstrap.servers": self.servers, "client.id": "tickhouse", "log_level": 0, "logger": silent, "error_cb": self._note,
            "reconnect.backoff.max.ms": 1000, "socket.timeout.ms": 20_000, "topic.metadata.refresh.interval.ms": 60_000,
            "topic.metadata.refresh.fast.interval.ms": 20,
            "allow.auto.create.topics": False, "socket.nagle.disable": True, **own,
        }  # fmt: skip

    @contextmanager
    def admin(self) -> Iterator[AdminClient]:
        """What creates topics and lets records go, for as long as that takes: librdkafka's admin client has aborted the process
        when its broker was lost (librdkafka issue 4605, which its requests to coordinators of groups run into), so none is
        kept, no coordinator is asked by one (`members.counted` asks every broker), and everything else that another client can
        ask is asked of that."""
        yield _made(AdminClient, {k: v for k, v in self.settings().items() if k != "allow.auto.create.topics"})

    def producer(self, **more: Any) -> Producer:
        """What writes: acknowledged by all replicas that are in sync."""
        settings = {k: v for k, v in self.settings().items() if k != "allow.auto.create.topics"}
        limits = {"queue.buffering.max.messages": 1_000_000, "queue.buffering.max.kbytes": 512 << 10}
        common = {
            "acks": "all",
            "enable.idempotence": True,
            "message.max.bytes": 256 << 20,
            "compression.type": self.compression,
        }
        return _made(Producer, {**settings, **limits, **common, **more})

    def consumer(self, **more: Any) -> Consumer:
        """What reads what is committed, at the offsets that it is told."""
        common = {
            "group.id": f"{self.prefix}.reader", "enable.auto.commit": False, "enable.auto.offset.store": False,
            "auto.offset.reset": "error", "isolation.level": "read_committed", "fetch.wait.max.ms": 20,
            "fetch.error.backoff.ms": 50, "queued.max.messages.kbytes": 16 << 10, "fetch.message.max.bytes": 4 << 20,
            "fetch.queue.backoff.ms": 5,
        }  # fmt: skip
        return _made(Consumer, {**self.settings(), **common, **more})

    def _note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self.trouble:  # it says less than the one before it
            self.trouble[:] = [error]
        log.debug("%s", error)


def place(url: str, password: Secret | str | None = None) -> Place:
    """What a URL says. The password is better given beside it (`journal.password`), but may be in it: `kafka://user:password@host`.

    Raises `BadSetting`, which never shows a password.
    """
    parts = urlsplit(url)
    _, _, hosts = parts.netloc.rpartition("@")
    prefix = parts.path.strip("/")
    if parts.scheme != "kafka" or not hosts or not prefix or not set(prefix) <= LETTERS | {"."}:
        raise BadSetting("journal.url", without_password(url), FORM)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = next((name for name in given if name not in KNOWN), None)
    if unknown:
        raise BadSetting("journal.url", f"?{unknown}=", f"one of {', '.join(KNOWN)}")
    known = secret(password) or (secret(_user(url)[1]) if _user(url)[1] else None)
    return Place(
        hosts, prefix, **_numbers(given), secure=tuple(_secure(given, _user(url)[0], known).items()), password=known
    )


def _user(url: str) -> tuple[str, str]:
    user, _, word = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    return unquote(user), unquote(word)


def _numbers(given: Mapping[str, str]) -> dict[str, Any]:
    """The settings that are numbers and choices."""
    found: dict[str, Any] = {}
    for name in ("partitions", "replication"):
        if name in given:
            if not given[name].isdigit() or not 1 <= int(given[name]) <= 250:
                raise BadSetting(f"journal.url: {name}", given[name], "a number from 1 to 250")
            found[name] = int(given[name])
    if "max_message" in given:
        found["max_message"] = quantities.size_bytes(given["max_message"])
    if "timeout" in given:
        found["timeout"] = quantities.seconds(given["timeout"])
    if given.get("compression", "lz4") not in COMPRESSIONS:
        raise BadSetting("journal.url: compression", given["compression"], ", ".join(COMPRESSIONS))
    return {**found, "compression": given.get("compression", "lz4"), "create": _yes(given, "create", True)}


def _yes(given: Mapping[str, str], name: str, default: bool) -> bool:
    text = given.get(name, "yes" if default else "no").lower()
    if text not in ("yes", "no", "true", "false"):
        raise BadSetting(f"journal.url: {name}", text, "yes or no")
    return text in ("yes", "true")


def _secure(given: Mapping[str, str], user: str, password: Secret | None) -> dict[str, str]:
    """The settings of TLS and SASL."""
    tls, mechanism = _yes(given, "tls", any(name in given for name in FILES)), given.get("mechanism", "PLAIN").upper()
    if mechanism not in MECHANISMS:
        raise BadSetting("journal.url: mechanism", mechanism, ", ".join(MECHANISMS))
    if bool(user) != bool(password):
        lacks = "a password: set TICKHOUSE_JOURNAL__PASSWORD" if user else "a user: kafka://user@host:9092/prefix"
        raise BadSetting("journal.url", "a user without a password" if user else "a password without a user", lacks)
    found = {FILES[name]: given[name] for name in FILES if name in given}
    found["security.protocol"] = ("sasl_" if user else "") + ("ssl" if tls else "plaintext")
    if user:
        found |= {"sasl.username": user, "sasl.mechanism": mechanism}
    return found


def _made(kind: Callable[[dict[str, Any]], Client], settings: dict[str, Any]) -> Client:
    """A client. Raises `SettingsError` for settings that it refuses, such as a certificate that cannot be read."""
    try:
        return kind(settings)
    except KafkaException as error:
        raise SettingsError(f"the settings of Kafka in journal.url are refused: {error.args[0].str()}") from error
