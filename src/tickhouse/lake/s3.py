"""The lake in a bucket of any S3 server, by `s3://bucket/prefix?endpoint=...`."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import obstore
from obstore.store import S3Store

from tickhouse.core.errors import CorruptLog, Temporary
from tickhouse.core.secrets import Secret
from tickhouse.lake import LakeObject
from tickhouse.lake import _names as names
from tickhouse.lake._objects import Fill, Objects
from tickhouse.lake._s3_access import Access, access
from tickhouse.lake._s3_errors import THERE, Unable, meaning
from tickhouse.lake._s3_index import S3Index


class S3Lake(Objects):
    """A `Lake` of objects of a bucket. One is put whole, and only where none of its name is; the server tells when it has it."""

    def __init__(self, reached: Access, compress_level: int) -> None:
        self.access, self._store = reached, reached.store()
        self._conditional = True
        self._where = reached.place, reached.bucket, reached.region
        super().__init__(reached.place, S3Index(self._store, self._where), compress_level)

    def url(self, kind: str) -> str:
        """See `Lake.url`."""
        at = "/".join(part for part in (self.access.bucket, self.access.prefix, kind) if part)
        return f"s3://{at}/**/*{names.SUFFIXES[kind]}"

    def reach(self) -> dict[str, str]:
        """See `Lake.reach`."""
        return self.access.reach()

    def content(self, item: LakeObject) -> bytes:
        """See `Lake.content`."""
        try:
            with meaning(*self._where):
                return bytes(obstore.get(self._store, item.name).bytes())
        except FileNotFoundError:
            raise CorruptLog(f"the object {item.name} in {self.place} is gone; restore it from a backup") from None

    def _there(self, name: str) -> bool:
        return self._held(name) is not None

    def _held(self, name: str) -> int | None:
        """The size of an object, None where there is none."""
        try:
            with meaning(*self._where):
                return int(obstore.head(self._store, name)["size"])
        except FileNotFoundError:
            return None

    def _size(self, name: str) -> int:
        return self._held(name) or 0

    @contextmanager
    def _opened(self, name: str, size: int | None) -> Iterator[BinaryIO]:
        yield cast(BinaryIO, Ranges(self._store, self._where, name, self._size(name) if size is None else size))

    def _forget_others(self, name: str) -> None:
        folder, _, file = name.rpartition("/")
        with meaning(*self._where):
            # names come in order, and those wanted begin with the same position
            for page in obstore.list(self._store, folder, offset=f"{folder}/{file[:20]}"):
                for one in page:
                    if not one["path"].startswith(f"{folder}/{file[:20]}-"):
                        return
                    if one["path"] != name:
                        obstore.delete(self._store, one["path"])

    def _put(self, name: str, fill: Fill) -> LakeObject:
        held = self._held(name)
        if held is not None:
            return names.made(name, held)
        out = io.BytesIO()
        fill(out)
        body = out.getvalue()
        try:
            with meaning(*self._where):
                self._send(name, body)
        except THERE:
            return names.made(name, self._size(name))
        except Temporary:
            # the answer of a server that had it may be what was lost
            if self._held(name) != len(body):
                raise
        if len(body) > self.access.part:
            self._check_whole(name, len(body))
        return names.made(name, len(body))

    def _send(self, name: str, body: bytes) -> None:
        """Put an object: in parts where it is large, else on condition that there is none of its name where the server knows
        conditions. In any case one that a second archiver puts meanwhile has the same bytes."""
        if len(body) > self.access.part:
            obstore.put(self._store, name, body, use_multipart=True, chunk_size=self.access.part)
            return
        if self._conditional:
            try:
                with meaning(*self._where):
                    obstore.put(self._store, name, body, mode="create", use_multipart=False)
                    return
            except Unable:
                pass
        obstore.put(self._store, name, body, use_multipart=False)
        self._conditional = False

    def _check_whole(self, name: str, expected: int) -> None:
        """Whether the parts of an object make the whole; each was checked by the server, as its signature covers it."""
        held = self._held(name)
        if held != expected:
            raise CorruptLog(
                f"the object {name} in {self.place} has {held} bytes, and not the {expected} that were sent; remove it and go on"
            )


class Ranges(io.RawIOBase):
    """An object read and sought like a file, of which only what is asked for is fetched."""

    def __init__(self, store: S3Store, where: tuple[str, str, str], name: str, size: int) -> None:
        super().__init__()
        self._store, self._where, self._name, self._at, self._end = store, where, name, 0, size

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Read on from there."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or what is left."""
        end = self._end if size is None or size < 0 else min(self._at + size, self._end)
        if end <= self._at:
            return b""
        with meaning(*self._where):
            found = bytes(obstore.get_range(self._store, self._name, start=self._at, end=end))
        self._at += len(found)
        return found


def open(url: str, *, key_id: Secret | None = None, secret: Secret | None = None, compress_level: int = 1) -> S3Lake:
    """The lake of a URL such as `s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1`.

    What else a URL may say: docs/operations.md. Nothing is asked of the server yet. Raises `BadSetting` or `SettingsError`.
    """
    return S3Lake(access(url, key_id, secret), compress_level)
