"""A server of one's own: it answers, comes back from a crash with what it acknowledged, hangs and goes on, and leaves nothing."""

import socket
import threading
import time
from uuid import uuid4

import psycopg
import pytest
from tools.services.known import SERVERS
from tools.services.server import HOST, NotReady, Server

from tests.services.talk import CLIENTS

pytestmark = pytest.mark.slow


def listens(server: Server) -> bool:
    with socket.socket() as talk:
        talk.settimeout(2)
        return talk.connect_ex((HOST, server.port)) == 0


@pytest.mark.parametrize("name", SERVERS)
def test_what_a_server_acknowledged_outlives_a_kill_and_it_comes_back_on_the_same_port(name, private_server):
    server = private_server(name)
    client, key = CLIENTS[name](server.url), f"k{uuid4().hex}"
    client.put(key, "kept")
    url, pid = server.url, server.process.pid
    server.kill()
    assert not server.alive()
    assert not listens(server)
    server.restart()
    assert (server.url, server.process.pid == pid) == (url, False)
    assert CLIENTS[name](server.url).get(key) == "kept"


@pytest.mark.parametrize("name", SERVERS)
def test_a_frozen_server_takes_connections_and_answers_nothing_until_it_is_thawed(name, private_server):
    server = private_server(name)
    server.freeze()
    assert server.alive()
    assert listens(server)
    with pytest.raises((OSError, NotReady)):
        server.greet()
    threading.Timer(0.3, server.thaw).start()
    server.wait()
    key = f"k{uuid4().hex}"
    CLIENTS[name](server.url).put(key, "after")
    assert CLIENTS[name](server.url).get(key) == "after"


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_stopped_keeps_its_data_and_one_that_is_removed_leaves_nothing(name, private_server):
    server = private_server(name)
    key = f"k{uuid4().hex}"
    CLIENTS[name](server.url).put(key, "kept")
    server.stop()
    assert not listens(server)
    server.start()
    assert CLIENTS[name](server.url).get(key) == "kept"
    process = server.process
    server.remove()
    assert (process.alive(), listens(server), server.folder.exists()) == (False, False, False)


def test_a_session_that_was_open_when_the_server_froze_hangs_too(private_server):
    server = private_server("postgres")
    with psycopg.connect(server.url, autocommit=True) as session:
        session.execute("select 1")
        server.freeze()
        threading.Timer(0.5, server.thaw).start()
        began = time.monotonic()
        session.execute("select 1")
        assert time.monotonic() - began > 0.4
