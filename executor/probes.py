"""Asking a process: until it is ready, and whether it still answers after that. One thread for each process; none
once it is ready, if nobody wants to know more.

Knows nothing of phases and counts nothing: it tells each answer and each silence, and nothing once it was told to stop.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from typing import Callable
from urllib.parse import urlsplit

from executor.document import Address, Alive, HttpAddress, Process, Ready, TcpAddress

PERIOD_SECONDS = 0.2
# A process that accepts and says nothing must not hold the thread for long.
ATTEMPT_SECONDS = 2.0
MOST_BYTES = 1 << 20


class Probe:
    """Asks every PERIOD_SECONDS until `is_ready` says yes and calls `answered` then; after that it asks as often as
    the process's `alive` says and tells `asked` each time whether there was an answer. Both run on its own thread.
    """

    def __init__(self, process: Process, answered: Callable[[], None], asked: Callable[[bool], None]) -> None:
        self._process = process
        self._answered = answered
        self._asked = asked
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="probe", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD_SECONDS):
            if is_ready(self._process.ready):
                break
        if not self._stopped.is_set():
            self._answered()
        if self._process.alive is not None:
            self._go_on_asking(self._process.alive)

    def _go_on_asking(self, alive: Alive) -> None:
        pause = alive.every_seconds
        while not self._stopped.wait(pause):
            begin = time.monotonic()
            answer = is_alive(alive)
            if not self._stopped.is_set():
                self._asked(answer)
            # A silence that took its whole timeout must not make the next question late.
            pause = max(PERIOD_SECONDS, alive.every_seconds - (time.monotonic() - begin))


def is_ready(ready: Ready) -> bool:
    """One attempt. Every trouble of the network means no."""
    return 200 <= _ask(ready.address, ATTEMPT_SECONDS) < 300


def is_alive(alive: Alive) -> bool:
    """One attempt. A status of trouble is an answer: whoever gives it does not hang."""
    return _ask(alive.address, alive.timeout_seconds) > 0


def _ask(address: Address, seconds: float) -> int:
    """The status of the answer (200 for a connection that is accepted), 0 for none within `seconds`."""
    try:
        return _http(address.url, seconds) if isinstance(address, HttpAddress) else _tcp(address, seconds)
    except (OSError, http.client.HTTPException):
        return 0


def _http(url: str, seconds: float) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=seconds)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        answer = connection.getresponse()
        # Who is not listened to to the end complains: Alluxio writes 9 kB about it, each time.
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer.read(MOST_BYTES)
        return answer.status
    finally:
        connection.close()


def _tcp(address: TcpAddress, seconds: float) -> int:
    with socket.create_connection((address.host, address.port), timeout=seconds) as connection:
        return 0 if meets_itself(connection) else 200


def meets_itself(connection: socket.socket) -> bool:
    """Whether the kernel chose the port that is asked for as the connection's own end: then nobody listens there."""
    return bool(connection.getsockname() == connection.getpeername())
