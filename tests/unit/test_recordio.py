"""The framing of the event stream, in every chunking."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import pytest
from hypothesis import given

from framework.recordio import LARGEST, RecordIOError, Records


def framed(records: list[bytes]) -> bytes:
    return b"".join(b"%d\n%s" % (len(record), record) for record in records)


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=12))
def test_any_chunking_gives_the_same_records(records: list[bytes], cuts: list[int]) -> None:  # C11
    data = framed(records)
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = Records()
    assert [record for begin, end in itertools.pairwise(bounds) for record in reader.feed(data[begin:end])] == records


def test_byte_by_byte() -> None:  # C11
    reader = Records()
    assert [record for byte in framed([b"", b"12\n", b"x" * 300]) for record in reader.feed(bytes([byte]))] == [
        b"",
        b"12\n",
        b"x" * 300,
    ]


@pytest.mark.parametrize("data", [b"\n", b"12x\n", b"-1\n", b" 1\n", b"1" * 21, b"%d\n" % (LARGEST + 1), b"x"])
def test_what_is_no_length(data: bytes) -> None:
    with pytest.raises(RecordIOError):
        Records().feed(data)


def test_a_large_record_is_joined_once() -> None:  # P22
    """A record in 10,000 pieces is looked at when it is whole, not at each piece."""
    looked_at = 0

    class Counted(bytes):
        def find(self, *where: object) -> int:
            nonlocal looked_at
            looked_at += 1
            return bytes(self).find(*where)  # type: ignore[arg-type]

    reader = Records()
    data = framed([b"x" * 100_000])
    pieces = [Counted(data[at : at + 10]) for at in range(0, len(data), 10)]
    records = [record for piece in pieces for record in reader.feed(piece)]
    assert records == [b"x" * 100_000]
    assert looked_at <= 3
