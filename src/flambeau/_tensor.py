"""Methods of Tensor that are written in Python: the NumPy protocols, pickling, hooks, devices."""

from __future__ import annotations

from . import _C
from ._C import Tensor


def _method(f):
    setattr(Tensor, f.__name__, f)
    f.__qualname__ = "Tensor." + f.__name__
    return f


# NumPy ------------------------------------------------------------------------------------------

Tensor.__array_priority__ = 1000  # NumPy's operators leave mixed expressions to us


@_method
def __array__(self, dtype=None, copy=None):
    a = self.numpy()
    if dtype is not None and a.dtype != dtype:
        return a.astype(dtype, copy=True)
    return a.copy() if copy else a


@_method
def __array_wrap__(self, array, context=None, return_scalar=False):
    if array.ndim == 0:
        return _C.tensor(array[()] if array.dtype.kind != "b" else bool(array))
    return _C.from_numpy(array)


@_method
def __array_namespace__(self, *, api_version=None):
    import flambeau

    return flambeau


# Copying and pickling ---------------------------------------------------------------------------


def _rebuild(cls, storage, dtype, size, stride, offset, requires_grad, attributes, device=None):
    flat = storage.view(dtype)
    t = _C.as_strided(flat, size, stride, offset)
    if device is not None:
        t = t.to(device)
    if cls is not Tensor:
        t = Tensor._make_subclass(cls, t)
    else:
        t = t.detach()
    if attributes:
        t.__dict__.update(attributes)
    return t.requires_grad_(requires_grad) if requires_grad else t


@_method
def view_bytes(self):
    """The tensor's whole storage as a 1-d uint8 tensor."""
    return self.untyped_storage()._tensor()


def _storage_cpu(self):
    """The bytes in the host's memory: the storage itself when it is there already."""
    return self if self.device.type == "cpu" else self._tensor().cpu().untyped_storage()


def _storage_cuda(self, device=None, non_blocking=False):
    """The bytes on a GPU: the storage itself when it is there already."""
    return self._tensor().cuda(device, non_blocking).untyped_storage()


_C.UntypedStorage.cpu, _C.UntypedStorage.cuda = _storage_cpu, _storage_cuda


@_method
def __reduce_ex__(self, protocol):
    if self.device.type == "meta":
        return _rebuild_meta, (
            type(self),
            self.dtype,
            tuple(self.shape),
            self.stride(),
            self.requires_grad,
        )
    if not self.is_leaf:
        raise RuntimeError(
            "only tensors that are leaves of the graph can be pickled; use tensor.detach() first"
        )
    small = self.numel() * self.element_size() * 2 < self.untyped_storage().nbytes()
    t = self.detach().clone() if small else self  # a small view must not drag a large storage along
    elsewhere = () if t.is_cpu else (str(t.device),)
    if elsewhere:
        t = t.detach().cpu()
    return _rebuild, (
        type(self),
        _Bytes(t.view_bytes()),
        self.dtype,
        tuple(self.shape),
        t.stride(),
        t.storage_offset(),
        self.requires_grad,
        dict(self.__dict__),
        *elsewhere,
    )


class _Bytes:
    """A uint8 tensor that pickles as a buffer (out of band with protocol 5)."""

    def __init__(self, raw):
        self.raw = raw

    def view(self, dtype):
        return self.raw.view(dtype)

    def __reduce_ex__(self, protocol):
        if protocol >= 5:
            import pickle

            return _from_buffer, (pickle.PickleBuffer(self.raw),)
        return _from_buffer, (bytes(memoryview(self.raw)),)


def _from_buffer(data):
    raw = (
        _C.frombuffer(data, dtype=_C.uint8)
        if len(memoryview(data))
        else _C.empty(0, dtype=_C.uint8)
    )
    return _Bytes(raw.clone())  # aligned, writable, and our own


def _rebuild_meta(cls, dtype, size, stride, requires_grad):
    t = _C.empty_strided(size, stride, dtype=dtype, device="meta")
    t = t if cls is Tensor else Tensor._make_subclass(cls, t)
    return t.requires_grad_(requires_grad) if requires_grad else t


@_method
def __deepcopy__(self, memo):
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the "
            "deepcopy protocol at the moment; use tensor.detach().clone()"
        )
    if id(self) in memo:
        return memo[id(self)]
    import copy

    r = self.detach().clone()
    if type(self) is not Tensor:
        r = Tensor._make_subclass(type(self), r)
    if self.requires_grad:
        r.requires_grad_(True)
    memo[id(self)] = r
    if self.grad is not None:
        r.grad = copy.deepcopy(self.grad, memo)
    if self.__dict__:
        r.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return r


@_method
def __copy__(self):
    r = self.detach()
    if type(self) is not Tensor:
        r = Tensor._make_subclass(type(self), r)
    r.__dict__.update(self.__dict__)
    return r.requires_grad_(True) if self.requires_grad and self.is_leaf else r


@_method
def __setstate__(self, state):
    self.__dict__.update(state or {})


# Hooks ------------------------------------------------------------------------------------------


class RemovableHandle:
    """What registering a hook returns: `.remove()` takes the hook away again."""

    def __init__(self, owner, key):
        self.owner, self.id = owner, key

    def remove(self):
        """Remove the hook; doing so twice is harmless."""
        if self.owner is not None:
            self.owner._remove_hook(self.id)
            self.owner = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


@_method
def register_hook(self, hook):
    """Call hook(grad) when this tensor's gradient is computed; a returned tensor replaces it.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> h = x.register_hook(lambda g: g * 2)
    >>> x.sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """
    return RemovableHandle(self, self._add_hook(hook, False))


@_method
def register_post_accumulate_grad_hook(self, hook):
    """Call hook(tensor) after a gradient has been added to this leaf's `.grad`."""
    return RemovableHandle(self, self._add_hook(hook, True))


def _node_register_hook(self, fn):
    """Call fn(grad_inputs, grad_outputs) after the node's backward ran."""
    return RemovableHandle(self, self._add_hook(fn))


def _node_register_prehook(self, fn):
    """Call fn(grad_outputs) before the node's backward runs."""
    return RemovableHandle(self, self._add_prehook(fn))


for _name, _fn in (
    ("register_hook", _node_register_hook),
    ("register_prehook", _node_register_prehook),
):
    setattr(_C.Node, _name, _fn)


# Devices and types ------------------------------------------------------------------------------


@_method
def cuda(self, device=None, non_blocking=False, memory_format=None):
    """The tensor on a GPU; raises RuntimeError, with the cure, where there is none.

    non_blocking: do not wait for the copy; it overlaps with the program if self is pinned.
    """
    if device is None:
        device = "cuda"
    elif isinstance(device, int):
        device = f"cuda:{device}"
    return self.to(_C.device(device), non_blocking=non_blocking)


@_method
def record_stream(self, stream):
    """Keep the memory from being reused before the work queued on `stream` so far is done.

    Needed when a tensor made on one stream is used on another and may be freed before.
    """
    _C._cuda_record_stream(self, stream.cuda_stream)


_TYPE_NAMES = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
    "uint16": "UInt16",
    "uint32": "UInt32",
    "uint64": "UInt64",
}


def _type_of(self, dtype=None, non_blocking=False):
    """The name of the tensor's type; with an argument, the tensor in that dtype."""
    if dtype is None:
        return f"flambeau.{_TYPE_NAMES[self.dtype.name]}Tensor"
    if isinstance(dtype, str):
        short = dtype.rsplit(".", 1)[-1].removesuffix("Tensor")
        found = [n for n, s in _TYPE_NAMES.items() if s == short]
        if not found:
            raise ValueError(f"invalid type: {dtype!r}")
        dtype = getattr(_C, found[0])
    elif not isinstance(dtype, _C.dtype):
        dtype = dtype.dtype
    return self.to(dtype)


Tensor.type = _type_of


@_method
def is_pinned(self, device=None):
    """Whether the memory is page-locked, which a GPU copies from and to by itself."""
    return _C._cuda_is_pinned(self)


@_method
def pin_memory(self, device=None):
    """The tensor in page-locked host memory: itself when it is there already.

    Raises RuntimeError without a GPU, and for a tensor that is not on the CPU.
    """
    problem = _C._cuda_problem()
    if problem:
        raise RuntimeError(
            f"Cannot access accelerator device when none is available: pin_memory() needs CUDA, "
            f"which is not available: {problem}"
        )
    return _C._cuda_pin_memory(self)


@_method
def is_shared(self):
    """Whether the memory is shared with other processes."""
    return bool(self.__dict__.get("_shared"))


@_method
def share_memory_(self):
    """Moves the tensor into memory that forked processes share; returns it."""
    import mmap

    if not self.is_shared() and self.numel():
        size = self.untyped_storage().nbytes()
        shared = _C.frombuffer(mmap.mmap(-1, size), dtype=_C.uint8)
        shared.copy_(self.view_bytes())
        self.data = _C.as_strided(
            shared.view(self.dtype), self.shape, self.stride(), self.storage_offset()
        )
        self.__dict__["_shared"] = True
    return self


@_method
def to_dense(self, dtype=None, *, masked_grad=None):
    """The tensor itself (in dtype): every tensor here is dense."""
    return self if dtype is None else self.to(dtype)


@_method
def storage(self):
    """The bytes the tensor is a view of."""
    return self.untyped_storage()


@_method
def new(self, *args):
    """A new tensor with self's dtype: new(sizes...) or new(values)."""
    if args and not isinstance(args[0], (int, _C.Size)):
        return self.new_tensor(args[0])
    return self.new_empty(*(args or (0,)))


@_method
def positive(self):
    """The tensor itself; bool tensors raise RuntimeError.

    >>> import flambeau as fb
    >>> fb.ones(1).positive()
    tensor([1.])
    """
    if self.dtype is _C.bool:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return self


_C.positive = positive


@_method
def polygamma(self, n):
    """The n-th derivative of digamma at each element."""
    return _C.polygamma(n, self)


@_method
def resize_as_(self, other, memory_format=None):
    """Resizes the tensor to the sizes of another."""
    return self.resize_(other.shape)


@_method
def new_empty_strided(self, size, stride, dtype=None, device=None, **options):
    """An uninitialised tensor of given size and strides with self's dtype."""
    return _C.empty_strided(
        size, stride, dtype=dtype or self.dtype, device=device or self.device, **options
    )


@_method
def __contains__(self, element):
    if not isinstance(element, (Tensor, int, float, complex, bool)):
        raise RuntimeError(
            f"Tensor.__contains__ only supports Tensor or scalar, but you passed in "
            f"a {element.__class__}."
        )
    return bool((self == element).any())


@_method
def __reversed__(self):
    return self if self.dim() == 0 else _C.flip(self, tuple(range(self.dim())))


@_method
def __complex__(self):
    return complex(self.item())


@_method
def __dir__(self):
    return sorted({*object.__dir__(self), *self.__dict__})


@_method
def apply_(self, callable):
    """Replace every element x by callable(x); slow, CPU only."""
    if self.requires_grad:
        raise RuntimeError("apply_ is not supported on tensors that require grad")
    values = [callable(v) for v in self.reshape(-1).tolist()]
    return self.copy_(_C.tensor(values, dtype=self.dtype).view(self.shape))


@_method
def map_(self, tensor, callable):
    """Replace every element x by callable(x, y), y from a tensor of the same shape."""
    pairs = zip(self.reshape(-1).tolist(), tensor.expand_as(self).reshape(-1).tolist(), strict=True)
    values = [callable(a, b) for a, b in pairs]
    return self.copy_(_C.tensor(values, dtype=self.dtype).view(self.shape))


@_method
def nonzero(self, *, as_tuple=False):
    """Positions of the nonzero elements: (count, dim) of int64, or one vector a dimension.

    >>> import flambeau as fb
    >>> fb.tensor([0, 3, 4]).nonzero()
    tensor([[1],
            [2]])
    """
    if not as_tuple:
        return _C._nonzero(self)
    t = self.unsqueeze(0) if self.dim() == 0 else self
    return tuple(c.contiguous() for c in _C._nonzero(t).unbind(1))


_C.nonzero = nonzero


def _layout_form(name):
    def form(self, *args, **kwargs):
        return self._take_layout(getattr(self, name)(*args, **kwargs))

    form.__name__ = name + "_"
    form.__qualname__ = "Tensor." + form.__name__
    form.__doc__ = f"{name}() of the tensor itself, in place."
    return form


for _name in ("unsqueeze", "squeeze", "transpose", "t", "swapaxes", "swapdims", "as_strided"):
    setattr(Tensor, _name + "_", _layout_form(_name))


@classmethod
def __torch_function__(cls, func, types, args=(), kwargs=None):
    """Runs func and gives its tensors the subclass of the arguments."""
    _C._disable_torch_function(True)
    try:
        r = func(*args, **(kwargs or {}))
    finally:
        _C._disable_torch_function(False)
    return _as(cls, r)


def _as(cls, r):
    if isinstance(r, Tensor) and cls is not Tensor and not isinstance(r, cls):
        return r.as_subclass(cls)
    if isinstance(r, (tuple, list)) and type(r) in (tuple, list):
        return type(r)(_as(cls, x) for x in r)
    return r


Tensor.__torch_function__ = __torch_function__


def _disabled_torch_function(*args, **kwargs):
    return NotImplemented


_C._disabled_torch_function_impl = _disabled_torch_function
