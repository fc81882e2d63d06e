"""Before a stranger is listened to he is asked who he is: a simulated exchange says so, and then the house does too."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from tickhouse.core.settings import FeedSettings

if TYPE_CHECKING:
    from tickhouse.core.transport import Transport

PATIENCE_SECONDS, AGAIN_SECONDS = 3.0, 5.0


class Introduce:
    """Asks the addresses that settings name instead of the providers' own, each until it has answered once."""

    def __init__(self, feeds: Mapping[str, FeedSettings], transport: "Transport") -> None:
        self.transport = transport
        self.urls = list(dict.fromkeys(url for section in feeds.values() for url in addresses(section)))

    async def run(self) -> None:
        """Ask again and again until all have answered."""
        while self.urls:
            await asyncio.sleep(AGAIN_SECONDS)
            await self.once()

    async def once(self) -> None:
        """Ask each that has not answered, for no longer than `PATIENCE_SECONDS`."""
        await asyncio.gather(*map(self._ask, self.urls))

    async def _ask(self, url: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                if await self.transport.introduce(url):
                    self.urls.remove(url)


def addresses(section: FeedSettings) -> Iterable[str]:
    """The addresses of a feed that are not the provider's own, as those of web servers.

    >>> list(addresses(FeedSettings(ws_url="ws://127.0.0.1:9000/ws")))
    ['http://127.0.0.1:9000/']
    """
    for url in (section.url, section.ws_url):
        if url:
            parts = urlsplit(url)
            scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
            yield urlunsplit((scheme, parts.netloc, "/", "", ""))
