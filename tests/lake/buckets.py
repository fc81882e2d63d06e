"""Places of one's own on S3 servers, which are gone after the test."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from tests.servers import S3
from tickhouse.lake.s3 import open as open_lake

BUCKET = "tickhouse"


def address(s3: S3, prefix: str, **more: str) -> str:
    """The URL of a lake below a prefix."""
    options = "".join(f"&{name}={quote(value, safe=':/')}" for name, value in more.items())
    key = f"{s3.key}:{s3.secret}"
    return f"s3://{key}@{s3.bucket}/{prefix}?endpoint={s3.endpoint}&region=us-east-1{options}"


@contextmanager
def own(s3: S3, **more: str) -> Iterator[Callable[[str], str]]:
    """Gives URLs of lakes by a name, below a prefix that nobody else has."""
    prefix = f"test-lake-{secrets.token_hex(6)}"
    try:
        yield lambda name="": address(s3, f"{prefix}/{name}", **more)
    finally:
        empty(address(s3, prefix))


def empty(url: str) -> None:
    """Remove every object of a lake."""
    import obstore

    store = open_lake(url)._store
    for page in obstore.list(store, chunk_size=1000):
        obstore.delete(store, [one["path"] for one in page])


@pytest.fixture(scope="session")
def moto() -> Iterator[S3]:
    """An S3 server in this process, in memory: for quick runs where no real one is."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    place = S3(f"http://{host}:{port}", BUCKET, "tickhouse", "of-the-tests")
    about = {"endpoint_url": place.endpoint, "aws_access_key_id": place.key, "aws_secret_access_key": place.secret}
    boto3.client("s3", region_name="us-east-1", **about).create_bucket(Bucket=BUCKET)
    yield place
    server.stop()
