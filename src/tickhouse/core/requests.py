"""What a feed may ask of the transport, as plain values: requests, answers, subscriptions, pace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tickhouse.core.secrets import Secret

SIMULATED = "X-Tickhouse-Simulated"
"""The header by which a simulated exchange says on every answer, and at every socket's handshake, that it is one."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP GET. `weight` is what it costs of the provider's quota; the answer is journaled on `channel`.

    An answer to a request without a channel is for the conversation alone: a cookie, a token. It is neither yielded to
    whoever asks nor journaled.

    `secret` names query parameters or headers whose values are never logged or journaled.
    """

    url: str
    channel: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_params: Mapping[str, Secret] = field(default_factory=dict)
    secret_headers: Mapping[str, Secret] = field(default_factory=dict)
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, lower-case header names, body, and when it arrived (UTC microseconds)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: int

    @property
    def simulated(self) -> bool:
        """Whether it comes from a simulated exchange."""
        return SIMULATED.lower() in self.headers

    @property
    def retry_after(self) -> float | None:
        """The number of seconds the provider asks to wait, if it says so in seconds."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.replace(".", "", 1).isdigit() else None


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a provider may be asked. Zero means no limit; `per_minute` and `per_day` count weight. A day's quota begins anew
    at midnight in `day_zone`."""

    per_second: float = 0.0
    per_minute: int = 0
    per_day: int = 0
    day_zone: str = "UTC"


class Cost(NamedTuple):
    """How many requests something takes, and what they weigh of the quota."""

    calls: int
    weight: int

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]
        return Cost(self.calls + other.calls, self.weight + other.weight)


@dataclass(frozen=True, slots=True)
class About:
    """What a person should know of a provider. `key` is none, optional or required; `licence` one sentence on whose the data
    are and what may be done with them; `market` is crypto, equities, forex, economic or files: it says which hours it keeps.
    `rebased` are the intervals, `*` for all, of the bars whose prices are those of shares as they are counted when the answer is
    given: every split until then is in them."""

    title: str
    key: str
    market: str
    licence: str
    rebased: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ways:
    """In which ways a feed's channels can be had; names without what may follow a colon.

    What is in `socket` comes by itself, in `polled` it is asked for again and again, in `history` is the past. `bars` says by
    interval which channel of history has the bars of that length. `every` is how often (seconds) it makes sense to poll.
    """

    socket: tuple[str, ...] = ()
    polled: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    bars: Mapping[str, str] = field(default_factory=dict)
    every: float = 60.0

    def is_polled(self, channel: str) -> bool:
        """Whether a channel, with what follows a colon, is polled.

        >>> Ways(polled=("chart",)).is_polled("chart:1m")
        True
        """
        return channel.partition(":")[0] in self.polled


@dataclass(frozen=True, slots=True)
class Subscription:
    """A socket to keep open.

    `hello` are the text frames to send after connecting, at most `sends_per_second`. A connection on which nothing is
    heard for `mute_after` seconds (pings and data both count) is mute; one whose provider `speaks` by itself more often than
    that is mute although it answers our pings. `lifetime` is the number of seconds after which the provider ends every
    connection, infinite where it does not. `renew` gives, per symbol, the frames that subscribe it anew when it alone fell mute;
    the last of them also subscribes one that joins an open connection. `secret_params` are query parameters whose values are
    put into the address when connecting and shown nowhere.
    """

    url: str
    channel: str
    symbols: tuple[str, ...]
    hello: tuple[str, ...] = ()
    renew: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sends_per_second: float = 4.0
    mute_after: float = 60.0
    lifetime: float = 86_400.0
    max_message_bytes: int = 1 << 20
    secret_params: Mapping[str, Secret] = field(default_factory=dict)
    speaks: bool = False
