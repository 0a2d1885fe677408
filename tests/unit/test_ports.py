"""Ports that tests choose before somebody listens there."""

from __future__ import annotations

import socket

import pytest

from ports import held_port


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.12"])
def test_a_held_port_is_for_whoever_knows_it(host: str) -> None:
    address = (host, held_port(host))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    for _ in range(2):
        with socket.create_server(address), socket.create_connection(address):
            pass
    with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
        other.bind(address)  # the kernel gives away only what could be bound so
