"""What an S3 lake has: always listed anew, page by page, because only the server knows; statistics of ticks are read once.

The spans of ticks are kept as objects below `.index/` of the same prefix. They are no part of the lake's content: whoever writes
last wins, and where they are lost or may not be written they are read again from the footers of the objects.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import numpy as np
import obstore
from obstore.store import S3Store

from tickhouse.core.errors import TickhouseError
from tickhouse.lake import _names as names
from tickhouse.lake._index import Day, Spans, kept_name, packed, unpacked
from tickhouse.lake._s3_errors import meaning

PAGE = 1000
"""Names in one answer of a server."""
MOST = 10_000
"""Objects of a day that are in memory at a time; a day with more comes in parts."""
REMEMBERED = 256
"""Folders whose spans stay in memory."""
Row = tuple[int, int, int]
"""First and last position and size of an object."""


class S3Index:
    """The days of a lake, one at a time in memory. Safe to ask from several threads."""

    def __init__(self, store: S3Store, where: tuple[str, str, str]) -> None:
        self._store, self._where = store, where
        self._known: OrderedDict[str, Spans] = OrderedDict()
        self._lock = threading.Lock()

    def days(self, kind: str, source: str | None = None, channel: str | None = None) -> Iterator[Day]:
        """Every folder of objects of a kind, source and channel, in the order of their names, as it is while it is listed."""
        for series in self._series(kind, source):
            if channel is not None and not names.is_of(f"{series}/", channel):
                continue
            for folder, held in self._folders(series):
                sizes = np.array([size for *_, size in held], np.int64)
                yield Day.of(folder, [(first, last) for first, last, _ in held], [], sizes)

    def recall(self, day: Day) -> None:
        """Take over the spans that are kept of a day; this asks the server, so it is for days that may hold what is wanted."""
        day.recall(self._spans(day.folder))

    def keep(self, day: Day) -> None:
        """Keep the spans that are known of a day for later questions, here and in other processes."""
        known = {(first, last): span for first, last, span in [*self._spans(day.folder), *day.known()]}
        spans = [(*ends, span) for ends, span in sorted(known.items())]
        self._remember(day.folder, spans)
        with suppress(TickhouseError), meaning(*self._where):
            obstore.put(self._store, kept_name(day.folder), packed(spans), use_multipart=False)

    def _series(self, kind: str, source: str | None) -> Iterator[str]:
        """The folders whose days follow each other in the order of their names: those of a source's ticks or channel.

        Lexicographic order of whole names is not that of folders, since `%` comes before `/`, so these are sorted here.
        """
        sources = [names.folder(kind, source)] if source is not None else self._below(kind)
        for folder in sources:
            if kind == "ticks":
                yield folder
            else:
                yield from self._below(folder)

    def _below(self, folder: str) -> list[str]:
        with meaning(*self._where):
            return sorted(obstore.list_with_delimiter(self._store, folder)["common_prefixes"])

    def _folders(self, series: str) -> Iterator[tuple[str, list[Row]]]:
        """The days of a series, or parts of them, with their objects; dates and positions have a fixed width, so the server's
        order is ours."""
        open_folder, held = "", list[Row]()
        for name, size in self._names(series):
            folder, _, file = name.rpartition("/")
            ends = names.held(folder, file) if names.is_day(folder) else None
            if ends is None:
                continue
            if folder != open_folder or len(held) == MOST:
                if held:
                    yield open_folder, held
                open_folder, held = folder, []
            held.append((*ends, size))
        if held:
            yield open_folder, held

    def _names(self, prefix: str) -> Iterator[tuple[str, int]]:
        with meaning(*self._where):
            stream = iter(obstore.list(self._store, prefix, chunk_size=PAGE))
        while True:
            with meaning(*self._where):
                page = next(stream, None)
            if page is None:
                return
            for one in page:
                yield one["path"], one["size"]

    def _spans(self, folder: str) -> Spans:
        with self._lock:
            if folder in self._known:
                self._known.move_to_end(folder)
                return self._known[folder]
        spans: Spans = []
        with suppress(FileNotFoundError, msgspec.MsgspecError), meaning(*self._where):
            spans = unpacked(bytes(obstore.get(self._store, kept_name(folder)).bytes()))
        self._remember(folder, spans)
        return spans

    def _remember(self, folder: str, spans: Spans) -> None:
        with self._lock:
            self._known[folder] = spans
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
