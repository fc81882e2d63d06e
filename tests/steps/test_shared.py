"""The role `process` of a process that has some shards, all of them, or none."""

import time
from contextlib import closing
from pathlib import Path

from tests.journal.samples import entry
from tickhouse.core.plugins import open_url
from tickhouse.core.shards import Shard
from tickhouse.steps.process import Process
from tickhouse.steps.shared import All, Shared


def never(shard: Shard | None) -> Process:
    raise AssertionError(f"nobody has {shard}")


def test_one_that_has_no_shard_rests_though_messages_wait(tmp_path: Path) -> None:
    """As while a group shares out anew, or where there are more processes than partitions."""
    with (
        closing(open_url("journal", "memory://")) as journal,
        closing(open_url("stores", f"sqlite:///{tmp_path}/w.db")) as warm,
    ):
        journal.append([entry(4)])
        shared = Shared(journal, warm, never, member=False)
        shared._members = All(0)
        began = time.monotonic()
        assert shared.step(0.2) is False
        assert time.monotonic() - began >= 0.2
        assert (shared.leads, shared.caught_up, shared.open_holes()) == (False, True, ())
        shared.catch_up()
        assert warm.parts("process") == []
