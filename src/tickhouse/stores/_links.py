"""The connections to a PostgreSQL server, so that nobody must wait for one that does not answer."""

import os
import socket
from contextlib import suppress
from threading import Lock
from typing import Any
from weakref import WeakSet

import psycopg
from sqlalchemy import Engine, event


class Links:
    """Every connection of the pool of an engine, from when it is made."""

    def __init__(self, engine: Engine) -> None:
        self._lock, self._all, self._left = Lock(), WeakSet[psycopg.Connection[Any]](), False
        event.listen(engine, "do_connect", self._allow)
        event.listen(engine, "connect", self._add, insert=True)

    def cut(self) -> None:
        """Shut all of them down, and make no others: whoever waits for an answer is told that the server is gone.

        A server that hangs takes no request to cancel, and neither libpq nor psycopg stops waiting for it by itself.
        """
        with self._lock:
            self._left, connections = True, list(self._all)
        for connection in connections:
            # one that is closed already has no socket
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as link:
                link.shutdown(socket.SHUT_RDWR)

    def _allow(self, *_: Any) -> None:
        if self._left:
            raise psycopg.OperationalError("it is waited for no longer")

    def _add(self, connection: psycopg.Connection[Any], _record: Any) -> None:
        with self._lock:
            self._all.add(connection)
