"""The part of http-parser's interface that pymesos uses, on responses as a Mesos master and agent send them."""

from __future__ import annotations

import pytest
from http_parser.http import HttpParser
from http_parser.pyparser import INVALID_CHUNK, INVALID_MESSAGE, OK, TRAILING_DATA
from hypothesis import given
from hypothesis import strategies as st

HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 14:13:19 GMT\r\nTransfer-Encoding: chunked\r\n"
    b"Mesos-Stream-Id: 5d3f\r\nContent-Type: application/json\r\n\r\n"
)
UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 31\r\n\r\n"
    b"Agent has not finished recovery"
)


def chunks(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def feed(parser: HttpParser, wire: bytes, size: int) -> bytes:
    """Give the bytes in pieces as pymesos does; the body. Fails at the first error."""
    body = b""
    for start in range(0, len(wire), size):
        piece = wire[start : start + size]
        assert parser.execute(piece, len(piece)) == len(piece), parser.errstr
        if parser.is_partial_body():
            body += parser.recv_body()
    return body


def test_nothing_is_known_before_the_first_byte() -> None:
    parser = HttpParser()
    assert (parser.is_headers_complete(), parser.get_status_code(), parser.get_headers()) == (False, 0, {})
    assert (parser.is_chunked(), parser.is_partial_body(), parser.recv_body()) == (False, False, b"")
    assert (parser.is_message_complete(), parser.get_errno(), parser.errno) == (False, OK, OK)


def test_the_head_of_an_event_stream() -> None:
    parser = HttpParser()
    assert parser.execute(HEAD, len(HEAD)) == len(HEAD)
    assert parser.is_headers_complete()
    assert parser.get_status_code() == 200
    assert parser.is_chunked()
    assert parser.get_headers() == {
        "Date": "Mon, 23 Nov 2026 14:13:19 GMT",
        "Transfer-Encoding": "chunked",
        "Mesos-Stream-Id": "5d3f",
        "Content-Type": "application/json",
    }
    assert not parser.is_partial_body()
    assert not parser.is_message_complete()


def test_a_response_with_a_length() -> None:
    parser = HttpParser()
    assert feed(parser, UNAVAILABLE, len(UNAVAILABLE)) == b"Agent has not finished recovery"
    assert (parser.get_status_code(), parser.is_chunked(), parser.is_message_complete()) == (503, False, True)


def test_only_the_first_length_bytes_are_taken() -> None:
    parser = HttpParser()
    assert parser.execute(UNAVAILABLE + b"more", len(UNAVAILABLE)) == len(UNAVAILABLE)
    assert parser.is_message_complete()


def test_repeated_headers_are_joined() -> None:
    wire = (
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nwww-authenticate: Bearer\r\nContent-Length: 0\r\n\r\n"
    )
    parser = HttpParser()
    assert parser.execute(wire, len(wire)) == len(wire)
    assert parser.get_headers() == {"WWW-Authenticate": "Basic, Bearer", "Content-Length": "0"}
    assert parser.is_message_complete()


def test_an_interim_response_is_passed_over() -> None:
    parser = HttpParser()
    assert feed(parser, b"HTTP/1.1 100 Continue\r\n\r\n" + UNAVAILABLE, 7) == b"Agent has not finished recovery"
    assert parser.get_status_code() == 503


def test_a_body_without_length_ends_with_the_connection() -> None:
    wire = b"HTTP/1.0 200 OK\r\n\r\nall of it"
    parser = HttpParser()
    assert feed(parser, wire, 5) == b"all of it"
    assert not parser.is_message_complete()
    assert parser.execute(b"", 0) == 0
    assert (parser.is_message_complete(), parser.errno) == (True, OK)


@given(st.binary(max_size=300), st.integers(1, 50), st.integers(1, 400))
def test_a_chunked_body_in_pieces_of_any_size(body: bytes, chunk: int, piece: int) -> None:
    parser = HttpParser()
    assert feed(parser, HEAD + chunks(body, chunk), piece) == body
    assert parser.is_message_complete()
    assert parser.get_errno() not in (INVALID_CHUNK, INVALID_MESSAGE)


@pytest.mark.parametrize(
    ("wire", "errno"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", INVALID_MESSAGE),
        (b"\x16\x03\x01", INVALID_MESSAGE),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", INVALID_MESSAGE),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", INVALID_MESSAGE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", INVALID_MESSAGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", INVALID_MESSAGE),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + UNAVAILABLE, INVALID_MESSAGE),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, INVALID_MESSAGE),
        (HEAD + b"not a size\r\n", INVALID_MESSAGE),
        (HEAD + b"3\r\nabcdef\r\n", INVALID_MESSAGE),
        (HEAD + b"0\r\n\r\nmore", TRAILING_DATA),
        (UNAVAILABLE + b"more", TRAILING_DATA),
    ],
)
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_wrong_input_is_told_by_the_count_and_by_errno_and_stays_wrong(wire: bytes, errno: int, size: int) -> None:
    parser = HttpParser()
    starts = range(0, len(wire), size)
    counts = [parser.execute(wire[start : start + size], len(wire[start : start + size])) for start in starts]
    assert counts[-1] < len(wire[starts[-1] : starts[-1] + size])
    assert parser.get_errno() == parser.errno == errno
    assert parser.errstr
    assert parser.execute(b"HTTP/1.1 200 OK\r\n", 17) < 17
    assert parser.get_errno() == errno


def test_a_body_that_is_cut_off_is_an_error_when_the_connection_ends() -> None:
    parser = HttpParser()
    feed(parser, HEAD + b"a\r\nabc", 1000)
    assert parser.execute(b"", 0) == 0
    assert (parser.errno, parser.is_message_complete()) == (INVALID_MESSAGE, False)


def test_what_came_before_an_error_can_still_be_read() -> None:
    wire = HEAD + b"3\r\nabc\r\nwrong\r\n"
    parser = HttpParser()
    assert parser.execute(wire, len(wire)) < len(wire)
    assert (parser.get_status_code(), parser.recv_body()) == (200, b"abc")


@pytest.mark.parametrize("chunk", [100, 15_000_000])
def test_the_work_grows_with_the_bytes_and_not_faster(chunk: int) -> None:
    """Bytes that h11's buffer moves, counted: an absolute time would depend on the machine."""
    body = b"x" * 15_000_000
    parser = HttpParser()
    received = 0
    wire = HEAD + chunks(body, chunk)
    for start in range(0, len(wire), 4096):
        piece = wire[start : start + 4096]
        assert parser.execute(piece, len(piece)) == len(piece)
        received += len(parser.recv_body())
        # Nothing that has been parsed stays in the buffer, so no later piece pays for an earlier one.
        assert len(parser._connection._receive_buffer) < 4096
    assert received == len(body)
    assert parser.is_message_complete()
