"""The line to a server: cut, every client notices and nobody gets in; mended, all go on; held, nothing arrives for a while."""

import socket
import threading
import time
from uuid import uuid4

import pytest
from tools.services.known import SERVERS
from tools.services.server import HOST

from tests.services.talk import CLIENTS


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_away_while_its_line_is_cut_and_was_up_all_along(name, private_server):
    server, line = private_server.with_line(name)
    client, key, process = CLIENTS[name](server.url), f"k{uuid4().hex}", server.process
    client.put(key, "kept")
    line.cut()
    with pytest.raises(Exception):  # noqa: B017 - each client has its own word for it
        client.get(key)
    server.greet()
    line.mend()
    assert CLIENTS[name](server.url).get(key) == "kept"
    assert server.process == process


def test_an_open_connection_ends_when_the_line_is_cut_and_a_new_one_is_taken_after_a_drop(private_server):
    server, line = private_server.with_line("redis")
    with socket.create_connection((HOST, server.port), 5) as talk:
        talk.sendall(b"PING\r\n")
        assert talk.recv(10).startswith(b"-NOAUTH")
        line.drop()
        while more := talk.recv(100):
            assert b"PONG" not in more
    assert CLIENTS["redis"](server.url).redis.ping()


def test_bytes_wait_while_the_line_is_held(private_server):
    server, line = private_server.with_line("redis")
    redis = CLIENTS["redis"](server.url).redis
    redis.ping()
    line.hold()
    threading.Timer(0.4, line.release).start()
    began = time.monotonic()
    assert redis.ping()
    assert time.monotonic() - began > 0.3
