"""The conformance suite: thirteen cards that say whether a feed can be trusted, on its dialect or on messages that it brings.

A feed from outside brings messages in its module; none of them is needed, more of them turn over more cards. Those of `success`
are channel and message, those of empty, error bodies, rate limit, bad credentials and unknown symbol are status, body and
the class of the error that they stand for:

    EXAMPLES = {
        "success": [("quote:AAPL", b'{"price": 1}')],
        "rate limit": [(429, b"slow down", "RateLimited")],
    }
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

from tickhouse.core.errors import BadSetting
from tickhouse.core.model import Want
from tickhouse.core.plugins import load
from tickhouse.core.requests import Answer
from tickhouse.core.secrets import Secret
from tickhouse.feeds import Feed
from tickhouse.feeds._whole import whole
from tickhouse.steps.laws import LAWS, Message, Subject
from tickhouse.steps.simulated import ASKED, KEY

CARDS = (
    "success", "empty", "error bodies", "rate limit", "bad credentials", "unknown symbol", "revision", "reconnect", "mute",
    "duplicate", "disorder", "unicode", "huge numbers",
)  # fmt: skip
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
NOW = 1_773_241_220_000_000
ERRORS = ("empty", "error bodies", "rate limit", "bad credentials", "unknown symbol")


@dataclass(frozen=True, slots=True)
class Card:
    """One verdict: passed, failed or skipped, and why in one sentence where it did not pass."""

    name: str
    verdict: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What the suite says of a feed."""

    feed: str
    cards: tuple[Card, ...]

    @property
    def passed(self) -> bool:
        """Whether no card failed."""
        return all(card.verdict != FAILED for card in self.cards)

    def plain(self) -> dict[str, Any]:
        """The report as plain values."""
        return {"feed": self.feed, "passed": self.passed, "cards": [asdict(card) for card in self.cards]}


def certify(name: str) -> Report:
    """Run the suite on a feed: by its name, by the name of an entry point, or by the path of its module.

    Raises `SettingsError` when there is no such feed, or it is none.
    """
    module = load("feeds", name)
    if not hasattr(module, "open"):
        raise BadSetting("feed", name, "a module with a function open(**options)")
    if name in ASKED:
        return asyncio.run(_on_the_exchange(name))
    return _on_messages(name, module)


async def _on_the_exchange(name: str) -> Report:
    from tickhouse.steps.stand import standing

    async with standing(name) as stand:
        messages = await stand.messages()
        trials = {
            "error bodies": await stand.error_bodies(), "rate limit": await stand.rate_limit(),
            "bad credentials": await stand.bad_credentials(), "unknown symbol": await stand.unknown_symbol(),
            "reconnect": await stand.reconnect(), "mute": await stand.mute(),
        }  # fmt: skip
    skips = {"bad credentials": "it needs no key", "reconnect": "it has no socket", "mute": "it has no socket"}
    return _report(name, Subject(stand.feed, messages), trials, skips)


def _on_messages(name: str, module: ModuleType) -> Report:
    feed = _opened(module, name)
    brought: Mapping[str, Sequence[tuple[Any, ...]]] = getattr(module, "EXAMPLES", {})
    for card in brought:
        if card not in ("success", *ERRORS):
            raise BadSetting(f"EXAMPLES of {name}", card, f"one of success, {', '.join(ERRORS)}")
    messages = [Message(channel, payload, NOW) for channel, payload in brought.get("success", ())]
    trials: dict[str, str | None] = {
        card: _refused(feed, brought[card]) if card in brought else None for card in ERRORS
    }
    trials |= {"reconnect": _subscribes(feed, module), "mute": _renews(feed, module)}
    skips = dict.fromkeys(ERRORS, "it brings no example of it") | dict.fromkeys(
        ("reconnect", "mute"), "it has no socket"
    )
    return _report(name, Subject(feed, messages), trials, skips)


def _report(name: str, subject: Subject, trials: Mapping[str, str | None], skips: Mapping[str, str]) -> Report:
    """A card is what its law and its trial say together; one that neither could be tried is skipped."""
    cards = []
    for card in CARDS:
        law = LAWS[card](subject) if card in LAWS and subject.messages else None
        said = [problem for problem in (law, trials.get(card)) if problem is not None]
        if not said:
            cards.append(Card(card, SKIPPED, skips.get(card, "it brings no message that it understands")))
        else:
            problem = next((one for one in said if one), "")
            cards.append(Card(card, FAILED if problem else PASSED, problem))
    return Report(name, tuple(cards))


def _opened(module: ModuleType, name: str) -> Feed:
    """The feed with a key where it takes one."""
    try:
        feed = module.open(key=Secret(KEY))
    except BadSetting:
        feed = module.open()
    return whole(feed, name)


def _refused(feed: Feed, examples: Sequence[tuple[Any, ...]]) -> str:
    """Whether answers stand for the errors that they should."""
    for status, body, expected in examples:
        error = feed.classify(Answer(int(status), {}, body, NOW))
        if type(error).__name__ != expected:
            return f"status {status} with {body[:60]!r} is {type(error).__name__}, not {expected}"
        if KEY in str(error):
            return f"the message of {expected} shows the key"
    return ""


def _symbols(module: ModuleType) -> tuple[str, ...]:
    """The symbols that the feed is subscribed with: `SYMBOLS` of its module, or some."""
    return tuple(getattr(module, "SYMBOLS", ("AAPL", "BTC-USD")))


def _lines(feed: Feed, module: ModuleType) -> list[Any]:
    try:
        return list(feed.subscriptions(Want(_symbols(module), next(iter(feed.channels)))))
    except BadSetting:
        return []


def _subscribes(feed: Feed, module: ModuleType) -> str | None:
    """Whether a line that broke can be dialled again: it is opened by what the subscription says, and that is always the same."""
    lines = _lines(feed, module)
    if not lines:
        return None
    if [(one.url, one.hello) for one in lines] != [(one.url, one.hello) for one in _lines(feed, module)]:
        return "the same symbols are subscribed in another way the second time"
    said = "".join([one.url + "".join(one.hello) for one in lines])
    return "" if said else "neither the address nor the hello frames say what is subscribed"


def _renews(feed: Feed, module: ModuleType) -> str | None:
    """Whether every symbol can be subscribed anew."""
    lines = _lines(feed, module)
    if not lines:
        return None
    without = [symbol for one in lines for symbol in one.symbols if not one.renew.get(symbol)]
    return f"there is no way to subscribe {without[0]} anew when it alone falls mute" if without else ""
