"""A broker of long ago: it knows few kinds of requests, and none of those that transactions need."""

import socket
import struct
import threading
from contextlib import suppress

import pytest

from tickhouse.core.errors import SettingsError
from tickhouse.core.plugins import open_url

VERSIONS, METADATA, PRODUCE, FETCH, OFFSETS = 18, 3, 0, 1, 2
KNOWN = ((PRODUCE, 0, 2), (FETCH, 0, 2), (OFFSETS, 0, 0), (METADATA, 0, 1), (VERSIONS, 0, 0))
REFUSED = 35


def answer(key: int, version: int, port: int) -> bytes:
    """The words of such a broker: what it knows, and that it is alone and has no topic."""
    if key == VERSIONS:
        known = b"".join(struct.pack(">hhh", *one) for one in KNOWN)
        return struct.pack(">hi", REFUSED if version else 0, len(KNOWN)) + known
    host = b"127.0.0.1"
    broker = struct.pack(">ih", 1, len(host)) + host + struct.pack(">i", port)
    return struct.pack(">i", 1) + broker + (struct.pack(">hi", -1, 1) if version else b"") + struct.pack(">i", 0)


def talk(client: socket.socket, port: int) -> None:
    with client, suppress(OSError, struct.error):
        stream = client.makefile("rb")
        while head := stream.read(4):
            request = stream.read(*struct.unpack(">i", head))
            key, version, number = struct.unpack_from(">hhi", request)
            said = struct.pack(">i", number) + answer(key, version, port)
            client.sendall(struct.pack(">i", len(said)) + said)


@pytest.fixture
def old():
    """The port of such a broker."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=talk, args=(door.accept()[0], port), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield port
        door.shutdown(socket.SHUT_RDWR)


def test_a_broker_that_is_too_old_is_told_in_one_sentence(old):
    with pytest.raises(SettingsError, match=r"too old.*Kafka 2\.4 or newer") as error:
        open_url("journal", f"kafka://127.0.0.1:{old}/house?timeout=2s")
    assert "\n" not in str(error.value)
