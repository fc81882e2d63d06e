"""The lake in a folder of this machine."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickhouse.core.errors import BadSetting, DiskFull
from tickhouse.lake import LakeObject
from tickhouse.lake import _names as names
from tickhouse.lake._index import Index
from tickhouse.lake._objects import Fill, Objects

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LocalLake(Objects):
    """A `Lake` of files. An object is written under a temporary name, fsynced, renamed, and its folder fsynced."""

    def __init__(self, root: Path, compress_level: int) -> None:
        super().__init__(str(root), Index(root), compress_level)
        self.root = root

    def url(self, kind: str) -> str:
        """See `Lake.url`."""
        return f"{self.root}/{kind}/**/*{names.SUFFIXES[kind]}"

    def reach(self) -> dict[str, str]:
        """See `Lake.reach`."""
        return {}

    def content(self, item: LakeObject) -> bytes:
        """See `Lake.content`."""
        return (self.root / item.name).read_bytes()

    def _there(self, name: str) -> bool:
        return (self.root / name).exists()

    @contextmanager
    def _opened(self, name: str, size: int | None) -> Iterator[Path]:
        yield self.root / name

    def _size(self, name: str) -> int:
        return (self.root / name).stat().st_size

    def _forget_others(self, name: str) -> None:
        path = self.root / name
        for other in path.parent.glob(f"{path.name[:20]}-*.parquet"):
            if other != path:
                other.unlink()

    def _put(self, name: str, fill: Fill) -> LakeObject:
        path = self.root / name
        part = path.with_name(path.name + ".tmp")
        try:
            _make_folders(path.parent)
            if not path.exists():
                with part.open("wb") as out:
                    fill(out)
                    out.flush()
                    os.fsync(out.fileno())
                part.rename(path)
            _sync_folder(path.parent)
            size = path.stat().st_size
        except OSError as error:
            if part.exists():
                part.unlink()
            raise self._meaning(error) from error
        return names.made(name, size)

    def _meaning(self, error: OSError) -> DiskFull | BadSetting:
        if error.errno in FULL:
            return DiskFull(
                f"the lake {self.root} cannot grow ({error}); nothing is lost: free space on that disk and go on"
            )
        return BadSetting("lake.url", str(self.root), f"a folder that can be written ({error})")


def open(url: str, *, compress_level: int = 1) -> LocalLake:
    """The lake of a URL such as `file:///srv/lake` or `file://data/lake`. `compress_level` is 0 (fast) to 3 (small).

    Raises `BadSetting`.
    """
    scheme, _, path = url.partition("://")
    if scheme != "file" or not path:
        raise BadSetting("lake.url", url, "file:///path/to/lake")
    return LocalLake(Path(path), compress_level)


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it durable."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
