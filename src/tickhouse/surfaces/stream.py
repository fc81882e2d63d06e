"""WebSocket /v1/stream: what a client may say, and the life of its connection."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from tickhouse.core.asking import listed
from tickhouse.core.errors import nearest
from tickhouse.surfaces._changes import COLUMNS, INTERVALED, Filter, Part, message
from tickhouse.surfaces._client import Client
from tickhouse.surfaces.live import Hub
from tickhouse.surfaces.queries import MOST_SYMBOLS, interval, symbol

MOST_INTERVALS = 16
MOST_ROWS = 20_000
MOST_TEXT = 65_536
WORDS_PER_SECOND = 5.0
PARAMETERS = ("topics", "symbols", "interval", "resume", "last", "key")
FIELDS = ("topics", "symbols", "interval")
ALLOWED = (
    '{"subscribe": {"topics": [...], "symbols": [...], "interval": "1m"}}, {"unsubscribe": {...}} or {"ping": ...}'
)


class Refused(ValueError):
    """What a client said cannot be done; the text says why and what can."""


def router(hub: Hub) -> APIRouter:
    """The stream of one hub."""
    routes = APIRouter()

    @routes.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        """Listen to changes: topics, symbols, interval; resume=<seq> goes on where another connection ended."""
        await socket.accept()
        try:
            wanted, resume, last = opening(dict(socket.query_params))
            if hub.full:
                raise Refused(f"{hub.max_clients} clients listen already; try again later")
        except Refused as refused:
            await _refuse(socket, hub, str(refused))
            return
        client = Client(socket, hub, wanted, last)
        hub.enter(client)
        try:
            await client.serve(_listen(socket, client, hub), resume)
        finally:
            hub.exit(client)

    return routes


async def _refuse(socket: WebSocket, hub: Hub, detail: str) -> None:
    try:
        await socket.send_text(message("error", hub.seq, (), detail=detail).decode())
        await socket.close(1013 if hub.full else 1008, "see the message before")
    except (WebSocketDisconnect, RuntimeError):
        return


def opening(given: dict[str, str]) -> tuple[Filter, int | None, int]:
    """What the address of a stream asks for: the filter, the number to resume after, and how many rows a snapshot has.

    Raises `Refused`.

    >>> opening({"topics": "bars", "symbols": "btc-usdt", "interval": "1m"})[0].parts
    (('bars', frozenset({'BTC-USDT'}), frozenset({'1m'})),)
    """
    for name in given:
        if name not in PARAMETERS:
            near = nearest(name, PARAMETERS)
            hint = f"; did you mean {near}?" if near else ""
            raise Refused(f"there is no parameter {name!r}{hint} (known: {', '.join(PARAMETERS)})")
    parts = wanted_parts({name: listed(given[name]) for name in FIELDS if name in given})
    resume, last = _whole(given, "resume", 0, 1 << 62), _whole(given, "last", 1, 500) or 2
    if any(last * len(s or ()) > MOST_ROWS for _, s, _ in parts) or (last > 20 and any(s is None for _, s, _ in parts)):
        raise Refused(
            f"a snapshot has at most {MOST_ROWS} rows, and 20 of each when it is of all symbols; ask for fewer"
        )
    return Filter.of(parts), resume, last


def _whole(given: dict[str, str], name: str, least: int, most: int) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
        raise Refused(f"{name} is {text[:40]!r}; it must be a whole number from {least} to {most}")
    return int(text)


def wanted_parts(given: dict[str, Any]) -> list[Part]:
    """The parts of a filter that lists of topics, symbols and intervals make. Raises `Refused`."""
    unknown = [name for name in given if name not in FIELDS]
    if unknown:
        raise Refused(f"there is no {unknown[0]!r} in a subscription; it has {', '.join(FIELDS)}")
    topics = _texts(given, "topics") or ["bars"]
    for topic in topics:
        if topic not in COLUMNS:
            raise Refused(f"there is no topic {topic[:40]!r}; there are {', '.join(COLUMNS)}")
    try:
        symbols = frozenset(symbol(text) for text in _texts(given, "symbols") or ()) or None
        intervals = frozenset(interval(text) for text in _texts(given, "interval") or ()) or None
    except ValueError as bad:
        raise Refused(f"expected {bad}") from bad
    if symbols and len(symbols) > MOST_SYMBOLS:
        raise Refused(f"{len(symbols)} symbols are too many; name at most {MOST_SYMBOLS}, or none for all")
    if intervals and len(intervals) > MOST_INTERVALS:
        raise Refused(f"{len(intervals)} intervals are too many; name at most {MOST_INTERVALS}, or none for all")
    return [(topic, symbols, intervals if topic in INTERVALED else None) for topic in dict.fromkeys(topics)]


def _texts(given: dict[str, Any], name: str) -> list[str] | None:
    value = given.get(name)
    if isinstance(value, str):
        value = listed(value)
    if value is not None and not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
        raise Refused(f"{name} must be a text or a list of texts")
    return value


def with_parts(held: Filter, parts: list[Part]) -> Filter:
    """A filter that hears more. Raises `Refused` when it would be too large."""
    found = {topic: (symbols, intervals) for topic, symbols, intervals in held.parts}
    for topic, symbols, intervals in parts:
        if topic in found:
            found[topic] = (_union(found[topic][0], symbols), _union(found[topic][1], intervals))
        else:
            found[topic] = (symbols, intervals)
    if any(symbols is not None and len(symbols) > MOST_SYMBOLS for symbols, _ in found.values()):
        raise Refused(f"that would be more than {MOST_SYMBOLS} symbols; name none for all")
    return Filter.of((topic, *rest) for topic, rest in found.items())


def without_parts(held: Filter, given: dict[str, Any]) -> Filter:
    """A filter that hears less: whole topics, or some symbols of them. Raises `Refused`."""
    if "interval" in given:
        raise Refused(
            "unsubscribe takes topics and symbols; to change intervals, unsubscribe the topic and subscribe anew"
        )
    parts = wanted_parts({"topics": list(held.topics), **given})
    kept = dict(held.topics)
    for topic, symbols, _ in parts:
        if topic not in kept:
            raise Refused(f"{topic} is not subscribed; subscribed are {', '.join(kept) or 'none'}")
        have, intervals = kept.pop(topic)
        if symbols is None:
            continue
        if have is None:
            raise Refused(
                f"{topic} is subscribed for all symbols; unsubscribe the topic and subscribe the symbols you want"
            )
        if have - symbols:
            kept[topic] = (have - symbols, intervals)
    return Filter.of((topic, *rest) for topic, rest in kept.items())


def _union(a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
    return None if a is None or b is None else a | b


async def _listen(socket: WebSocket, client: Client, hub: Hub) -> None:
    """Hear what the client says until it leaves, a few words a second."""
    while True:
        event = await socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code") or 1005)
        text = event.get("text")
        try:
            answer = _heard(text if text is not None else event.get("bytes") or b"", client)
        except Refused as refused:
            answer = {"type": "error", "detail": str(refused), "allowed": ALLOWED}
        if answer:
            client.say(message(answer.pop("type"), hub.seq, (), **answer))
        await asyncio.sleep(1 / WORDS_PER_SECOND)


def _heard(text: str | bytes, client: Client) -> dict[str, Any] | None:
    """Do what a client says; the answer, if there is one besides the new snapshot. Raises `Refused`."""
    if len(text) > MOST_TEXT:
        raise Refused(f"a message has at most {MOST_TEXT} characters")
    try:
        said = msgspec.json.decode(text)
    except msgspec.DecodeError as bad:
        raise Refused(f"not JSON: {bad}") from bad
    if not isinstance(said, dict) or len(said) != 1:
        raise Refused("a message is an object with one member")
    (verb, given), *_ = said.items()
    if verb == "ping":
        return {"type": "pong", "ping": given}
    if verb not in ("subscribe", "unsubscribe"):
        raise Refused(f"there is no {verb[:40]!r}")
    if not isinstance(given, dict):
        raise Refused(f"{verb} takes an object with {', '.join(FIELDS)}")
    held = client.filter
    changed = with_parts(held, wanted_parts(given)) if verb == "subscribe" else without_parts(held, given)
    client.listen_to(changed)
    return None
