"""What is new goes to Redis in a thread of its own, so that nobody waits for it: of each series the newest, once it is taken."""

import threading
import time

from redis import Connection
from redis.exceptions import RedisError

from tickhouse.core import observe
from tickhouse.core.batches import Output
from tickhouse.stores._redis_fanout import BEAT_SECONDS, Speaker
from tickhouse.stores._redis_link import Address, Circuit, is_away
from tickhouse.stores._redis_own import Lot, Own
from tickhouse.stores._redis_scripts import MOST, Scripts

PAUSE = 0.005
"""Seconds between two beginnings: what comes meanwhile goes together."""
LAST_SECONDS = 1.0
BUSY_SECONDS = 60.0
"""So long who processes counts as alive without a word from it: one step may take long where much waits or the machine is slow."""


class Writer:
    """Writes what `own` has and the server has not. The thread begins with the first `wake`."""

    def __init__(self, own: Own, address: Address, answers: Circuit) -> None:
        self._own, self._answers, self._takes = own, answers, Circuit(address, "writes")
        self._client = address.connect(redis_connect_func=self._connected)
        self._scripts = Scripts(self._client, address.prefix, address.ttl)
        self._speaker = Speaker(self._client, address.prefix)
        self._news, self._ending = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._anew = self._writing = False
        self._busy_until = 0.0

    @property
    def trouble(self) -> str:
        """Why nothing is written now; empty while all is well."""
        return self._answers.reason or self._takes.reason

    def wake(self) -> None:
        """There is something to write."""
        self._news.set()
        if self._thread is None:
            self._start()

    def announce(self, output: Output) -> None:
        """There is something to say."""
        self._speaker.add(output)
        self.wake()

    def busy(self) -> None:
        """The work goes on: that is said every second for the next minute, also while nothing comes."""
        now = time.monotonic()
        was_quiet, self._busy_until = now >= self._busy_until, now + BUSY_SECONDS
        if was_quiet:
            self.wake()

    def flush(self, seconds: float) -> bool:
        """Wait until everything is written; whether it is."""
        until = time.monotonic() + seconds
        while self._thread is not None and (self._own.untold or self._writing):
            if time.monotonic() > until:
                return False
            time.sleep(PAUSE / 2)
        return True

    def close(self) -> None:
        """Write what is left if the server is there, and end."""
        if self._thread is not None:
            if not self.trouble:
                self.flush(LAST_SECONDS)
            self._ending.set()
            self._news.set()
            self._thread.join(2 * LAST_SECONDS)
        self._client.close()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._answers.show()
                self._takes.show()
                self._thread = threading.Thread(target=self._run, name="hot", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._news.wait(BEAT_SECONDS / 2 if time.monotonic() < self._busy_until else None)
            began = time.monotonic()
            self._news.clear()
            if not (self._answers.enter() and self._takes.enter() and self._wrote()):
                self._news.set()
                self._ending.wait(max(self._answers.wait, self._takes.wait, PAUSE))
                continue
            if self._own.untold:
                self._news.set()
            self._ending.wait(began + PAUSE - time.monotonic())

    def _wrote(self) -> bool:
        """Write everything there is; whether the server took it."""
        observe.gauge("hot_waiting", self._own.untold)
        self._writing = True
        lots = self._own.take()
        parts = [lot.part(at, at + MOST) for lot in lots for at in range(0, len(lot.rows), MOST)]
        began, writes = time.perf_counter(), bool(parts)
        try:
            while parts:
                self._write(parts[-1])
                parts.pop()
            self._speaker.speak(lots)
        except (RedisError, OSError) as error:
            self._speaker.failed()
            if is_away(error):
                self._answers.failed(error)
            else:
                self._answers.succeeded()
                self._takes.failed(error)
            return False
        finally:
            for part in parts:
                self._own.untell(part)
            self._writing = False
        if writes:
            observe.timing("hot_seconds", time.perf_counter() - began)
        self._answers.succeeded()
        self._takes.succeeded()
        return True

    def _write(self, part: Lot) -> None:
        self._scripts.write(part)
        observe.count("hot_written", len(part.rows))

    def _connected(self, connection: Connection) -> None:
        """A connection was made: the server may have lost what it was told before, so it is told everything again."""
        connection.on_connect()  # type: ignore[no-untyped-call]
        if self._anew:
            self._own.untell_all()
        self._anew = True
