"""The feeds of a demo: each provider with a few symbols, pointed to its dialect of the simulated exchange."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from tickhouse.core.errors import SettingsError, UnknownName
from tickhouse.core.model import Want
from tickhouse.core.plugins import load
from tickhouse.core.settings import FeedSettings
from tickhouse.steps.simulated import ASKED, KEY


def named(text: str) -> list[str]:
    """The feeds that `--feeds` names: `all`, or names with commas. Raises `UnknownName`."""
    known = list(ASKED)
    names = known if text == "all" else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UnknownName("feed of the demo", name, known)
    return names


def sections(names: Sequence[str], market: Mapping[str, str], pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The sections of the settings for feeds of a market that runs at `url` and `ws_url`; `pairs` are those of Binance."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        if name == "binance":
            found[name] = {"symbols": list(pairs), "url": market["url"], "ws_url": market["ws_url"], "recent": "3h"}
        else:
            here = {"url": f"{market['url']}/{name}", "ws_url": f"{market['ws_url']}/{name}", "key": KEY}
            # Some feeds would be polled once a day; a demo is watched for minutes.
            here |= {"every": "60s"} if "every" in FeedSettings.model_fields else {}
            found[name] = {"channel": ASKED[name].channel, "symbols": list(ASKED[name].symbols), **here}
    return found


def running(given: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those that can run: feeds with a socket, and polled ones where there is something that polls."""
    polls = find_spec("tickhouse.steps.poll") is not None
    return {name: section for name, section in given.items() if polls or _streams(name, section)}


def _streams(name: str, section: Mapping[str, Any]) -> bool:
    """Whether what is followed comes by itself."""
    settings = FeedSettings(**section)
    feed = load("feeds", name).open(key=settings.key) if name != "binance" else load("feeds", name).open()
    try:
        return bool(feed.subscriptions(Want(tuple(settings.symbols), section.get("channel", "trade"))))
    except SettingsError:
        return False
