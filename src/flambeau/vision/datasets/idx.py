"""Reader of IDX, the format of MNIST: a magic number, sizes, and plain big-endian values."""

from __future__ import annotations

import os
import zlib

_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MAX_BYTES = 1 << 30  # the largest of the family, EMNIST byclass, has 547 MB
_CHUNK = 1 << 22


def read_idx(path):
    """Return the tensor in an IDX file, plain or gzip: uint8, int8, int16, int32 or a float.

    path: file name. The header is checked before anything is read, and never more is read
    than it announces.

    Raises ValueError that names the file and the fault. Format: "THE IDX FILE FORMAT" on
    Yann LeCun's MNIST page.

    >>> import flambeau as fb, os, tempfile
    >>> name = os.path.join(tempfile.mkdtemp(), "labels")
    >>> _ = open(name, "wb").write(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 7]))
    >>> fb.vision.datasets.read_idx(name).tolist()
    [5, 7]
    """
    from gzip import GzipFile

    path = os.fspath(path)
    with open(path, "rb") as f:
        compressed = f.read(2) == b"\x1f\x8b"
        f.seek(0)
        try:
            return _parse(GzipFile(fileobj=f) if compressed else f, path)
        except (EOFError, zlib.error, OSError) as fault:
            raise ValueError(f"read_idx: {path}: damaged gzip data ({fault})") from None


def _parse(f, path):
    import numpy as np

    from flambeau import from_numpy

    code, shape = _header(f, path)

    kind = np.dtype(_TYPES[code])
    size = kind.itemsize
    for n in shape:
        size *= n
    if size > _MAX_BYTES:
        raise ValueError(f"read_idx: {path}: sizes {shape} announce {size} bytes, too many")
    data = bytearray()
    while len(data) <= size and (piece := f.read(min(_CHUNK, size + 1 - len(data)))):
        data += piece
    if len(data) != size:
        more = "more" if len(data) > size else f"only {len(data)}"
        raise ValueError(
            f"read_idx: {path}: sizes {shape} announce {size} bytes of data, the file has {more}"
        )
    values = np.frombuffer(data, kind).reshape(shape)
    return from_numpy(values.astype(kind.newbyteorder("="), copy=False))


def _header(f, path):
    """Return (type code, sizes) or raise ValueError."""
    magic = f.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not magic[3]:
        raise ValueError(
            f"read_idx: {path}: the first bytes {magic!r} are no IDX magic number (two zeros, a "
            f"type of {sorted(_TYPES)}, the number of dimensions)"
        )
    if magic[3] > 4:
        raise ValueError(f"read_idx: {path}: {magic[3]} dimensions, at most 4 make sense here")
    sizes = f.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError(f"read_idx: {path}: the file ends inside its header")
    shape = [int.from_bytes(sizes[i : i + 4], "big") for i in range(0, len(sizes), 4)]
    return magic[2], tuple(shape)
