"""The package's icons: the dashboard's own (templates/dashboard.svg), drawn as PNG files (RFC 2083). Pure."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping
from typing import Final

SIZES: Final[Mapping[str, int]] = {"icon-small": 48, "icon-medium": 128, "icon-large": 256}  # pixels a side
_SIDE: Final = 28.0  # of the drawing, in its own units
_BLUE: Final = (0x1D, 0x4E, 0xD8)
_WHITE: Final = (0xFF, 0xFF, 0xFF)
# x, y, width, height, radius, colour, opacity; the later lies on the earlier.
_SHAPES: Final = (
    (0.0, 0.0, 28.0, 28.0, 6.0, _BLUE, 1.0),
    (6.0, 6.0, 16.0, 4.0, 1.0, _WHITE, 1.0),
    (6.0, 12.0, 16.0, 4.0, 1.0, _WHITE, 0.75),
    (6.0, 18.0, 10.0, 4.0, 1.0, _WHITE, 0.5),
)


def png(side: int) -> bytes:
    """The icon, ``side`` pixels wide and high, 8 bits for each of red, green, blue and alpha."""
    scale = side / _SIDE
    rows = bytearray()
    for row in range(side):
        rows.append(0)  # no filter
        for column in range(side):
            rows += _pixel((column + 0.5) / scale, (row + 0.5) / scale, scale)
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _pixel(x: float, y: float, scale: float) -> bytes:
    red = green = blue = alpha = 0.0
    for left, top, width, height, radius, colour, opacity in _SHAPES:
        across = max(abs(x - left - width / 2) - width / 2 + radius, 0.0)
        down = max(abs(y - top - height / 2) - height / 2 + radius, 0.0)
        covered = min(max(0.5 - (math.hypot(across, down) - radius) * scale, 0.0), 1.0) * opacity
        red, green, blue = (
            part * (1 - covered) + whole * covered for part, whole in zip((red, green, blue), colour, strict=True)
        )
        alpha = alpha * (1 - covered) + covered
    # The colours above are those over nothing at all; a PNG's are not multiplied with its alpha.
    return bytes(round(part / alpha) if alpha else 0 for part in (red, green, blue)) + bytes([round(alpha * 255)])
