"""A Mesos master's scheduler endpoint on a real socket, which answers each SUBSCRIBE as the test has written down.

It is no Mesos: it speaks HTTP as Mesos does, badly where the test wants that, and remembers what it was sent.
"""

from __future__ import annotations

import dataclasses
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMesos-Stream-Id: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
)
FRAMEWORK_ID = "framework-1"

Answer = Callable[["Connection"], None]


@dataclasses.dataclass(frozen=True)
class Request:
    at: float
    line: str
    headers: dict[str, str]
    body: dict[str, Any]


def subscribed(interval: float = 15.0) -> dict[str, Any]:
    return {
        "type": "SUBSCRIBED",
        "subscribed": {
            "framework_id": {"value": FRAMEWORK_ID},
            "heartbeat_interval_seconds": interval,
            "master_info": {"id": "m", "ip": 0, "port": 5050, "hostname": "127.0.0.1", "version": "1.12.0-rc1"},
        },
    }


def record(event: dict[str, Any]) -> bytes:
    data = json.dumps(event).encode()
    return b"%d\n%s" % (len(data), data)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def answer(status: str, body: str = "", *headers: str) -> Answer:
    """A whole answer with a length, after which the connection stays open, as Mesos leaves it."""
    head = "".join(f"{header}\r\n" for header in headers)
    text = f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"
    return lambda connection: connection.send(text.encode())


def redirect(address: str) -> Answer:
    return answer("307 Temporary Redirect", "", f"Location: //{address}/master/api/v1/scheduler")


def stream(*events: dict[str, Any], interval: float = 15.0, then: str = "hold") -> Answer:
    """Accept, and tell these events; then hold the stream, end it properly, or close it in the middle."""
    return raw_stream([chunk(record(event)) for event in (subscribed(interval), *events)], then)


def raw_stream(pieces: Iterable[bytes], then: str = "hold") -> Answer:
    def act(connection: Connection) -> None:
        if then == "hold":  # before the scheduler can hear of it
            connection.master.streams.append(connection)
        connection.send(STREAM_HEAD % b"stream-%d" % connection.master.next_stream())
        for piece in pieces:
            connection.send(piece)
        match then:
            case "end":
                connection.send(b"0\r\n\r\n")
            case "close":
                connection.close()

    return act


def raw(data: bytes) -> Answer:
    def act(connection: Connection) -> None:
        connection.send(data)
        connection.close()

    return act


class Connection:
    def __init__(self, master: FakeMaster, peer: socket.socket) -> None:
        self.master = master
        self.carried_calls = False
        self.ended_at: float | None = None  # when the other side was gone
        self._peer = peer

    def send(self, data: bytes) -> None:
        self._peer.sendall(data)

    def is_open(self) -> bool:
        """Whether the other side still holds it. The kernel knows that at once; who reads here may hear of it late."""
        if self._peer.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self._peer, select.POLLRDHUP)
        return not poll.poll(0)

    def close(self) -> None:
        try:
            self._peer.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was faster
        finally:
            self._peer.close()

    def serve(self) -> None:
        try:
            with self._peer.makefile("rb") as lines:
                while (request := _read(lines)) is not None:
                    self.master.take(self, request)
        except OSError:
            pass  # closed by a test, or by the scheduler
        finally:
            self.ended_at = time.monotonic()


def _read(lines: Any) -> Request | None:
    """The next whole request; None when the other side is gone."""
    head = [lines.readline()]
    while head[-1].strip():
        head.append(lines.readline())
    if not head[-1]:
        return None  # the scheduler ended in the middle of its call's head, or before it
    line, *named, _ = (one.decode().strip() for one in head)
    headers = {name.lower(): value.strip() for name, _, value in (header.partition(":") for header in named)}
    length = int(headers.get("content-length", "0"))
    body = lines.read(length)
    if len(body) < length:
        return None  # or in the middle of its body
    return Request(time.monotonic(), line, headers, json.loads(body) if body else {})


class FakeMaster:
    """``answers`` are taken one for each SUBSCRIBE, the last one again and again. ``beside``: how many streams were
    open when each SUBSCRIBE came.
    """

    def __init__(self, *answers: Answer, call_answer: Answer | None = None) -> None:
        self._answers = list(answers) or [stream()]
        self.call_answer = call_answer or answer("202 Accepted")
        self.subscribes: list[Request] = []
        self.beside: list[int] = []
        self.calls: list[Request] = []
        self.others: list[Request] = []
        self.streams: list[Connection] = []
        self.call_connections: list[Connection] = []
        self._connections: list[Connection] = []
        self._stream_count = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeMaster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(self, peer)
            self._connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()

    def take(self, connection: Connection, request: Request) -> None:
        if request.line.split()[:2] != ["POST", "/api/v1/scheduler"]:
            self.others.append(request)
            answer("404 Not Found")(connection)
        elif request.body["type"] == "SUBSCRIBE":
            self.beside.append(sum(stream.is_open() for stream in self.streams))
            self.subscribes.append(request)
            (self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])(connection)
        else:
            self.calls.append(request)
            if not connection.carried_calls:
                connection.carried_calls = True
                self.call_connections.append(connection)
            self.call_answer(connection)

    def next_stream(self) -> int:
        self._stream_count += 1
        return self._stream_count

    def tell(self, event: dict[str, Any]) -> None:
        """On the stream that was opened last."""
        self.streams[-1].send(chunk(record(event)))
