"""RecordIO, the framing of Mesos's event streams: the record's length in decimal, a line feed, the record.

Bytes in, records out; no sockets here.
"""

from __future__ import annotations

import json
from typing import Any

LARGEST_RECORD = 256 * 1024 * 1024
LONGEST_HEADER = len(str(LARGEST_RECORD))


class RecordError(ValueError):
    """The peer sent what cannot be RecordIO."""


def encode(message: Any) -> bytes:
    """One JSON message as one record."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return b"%d\n%b" % (len(body), body)


class Decoder:
    """Collects chunks of any size; whole records come out in their order."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None

    def feed(self, chunk: bytes) -> list[Any]:
        """The JSON messages completed by this chunk; raises RecordError for a length that is no number or too large."""
        self._buffer += chunk
        records = []
        while self._read_length() and len(self._buffer) >= (self._length or 0):
            length = self._length or 0
            body = bytes(self._buffer[:length])
            del self._buffer[:length]
            self._length = None
            records.append(json.loads(body))
        return records

    def _read_length(self) -> bool:
        if self._length is not None:
            return True
        end = self._buffer.find(b"\n", 0, LONGEST_HEADER + 1)
        if end < 0:
            if len(self._buffer) > LONGEST_HEADER:
                raise RecordError(f"record length expected, got {bytes(self._buffer[:LONGEST_HEADER])!r}")
            return False
        header = bytes(self._buffer[:end])
        if not header.isdigit() or int(header) > LARGEST_RECORD:
            raise RecordError(f"record length {header!r} is no number from 0 to {LARGEST_RECORD}")
        del self._buffer[: end + 1]
        self._length = int(header)
        return True
