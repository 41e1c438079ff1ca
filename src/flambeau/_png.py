"""A PNG writer in one screen: grey, RGB or RGBA bytes in, file bytes out (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib

_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> grey, grey+alpha, RGB, RGBA


def encode_png(pixels, width, height, channels):
    """Return the bytes of a PNG file with 8 bits a channel.

    pixels: bytes-like of height * width * channels values, rows from the top, channels last.
    Raises ValueError when the sizes do not fit together.

    >>> from flambeau._png import encode_png
    >>> encode_png(bytes([0, 255]), 2, 1, 1)[1:4]
    b'PNG'
    """
    pixels = memoryview(pixels).cast("B")
    if channels not in _COLOUR_TYPE:
        raise ValueError(f"a PNG has 1 to 4 channels, got {channels}")
    if width < 1 or height < 1 or len(pixels) != width * height * channels:
        raise ValueError(
            f"{len(pixels)} bytes do not make an image of {height} x {width} x {channels}"
        )
    stride = width * channels
    rows = (b"\0" + pixels[i * stride : (i + 1) * stride].tobytes() for i in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0)
    body = zlib.compress(b"".join(rows), 6)
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
