"""The one place where what the network says becomes an error of ours, in words that a person understands."""

import errno
import re
import socket
import ssl
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import httpx
from picows import WSError, WSHandshakeError, WSInvalidMessageError, WSInvalidURL
from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

from tickhouse.core.errors import BadCredentials, Final, RateLimited, TickhouseError, Unreachable
from tickhouse.core.requests import Answer
from tickhouse.core.secrets import Secret
from tickhouse.core.socket import Closed

NETWORK = (OSError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, WSError, ProxyError, Closed)
"""What a network library may raise, and nothing else."""

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_HINTS = {
    errno.ECONNREFUSED: "connection refused; is the server running?",
    errno.ECONNRESET: "the connection was reset",
    errno.ENETUNREACH: "no way to the network; is there a network?",
    errno.EHOSTUNREACH: "no way to the host; is there a network?",
    errno.EPIPE: "the connection was closed",
}


def host_of(url: str) -> str:
    """Host and port of a URL, which is all of it that is ever shown: a query may hold a key.

    >>> host_of("wss://stream.binance.com:9443/ws?token=x"), host_of("https://api.binance.com/api")
    ('stream.binance.com:9443', 'api.binance.com:443')
    """
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or '(no host)'}:{parts.port or _PORTS.get(parts.scheme, '?')}"
    except ValueError:
        return "(not a URL)"


def translated(error: BaseException, host: str) -> TickhouseError:
    """The error of ours that a network error stands for. The caller raises it from `error`."""
    if isinstance(error, TickhouseError):
        return error
    answer = _handshake_answer(error)
    if answer is not None:
        return _refused_handshake(answer, host)
    if isinstance(error, Closed):
        return Unreachable(f"{host} ended the connection{_close_reason(error)}")
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | WSInvalidURL):
        return Final(f"the address of {host} is not a URL that can be asked; correct url or ws_url of the feed")
    certificate = next((e for e in _chain(error) if isinstance(e, ssl.SSLCertVerificationError)), None)
    if certificate:
        return Final(f"the certificate of {host} is not trusted ({certificate.verify_message}); is the clock right?")
    return Unreachable(f"cannot reach {host}: {_why(error)}")


def refusal(answer: Answer, host: str) -> TickhouseError | None:
    """The error of an answer that no feed can take for data: a refusal by rate, a failure of the server, a redirect."""
    if answer.status in (418, 429):
        return RateLimited(f"{host} asks for fewer requests ({answer.status})", retry_after=answer.retry_after)
    if answer.status >= 500:
        return Unreachable(f"{host} failed ({answer.status})", retry_after=answer.retry_after)
    if 300 <= answer.status < 400:
        target = host_of(answer.headers.get("location", ""))
        return Final(f"{host} redirects ({answer.status}) to {target}, which is not followed; set the feed's url to it")
    return None


def scrubbed(error: Exception, secrets: Iterable[Secret]) -> Exception:
    """The same error without the texts of secrets: some providers repeat the key in their refusals."""
    for text in (secret.reveal() for secret in secrets if secret):
        error.args = tuple(arg.replace(text, str(Secret(text))) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, Final):
            error.sent = error.sent.replace(text.encode(), str(Secret(text)).encode())
    return error


def _handshake_answer(error: BaseException) -> Answer | None:
    """What a server answered in place of the WebSocket handshake: any HTTP status but the one that agrees."""
    if not isinstance(error, WSHandshakeError) or not error.raw_header:
        return None
    first, *lines = error.raw_header.decode("latin-1").split("\r\n")
    status = re.match(r"HTTP/1\.[01] (\d{3})\b", first)
    if status is None or status[1] == "101":
        return None
    fields = (line.partition(":") for line in lines)
    return Answer(int(status[1]), {name.strip().lower(): value.strip() for name, _, value in fields}, b"", 0)


def _refused_handshake(answer: Answer, host: str) -> TickhouseError:
    """A server that answers the WebSocket handshake with an HTTP status."""
    known = refusal(answer, host)
    if known is not None:
        return known
    sentence = f"{host} refused the WebSocket connection with status {answer.status}"
    if answer.status in (403, 408, 409, 425):
        return Unreachable(f"{sentence}; it may do so only for a while", retry_after=answer.retry_after)
    if answer.status == 401:
        return BadCredentials(f"{sentence}; is the key right?")
    reason = {404: "; is ws_url right?", 451: "; it does not serve this place, another ws_url may"}
    return Final(sentence + reason.get(answer.status, ""))


def _close_reason(error: Closed) -> str:
    if error.code == 1006:
        return " without a word"
    if error.ours:
        why = "a message was larger than allowed" if error.code == 1009 else f"it broke the rules ({error.reason})"
        return f": {why}, so we closed it ({error.code})"
    return f" ({error.code}{f': {error.reason}' if error.reason else ''})"


def _why(error: BaseException) -> str:
    """The reason in plain words, from the innermost error that tells one."""
    for inner in _chain(error):
        if isinstance(inner, ProxyError | ProxyConnectionError | ProxyTimeoutError | httpx.ProxyError):
            return "the proxy of this machine cannot be used; see HTTPS_PROXY"
        if isinstance(inner, socket.gaierror):
            return "name not resolved; is there a network, and is the address right?"
        if isinstance(inner, TimeoutError | httpx.TimeoutException):
            return "no answer in time; is there a network?"
        if isinstance(inner, OSError) and inner.errno in _HINTS:
            return _HINTS[inner.errno]
        if isinstance(inner, ssl.SSLError):
            return f"no secure connection ({inner.reason or 'TLS'}); is it https or wss there?"
        if isinstance(inner, httpx.RemoteProtocolError | WSInvalidMessageError | EOFError):
            return "the answer broke off or was not understood"
        if isinstance(inner, WSHandshakeError):
            return "it does not speak WebSocket there"
    return f"{type(error).__name__}; is there a network?"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and the members of groups, outermost first."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [e for e in (one.__cause__, one.__context__) if e is not None]
            waiting += list(one.exceptions) if isinstance(one, BaseExceptionGroup) else []
