"""The servers that `make services` started: each answers its own client, and both S3 servers keep what S3 promises."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from obstore.exceptions import AlreadyExistsError, PreconditionError
from tools.services.known import SERVERS

from tests import servers
from tests.services.talk import CLIENTS, store


@pytest.fixture(params=["minio", "versity"])
def bucket(request):
    """The shared bucket of each S3 server."""
    return store(servers.S3.of(servers.shared(request.param)))


@pytest.mark.parametrize("name", SERVERS)
def test_each_server_gives_back_what_it_was_given(name):
    client, key = CLIENTS[name](servers.shared(name)), f"shared-{uuid4().hex}"
    client.put(key, "value")
    assert client.get(key) == "value"


def test_an_object_is_created_only_once(bucket):
    key = f"once-{uuid4().hex}"
    bucket.put(key, b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        bucket.put(key, b"second", mode="create")
    assert bytes(bucket.get(key).bytes()) == b"first"


def test_of_many_who_create_an_object_at_once_one_has_it(bucket):
    key = f"race-{uuid4().hex}"

    def create(number):
        try:
            bucket.put(key, str(number).encode(), mode="create")
        except AlreadyExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        won = [number for number in pool.map(create, range(24)) if number is not None]
    assert len(won) == 1
    assert bytes(bucket.get(key).bytes()) == str(won[0]).encode()


def test_an_object_is_replaced_only_by_one_who_knows_it_as_it_is(bucket):
    key = f"swap-{uuid4().hex}"
    old = bucket.put(key, b"1", mode="create")
    new = bucket.put(key, b"2", mode={"e_tag": old["e_tag"]})
    with pytest.raises(PreconditionError):
        bucket.put(key, b"3", mode={"e_tag": old["e_tag"]})
    assert (bytes(bucket.get(key).bytes()), bucket.head(key)["e_tag"]) == (b"2", new["e_tag"])


def test_a_large_object_goes_in_parts_and_any_range_of_it_is_read(bucket):
    key, data = f"large-{uuid4().hex}", bytes(range(256)) * 70_000
    bucket.put(key, data, use_multipart=True, chunk_size=6 * 1024 * 1024)
    assert bucket.head(key)["size"] == len(data)
    assert bytes(bucket.get_range(key, start=6 * 1024 * 1024 - 3, length=7)) == bytes([253, 254, 255, 0, 1, 2, 3])


def test_a_prefix_is_listed_in_order_and_in_full(bucket):
    prefix = f"list-{uuid4().hex}"
    for number in range(30):
        bucket.put(f"{prefix}/{number:03}", b"x")
    listed = [found["path"] for page in bucket.list(prefix, chunk_size=7) for found in page]
    assert listed == [f"{prefix}/{number:03}" for number in range(30)]
