"""Copying the write-ahead log into the database, beside the appends and not in their way."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

SOFT = 8 << 20
"""Bytes written since the last copy after which one is made in the background."""

HARD = 64 << 20
"""Length of the log at which the next writer copies the rest itself, so that the log begins anew."""


class Checkpoints:
    """Makes passive checkpoints: they block nobody. The thread starts with the first that is due.

    A checkpoint that fails in the background is not hidden: the next writer makes it again and meets the error.
    """

    def __init__(self, path: Path, page: int, connect: Callable[[], sqlite3.Connection]) -> None:
        self._path, self._page, self._connect = path, page, connect
        self._written = self._log = 0
        self._due, self._stop, self._failed = threading.Event(), threading.Event(), threading.Event()
        self._copying = threading.Lock()
        self._thread: threading.Thread | None = None
        self._inline: sqlite3.Connection | None = None

    def before(self, size: int) -> None:
        """Called before a write of about `size` bytes, by the one that writes."""
        self._written += size
        if self._log + self._written > HARD or self._failed.is_set():
            if self._inline is None:
                self._inline = self._connect()
            self._log = 0 if self._copy(self._inline) else self._log
            self._failed.clear()
        elif self._written > SOFT:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"checkpoints of {self._path.name}", daemon=True)
                self._thread.start()
            self._due.set()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join()
        if self._inline is not None:
            self._inline.close()

    def _run(self) -> None:
        connection = self._connect()
        while self._due.wait() and not self._stop.is_set():
            self._due.clear()
            try:
                self._copy(connection)
            except sqlite3.Error:
                self._failed.set()
        connection.close()

    def _copy(self, connection: sqlite3.Connection) -> bool:
        """Copy what can be; true when that was everything. Then the next write begins the log anew."""
        with self._copying:
            self._written = 0
            _, frames, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._log = max(frames, 0) * self._page
        return bool(frames == copied)
