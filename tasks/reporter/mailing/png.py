"""Draw rectangles into a PNG with few colours, for mail: readers of mail show neither SVG nor CSS of charts."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

#: The colour of each kind (tasks/reporter/templates/style.css, where they are light); a mail may be read on dark, too.
PALETTE = {
    "": (255, 255, 255),  # transparent
    "done": (0x9D, 0xAB, 0x8B),
    "failed": (0xA3, 0x44, 0x1C),
    "unknown": (0x5F, 0x4B, 0x73),
    "refused": (0xD9, 0xB2, 0x5A),
    "line": (0x9A, 0x93, 0x88),
    "mark": (0x55, 0x50, 0x48),
}
_COLOURS = list(PALETTE)


@dataclass(frozen=True)
class Box:
    """A filled rectangle; x to the right and y down, in pixels."""

    kind: str
    x: float
    y: float
    width: float
    height: float


def draw(width: int, height: int, boxes: Iterable[Box], scale: int = 2) -> bytes:
    """Return a PNG with the boxes on a transparent ground; a later box covers an earlier one.

    Args:
        width: Pixels.
        height: Pixels.
        boxes: What to draw; what lies outside is cut off.
        scale: Dots per pixel and direction, for fine screens.

    """
    across, down = width * scale, height * scale
    rows = [bytearray(across) for _ in range(down)]
    for box in boxes:
        left, right = (max(0, min(across, round(edge * scale))) for edge in (box.x, box.x + box.width))
        top, bottom = (max(0, min(down, round(edge * scale))) for edge in (box.y, box.y + box.height))
        for row in rows[top:bottom]:
            row[left:right] = bytes([_COLOURS.index(box.kind)]) * (right - left)
    colours = b"".join(bytes(colour) for colour in PALETTE.values())
    header = struct.pack(">IIBBBBB", across, down, 8, 3, 0, 0, 0)  # 8 bits per dot, which name a colour of the palette
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    parts = ((b"IHDR", header), (b"PLTE", colours), (b"tRNS", b"\0"), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
