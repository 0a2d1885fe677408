"""RecordIO in any chunking."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmesos.recordio import Decoder, RecordError, encode

messages = st.lists(
    st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=20)), max_size=3), max_size=6
)


@given(messages, st.data())
def test_any_chunking_gives_the_same_records(sent: list[Any], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    decoder, received, position = Decoder(), [], 0
    while position < len(stream):
        size = data.draw(st.integers(1, len(stream) - position))
        received += decoder.feed(stream[position : position + size])
        position += size
    assert received == sent


def test_the_length_counts_bytes() -> None:
    assert encode({"a": "é"}) == b'14\n{"a":"\\u00e9"}'
    assert Decoder().feed('10\n{"a":"é"}'.encode()) == [{"a": "é"}]


@pytest.mark.parametrize("stream", [b"x\n", b"-1\n", b"99999999999", b"999999999\n", b"{}{}{}{}{}{}"])
def test_what_is_no_record_is_refused(stream: bytes) -> None:
    with pytest.raises(RecordError):
        Decoder().feed(stream)
