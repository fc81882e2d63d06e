"""A journal on three brokers that each have a copy: one of them may be lost at any time."""

import re
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from tools.services.cluster import KafkaNode

from tests.chaos.test_full_kafka import insist
from tests.chaos.test_kafka import begun, ends_well, house, load
from tests.chaos.test_kill import contents
from tickhouse.core.errors import Temporary
from tickhouse.core.plugins import open_url

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_one_of_three_brokers_is_killed_and_nothing_is_lost_or_twice(tmp_path, tape, private_server):
    path, calm = tape
    nodes = private_server.cluster()
    servers = ",".join(node.url for node in nodes)
    url = f"kafka://{servers}/house?partitions=3&replication=3&timeout=10s"
    config = house(tmp_path, url)
    process, began = load(config, path), time.monotonic()
    begun(url, 10_000)
    lost = leader(servers, "house.journal")
    nodes[lost - 1].kill()
    assert process.poll() is None, "it was killed in the middle"
    said = ends_well(process, 400)
    sys.stdout.write(
        f"loaded in {time.monotonic() - began:.0f} s; {[memory(node) for node in nodes if node.alive()]} MiB each\n"
    )
    settled(url)
    assert contents(config) == calm
    assert said.count("does not answer") <= 6, said
    nodes[lost - 1].restart()
    until = time.monotonic() + 90
    while behind(servers):
        assert time.monotonic() < until, behind(servers)
        time.sleep(0.5)
    nodes[lost % 3].kill()
    settled(url)
    assert contents(config) == calm, "what it missed it has caught up with"
    journal = open_url("journal", url)
    end = journal.end()
    assert insist(journal, 0) == end
    assert journal.verify().faults == ()
    journal.close()


def settled(url: str) -> None:
    """Wait until what a lost broker led is led by another."""
    until = time.monotonic() + 60
    while True:
        try:
            journal = open_url("journal", url)
            return journal.close()
        except Temporary as away:
            assert time.monotonic() < until, away


def memory(node: KafkaNode) -> int:
    """What a broker has of the machine's memory (MiB)."""
    status = Path(f"/proc/{node.process.pid}/status")
    found = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) // 1024 if found else 0


def leader(servers: str, topic: str) -> int:
    """The number of the broker that takes what is written to a topic."""
    return int(
        AdminClient({"bootstrap.servers": servers}).list_topics(topic, timeout=20).topics[topic].partitions[0].leader
    )


def behind(servers: str) -> list[str]:
    """The partitions of which a broker has not everything."""
    topics = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=20).topics
    return [f"{t.topic}-{p.id}" for t in topics.values() for p in t.partitions.values() if len(p.isrs) < 3]
