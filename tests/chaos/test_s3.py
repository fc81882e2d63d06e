"""An S3 server that is killed, freezes, is cut off, or lets nobody in while messages are archived: nothing lost, nothing twice."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contracts.test_lake import records
from tests.journal.samples import T0, entry, link, noise
from tests.lake.buckets import address
from tests.servers import S3
from tickhouse.core import observe
from tickhouse.core.errors import SettingsError, Temporary
from tickhouse.core.plugins import open_url
from tickhouse.lake.local import open as open_local
from tickhouse.lake.rolling import Roller
from tickhouse.lake.s3 import open as open_s3
from tickhouse.steps.archive import GROUP, Archive
from tickhouse.steps.awaited import awaited_lake

pytestmark = pytest.mark.slow
FROZEN = float(os.environ.get("FROZEN", "6"))
"""Seconds for which the server does not answer."""


def journal(count: int = 60):
    """A journal with messages that do not compress, ticks and marks."""
    made = open_url("journal", "memory://")
    for n in range(count):
        made.append([noise(4, 50_000, n), entry(20, 20 * n), link(T0 + n)])
    return made


class Run:
    """Archives a journal in a thread of its own, slowly enough that something may happen meanwhile."""

    def __init__(self, lake, made) -> None:
        self.lake, self.journal, self.ended, self.told = lake, made, threading.Event(), []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        try:
            lake = awaited_lake(self.lake, self.ended)
            archive = Archive(self.journal, lake, Roller(300_000, 1e9, lake))
            while archive.step(timeout=0, max_messages=50):
                time.sleep(0.01)
            archive.flush()
        except BaseException as error:
            self.error = error

    def __enter__(self) -> "Run":
        observe.hooks = (*observe.hooks, self.told.append)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(100)
        observe.hooks = tuple(hook for hook in observe.hooks if hook != self.told.append)
        assert not self._thread.is_alive(), "it did not come back"

    def until(self, position: int) -> None:
        """Wait until so much is archived."""
        end = time.monotonic() + 30
        while self.journal.committed(GROUP) < position and self.error is None:
            assert time.monotonic() < end, "nothing is archived"
            time.sleep(0.005)

    @property
    def lines(self) -> list[str]:
        """What was told, in order."""
        return [event.name for event in self.told if event.room == "lake"]


@pytest.fixture
def bronze(tmp_path):
    """Every object that an undisturbed lake in a folder has, with its bytes."""
    lake = open_local(f"file://{tmp_path}/calm")
    with Run(lake, journal()) as run:
        pass
    assert run.error is None
    return contents(lake)


def contents(lake) -> dict[str, bytes]:
    return {item.name: lake.content(item) for kind in ("ticks", "bronze") for item in lake.objects(kind)}


def disturbed(server, how: Callable[[], None], expected: dict[str, bytes], **more: str) -> Run:
    lake = open_s3(address(S3.of(server.url), "disturbed", timeout="2s", **more))
    with Run(lake, journal()) as run:
        run.until(300)
        how()
    assert run.error is None
    assert contents(lake) == expected
    count, faults = lake.verify()
    assert (count, faults) == (len(expected), ())
    return run


def test_killed_and_started_again(private_server, bronze):
    server = private_server("minio")

    def how() -> None:
        server.kill()
        time.sleep(2)
        server.restart()

    run = disturbed(server, how, bronze)
    assert run.lines == ["line is down", "connected again"]


def test_frozen(private_server, bronze):
    server = private_server("minio")

    def how() -> None:
        server.freeze()
        time.sleep(FROZEN)
        server.thaw()

    assert set(disturbed(server, how, bronze).lines) <= {"line is down", "connected again"}


@pytest.mark.parametrize("name", ["minio", "versity"])
def test_cut_in_the_middle_of_an_upload(name, private_server, bronze):
    server, line = private_server.with_line(name)

    def how() -> None:
        for _ in range(8):
            line.hold()
            time.sleep(0.1)
            line.cut()
            line.release()
            line.mend()
            time.sleep(0.05)
        line.cut()
        time.sleep(2)
        line.mend()

    disturbed(server, how, bronze)


def test_cut_in_the_middle_of_an_object_that_goes_in_parts(private_server, tmp_path):
    """What was not finished is no object; the whole comes when the server is back."""
    server, line = private_server.with_line("minio")
    run = records(noise(12, 1 << 20))
    lake = open_s3(address(S3.of(server.url), "parts", timeout="2s", part="5MiB"))
    line.hold()
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(awaited_lake(lake, threading.Event()).write, run)
        line.release()
        time.sleep(0.03)
        line.hold()
        time.sleep(0.1)
        line.cut()
        line.release()
        time.sleep(1)
        line.mend()
        (item,) = written.result(60)
    local = open_local(f"file://{tmp_path}/parts")
    assert local.write(run) == [item] == list(lake.objects())
    assert lake.content(item) == local.content(item)


def test_a_load_waits_for_a_server_that_is_away(private_server, tmp_path):
    server = private_server("minio")
    url = address(S3.of(server.url), "loaded", timeout="2s")
    server.kill()
    (tmp_path / "t.csv").write_text("time,symbol,price,size\n" + "2026-01-01T00:00:00Z,A,1,1\n" * 100)
    command = [sys.executable, "-m", "tickhouse", "load", str(tmp_path / "t.csv"), "--data", str(tmp_path / "house")]
    env = {name: value for name, value in os.environ.items() if not name.startswith("TICKHOUSE_")}
    with subprocess.Popen(command, env={**env, "TICKHOUSE_LAKE__URL": url}, stderr=subprocess.PIPE, text=True) as load:
        said = ""
        while "goes on trying" not in said:
            said += load.stderr.readline()
            assert load.poll() is None, said
        server.restart()
        said += load.stderr.read()
    assert load.returncode == 0, said
    assert "does not answer: no connection; tickhouse goes on trying" in said and "connected to the lake" in said
    assert server.secret not in said
    assert open_s3(url).end("csv", "ticks") > 100


def test_the_key_is_refused_and_the_bucket_is_missing(private_server, bronze):
    """One sentence, nothing is taken for archived, and the right address goes on from there."""
    server, made = private_server("minio"), journal()
    s3 = S3.of(server.url)
    for wrong, said in ((S3(s3.endpoint, s3.bucket, s3.key, "wrong"), "does not accept the key"),
                        (S3(s3.endpoint, "none", s3.key, s3.secret), "no bucket 'none'")):  # fmt: skip
        with Run(open_s3(address(wrong, "p")), made) as run:
            pass
        assert isinstance(run.error, SettingsError)
        assert said in str(run.error)
        assert "wrong" not in str(run.error)
        assert made.committed(GROUP) == 0
    lake = open_s3(address(s3, "p"))
    with Run(lake, made) as run:
        pass
    assert run.error is None
    assert contents(lake) == bronze


def test_told_to_end_while_the_server_is_away_the_rest_is_for_the_next_start(private_server, bronze):
    server, made = private_server("minio"), journal()
    lake = open_s3(address(S3.of(server.url), "p", timeout="2s"))
    with Run(lake, made) as run:
        run.until(300)
        server.kill()
        time.sleep(1)
        run.ended.set()
    assert isinstance(run.error, Temporary)
    server.restart()
    with Run(lake, made) as run:
        pass
    assert run.error is None
    assert contents(lake) == bronze
