"""One HTTP/1.1 response, parsed as its bytes come in: h11 behind the method names that pymesos calls.

Only responses, only one per parser, no I/O. Every byte is looked at a bounded number of times, so a long chunked body
costs linear time in pieces of any size. The first error is final: h11's state is not to be trusted after it.
"""

from typing import Dict, List, Optional

import h11

from http_parser.pyparser import INVALID_MESSAGE, OK, TRAILING_DATA

# A response head larger than this is refused; h11's own limit is 16 KiB, and a WWW-Authenticate header can be long.
MAXIMUM_HEAD_BYTES = 64 * 1024


class HttpParser:
    """`execute` takes bytes; the other methods tell what has been understood so far."""

    def __init__(self) -> None:
        self.errno = OK
        self.errstr = ""
        self._response: Optional[h11.Response] = None
        self._body: List[bytes] = []
        self._complete = False
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAXIMUM_HEAD_BYTES)
        # h11 frames a response by the request that it answers. Mesos's streams answer a POST; the host is never sent.
        self._connection.send(h11.Request(method="POST", target="/", headers=[("Host", ""), ("Content-Length", "0")]))
        self._connection.send(h11.EndOfMessage())

    def execute(self, data: bytes, length: int) -> int:
        """Take `data[:length]` and return `length`; on an error return less than `length` and set `errno` and `errstr`.

        `length` 0 says that the peer has closed the connection, as in http-parser 0.9.
        """
        if self.errno == OK and self._complete and length:
            self._fail(TRAILING_DATA, "the response has ended, and more data came")
        if self.errno == OK:
            self._parse(bytes(data[:length]))
        return length if self.errno == OK else self._consumed_before_error(length)

    def is_headers_complete(self) -> bool:
        return self._response is not None

    def get_status_code(self) -> int:
        """The status code; 0 until the headers are complete."""
        return 0 if self._response is None else self._response.status_code

    def get_headers(self) -> Dict[str, str]:
        """The headers with the names as they were sent; a repeated one is joined with ", " (RFC 9110, 5.3)."""
        headers: Dict[str, str] = {}
        names: Dict[str, str] = {}
        for raw_name, raw_value in [] if self._response is None else self._response.headers.raw_items():
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            name = names.setdefault(name.lower(), name)
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def is_chunked(self) -> bool:
        """Whether Transfer-Encoding is chunked; h11 refuses every other transfer encoding."""
        return self._response is not None and any(name == b"transfer-encoding" for name, _ in self._response.headers)

    def is_partial_body(self) -> bool:
        """Whether body bytes wait for `recv_body`."""
        return bool(self._body)

    def recv_body(self) -> bytes:
        """All body bytes since the last call, chunk framing removed."""
        body = b"".join(self._body)
        self._body.clear()
        return body

    def is_message_complete(self) -> bool:
        return self._complete

    def get_errno(self) -> int:
        return self.errno

    def _parse(self, data: bytes) -> None:
        try:
            self._connection.receive_data(data)
            while not self._complete:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    return
                self._take(event)
        except h11.RemoteProtocolError as error:
            self._fail(INVALID_MESSAGE, str(error))
            return
        if self._connection.trailing_data[0]:
            self._fail(TRAILING_DATA, "the response has ended, and more data came")

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Response):
            self._response = event
        elif isinstance(event, h11.Data):
            self._body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            self._complete = True
        elif not isinstance(event, h11.InformationalResponse):
            # PAUSED (a protocol switch) or ConnectionClosed before any response: nothing that can go on from here.
            self._fail(INVALID_MESSAGE, f"no response can follow: {event!r}")
            self._complete = True

    def _consumed_before_error(self, length: int) -> int:
        """How many of the last `length` bytes were fine: always fewer than `length`, for that is how a caller learns of
        an error.
        """
        left = len(self._connection.trailing_data[0])
        return max(0, min(length - left, length - 1))

    def _fail(self, errno: int, errstr: str) -> None:
        self.errno = errno
        self.errstr = errstr
