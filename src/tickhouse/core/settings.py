"""Every setting of a house: read once from file and environment into frozen values.

Later ones win: defaults, `tickhouse.toml`, `.env`, the environment (`TICKHOUSE_SERVE__PORT=9000`), what the caller
gives. With none of them a house runs: keyless Binance, SQLite and files under `data`.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
)

from tickhouse.core import quantities, replicas
from tickhouse.core.errors import BadSetting
from tickhouse.core.requests import Pace
from tickhouse.core.secrets import Secret
from tickhouse.core.symbols import canonical

MAJORS = ("BTC-USDT", "ETH-USDT", "BNB-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT")


def _checked(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`read` as a validator: what our functions call a bad setting, pydantic calls a ValueError."""

    def validate(given: Any) -> Any:
        try:
            return read(given)
        except BadSetting as bad:
            raise ValueError(bad.expected) from bad

    return validate


def _listed(given: Any) -> Any:
    """A text with commas as a list, so that lists can be given in the environment; commas in brackets do not count."""
    if not isinstance(given, str):
        return given
    given = given.strip().removeprefix("[").removesuffix("]").replace('"', "")
    parts, depth = [""], 0
    for letter in given:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _secret(given: Any) -> Any:
    if isinstance(given, str):
        return Secret(given)
    if isinstance(given, Secret):
        return given
    raise ValueError("a text in quotes")


def _interval(text: str) -> str:
    from tickhouse.core.model import interval_us

    interval_us(text)
    return text


Duration = Annotated[float, BeforeValidator(_checked(quantities.seconds)), "duration"]
"""Seconds, given as `5s`, `5m`, `24h` or a number."""

Size = Annotated[int, BeforeValidator(_checked(quantities.size_bytes)), "size"]
"""Bytes, given as `64MiB` or a number."""

Hidden = Annotated[Secret, BeforeValidator(_secret), PlainSerializer(str)]
"""A secret text."""

Interval = Annotated[str, AfterValidator(_checked(_interval))]
Symbol = Annotated[str, AfterValidator(_checked(canonical))]
Named = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\([a-z0-9_.,= -]*\))?$")]
"""A name with parameters, such as `bollinger(20,2)` or `ema(20,seed=first)`."""


class Section(BaseModel):
    """A frozen part of the settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)


class FeedSettings(Section):
    """What is taken from one provider; the section's name is the name of its feed."""

    symbols: Annotated[tuple[Symbol, ...], BeforeValidator(_listed)] = Field((), description="canonical symbols")
    channel: str | None = Field(None, description="what to take, else what the feed itself chooses", examples=["trade"])
    every: Duration | None = Field(
        None,
        gt=0,
        description="how often a polled channel is asked, else 1m where the feed knows no better",
        examples=["60s"],
    )
    closed: bool = Field(False, description="whether a polled channel is asked while its market is closed, too")
    market: str | None = Field(
        None, description="whose hours count: crypto, equities, forex, or an exchange such as XLON", examples=["XLON"]
    )
    url: str | None = Field(None, description="another REST address", examples=["http://127.0.0.1:9000"])
    ws_url: str | None = Field(None, description="another WebSocket address", examples=["ws://127.0.0.1:9000"])
    key: Hidden | None = Field(None, description="the API key; better kept in .env", examples=["..."])
    per_second: float | None = Field(
        None, ge=0, description="requests a second instead of the known limit", examples=[5]
    )
    per_minute: int | None = Field(None, ge=0, description="weight a minute, likewise", examples=[3000])
    per_day: int | None = Field(None, ge=0, description="weight a day, likewise", examples=[100000])
    recent: Duration = Field(0.0, description="bars of so long before the start are asked of the provider's history")
    options: dict[str, str] = Field(default_factory=dict, description="what else this feed understands")

    def paced(self, pace: Pace) -> Pace:
        """The provider's pace with what is set here instead."""
        own = {name: getattr(self, name) for name in ("per_second", "per_minute", "per_day")}
        kept = {name: getattr(pace, name) if value is None else value for name, value in own.items()}
        return Pace(**kept, day_zone=pace.day_zone)


class GroupSettings(Section):
    """Symbols that several feeds tell of, and the order in which these are asked: one at a time, the next when it fails."""

    symbols: Annotated[tuple[Symbol, ...], BeforeValidator(_listed), Field(min_length=1)] = Field(
        description="canonical symbols, each in one group only"
    )
    feeds: Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)] = Field(
        description="names of feeds, the first choice first; channel and key are those of the feed's own section"
    )
    switch_after: Duration = Field(10.0, ge=0, description="the feed in use is left when it was bad for so long")
    return_after: Duration = Field(60.0, ge=0, description="a better one is taken again when it was good for so long")
    stale_after: Duration = Field(
        60.0, gt=0, description="without a price for so long, while its market is open, others are asked what they know"
    )
    every: Duration | None = Field(None, gt=0, description="how often polled feeds are asked for these symbols")

    @field_validator("symbols", "feeds")
    @classmethod
    def _once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        """Nothing may be named twice."""
        twice = next((name for name, count in Counter(given).items() if count > 1), None)
        if twice:
            raise ValueError(f"each name once; {twice} is there twice")
        return given


class JournalSettings(Section):
    """The durable log of everything received."""

    url: str = Field(
        "sqlite:///{data}/journal.db",
        description="sqlite:///..., memory://, kafka://host:9092/prefix?partitions=8; {data} is the data folder",
    )
    password: Hidden | None = Field(
        None, description="of the user in a kafka:// URL; better kept in .env", examples=["..."]
    )
    durability: Literal["full", "normal"] = Field(
        "full", description="full: survives a power cut; normal: may lose the last moments on one, faster"
    )
    max_bytes: Size = Field(4 << 30, description="how far the slowest consumer may be behind before input waits")
    retain_bytes: Size = Field(8 << 30, description="how much to keep once all have read it; 0: no limit")
    retain: Duration = Field(7 * 86_400.0, description="how long to keep it; 0: no limit")
    publish: bool = Field(True, description="whether closed bars and anomalies are published too, where it is on Kafka")


class LakeSettings(Section):
    """The archive of raw messages and ticks, written once."""

    url: str = Field(
        "file://{data}/lake",
        repr=False,
        description="file://..., s3://bucket/prefix?endpoint=https://...&region=...",
    )
    key_id: Hidden | None = Field(
        None, description="of S3, where AWS's own variables and profiles do not tell", examples=["..."]
    )
    secret: Hidden | None = Field(None, description="the secret of key_id; better kept in .env", examples=["..."])
    roll_bytes: Size = Field(16 << 20, description="raw bytes after which an object is closed; open ones are in memory")
    roll_after: Duration = Field(300.0, description="age after which an object is closed")

    def key(self) -> dict[str, Secret]:
        """What a lake is told of who asks; files ask nobody."""
        given = {"key_id": self.key_id, "secret": self.secret}
        return {} if self.url.startswith("file:") else {name: value for name, value in given.items() if value}


class HotSettings(Section):
    """The newest values, for screens."""

    url: str = Field(
        "memory://",
        description="memory://, redis://:password@host:port/db, which many processes share; rediss:// for TLS",
    )


class WarmSettings(Section):
    """Bars, indicators, anomalies, coverage and ledger, with every version."""

    url: Annotated[str, AfterValidator(replicas.checked)] = Field(
        "sqlite:///{data}/warm.db",
        repr=False,
        description="sqlite:///..., postgresql://user:password@host/database?replica=other:5432; one with a password "
        "is better kept in .env",
    )
    retain: dict[Interval, Duration] = Field(
        default_factory=dict,
        description='how long bars and what is said of them are kept, such as { "1m" = "90d" }; others for ever',
    )
    retain_findings: Duration = Field(90 * 86_400.0, description="how long findings are kept; 0: for ever")
    retain_metrics: Duration = Field(30 * 86_400.0, description="how long quality metrics are kept; 0: for ever")
    retain_coverage: Duration = Field(0.0, description="how long coverage is kept; 0: for ever")
    keep_ticks: Duration = Field(
        0.0,
        ge=0,
        le=366 * 86_400.0,
        description="ticks of so many days are in PostgreSQL too, for other tools; 0: none, they are in journal and lake",
        examples=["7d"],
    )

    @field_validator("keep_ticks")
    @classmethod
    def _on_a_server(cls, given: float, info: ValidationInfo) -> float:
        """Only PostgreSQL keeps ticks."""
        if given and not str(info.data.get("url", "")).startswith("postgresql:"):
            raise ValueError(
                "0, because only a warm.url of postgresql:// keeps ticks; the journal and the lake have them"
            )
        return given


INDICATORS = ("sma(20)", "ema(20)", "bollinger(20,2)", "volatility(20)", "rsi(14)", "macd(12,26,9)", "atr(14)", "vwap")


class ProcessSettings(Section):
    """From ticks to bars, indicators and anomalies."""

    intervals: Annotated[tuple[Interval, ...], BeforeValidator(_listed), Field(min_length=1)] = Field(
        ("1m", "5m"), description="lengths of the bars"
    )
    lateness: Duration = Field(5.0, description="how much later than the newest a tick may come and not be late")
    grace: Duration = Field(5.0, description="how long a window waits for a quiet source before the clock closes it")
    horizon: Duration = Field(300.0, description="how long windows and ids stay in memory for corrections")
    indicators: Annotated[tuple[Named, ...], BeforeValidator(_listed)] = Field(INDICATORS, description="on closed bars")
    detectors: Annotated[tuple[Named, ...], BeforeValidator(_listed)] = Field(
        ("returns(20,3)", "volume(20,3)"), description="name(bars, sigmas)"
    )
    conditions: dict[str, str] = Field(default_factory=dict, description="rule of sale conditions by source")
    checkpoint_every: Duration = Field(10.0, description="how often the engine's state is stored")
    shared: bool = Field(
        False, description="share the ticks with other processes of this role, by the partitions of the journal (Kafka)"
    )

    @field_validator("shared")
    @classmethod
    def _in_whole_seconds(cls, shared: bool, info: ValidationInfo) -> bool:
        if shared and info.data.get("lateness", 0.0) % 1:
            raise ValueError("false, or a process.lateness of whole seconds")
        return shared


CHECKS = ("schema", "ranges", "duplicates", "staleness", "gaps", "ohlc")


class QualitySettings(Section):
    """What is checked on the way."""

    checks: Annotated[tuple[Named, ...], BeforeValidator(_listed)] = Field(CHECKS, description="files of quality/")
    max_price: float = Field(1e12, gt=0, description="a price above it is refused")
    max_ahead: Duration = Field(60.0, description="how far ahead of the receive time an event time may be")
    stale_after: Duration = Field(
        60.0, description="a symbol without a tick for so long is subscribed anew, and reported when it never had one"
    )

    def options(self) -> dict[str, float]:
        """What checks may be told when they are opened, by name; durations in seconds."""
        return {"max_price": self.max_price, "max_ahead": self.max_ahead, "stale_after": self.stale_after}


class ServeSettings(Section):
    """The API and the pages."""

    host: str = Field("127.0.0.1", description="address to listen on; another than this machine's own needs a key")
    port: int = Field(8000, ge=0, le=65_535, description="0: any free one")
    key: Hidden | None = Field(None, description="what clients must send; better kept in .env", examples=["..."])
    max_clients: int = Field(1000, ge=1, description="WebSocket clients at a time")


class MetricsSettings(Section):
    """Prometheus metrics of a process that serves no pages; with the role `serve` they are at `/metrics` there too."""

    host: str = Field("127.0.0.1", description="address to listen on; another than this machine's own needs a key")
    port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="off when not set; each process needs one of its own; 0: any free one",
        examples=[9100],
    )
    key: Hidden | None = Field(None, description="what must be sent; better kept in .env", examples=["..."])


class LogSettings(Section):
    """What is said while it runs."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning, error")
    format: Literal["console", "json"] = Field("console", description="console for people, json for programs")


UNSHARED = ("sqlite:", "memory:")
"""Journals whose ticks cannot be shared; others may be of another package, and say so when they are opened."""
DEFAULT_FEEDS: dict[str, dict[str, Any]] = {"binance": {"symbols": MAJORS}}


class Settings(Section):
    """Everything that can be set."""

    data: Path = Field(Path("data"), description="the folder of this house")
    feeds: dict[str, FeedSettings] = Field(
        default_factory=lambda: {name: FeedSettings(**values) for name, values in DEFAULT_FEEDS.items()},
        description="one section a provider",
    )
    groups: dict[str, GroupSettings] = Field(default_factory=dict, description="one section a group of symbols")
    journal: JournalSettings = JournalSettings()
    lake: LakeSettings = LakeSettings()
    hot: HotSettings = HotSettings()
    warm: WarmSettings = WarmSettings()
    process: ProcessSettings = ProcessSettings()
    quality: QualitySettings = QualitySettings()
    serve: ServeSettings = ServeSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @field_validator("feeds", mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """A section that names a default feed keeps what it does not set."""
        if not isinstance(given, dict):
            return given
        return {n: {**DEFAULT_FEEDS.get(n, {}), **v} if isinstance(v, dict) else v for n, v in given.items()}

    @field_validator("groups")
    @classmethod
    def _apart(cls, given: dict[str, GroupSettings], info: ValidationInfo) -> dict[str, GroupSettings]:
        """A symbol is in one group, and the feeds of a group have sections."""
        feeds, held = info.data.get("feeds", {}), dict[str, str]()
        for name, group in given.items():
            for feed in group.feeds:
                if feeds and feed not in feeds:
                    expected = f"feeds that have a section here ({', '.join(sorted(feeds))})"
                    raise BadSetting(f"groups.{name}.feeds", feed, expected)
            for symbol in group.symbols:
                if symbol in held:
                    expected = f"a symbol of no other group; {held[symbol]} has it"
                    raise BadSetting(f"groups.{name}.symbols", symbol, expected)
                held[symbol] = name
        return given

    @field_validator("process")
    @classmethod
    def _shareable(cls, given: ProcessSettings, info: ValidationInfo) -> ProcessSettings:
        """The ticks of a journal in a file or in memory have no partitions that processes could share."""
        journal = info.data.get("journal")
        if given.shared and journal is not None and journal.url.startswith(UNSHARED):
            expected = 'false, or a journal whose ticks have partitions: journal.url = "kafka://..."'
            raise BadSetting("process.shared", True, expected)
        return given

    def symbols_of(self, feed: str, first: bool = False) -> tuple[str, ...]:
        """The symbols that a feed may be asked for: its own and those of groups, with `first` of those whose first choice it is."""
        groups = [g for g in self.groups.values() if feed in (g.feeds[:1] if first else g.feeds)]
        return tuple(dict.fromkeys((*self.feeds[feed].symbols, *(s for group in groups for s in group.symbols))))

    @property
    def journal_url(self) -> str:
        """Where the journal is."""
        return self._filled(self.journal.url)

    @property
    def lake_url(self) -> str:
        """Where the lake is."""
        return self._filled(self.lake.url)

    @property
    def hot_url(self) -> str:
        """Where the hot store is."""
        return self._filled(self.hot.url)

    @property
    def warm_url(self) -> str:
        """Where the warm store is."""
        return self.warm_places.url

    @property
    def warm_places(self) -> replicas.Places:
        """Where it is, and its replicas, which those are asked who only show it."""
        return replicas.apart(self._filled(self.warm.url))

    def _filled(self, url: str) -> str:
        return url.replace("{data}", str(self.data.absolute()))


def guard_public(rules: ServeSettings | MetricsSettings, section: str = "serve") -> None:
    """Refuse to listen where others can reach it without a key.

    Raises `BadSetting`.
    """
    own = rules.host in {"localhost", "::1"} or rules.host.startswith("127.")
    if not own and not rules.key:
        expected = (
            f"a key, because others can reach {rules.host}; set TICKHOUSE_{section.upper()}__KEY or use 127.0.0.1"
        )
        raise BadSetting(f"{section}.key", None, expected)


def load(path: Path | None = None, data: Path | None = None, **overrides: Any) -> Settings:
    """The settings of a house.

    The file is `path`, or `tickhouse.toml` in the working folder, or in the data folder. A relative `data` in a file counts
    from the file's folder. `overrides` are sections as dicts, or single values such as `serve__port=9000`.

    Raises `BadSetting`, which names the key, what was given and what is expected.
    """
    from tickhouse.core.reading import read

    return read(path, data, overrides)


def describe() -> str:
    """A commented tickhouse.toml that holds every default."""
    from tickhouse.core.sample import toml

    return toml(Settings())


def env_example() -> str:
    """A commented .env file: the secrets, and how any other setting is named."""
    from tickhouse.core.sample import env

    return env(Settings())
