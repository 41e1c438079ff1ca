"""How batches travel between processes: through the pipe, large ones in shared memory."""

from __future__ import annotations

import io
import os
import pickle
from itertools import count

import flambeau

_SHARED = "/dev/shm"
_INLINE_BYTES = 16 * 1024
_ALIGN = 64
_numbers = count()


class _Pickler(pickle.Pickler):
    """Pickles plain CPU tensors as raw buffers, which protocol 5 can carry beside the stream."""

    def reducer_override(self, obj):
        if type(obj) is not flambeau.Tensor or obj.device.type != "cpu" or obj.requires_grad:
            return NotImplemented
        dtype = str(obj.dtype).rpartition(".")[2]
        shape = tuple(obj.shape)
        if obj.numel() == 0:
            return _empty, (shape, dtype)
        plain = obj.resolve_conj() if obj.is_complex() else obj
        plain = plain.contiguous()
        if dtype == "bfloat16":
            plain = plain.view(flambeau.int16)
        array = plain.numpy()
        return _tensor, (pickle.PickleBuffer(array), array.dtype.str, shape, dtype)


def _tensor(buffer, numpy_dtype, shape, dtype):
    import numpy

    array = numpy.frombuffer(buffer, numpy_dtype).reshape(shape)
    t = flambeau.from_numpy(array)
    return t.view(flambeau.bfloat16) if dtype == "bfloat16" else t


def _empty(shape, dtype):
    return flambeau.empty(shape, dtype=getattr(flambeau, dtype))


def dump(obj, prefix: str | None = None) -> bytes:
    """Pickle ``obj``; with a ``prefix``, buffers of 16 KB and more go to a shared-memory file."""
    shared: list = []

    def keep_inline(buffer) -> bool:
        if prefix is None or buffer.raw().nbytes < _INLINE_BYTES:
            return True
        shared.append(buffer.raw())
        return False

    payload = _pickled(obj, keep_inline)
    if shared:
        spans, end = [], 0
        for raw in shared:
            spans.append((end, raw.nbytes))
            end = -(-(end + raw.nbytes) // _ALIGN) * _ALIGN
        name = f"{prefix}{os.getpid()}-{next(_numbers)}"
        if _write(name, shared, spans):
            return pickle.dumps((name, end, spans, payload), 5)
        payload = _pickled(obj, lambda buffer: True)
    return pickle.dumps((None, 0, (), payload), 5)


def _pickled(obj, keep_inline) -> bytes:
    out = io.BytesIO()
    _Pickler(out, 5, buffer_callback=keep_inline).dump(obj)
    return out.getvalue()


def _write(name: str, buffers, spans) -> bool:
    """Write buffers to a new shared-memory file; False, leaving nothing, where none fits."""
    path = os.path.join(_SHARED, name)
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    except OSError:
        return False
    try:
        for raw, (start, size) in zip(buffers, spans):
            done = 0
            while done < size:
                done += os.pwrite(fd, raw[done:], start + done)
        os.ftruncate(fd, -(-(spans[-1][0] + spans[-1][1]) // _ALIGN) * _ALIGN)
        return True
    except OSError:
        os.unlink(path)
        return False
    finally:
        os.close(fd)


def load(data: bytes):
    """Undo :func:`dump`; tensors from shared memory are views of it, and its file is gone."""
    name, size, spans, payload = pickle.loads(data)
    if name is None:
        return pickle.loads(payload)
    import mmap

    path = os.path.join(_SHARED, name)
    fd = os.open(path, os.O_RDWR)
    try:
        os.unlink(path)
        flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
        shared = memoryview(mmap.mmap(fd, size, flags))
    finally:
        os.close(fd)
    return pickle.loads(payload, buffers=[shared[a : a + n] for a, n in spans])


def sweep(prefix: str) -> None:
    """Delete shared-memory files that a worker left when it was stopped or killed."""
    if not os.path.isdir(_SHARED):
        return
    for name in os.listdir(_SHARED):
        if name.startswith(prefix):
            os.unlink(os.path.join(_SHARED, name))
