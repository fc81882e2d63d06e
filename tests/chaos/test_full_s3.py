"""A disk of an S3 server that is really full: it is told once and waited for, and with room made everything is archived once."""

import time

import pytest

from tests.chaos.disk import fill, moved
from tests.chaos.test_s3 import Run, bronze, contents, journal
from tests.lake.buckets import address
from tests.servers import S3
from tickhouse.lake.s3 import open as open_s3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
__all__ = ["bronze"]


@pytest.fixture(params=["minio", "versity"])
def small(private_server, request):
    """A server with its data on a disk of their own."""
    with moved(private_server(request.param), 64) as server:
        yield server


def test_a_full_disk_is_waited_for(small, bronze):
    lake = open_s3(address(S3.of(small.url), "full", timeout="2s"))
    with Run(lake, journal()) as run:
        run.until(300)
        ballast = fill(small.folder / "data")
        until = time.monotonic() + 60
        while not run.lines:
            assert time.monotonic() < until and run.error is None, run.error
            time.sleep(0.1)
        ballast.unlink()
    assert run.error is None
    assert run.lines == ["line is down", "connected again"]
    assert "no room" in str(run.told[0].facts["error"]), run.told[0]
    assert contents(lake) == bronze
    assert lake.verify() == (len(bronze), ())
