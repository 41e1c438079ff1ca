"""Saving and loading in PyTorch's zip format and in safetensors; loading runs no foreign code."""

from __future__ import annotations

import io
import os
import pickle

from ._rebuild import STORAGE_DTYPES, LoadedStorage, check_geometry, dtype_named
from ._safetensors import load_safetensors, save_safetensors
from ._unpickle import (
    DeviceError,
    SafeUnpickler,
    StorageClass,
    TrustingUnpickler,
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from ._zipfile import ArchiveReader, ArchiveWriter, atomic_file, describe

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "load_safetensors",
    "safe_globals",
    "save",
    "save_safetensors",
]

DEFAULT_PROTOCOL = 2
_STORAGE_NAMES = {dtype: name for name, dtype in STORAGE_DTYPES.items()}


def _dtype_name(dtype):
    return str(dtype).rsplit(".", 1)[-1]


class _Global:
    """Stands for a name of PyTorch's in a pickle; one object a name, so that pickle memoises."""

    made = {}

    def __new__(cls, module, name):
        if (module, name) not in cls.made:
            found = cls.made[module, name] = super().__new__(cls)
            found.module, found.name = module, name
        return cls.made[module, name]

    def __call__(self, *args):
        raise TypeError(f"{self.module}.{self.name} is only a name in a file")


class _StorageRef:
    """Stands for one storage of the object being saved."""

    def __init__(self, pid):
        self.pid = pid


class _Pickler(pickle._Pickler):
    """Writes tensors, dtypes, devices and sizes under PyTorch's names, so that both read them."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, out, protocol):
        super().__init__(out, protocol)
        self.storages = {}  # identity of a storage -> (key, dtype name, storage)
        from . import Size, Tensor, device, dtype

        self.kinds = Tensor, device, dtype, Size

    def persistent_id(self, obj):
        """Storages go into records of their own."""
        return obj.pid if type(obj) is _StorageRef else None

    def save_global_name(self, obj):
        """Write a name without importing its module."""
        if self.proto >= 4:
            self.save(obj.module)
            self.save(obj.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        self.memoize(obj)

    dispatch[_Global] = save_global_name

    def reducer_override(self, obj):
        """Say how an object of ours is written; leave all others to pickle."""
        tensor, device, dtype, size = self.kinds
        if isinstance(obj, tensor):
            return self._tensor(obj)
        if isinstance(obj, dtype):
            return _NAME_ONLY
        if isinstance(obj, device):
            args = (obj.type,) if obj.index is None else (obj.type, obj.index)
            return _Global("torch", "device"), args
        if isinstance(obj, size):
            return _Global("torch", "Size"), (tuple(obj),)
        if obj is tensor:
            return _NAME_ONLY
        return NotImplemented

    def save_reduce(self, func, args=None, *rest, obj=None, **named):
        """Names stand alone; everything else is written as pickle does."""
        if func is _NAME_ONLY[0]:
            name = "Tensor" if obj is self.kinds[0] else _dtype_name(obj)
            self.save(_Global("torch", name))
            return
        super().save_reduce(func, args, *rest, obj=obj, **named)

    def _storage(self, t):
        """Return the reference to the storage of t, taking the storage in on first sight."""
        storage, name = t.untyped_storage(), _dtype_name(t.dtype)
        identity = (storage.data_ptr(), storage.nbytes()) if storage.nbytes() else object()
        key, first, _ = self.storages.setdefault(identity, (str(len(self.storages)), name, storage))
        typed = name in _STORAGE_NAMES
        if (typed or first in _STORAGE_NAMES) and first != name:
            raise RuntimeError(
                f"save: tensors of dtype {first} and {name} share one storage, which the format "
                f"cannot express (cannot save multiple tensors that view the same data as "
                f"different types); save a .clone() of one of them"
            )
        kind = ("torch", _STORAGE_NAMES[name]) if typed else ("torch.storage", "UntypedStorage")
        count = storage.nbytes() // (t.element_size() if typed else 1)
        return _StorageRef(("storage", _Global(*kind), key, str(t.device), count))

    def _plain(self, t, requires_grad):
        """Return (function, args) that make t without its class and attributes."""
        from collections import OrderedDict

        size, stride = tuple(t.shape), tuple(t.stride())
        if t.device.type == "meta":
            args = t.dtype, size, stride, requires_grad
            return _Global("torch._utils", "_rebuild_meta_tensor_no_storage"), args
        args = self._storage(t), t.storage_offset(), size, stride, requires_grad, OrderedDict()
        if _dtype_name(t.dtype) in _STORAGE_NAMES:
            return _Global("torch._utils", "_rebuild_tensor_v2"), args
        return _Global("torch._utils", "_rebuild_tensor_v3"), (*args, t.dtype)

    def _tensor(self, t):
        from collections import OrderedDict

        state = dict(vars(t)) if hasattr(t, "__dict__") else {}
        kind = type(t)
        if kind is not self.kinds[0] and _is_parameter(kind):
            args = t.detach(), t.requires_grad, OrderedDict()
            if not state:
                return _Global("torch._utils", "_rebuild_parameter"), args
            name = "_rebuild_parameter_with_state"
            return _Global("torch._utils", name), (*args, state)
        function, args = self._plain(t, t.requires_grad)
        if kind is self.kinds[0] and not state:
            return function, args
        rebuild = _Global("torch._tensor", "_rebuild_from_type_v2")
        return rebuild, (function, kind, args, state)


def _name_only(*_):
    raise TypeError("a dtype has no constructor")


_NAME_ONLY = (_name_only, ())


def _is_parameter(kind):
    from .nn import Parameter

    return kind is Parameter


def _storage_bytes(storage):
    """Return a memoryview of the bytes of a storage, copied from its device if need be."""
    storage = storage.cpu()
    return memoryview(storage).cast("B") if storage.nbytes() else b""


def save(obj, f, pickle_module=None, pickle_protocol=DEFAULT_PROTOCOL,
         _use_new_zipfile_serialization=True):  # fmt: skip
    """Save an object to a path or an open binary file, readable by flambeau.load and PyTorch.

    obj: tensors, modules, state dicts, and containers and objects that pickle. Tensors that
    share a storage share it again after loading. A path is replaced only when all is written.
    pickle_module is accepted for PyTorch's sake and not used.

    Raises RuntimeError for tensors of different dtypes on one storage, and for a path in a
    folder that does not exist.

    >>> import flambeau as fb, io
    >>> f = io.BytesIO()
    >>> fb.save({"w": fb.ones(2)}, f)
    >>> _ = f.seek(0)
    >>> fb.load(f)
    {'w': tensor([1., 1.])}
    """
    if not _use_new_zipfile_serialization:
        raise NotImplementedError("save: the format from before PyTorch 1.6 is not written")
    if isinstance(f, (str, os.PathLike)):
        top = os.path.splitext(os.path.basename(os.fspath(f)))[0] or "archive"
        # Pickle first: an object that does not pickle must not touch the disk.
        records = _records(obj, pickle_protocol)
        with atomic_file(f) as out:
            _write(records, out, top)
    elif hasattr(f, "write"):
        _write(_records(obj, pickle_protocol), f, "archive")
    else:
        raise AttributeError(
            f"save: expected a path or a binary file with a write method, got {type(f).__name__}"
        )


def _records(obj, protocol):
    out = io.BytesIO()
    pickler = _Pickler(out, protocol)
    pickler.dump(obj)
    return out.getvalue(), list(pickler.storages.values())


def _write(records, out, top):
    import sys

    data, storages = records
    archive = ArchiveWriter(out, top)
    archive.write("data.pkl", data)
    archive.write(".format_version", b"1")
    archive.write(".storage_alignment", b"64")
    archive.write("byteorder", sys.byteorder.encode())
    for key, _, storage in storages:
        archive.write(f"data/{key}", _storage_bytes(storage))
    archive.write("version", b"3\n")
    archive.close()


class _StorageLoader:
    """Turns persistent ids into storages: each record is read once and shared."""

    def __init__(self, archive, map_location, mapped):
        self.archive, self.map_location, self.mapped = archive, map_location, mapped
        self.loaded = {}

    def __call__(self, pid):
        ok = isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage"
        if not ok or not isinstance(pid[1], StorageClass):
            raise pickle.UnpicklingError(f"unknown persistent id {pid!r:.80}")
        _, kind, key, location, numel = pid
        if not all(isinstance(v, str) for v in (key, location)) or type(numel) is not int:
            raise pickle.UnpicklingError(f"malformed storage {pid!r:.80}")
        if key not in self.loaded:
            self.loaded[key] = self._read(kind.dtype_name, key, location, numel)
        return self.loaded[key]

    def _read(self, dtype_name, key, location, numel):
        from . import empty, frombuffer, uint8

        record, width = f"data/{key}", dtype_named(dtype_name).itemsize
        stored = self.archive.size(record)
        if stored != numel * width:
            raise RuntimeError(
                f"load: {self.archive.label} is damaged: record {record} has {stored} bytes, "
                f"its tensor of {numel} {dtype_name} needs {numel * width}"
            )
        if self.mapped is not None and stored:
            start = self.archive.position(record)
            raw = frombuffer(self.mapped, dtype=uint8, count=stored, offset=start)
        else:
            raw = empty(stored, dtype=uint8)
            if stored:
                target = memoryview(raw.untyped_storage()).cast("B")
                self.archive.read_into(record, target)
        # The storage moves as a whole: tensors that share it share it on the device too.
        where = self._place(raw, location)
        return LoadedStorage(raw if where is None else raw.to(where), dtype_name)

    def _place(self, raw, location):
        """Return the device to move to, or None for the CPU, as map_location wants it."""
        where = self.map_location
        if isinstance(where, dict):
            where = where.get(location, location)
        elif callable(where):
            moved = where(raw.untyped_storage(), location)
            where = location if moved is None else getattr(moved, "device", "cpu")
        elif where is None:
            where = location
        where = str(where)
        if where == "cpu":
            return None
        if where.startswith("cuda"):
            from . import cuda

            if not cuda.is_available():
                raise DeviceError(
                    f"Attempting to deserialize object on a CUDA device ({where}, in "
                    f"{self.archive.label}) but cuda.is_available() is False: this machine has no "
                    f"usable GPU; load it with map_location='cpu'"
                )
        return where


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **options):
    """Load what flambeau.save, PyTorch's save or safetensors wrote.

    f: a path or an open binary file. map_location: where tensors go: a device, a dict of
    devices, or a function of (storage, location); None puts them where they were saved.
    weights_only: True (the default) makes tensors, containers and allowed classes only and
    never runs code from the file; False can run any code the file holds: trusted files only.
    mmap: True maps the file instead of reading it; changes to tensors do not reach the file.

    Raises UnpicklingError for names that are not allowed, RuntimeError for damaged files.

    >>> import flambeau as fb, io
    >>> f = io.BytesIO()
    >>> fb.save([fb.arange(3), "text"], f)
    >>> _ = f.seek(0)
    >>> fb.load(f)
    [tensor([0, 1, 2]), 'text']
    """
    if weights_only is None:
        weights_only = pickle_module is None
    is_path = isinstance(f, (str, os.PathLike))
    if is_path and os.fspath(f).endswith(".safetensors"):
        device = "cpu" if map_location is None else map_location
        return load_safetensors(f, device=device, mmap=bool(mmap))
    if not is_path and not (hasattr(f, "read") and hasattr(f, "seek")):
        raise AttributeError(
            f"load: expected a path or a seekable binary file, got {type(f).__name__}; "
            f"wrap bytes in io.BytesIO"
        )
    if mmap and not is_path:
        raise ValueError("f must be a file path in order to use the mmap argument")
    _check_format(f)
    archive = ArchiveReader(f)
    try:
        return _load(archive, f, map_location, pickle_module, weights_only, mmap, options)
    finally:
        archive.close()


def _load(archive, f, map_location, pickle_module, weights_only, mmap, options):
    import sys

    if "constants.pkl" in archive:
        raise RuntimeError(f"load: {archive.label} is a TorchScript program, not saved tensors")
    if "byteorder" in archive and archive.read("byteorder").decode() != sys.byteorder:
        raise NotImplementedError(
            f"load: {archive.label} was written on a machine of the other byte order"
        )
    loader = _StorageLoader(archive, map_location, _map_file(f) if mmap else None)
    data = archive.read("data.pkl")
    if weights_only:
        return SafeUnpickler(data, archive.label, loader).load()
    if pickle_module is not None and pickle_module is not pickle:
        raise NotImplementedError("load: only Python's own pickle module is supported")
    return TrustingUnpickler(data, loader, **options).load()


def _map_file(path):
    """Return a private memory map: writes stay in memory."""
    import mmap

    with open(path, "rb") as f:
        return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)


def _check_format(f):
    """Raise RuntimeError for empty files and for the formats from before zip."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as opened:
            head = opened.read(4)
    else:
        place = f.tell()
        head = f.read(4)
        f.seek(place)
    if head[:2] == b"PK":
        return
    if not head:
        raise EOFError(f"load: {describe(f)} is empty (or was read to its end: seek(0) first)")
    if head[:1] == b"\x80":
        raise RuntimeError(
            f"load: {describe(f)} is in the format from before PyTorch 1.6 (a bare pickle), which "
            f"is not read here; load it with PyTorch and save it again, which writes a zip file"
        )
    raise RuntimeError(
        f"load: {describe(f)} is not a zip archive (it begins with {head!r}); "
        f"expected a file of flambeau.save or PyTorch's save, or a name ending in .safetensors"
    )


def _rebuild_tensor(data, dtype_name, size, stride, requires_grad, kind=None, state=None):
    """Undo _reduce_tensor: data is bytes-like or a PickleBuffer's content."""
    from . import Tensor, as_strided, empty, uint8
    from ._rebuild import set_state

    raw = empty(len(data), dtype=uint8)
    if len(data):
        memoryview(raw.untyped_storage()).cast("B")[:] = memoryview(data).cast("B")
    flat = raw.view(dtype_named(dtype_name))
    check_geometry(flat.numel(), 0, size, stride)
    made = as_strided(flat, size, stride, flat.storage_offset())
    if kind is not None and kind is not Tensor:
        made = kind(made, requires_grad) if _is_parameter(kind) else made.as_subclass(kind)
    if requires_grad:
        made.requires_grad_()
    return set_state(made, state) if state else made


def _reduce_tensor(t, protocol=2):
    """Return (function, args) for Tensor.__reduce_ex__: plain pickle, multiprocessing.

    Only the elements of t travel, not the whole storage of a small view; a layout without
    gaps keeps its strides. Devices other than the CPU come back on the CPU.
    """
    from . import Tensor

    state = dict(vars(t)) if hasattr(t, "__dict__") else {}
    kind = None if type(t) is Tensor else type(t)
    data = t.detach().cpu()
    size, stride = tuple(data.shape), tuple(data.stride())
    span = 1 + sum((n - 1) * step for n, step in zip(size, stride))
    if data.numel() != span:
        data = data.clone().contiguous()
        stride, span = tuple(data.stride()), data.numel()
    width, start = data.element_size(), data.storage_offset() * data.element_size()
    content = b""
    if data.numel():
        content = memoryview(data.untyped_storage()).cast("B")[start : start + span * width]
        # Protocol 5 hands the memory itself to pickle, which may send it out of band.
        content = pickle.PickleBuffer(content) if protocol >= 5 else bytes(content)
    args = content, _dtype_name(data.dtype), size, stride, t.requires_grad, kind, state or None
    return _rebuild_tensor, args
