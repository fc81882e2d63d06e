"""Houses in folders of their own, on a clock that is moved by hand."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline


@pytest.fixture
def house(tmp_path, clock) -> Iterator[Callable[..., Pipeline]]:
    """Opens a house by its name; with settings where they matter."""
    opened: list[Pipeline] = []

    def at(name: str = "house", **settings: Any) -> Pipeline:
        opened.append(Pipeline(load(None, tmp_path / name, **settings), clock))
        return opened[-1]

    yield at
    for pipeline in opened:
        pipeline.close()
