"""The disk of a broker is full: it is said in one sentence, nothing acknowledged is lost, and with room made it goes on."""

import sys
import time

import pytest

from tests.chaos.disk import fill, moved
from tests.journal.samples import entry
from tickhouse.core.errors import Temporary
from tickhouse.core.plugins import open_url

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def small(private_server):
    """A Kafka with its data on a disk of their own."""
    with moved(private_server("kafka"), 64) as server:
        yield server


def insist(journal, number: int, seconds: float = 90) -> int:
    """Append the entry of that number, as often as it takes; returns its position."""
    until = time.monotonic() + seconds
    while True:
        try:
            return journal.append([entry(200, 200 * number)])[0]
        except Temporary as away:
            assert time.monotonic() < until, away
            time.sleep(0.3)


def test_a_full_disk_of_the_broker_is_waited_for(small):
    journal = open_url("journal", f"kafka://{small.url}/house?partitions=2&timeout=5s&compression=none")
    taken = [insist(journal, number) for number in range(3)]
    ballast = fill(small.folder / "data", 200_000)
    with pytest.raises(
        Temporary, match=r"^Kafka at .* (does not answer|cannot write to its disk).*waits until"
    ) as full:
        for _ in range(1000):
            taken += journal.append([entry(200, 200 * len(taken))])
    assert "\n" not in str(full.value)
    assert len(taken) < 900
    ballast.unlink()
    small.restart()
    taken.append(insist(journal, len(taken)))
    assert taken == list(range(0, 200 * len(taken), 200)), "nothing is lost, and nothing is there twice"
    assert journal.end() == 200 * len(taken) and journal.verify().faults == ()
    journal.close()
    sys.stdout.write(f"{len(taken) - 4} appends into the last of it; then: {full.value}\n")
