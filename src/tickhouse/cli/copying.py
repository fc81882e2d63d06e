"""`tickhouse copy`: a lake to another place."""

import time
from typing import Any

from tickhouse.cli.working import progress
from tickhouse.core.errors import BadSetting
from tickhouse.core.plugins import open_url
from tickhouse.core.secrets import without_password
from tickhouse.core.settings import Settings
from tickhouse.lake import Lake
from tickhouse.steps.copying import Copied, Copying


def copied(start: str, end: str, settings: Settings) -> dict[str, Any]:
    """Copy the lake at one URL to another; the key of the settings counts for the lake of the settings."""
    if start == end:
        raise BadSetting("--to", without_password(end), "another place than --from")
    old, new = opened(start, settings), opened(end, settings)
    with progress("copied", sum(item.size for kind in ("ticks", "bronze") for item in old.objects(kind))) as tell:

        def told(done: Copied) -> None:
            tell(done.bytes, f"{done.objects:,} objects")

        done = Copying(old, new, time.sleep).run(told)
    shown = {"from": without_password(start), "to": without_password(end)}
    return {**shown, "objects": done.objects, "bytes": done.bytes, "there": done.there}


def opened(url: str, settings: Settings) -> Lake:
    """The lake of a URL, or of a path, as a file is mostly given."""
    if "://" not in url:
        url = f"file://{url}"
    lake: Lake = open_url("lake", url, **(settings.lake.key() if url == settings.lake_url else {}))
    return lake
