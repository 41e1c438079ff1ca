"""What saved files call to make tensors again, every size checked before memory is touched."""

from __future__ import annotations

from collections import OrderedDict
from math import prod

# The storage classes that files name, and the dtypes they stand for.
STORAGE_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
DTYPE_NAMES = (
    *STORAGE_DTYPES.values(),
    *("uint16", "uint32", "uint64", "complex32", "half", "float", "double", "long", "int"),
    *("float8_e4m3fn", "float8_e5m2", "short"),
)


def dtype_named(name):
    """Return the dtype called `name`; raise NotImplementedError when this build has none."""
    import flambeau

    found = getattr(flambeau, name, None)
    if found is None or not isinstance(found, type(flambeau.float32)):
        raise NotImplementedError(f"load: the file holds dtype {name}, which does not exist here")
    return found


class LoadedStorage:
    """Bytes of one saved storage: a 1-d uint8 tensor, and the dtype that the file gave it."""

    def __init__(self, raw, dtype_name):
        self.raw, self.dtype_name = raw, dtype_name


def check_geometry(numel, offset, size, stride):
    """Raise ValueError unless a strided view lies inside a storage of `numel` elements."""
    whole = (offset, *size, *stride)
    if any(type(n) is not int or n < 0 for n in whole) or len(size) != len(stride):
        raise ValueError(f"offset {offset}, size {size} and stride {stride} make no tensor")
    if 0 in size:
        return
    if prod(size) >= 1 << 60:
        raise ValueError(f"a tensor of size {size} is larger than any memory")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if last >= numel:
        raise ValueError(
            f"a tensor with offset {offset}, size {tuple(size)} and stride {tuple(stride)} "
            f"reaches element {last} of a storage with {numel}"
        )


def _tensor(storage, dtype_name, offset, size, stride, requires_grad, flags=None):
    from flambeau import as_strided

    dtype = dtype_named(dtype_name)
    flat = storage.raw.view(dtype)
    size, stride = tuple(size), tuple(stride)
    check_geometry(flat.numel(), offset, size, stride)
    made = as_strided(flat, size, stride, flat.storage_offset() + offset)
    if flags and flags.get("conj"):
        made = made.conj()
    if flags and flags.get("neg"):
        made = -made
    return made.requires_grad_() if requires_grad else made


def rebuild_tensor(storage, offset, size, stride):
    """Make a tensor on a loaded storage."""
    return _tensor(storage, storage.dtype_name, offset, size, stride, False)


def rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, flags=None):
    """Make a tensor whose dtype is that of its storage."""
    return _tensor(storage, storage.dtype_name, offset, size, stride, requires_grad, flags)


def rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, flags=None):
    """Make a tensor of a dtype that has no storage class of its own."""
    name = str(dtype).rsplit(".", 1)[-1]
    return _tensor(storage, name, offset, size, stride, requires_grad, flags)


def rebuild_parameter(data, requires_grad, hooks):
    """Make an nn.Parameter of a tensor."""
    from flambeau.nn import Parameter

    return Parameter(data, requires_grad)


def rebuild_parameter_with_state(data, requires_grad, hooks, state):
    """Make an nn.Parameter that carries attributes."""
    return set_state(rebuild_parameter(data, requires_grad, hooks), state)


def rebuild_from_type(function, kind, args, state):
    """Make a tensor of class `kind`, or one that carries attributes."""
    made = function(*args)
    if type(made) is not kind:
        made = made.as_subclass(kind)
    return set_state(made, state)


def rebuild_meta(dtype, size, stride, requires_grad):
    """Make a tensor without data on the meta device."""
    from flambeau import empty_strided

    return empty_strided(
        tuple(size), tuple(stride), dtype=dtype, device="meta", requires_grad=requires_grad
    )


def set_state(tensor, state):
    """Give a tensor the attributes of a state dict, or of a (dict, slots) pair."""
    names = {}
    for part in state if isinstance(state, tuple) else (state,):
        names.update(part or {})
    for name, value in names.items():
        if type(name) is not str or name.startswith("__"):
            raise ValueError(f"{name!r} is no attribute of a tensor")
        setattr(tensor, name, value)
    return tensor


def ordered_dict(*pairs):
    """Make an OrderedDict of nothing or of a list of pairs."""
    return OrderedDict(*pairs)


def make_bytes(text, encoding):
    """Undo the way pickle protocol 2 writes bytes."""
    if encoding != "latin1":
        raise ValueError(f"encoding {encoding!r} is not how bytes are saved")
    return text.encode("latin1")


def make_bytearray(data=b""):
    """Make a bytearray of bytes; a number would allocate memory at will."""
    if not isinstance(data, bytes):
        raise ValueError("a bytearray is made of bytes")
    return bytearray(data)
