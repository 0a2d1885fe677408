"""Ports for what a test starts. A port that was free a moment ago may be somebody else's by now: another test's server,
or the near end of anybody's connection.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence


def held_port(host: str = "127.0.0.1") -> int:
    """A port where nobody listens, and which the kernel gives to nobody else of its own accord as long as this process
    lives. Whoever is told its number can listen there, again and again: servers ask for SO_REUSEADDR.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((host, 0))
    port = int(holder.getsockname()[1])
    holder.detach()  # it stays bound until the process ends
    return port


def row_of_ports(count: int, addresses: Sequence[str] = ("127.0.0.1",)) -> int:
    """The first of a row of ports that are free on every address, for programs that look whether their ports are free.
    It lies below the ports that Linux gives to clients, which come and go.
    """
    for _ in range(100):
        first = random.randrange(20000, 30000, count)
        ports = range(first, first + count)
        if all(_is_free(address, port) for address in addresses for port in ports):
            return first
    raise AssertionError("no row of free ports was found in 20000-30000")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
