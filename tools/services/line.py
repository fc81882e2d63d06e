"""A line between clients and a server, which can be cut and mended, or held so that bytes wait, while the server itself goes on."""

import socket
import threading
from contextlib import suppress

from tools.services.server import HOST


class Line:
    """Takes connections on `port` and passes bytes to and from `target`, another port of this machine."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target = port, target
        self._flows = threading.Event()
        self._flows.set()
        self._ends: set[socket.socket] = set()
        self._alone = threading.Lock()
        self._door: socket.socket | None = None
        self.mend()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        door, self._door = self._door, None
        if door:
            _hang_up(door)
        with self._alone:
            ends, self._ends = self._ends, set()
        for end in ends:
            _hang_up(end)

    def drop(self) -> None:
        """End every connection; new ones are taken."""
        self.cut()
        self.mend()

    def mend(self) -> None:
        """Take connections, after `cut`."""
        if self._door is None:
            self._door = socket.create_server((HOST, self.port))
            threading.Thread(target=self._listen, args=(self._door,), daemon=True).start()

    def hold(self) -> None:
        """Keep all bytes back: connections are taken and stay, and nothing arrives on either side."""
        self._flows.clear()

    def release(self) -> None:
        """Let the bytes go on, those kept back first."""
        self._flows.set()

    def close(self) -> None:
        """Cut it for good."""
        self.release()
        self.cut()

    def _listen(self, door: socket.socket) -> None:
        with suppress(OSError):  # the door was closed
            while True:
                client, _ = door.accept()
                threading.Thread(target=self._serve, args=(door, client), daemon=True).start()

    def _serve(self, door: socket.socket, client: socket.socket) -> None:
        try:
            server = socket.create_connection((HOST, self.target), 5)
        except OSError:  # the server is down: a client sees a connection that ends
            _hang_up(client)
            return
        server.settimeout(None)
        with self._alone:
            cut = self._door is not door
            self._ends |= set() if cut else {client, server}
        if cut:
            _hang_up(client)
            _hang_up(server)
            return
        threading.Thread(target=self._pass, args=(server, client), daemon=True).start()
        self._pass(client, server)

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # either side has gone
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        with self._alone:
            self._ends -= {source, sink}
        _hang_up(source)
        _hang_up(sink)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):  # it may have ended by itself
        end.shutdown(socket.SHUT_RDWR)
    end.close()
