"""Reader and writer of the safetensors format: a JSON header and plain bytes, no code at all."""

from __future__ import annotations

import os

from ._rebuild import dtype_named
from ._zipfile import atomic_file, describe

_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16",
    "I32": "int32", "U32": "uint32", "I64": "int64", "U64": "uint64", "F16": "float16",
    "BF16": "bfloat16", "F32": "float32", "F64": "float64", "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
}  # fmt: skip
_NAMES = {name: code for code, name in _DTYPES.items()}
_MAX_HEADER = 100_000_000
_CHUNK = 1 << 24


def save_safetensors(tensors, f, metadata=None):
    """Save a dict of name -> tensor to a path or binary file in the safetensors format.

    metadata: optional dict of str -> str. Tensors are written contiguous; gradients, classes
    and shared storages are not part of the format.

    Raises TypeError for values that are not tensors, ValueError for a dtype without a code.

    >>> import flambeau as fb, io
    >>> f = io.BytesIO()
    >>> fb.serialization.save_safetensors({"w": fb.ones(2)}, f)
    >>> _ = f.seek(0)
    >>> fb.serialization.load_safetensors(f)
    {'w': tensor([1., 1.])}
    """
    header, ordered = _header(tensors, metadata)
    if isinstance(f, (str, os.PathLike)):
        with atomic_file(f) as out:
            _write(out, header, ordered)
    else:
        _write(f, header, ordered)


def _header(tensors, metadata):
    """Return (JSON bytes, tensors in the order of their data)."""
    import json

    from . import Tensor

    for name, t in tensors.items():
        if not isinstance(name, str) or not isinstance(t, Tensor):
            raise TypeError(
                f"save_safetensors: expected str -> Tensor, got {name!r} -> {type(t).__name__}"
            )
        if _dtype_name(t) not in _NAMES:
            raise ValueError(f"save_safetensors: {name!r} has {t.dtype}, which has no code there")
    # Wide types first keeps every tensor aligned to its element size.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header, start = {}, 0
    if metadata is not None:
        if not all(isinstance(v, str) for pair in metadata.items() for v in pair):
            raise TypeError("save_safetensors: metadata maps str to str")
        header["__metadata__"] = metadata
    for name, t in ordered:
        end = start + t.numel() * t.element_size()
        code = _NAMES[_dtype_name(t)]
        header[name] = {"dtype": code, "shape": list(t.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return text, [t for _, t in ordered]


def _dtype_name(t):
    return str(t.dtype).rsplit(".", 1)[-1]


def _write(out, header, tensors):
    out.write(len(header).to_bytes(8, "little"))
    out.write(header)
    for t in tensors:
        if t.numel() == 0:
            continue
        t = t.detach().cpu().contiguous()
        start = t.storage_offset() * t.element_size()
        view = memoryview(t.untyped_storage()).cast("B")
        out.write(view[start : start + t.numel() * t.element_size()])


def load_safetensors(f, device="cpu", mmap=False):
    """Return the dict of name -> tensor of a safetensors file: path or binary file.

    device: where the tensors go. mmap: map a path instead of reading it.
    Every number of the header is checked before a byte is used: known dtypes, sizes that fit
    their shapes, no gap, no overlap, nothing outside the file.

    Raises ValueError that names the file and the fault.

    >>> import flambeau as fb, io
    >>> fb.serialization.load_safetensors(io.BytesIO(b"12"))
    Traceback (most recent call last):
    ValueError: load_safetensors: <BytesIO>: 2 bytes are no safetensors file
    """
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as opened:
            mapped = _map(opened) if mmap else None
            return _load(opened, describe(f), device, mapped)
    return _load(f, describe(f), device, None)


def _map(opened):
    import mmap

    if os.fstat(opened.fileno()).st_size == 0:
        return None
    return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)


def _fault(label, why):
    return ValueError(f"load_safetensors: {label}: {why}")


def _load(f, label, device, mapped):
    from . import empty, frombuffer, uint8

    begin = f.tell()
    total = f.seek(0, os.SEEK_END) - begin
    f.seek(begin)
    entries, base = _read_header(f, label, total)
    loaded = {}
    for name, (dtype, shape, start, end) in entries.items():
        count = end - start
        if mapped is not None and count and (begin + base + start) % dtype.itemsize == 0:
            raw = frombuffer(mapped, dtype=uint8, count=count, offset=begin + base + start)
        else:
            raw = empty(count, dtype=uint8)
            f.seek(begin + base + start)
            if count:
                _fill(f, memoryview(raw.untyped_storage()).cast("B"), label)
        loaded[name] = raw.view(dtype).reshape(shape).to(device)
    return loaded


def _fill(f, target, label):
    for start in range(0, len(target), _CHUNK):
        piece = f.read(min(_CHUNK, len(target) - start))
        if len(piece) != min(_CHUNK, len(target) - start):
            raise _fault(label, "the data end early")
        target[start : start + len(piece)] = piece


def _unique(pairs):
    """Build a dict of JSON pairs; a name given twice is a fault."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name appears twice in the header")
    return made


def _read_header(f, label, total):
    """Return ({name: (dtype, shape, start, end)}, where the data begin)."""
    import json

    head = f.read(8)
    if len(head) < 8:
        raise _fault(label, f"{total} bytes are no safetensors file")
    length = int.from_bytes(head, "little")
    if length > _MAX_HEADER or 8 + length > total:
        raise _fault(label, f"a header of {length} bytes does not fit a file of {total}")
    text = f.read(length)
    if text[:1] != b"{":
        raise _fault(label, "the header does not begin with '{'")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as fault:
        raise _fault(label, f"the header is not valid JSON ({fault})") from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _fault(label, "__metadata__ does not map text to text")
    entries = {name: _entry(label, name, value) for name, value in header.items()}
    _check_cover(label, entries, total - 8 - length)
    return entries, 8 + length


def _whole(value):
    return type(value) is int and 0 <= value < 1 << 63


def _entry(label, name, value):
    """Check one tensor of the header by itself."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _fault(label, f"tensor {name!r} needs exactly dtype, shape and data_offsets")
    code, shape, span = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise _fault(label, f"tensor {name!r} has the unknown dtype {code!r:.40}")
    if not isinstance(shape, list) or not all(_whole(n) for n in shape):
        raise _fault(label, f"tensor {name!r} has the bad shape {shape!r:.80}")
    if not isinstance(span, list) or len(span) != 2 or not all(_whole(n) for n in span):
        raise _fault(label, f"tensor {name!r} has the bad data_offsets {span!r:.80}")
    dtype, count = dtype_named(_DTYPES[code]), 1
    for n in shape:
        count *= n
    if span[1] - span[0] != count * dtype.itemsize:
        raise _fault(
            label,
            f"tensor {name!r} of shape {shape} and dtype {code} needs {count * dtype.itemsize} "
            f"bytes, its data_offsets {span} give {span[1] - span[0]}",
        )
    return dtype, tuple(shape), span[0], span[1]


def _check_cover(label, entries, size):
    """The tensors must fill the data end to end, each byte once."""
    at = 0
    for name, (_, _, start, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if start != at:
            what = "overlaps the one before" if start < at else "leaves a gap before it"
            raise _fault(label, f"tensor {name!r} at {start} {what} (expected {at})")
        at = end
    if at != size:
        raise _fault(label, f"the tensors have {at} bytes, the file has {size}")
