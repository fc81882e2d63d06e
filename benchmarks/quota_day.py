"""Calls spent against calls allowed over a simulated day, feed by feed, on a clock that is moved. Prints JSON.

    python -m benchmarks.quota_day [--only alpha_vantage,fmp]

Each feed polls the dialect of its provider, which counts the calls itself (`tools/simulated/quota_day.py`). Shares are
polled in the hours of their market, the others all day. `useful` is what was wished for, or what is allowed where that is less.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from tools.simulated.quota_day import DAYS, Day, spent

from benchmarks.measure import Wrong, show


def measured(day: Day) -> dict[str, Any]:
    """The row of one feed. Raises `Wrong` when a call was refused or more were made than are allowed."""
    with tempfile.TemporaryDirectory() as place:
        found = asyncio.run(spent(Path(place), day))
    calls = len(found.calls)
    if found.refused or calls > found.allowed:
        raise Wrong(f"{day.feed}: {calls} calls of {found.allowed}, {found.refused} of them refused")
    return {
        "feed": day.feed, "channel": day.channel, "symbols": len(day.symbols), "hours": day.hours, "wished_every": day.every,
        "calls": calls, "allowed": found.allowed, "wished": found.wished, "useful": min(found.wished, found.allowed),
        "share_of_useful": round(found.share, 3), "refused": found.refused, "every_s": round(found.every),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="names of feeds with commas between them")
    only = [name for name in options.parse_args().only.split(",") if name]
    show({"quota_day": [measured(day) for day in DAYS if not only or day.feed in only]})


if __name__ == "__main__":
    main()
