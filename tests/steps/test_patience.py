"""A server that is away: when it is asked, and what is said of it."""

import time

import pytest

from tickhouse.core import observe
from tickhouse.core.errors import Temporary
from tickhouse.steps import patience
from tickhouse.steps.patience import Patience


def test_one_of_which_nothing_is_heard_is_asked_now_and_then(monkeypatch):
    monkeypatch.setattr(patience, "ASK_SECONDS", 0.05)
    asked, waits = [], Patience("reading")
    waits.prove(lambda: asked.append(1))
    assert asked == []
    time.sleep(0.06)
    for _ in range(2):
        waits.prove(lambda: asked.append(1))
    assert asked == [1]


def test_one_that_is_away_is_asked_each_time_and_told_of_once(monkeypatch):
    said, asked, waits = [], [], Patience("reading")
    monkeypatch.setattr(observe, "hooks", (said.append,))
    assert waits.note(Temporary("gone", retry_after=0.2)) == 0.2
    assert waits.note(Temporary("still gone")) == patience.PAUSE
    for _ in range(3):
        waits.prove(lambda: asked.append(1))
    assert len(asked) == 3
    waits.over()
    waits.over()
    assert [event.name for event in said] == ["line is down", "connected again"]
    with pytest.raises(Temporary):
        waits.note(Temporary("gone"))
        waits.prove(lambda: (_ for _ in ()).throw(Temporary("gone")))
