"""The disk of a broker is full: it is said in one sentence, nothing acknowledged is lost, and with room made it goes on."""

import shutil
import subprocess
import sys
import time

import pytest

from tests.journal.samples import entry
from tickhouse.core.errors import Temporary
from tickhouse.core.plugins import open_url

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def small(private_server, tmp_path):
    """A Kafka with its data on a disk of its own, of 64 MB."""
    server = private_server("kafka")
    server.stop()
    data, kept = server.folder / "data", tmp_path / "kept"
    shutil.copytree(data, kept)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(data)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a disk of its own cannot be mounted here: that takes root")
    shutil.copytree(kept, data, dirs_exist_ok=True)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        subprocess.run(["umount", "-l", str(data)], check=True)


def fill(folder, left: int) -> None:
    """Take all the room of a disk but so many bytes."""
    room = shutil.disk_usage(folder).free - left
    with (folder.parent / "data" / "filler").open("wb") as filler:
        filler.write(b"x" * room)


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
    fill(small.folder / "data", 200_000)
    with pytest.raises(
        Temporary, match=r"^Kafka at .* (does not answer|cannot write to its disk).*waits until"
    ) as full:
        for _ in range(1000):
            taken += journal.append([entry(200, 200 * len(taken))])
    assert "\n" not in str(full.value)
    assert len(taken) < 900
    (small.folder / "data" / "filler").unlink()
    small.restart()
    taken.append(insist(journal, len(taken)))
    assert taken == list(range(0, 200 * len(taken), 200)), "nothing is lost, and nothing is there twice"
    assert journal.end() == 200 * len(taken) and journal.verify().faults == ()
    journal.close()
    sys.stdout.write(f"{len(taken) - 4} appends into the last of it; then: {full.value}\n")
