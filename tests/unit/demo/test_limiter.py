"""The limiter between a real client and a real server: what passes, how fast, and what it counts."""

from __future__ import annotations

import http.client
import http.server
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from framework.demo.limiter import Counted, Limiter

HOST = "127.0.0.1"
CONTENT = bytes(range(256)) * 4096  # 1 MiB


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[int]:
    with http.server.ThreadingHTTPServer((HOST, 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.server_port
        running.shutdown()
        thread.join()


def get(connection: http.client.HTTPConnection) -> bytes:
    connection.request("GET", "/")
    return connection.getresponse().read()


def fetch(port: int) -> bytes:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        return get(connection)
    finally:
        connection.close()


def test_every_byte_passes_and_is_counted(server: int) -> None:
    with Limiter(HOST, (HOST, server), bandwidth=1 << 30, latency=0) as limiter:
        assert fetch(limiter.port) == CONTENT
        counted = limiter.counted()
    assert counted.requests == 1
    assert len(CONTENT) < counted.read < len(CONTENT) + 500  # and the head of the answer
    assert 0 < counted.written < 500


def test_each_request_of_a_connection_counts_and_waits(server: int) -> None:
    with Limiter(HOST, (HOST, server), bandwidth=1 << 30, latency=0.1) as limiter:
        connection = http.client.HTTPConnection(HOST, limiter.port, timeout=60)
        began = time.monotonic()
        for _ in range(3):
            assert get(connection) == CONTENT
        seconds = time.monotonic() - began
        connection.close()
        assert limiter.counted().requests == 3
    assert seconds >= 0.3


def test_a_long_request_counts_once(server: int) -> None:
    with Limiter(HOST, (HOST, server), bandwidth=1 << 30, latency=0.05) as limiter:
        connection = http.client.HTTPConnection(HOST, limiter.port, timeout=60)
        connection.request("PUT", "/", body=CONTENT)
        assert connection.getresponse().status == 204
        connection.close()
        counted = limiter.counted()
    assert counted.requests == 1
    assert counted.written > len(CONTENT)


def test_all_connections_together_have_the_bandwidth(server: int) -> None:
    with Limiter(HOST, (HOST, server), bandwidth=4 << 20, latency=0) as limiter, ThreadPoolExecutor(3) as threads:
        began = time.monotonic()
        assert list(threads.map(fetch, [limiter.port] * 3)) == [CONTENT] * 3
        seconds = time.monotonic() - began
    assert seconds >= 0.75 * 0.95  # 3 MiB at 4 MiB/s; the last chunk may pass a moment early


def test_a_client_that_goes_in_the_middle_ends_both_sides(server: int) -> None:
    with Limiter(HOST, (HOST, server), bandwidth=1 << 20, latency=0) as limiter:
        connection = http.client.HTTPConnection(HOST, limiter.port, timeout=60)
        connection.request("GET", "/")
        connection.getresponse().read(1000)
        connection.close()
        assert fetch(limiter.port) == CONTENT  # the others go on


def test_a_server_that_is_not_there_ends_the_connection(server: int) -> None:
    with (
        Limiter(HOST, (HOST, 1), bandwidth=1 << 20, latency=0) as limiter,
        pytest.raises((http.client.HTTPException, OSError)),
    ):
        fetch(limiter.port)


def test_counts_are_compared() -> None:
    assert Counted(5, 100, 20) - Counted(2, 40, 5) == Counted(3, 60, 15)
