"""Real servers of long ago: those that are too old are told in one sentence, and the oldest that will do do as well as new ones."""

import subprocess
import sys

import pytest

from tests.chaos.test_postgres import contents
from tests.end_to_end.tape import write
from tests.stores.keys import named
from tests.stores.samples import bar, batch, ticks
from tickhouse.core.plugins import open_url

# The first time they are fetched, which takes longer than the test.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run(folder, part, url, *words):
    """A command on a house of the folder, one part of which is at a URL."""
    file = folder / "tickhouse.toml"
    file.write_text(f'[{part}]\nurl = "{url}"\n')
    command = [sys.executable, "-m", "tickhouse", *words, "--config", str(file), "--data", str(folder / "house")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def assert_refused(folder, part, server, url, sentence):
    """Whoever needs the server is told the sentence, and nothing else."""
    asked = run(folder, part, url, "run", "process")
    assert asked.returncode == 2, asked.stderr
    assert [line for line in asked.stderr.splitlines() if sentence in line] == asked.stderr.splitlines(), asked.stderr
    assert len(asked.stderr.splitlines()) == 1
    doctor = run(folder, part, url, "doctor")
    said = doctor.stdout + doctor.stderr
    assert doctor.returncode == 2, said
    assert sentence in " ".join(said.split()), said
    assert "Traceback" not in said
    assert server.secret not in said + asked.stderr


def test_a_postgresql_that_is_too_old_is_told_in_one_sentence(tmp_path, private_server):
    server = private_server("postgres-13")
    sentence = "the warm store needs PostgreSQL 14 or newer; the server has 13.23"
    assert_refused(tmp_path, "warm", server, server.url, sentence)


def test_a_house_on_the_oldest_postgresql_is_like_one_in_a_folder(tmp_path, private_server):
    server = private_server("postgres-14")
    tape = write(tmp_path / "tape.ndjson", trades=20_000, symbols=5, rate=20.0, seed=3)
    words = ("load", str(tape.path), "--as", "binance", "--json")
    for name, url in (("folder", f"sqlite:///{tmp_path}/warm.db"), ("server", server.url)):
        (tmp_path / name).mkdir()
        done = run(tmp_path / name, "warm", url, *words)
        assert done.returncode == 0, done.stderr
    expected = contents(tmp_path / "folder" / "house", f"sqlite:///{tmp_path}/warm.db")
    assert len(expected["bars"]) > 50
    assert contents(tmp_path / "server" / "house", server.url) == expected
    doctor = run(tmp_path / "server", "warm", server.url, "doctor")
    assert "ok     warm store" in doctor.stdout, doctor.stdout


def test_a_redis_that_is_too_old_is_told_in_one_sentence(tmp_path, private_server):
    server = private_server("redis-2")
    sentence = f"the hot store needs Redis 5 or newer, or Valkey; the server at 127.0.0.1:{server.port}/0 has 2.8.19"
    assert_refused(tmp_path, "hot", server, server.url, sentence)


def test_the_oldest_redis_gives_what_another_process_took_in(private_server):
    url = named(private_server("redis-6").url)
    writer, reader = open_url("stores", url), open_url("stores", url)
    try:
        writer.ticks(ticks({"symbol": "A", "price": 1.5}, {"symbol": "B", "price": 2.5}))
        writer.bars(batch([bar("A", 0)]))
        assert writer.flush()
        assert {row["symbol"]: row["price"] for row in reader.latest()} == {"A": 1.5, "B": 2.5}
        assert [row["symbol"] for row in reader.forming()] == ["A"]
        assert "2 prices" in reader.check()
    finally:
        writer.close()
        reader.close()


def test_a_kafka_that_is_too_old_is_told_in_one_sentence(tmp_path, private_server):
    server = private_server("kafka-1")
    sentence = f"the broker at {server.url} is too old for the journal, which needs Kafka 2.4 or newer"
    assert_refused(tmp_path, "journal", server, f"kafka://{server.url}/house?partitions=2", sentence)


def test_a_house_on_the_oldest_kafka_is_like_one_in_a_folder(tmp_path, private_server):
    server = private_server("kafka-2.4")
    tape = write(tmp_path / "tape.ndjson", trades=5_000, symbols=5, rate=20.0, seed=3)
    words = ("load", str(tape.path), "--as", "binance", "--json")
    found = []
    for name, url in (
        ("folder", f"sqlite:///{tmp_path}/journal.db"),
        ("server", f"kafka://{server.url}/house?partitions=2"),
    ):
        (tmp_path / name).mkdir()
        done = run(tmp_path / name, "journal", url, *words)
        assert done.returncode == 0, done.stderr
        found.append(contents(tmp_path / name / "house"))
    assert len(found[0]["bars"]) > 10
    assert found[1] == found[0]
    doctor = run(tmp_path / "server", "journal", url, "doctor")
    assert "ok     journal" in doctor.stdout, doctor.stdout
