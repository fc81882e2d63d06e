"""What several bad days have in common."""

import pytest

from tests.chaos.test_kill import contents, loaded
from tests.end_to_end.tape import write


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    """A tape, and what a house with its journal in a file makes of it."""
    folder = tmp_path_factory.mktemp("tape")
    path = write(folder / "tape.ndjson", trades=50_000, symbols=20, rate=100.0, seed=11).path
    loaded(folder / "calm", path)
    return path, contents(folder / "calm")
