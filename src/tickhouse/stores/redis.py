"""The hot store on Redis or Valkey, which many processes share: one writes, many answer from it.

Keys are as `_redis_scripts` says. An older value never replaces a newer one, whoever writes: a script compares inside Redis.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from redis.exceptions import RedisError

from tickhouse.core.batches import BarBatch, Output, TickBatch
from tickhouse.core.errors import Unreachable
from tickhouse.stores._redis_fanout import Follower
from tickhouse.stores._redis_link import Address, Circuit, is_away
from tickhouse.stores._redis_own import Own, Row, merged
from tickhouse.stores._redis_scripts import Scripts
from tickhouse.stores._redis_writer import Writer
from tickhouse.stores.memory import Kind, MemoryHot


def open(url: str) -> "RedisHot":
    """The store at `redis://[[user]:password@]host[:port][/db]`, or `rediss://` for TLS. A server that is away is tried again and
    again, and nobody waits for it.

    Options in the query: `ttl`, how long a value is kept after it was written (7d; 0: for ever), `prefix` of all keys (tickhouse),
    and over TLS `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs`, `ssl_check_hostname`.

    Raises `SettingsError` when the server is too old, or refuses the password or the database.
    """
    return RedisHot(Address.of(url))


class RedisHot:
    """`Hot` on a server. Nothing here waits for it but `latest`, `forming` and `check`, and these never long."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._circuit = Circuit(address, "answers")
        self._own = Own()
        self._client = address.connect()
        self._scripts = Scripts(self._client, address.prefix, address.ttl)
        self._writer = Writer(self._own, address, self._circuit)
        self._greet()

    @property
    def own(self) -> MemoryHot:
        """What this process took in."""
        return self._own

    def ticks(self, batch: TickBatch) -> None:
        """Take in ticks just journaled."""
        self._own.ticks(batch)
        self._writer.wake()

    def bars(self, batch: BarBatch) -> None:
        """Take in forming, closed or corrected bars."""
        self._own.bars(batch)
        self._writer.wake()

    def latest(self, symbols: Sequence[str] = ()) -> list[Row]:
        """The newest price of each symbol: of the server's and this process's own the newer one."""
        return merged("price", self._own.latest(symbols), self._read("price", symbols))

    def forming(self, symbols: Sequence[str] = (), interval: str | None = None) -> list[Row]:
        """The newest bar of each (symbol, source, interval), likewise."""
        return merged("bar", self._own.forming(symbols, interval), self._read("bar", symbols, interval))

    def announce(self, output: Output) -> None:
        """Say to those who follow what is firm."""
        self._writer.announce(output)

    def busy(self) -> None:
        """Say to those who follow that there is more to come, for the next minute."""
        self._writer.busy()

    def follow(self) -> Follower:
        """What the process that writes says, from now on."""
        return Follower(self.address)

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until the server has everything that was taken in; whether it has."""
        return self._writer.flush(seconds)

    def check(self) -> str:
        """How it is, after writing and removing a key. Raises `SettingsError` or `Unreachable`, which says what to do."""
        if not self._circuit.enter():
            raise Unreachable(self._circuit.reason)
        began = perf_counter()
        try:
            probe = f"{self.address.prefix}:probe"
            self._client.set(probe, "", px=1000)
            self._client.delete(probe)
            took = perf_counter() - began
            count: Any = self._client.zcard(f"{self.address.prefix}:prices")
        except RedisError as error:
            if is_away(error):
                self._circuit.failed(error)
            raise self.address.unsettled(error) or Unreachable(self.address.why(error)) from error
        self._circuit.succeeded()
        if self._writer.trouble:
            raise Unreachable(self._writer.trouble)
        return f"Redis at {self.address.where} answers in {took * 1000:.1f} ms and has {count} prices"

    def close(self) -> None:
        """Write what is left if that takes less than a moment, and let go of connections."""
        self._writer.close()
        self._client.close()

    def _greet(self) -> None:
        """Raise what the user has to put right. That the server is away is told by who needs it first, and who may not ask for the
        version has rights, which no server had that is too old."""
        try:
            self._client.ping()
            told: Any = self._client.info("server")
        except (RedisError, TypeError, ValueError) as error:
            unsettled = self.address.unsettled(error)
        else:
            unsettled = self.address.outdated(str(told.get("redis_version", "")))
        if unsettled:
            self.close()
            raise unsettled

    def _read(self, kind: Kind, symbols: Sequence[str], interval: str | None = None) -> list[Row]:
        """What the server has; nothing while it is away."""
        if not self._circuit.enter():
            return []
        try:
            found = self._scripts.read(kind, symbols, interval)
        except RedisError as error:
            if is_away(error):
                self._circuit.failed(error)
            return []
        self._circuit.succeeded()
        return found
