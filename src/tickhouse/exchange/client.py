"""One client of the exchange: its subscriptions, what is sent to it, and the rules it is held to."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from websockets.frames import Frame, Opcode

from tickhouse.exchange import Bools, Desk, Dialect, HangUp, Topic
from tickhouse.exchange.delivery import Delivery, Prepared
from tickhouse.exchange.wire import Socket, framed, text_of

if TYPE_CHECKING:
    from tickhouse.exchange.server import Exchange


class Client:
    """An open WebSocket with its desk and who speaks there. Its times are those of the exchange's clock (s)."""

    def __init__(self, exchange: "Exchange", number: int, socket: Socket, desk: Desk, dialect: Dialect) -> None:
        self.exchange, self.number, self.socket, self.desk, self.dialect = exchange, number, socket, desk, dialect
        self.delivery = Delivery(number, desk, dialect, exchange.account)
        socket.heard, socket.closed = self._heard, self._closed
        self._masks: dict[Topic, Bools] = {}
        self._version = -1
        now = exchange.clock.monotonic()
        self._since = self._pinged = self._second = now
        self._ping_open: float | None = None
        self._said = 0
        self._noticed = self._closing = False

    def masks(self) -> Mapping[Topic, Bools]:
        """For each topic which instruments this client wants."""
        if self._version != self.desk.version:
            self._version, self._masks = self.desk.version, {}
            for known in self.desk.streams.values():
                if known:
                    topic = Topic(known[0], self.desk.wrapped, self.desk.unit, self.dialect.name)
                    mask = self._masks.setdefault(topic, np.zeros(len(self.exchange.history.instruments), np.bool_))
                    mask[known[1]] = True
            self.delivery.renew()
        return self._masks

    def deliver(self, prepared: Mapping[Topic, Prepared | None], first: int, last: int) -> None:
        """Send what this client gets of the trades [first, last) of a block."""
        out: list[bytes] = []
        if self.delivery.broken or not self.socket.open:
            return
        for topic, mask in self.masks().items():
            one = prepared.get(topic)
            if one is not None and not self.delivery.broken:
                part = one.between(first, last)
                if part[0] < part[1]:
                    out += self.delivery.deliver(topic, one, part, mask)
        self._write(out)
        if self.delivery.broken:
            self.exchange.stats["broken"] += 1
            self.socket.abort()

    def keep(self, now: int, over: bool) -> None:
        """What is due by event time (us), everything when the source is over; then the rules."""
        self._write(self.delivery.due(2**62 if over else now))
        self._rules()

    def update(self, before: int, now: int) -> None:
        """What follows the clock: klines, pings in words."""
        texts = self.dialect.updates(self.desk, before, now, self.delivery.muted)
        self._write([framed(text) for text in texts])

    def part(self) -> None:
        """Send the notice that this connection will be closed, where there is one."""
        self._noticed = True
        notice = self.dialect.parting(self.desk, self.exchange.now())
        self._write([framed(notice)] if notice else [])

    def cut_off(self, why: str) -> None:
        """Break the connection, and count why."""
        if not self._closing:
            self._closing = True
            self.exchange.stats[why] += 1
        self.socket.abort()

    def _write(self, frames: list[bytes]) -> None:
        if not frames or not self.socket.open:
            return
        self.exchange.stats["frames"] += len(frames)
        self.socket.write(b"".join(frames))
        full_speed = self.exchange.pump.timeline is None
        if self.socket.pending > self.exchange.doorman.limits.buffer and not full_speed:
            self.cut_off("slow_clients")

    def _rules(self) -> None:
        limits, now = self.exchange.doorman.limits, self.exchange.clock.monotonic()
        if now - self._pinged >= limits.ping_every:
            self._pinged = now
            if self._ping_open is None:
                self._ping_open = now
            self.exchange.stats["pings"] += 1
            self.socket.ping(str(self.exchange.now() // 1000).encode())
        if self._ping_open is not None and now - self._ping_open >= limits.pong_within:
            self.cut_off("mute_clients")
        age = now - self._since
        if limits.notice and not self._noticed and age >= limits.lifetime - limits.notice:
            self.part()
        if age >= limits.lifetime and not self._closing:
            self._closing = True
            self.exchange.stats["expired"] += 1
            self.socket.close(1001, "the connection has reached its age")

    def _heard(self, frame: Frame) -> None:
        now = self.exchange.clock.monotonic()
        if now - self._second >= 1.0:
            self._second, self._said = now, 0
        self._said += 1
        if self._said > self.exchange.doorman.limits.messages_a_second and not self.desk.chatty:
            self.cut_off("noisy_clients")
            return
        if frame.opcode is Opcode.PONG:
            self._ping_open = None
        text = text_of(frame)
        if text is not None:
            self._obey(text)

    def _obey(self, text: bytes) -> None:
        version = self.desk.version
        try:
            self._write([framed(answer) for answer in self.dialect.hear(self.desk, text)])
        except HangUp:
            self.cut_off("hung_up")
        if self.desk.version != version:
            self.exchange.subscribed()

    def _closed(self) -> None:
        self.exchange.clients.pop(self.number, None)
        self.exchange.subscribed()
