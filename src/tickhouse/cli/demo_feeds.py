"""The feeds of a demo: each provider with a few symbols, pointed to its dialect of the simulated exchange."""

from collections.abc import Mapping, Sequence
from typing import Any

from tickhouse.core.errors import UnknownName
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
            here["every"] = "60s"
            found[name] = {"channel": ASKED[name].channel, "symbols": list(ASKED[name].symbols), **here}
    return found
