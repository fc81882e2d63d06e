"""Making a WebSocket connection: address, proxy, TCP, TLS and handshake."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from picows import WSInvalidMessageError, WSInvalidURL, WSParsedURL, ws_connect
from python_socks import ProxyConnectionError, ProxyError

from tickhouse.core.socket import SIP, Socket, Taken

_PROXIES = {"wss": ("wss", "socks", "https", "all"), "ws": ("ws", "socks", "https", "http", "all")}
_SPELLING = {"socks5h": "socks5", "socks4a": "socks4"}
_NO_LOG = logging.getLogger("tickhouse.picows")
_NO_LOG.setLevel(logging.CRITICAL + 1)
"""Whatever goes wrong is raised; at info whole addresses would be written, keys included."""


async def opened(
    url: str, taken: Taken, *, max_bytes: int, seconds: float, headers: Mapping[str, str] | None = None
) -> Socket:
    """Open a connection, through the proxy that the environment names; `seconds` bound all of it.

    Raises OSError, errors of picows and of proxies: those that `core/foreign.py` knows.
    """
    opening, proxy, made = Socket(taken, max_bytes), _proxy(url), list[socket.socket]()

    async def dialled(where: WSParsedURL) -> socket.socket:
        try:
            made.append(await _dialled(where.host, where.port))
        except OSError as error:
            if proxy is None:
                raise
            raise ProxyConnectionError("no connection to the proxy") from error
        return made[-1]

    try:
        async with asyncio.timeout(seconds):
            _, listener = await ws_connect(
                lambda request, response: opening,
                url,
                proxy=proxy,
                socket_factory=dialled,
                websocket_handshake_timeout=None,
                max_frame_size=max_bytes,
                extra_headers=headers,
                read_buffer_init_size=2 * SIP,
                logger_name=_NO_LOG,
                use_aiofastnet=False,
            )
        if listener is None:
            raise WSInvalidMessageError("the connection ended before the answer")
    except UnicodeError as error:
        raise WSInvalidURL(url, "the name of the host is not one") from error
    except BaseException:
        # A try that is given up while the server has not answered would be left open.
        for tcp in made:
            with suppress(OSError):
                tcp.shutdown(socket.SHUT_RDWR)
        raise
    return opening


async def _dialled(host: str, port: int) -> socket.socket:
    """A connected TCP socket, to the first address of a host that answers."""
    loop = asyncio.get_running_loop()
    last = OSError("the host has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        tcp = socket.socket(family, kind, protocol)
        try:
            tcp.setblocking(False)
            await loop.sock_connect(tcp, address)
        except BaseException as error:
            tcp.close()
            if not isinstance(error, OSError):
                raise
            last = error
        else:
            return tcp
    raise last


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL. Raises `WSInvalidURL` and `ProxyError`."""
    try:
        parts = urlsplit(url)
        names = _PROXIES.get(parts.scheme, ())
        if not names or proxy_bypass(f"{parts.hostname}:{parts.port or 443}"):
            return None
    except ValueError as error:
        raise WSInvalidURL(url, str(error)) from None
    known = getproxies()
    name = next((name for name in names if name in known), None)
    if name is None:
        return None
    # macOS gives the address of a SOCKS proxy as that of an HTTP one.
    return _understood(known[name].replace("http://", "socks5://", 1) if name == "socks" else known[name])


def _understood(proxy: str) -> str:
    """The URL of a proxy in the spelling of picows."""
    scheme, found, rest = proxy.partition("://")
    proxy = f"{_SPELLING.get(scheme, scheme)}://{rest}" if found else f"http://{proxy}"
    with suppress(ValueError):
        parts = urlsplit(proxy)
        if parts.hostname and parts.scheme in (
            ("socks4", "socks5", "http", "https") if parts.port else ("http", "https")
        ):
            return proxy
    raise ProxyError("not the URL of a proxy")
