"""The bytes that ask for a load. Alluxio 2.9 takes no protobuf here but a Java object of its own, as Java's object
serialization writes it (Java Object Serialization Specification, chapter 6); this writes that one object and no other.

The object is an ``alluxio.job.LoadJobRequest`` with two fields: the path, and the options in the form that protobuf's
Java classes have there: the name of their class and their bytes. The names of the fields and the versions of the
classes are part of the form.
"""

from __future__ import annotations

import struct
from typing import Final

from framework.alluxio.stubs import file_system_master_pb2 as protocol

LONGEST: Final = 0xFFFF  # bytes of a text in this form

_HEAD: Final = b"\xac\xed\x00\x05"
_NULL, _CLASS, _OBJECT, _STRING, _ARRAY, _END = (bytes([code]) for code in (0x70, 0x72, 0x73, 0x74, 0x75, 0x78))
_SERIALIZABLE: Final = b"\x02"
_REQUEST_VERSION: Final = 0xC716BCD55B627E37
_BYTES_VERSION: Final = 0xACF317F8060854E0  # of byte[], as Java computes it
_OPTIONS: Final = "alluxio.grpc.LoadJobPOptions"


def load_request(path: str, options: protocol.LoadJobPOptions) -> bytes:
    """
    Raises:
        ValueError: the path is longer than LONGEST bytes.
    """
    content = options.SerializeToString()
    request = _described(
        "alluxio.job.LoadJobRequest",
        _REQUEST_VERSION,
        ("mOptions", "Lalluxio/grpc/LoadJobPOptions;"),
        ("mPath", "Ljava/lang/String;"),
    )
    form = _described(
        "com.google.protobuf.GeneratedMessageLite$SerializedForm",
        0,
        ("asBytes", "[B"),
        ("messageClass", "Ljava/lang/Class;"),
        ("messageClassName", "Ljava/lang/String;"),
    )
    as_bytes = _ARRAY + _described("[B", _BYTES_VERSION) + struct.pack(">I", len(content)) + content
    # Where the class itself is not given, it is found by its name.
    serialized_options = _OBJECT + form + as_bytes + _NULL + _STRING + _text(_OPTIONS)
    return _HEAD + _OBJECT + request + serialized_options + _STRING + _text(path)


def _described(name: str, version: int, *fields: tuple[str, str]) -> bytes:
    """A class that extends no other serializable one, with its fields (name and type) in the order of their names."""
    described = b"".join(kind[:1].encode() + _text(field) + _STRING + _text(kind) for field, kind in fields)
    return _CLASS + _text(name) + struct.pack(">QcH", version, _SERIALIZABLE, len(fields)) + described + _END + _NULL


def _text(text: str) -> bytes:
    """Java's own UTF-8: what lies beyond 16 bits is two surrogates of three bytes each, and NUL is two bytes."""
    units = text.encode("utf-16-be", "surrogatepass")
    characters = (chr(unit) for (unit,) in struct.iter_unpack(">H", units))
    encoded = b"".join(
        b"\xc0\x80" if character == "\0" else character.encode("utf-8", "surrogatepass") for character in characters
    )
    if len(encoded) > LONGEST:
        raise ValueError(f"a text of {len(encoded)} bytes; at most {LONGEST} are allowed")
    return struct.pack(">H", len(encoded)) + encoded
