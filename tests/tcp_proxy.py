"""A wire between a client and a server that a test can cut in the middle of a conversation."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Proxy:
    """``address`` is "host:port". ``lose_next_answer``: what the server says next is lost, with the connection;
    ``lose_next_request``: the same for what the client says next. ``losses`` counts both. ``hold``: nothing gets
    through, and neither side learns that the other is gone. ``deaf``: so many new connections are taken and never
    answered.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.lose_next_answer = False
        self.lose_next_request = False
        self.losses = 0
        self.hold = False
        self.deaf = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()  # nobody is behind it at this moment
                continue
            self._pairs.append((client, server))
            if self.deaf:
                self.deaf -= 1
                continue
            threading.Thread(target=self._carry, args=(client, server, "request"), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, "answer"), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, what: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if getattr(self, f"lose_next_{what}"):
                    setattr(self, f"lose_next_{what}", False)
                    self.losses += 1
                    break
                self._wait()
                sink.sendall(data)
        self._wait()
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _wait(self) -> None:
        while self.hold:
            time.sleep(0.005)

    def close(self) -> None:
        self.hold = False
        self._listener.shutdown(socket.SHUT_RDWR)  # else the thread that waits for a client would keep it open
        self._listener.close()
        for pair in self._pairs:
            for end in pair:
                end.close()
