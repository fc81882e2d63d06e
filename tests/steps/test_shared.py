"""The role `process` of a process that has some shards, all of them, or none."""

import time
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.journal.samples import entry
from tickhouse.core.batches import Output
from tickhouse.core.errors import SettingsError
from tickhouse.core.plugins import open_url
from tickhouse.core.settings import Settings
from tickhouse.core.shards import Shard
from tickhouse.process import Engine
from tickhouse.steps.process import Process
from tickhouse.steps.shared import All, Shared, check, shards


def never(shard: Shard | None) -> Process:
    raise AssertionError(f"nobody has {shard}")


def never_asked() -> Engine:
    raise AssertionError("there is no checkpoint")


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


def test_ticks_are_shared_only_where_the_journal_and_the_lateness_allow_it() -> None:
    shared = Settings.model_validate({"journal": {"url": "another.package://"}, "process": {"shared": True}})
    with closing(open_url("journal", "memory://")) as journal:
        assert shards(Settings(), journal) is None
        with pytest.raises(SettingsError, match=r"process\.shared needs a journal whose ticks have partitions"):
            shards(shared, journal)
    with pytest.raises(ValidationError, match="lateness of whole seconds"):
        Settings.model_validate({"process": {"shared": True, "lateness": 2.5}})


def test_what_was_processed_in_one_way_is_not_gone_on_with_in_another(tmp_path: Path) -> None:
    with closing(open_url("stores", f"sqlite:///{tmp_path}/w.db")) as warm:
        warm.write("process.1of3", Output(5))
        check(warm, 3, never_asked)
        for of in (None, 2):
            with pytest.raises(SettingsError, match=r"put process\.shared and the partitions back"):
                check(warm, of, never_asked)
