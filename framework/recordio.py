"""RecordIO, the framing of Mesos's event streams: a decimal length, a line feed, and so many bytes (Mesos, HTTP API,
"RecordIO response format").
"""

from __future__ import annotations

from typing import Final

MOST_DIGITS: Final = 20  # of a 64-bit number, which Mesos prints
LARGEST: Final = 1 << 30  # bytes; an OFFERS event of 10,000 agents has some 10 MB


class RecordIOError(Exception):
    """The stream does not follow the framing; nothing after it can be trusted."""


class Records:
    """Takes the stream in pieces of any size and gives whole records (C11).

    Pieces are joined only once enough of them are there for a record, so a large record in small pieces costs linear
    time.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._enough = 1  # bytes that must be held before another look is worth it

    def feed(self, data: bytes) -> list[bytes]:
        """The records that ``data`` completes, in order.

        Raises:
            RecordIOError: the framing is broken.
        """
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._enough:
            return []
        buffer = b"".join(self._pieces) if len(self._pieces) > 1 else data
        records: list[bytes] = []
        start = 0
        while True:
            length, body = _length(buffer, start)
            if length < 0 or body + length > len(buffer):
                break
            records.append(buffer[body : body + length])
            start = body + length
        self._pieces = [buffer[start:]] if start < len(buffer) else []
        self._held = len(buffer) - start
        self._enough = self._held + 1 if length < 0 else body - start + length
        return records


def _length(buffer: bytes, start: int) -> tuple[int, int]:
    """The length of the record at ``start`` and where its body begins; -1 while the line is not whole."""
    end = buffer.find(b"\n", start, start + MOST_DIGITS + 1)
    digits = buffer[start:end] if end >= 0 else buffer[start : start + MOST_DIGITS + 1]
    if len(digits) > MOST_DIGITS or (digits and not digits.isdigit()) or (end >= 0 and not digits):
        raise RecordIOError(f"{digits!r} is no record length")
    if end < 0:
        return -1, start
    length = int(digits)
    if length > LARGEST:
        raise RecordIOError(f"a record of {length} bytes is announced; no event is larger than {LARGEST}")
    return length, end + 1
