"""Dtype aliases, constants, memory formats and the legacy tensor constructors."""

from __future__ import annotations

import builtins
import math

from . import _C

half, float, double = _C.float16, _C.float32, _C.float64  # noqa: A001
short, int, long = _C.int16, _C.int32, _C.int64  # noqa: A001
cfloat, cdouble = _C.complex64, _C.complex128

pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
newaxis = None

# Memory formats and layouts are their names.
preserve_format = "preserve_format"
contiguous_format = "contiguous_format"
channels_last = "channels_last"
channels_last_3d = "channels_last_3d"
strided = "strided"


class _TypedTensor(type):
    """The legacy constructors FloatTensor, LongTensor, ...: tensors of one dtype."""

    def __instancecheck__(cls, x):
        return isinstance(x, _C.Tensor) and x.dtype is cls.dtype

    def __call__(cls, *args, **kwargs):
        t = _C.Tensor(*args, **kwargs)
        if args and not isinstance(args[0], (builtins.int, _C.Size)):
            return _C.tensor(args[0], dtype=cls.dtype)
        return t if t.dtype is cls.dtype else _C.empty(t.shape, dtype=cls.dtype)


def _typed(name, dtype):
    return _TypedTensor(name, (), {"dtype": dtype, "__doc__": f"Legacy constructor of {dtype}."})


FloatTensor = _typed("FloatTensor", _C.float32)
DoubleTensor = _typed("DoubleTensor", _C.float64)
HalfTensor = _typed("HalfTensor", _C.float16)
BFloat16Tensor = _typed("BFloat16Tensor", _C.bfloat16)
LongTensor = _typed("LongTensor", _C.int64)
IntTensor = _typed("IntTensor", _C.int32)
ShortTensor = _typed("ShortTensor", _C.int16)
CharTensor = _typed("CharTensor", _C.int8)
ByteTensor = _typed("ByteTensor", _C.uint8)
BoolTensor = _typed("BoolTensor", _C.bool)


def is_tensor(obj):
    """Whether obj is a Tensor.

    >>> import flambeau as fb
    >>> fb.is_tensor(fb.ones(2)), fb.is_tensor([1, 1])
    (True, False)
    """
    return isinstance(obj, _C.Tensor)


def is_storage(obj):
    """Whether obj is an UntypedStorage.

    >>> import flambeau as fb
    >>> fb.is_storage(fb.ones(2).untyped_storage())
    True
    """
    return isinstance(obj, _C.UntypedStorage)


def is_floating_point(input):
    """Whether the dtype of a tensor is a float.

    >>> import flambeau as fb
    >>> fb.is_floating_point(fb.ones(2))
    True
    """
    return input.is_floating_point()


def is_complex(input):
    """Whether the dtype of a tensor is complex.

    >>> import flambeau as fb
    >>> fb.is_complex(fb.ones(2))
    False
    """
    return input.is_complex()


def is_nonzero(input):
    """Whether a one-element tensor is not zero.

    >>> import flambeau as fb
    >>> fb.is_nonzero(fb.tensor(0.))
    False
    """
    if input.numel() != 1:
        raise RuntimeError(
            "Boolean value of Tensor with "
            f"{'no' if input.numel() == 0 else 'more than one'} value is ambiguous"
        )
    return bool(input)


def numel(input):
    """The number of elements of a tensor.

    >>> import flambeau as fb
    >>> fb.numel(fb.ones(2, 3))
    6
    """
    return input.numel()


def typename(obj):
    """The name of a tensor's type, or of any object's class.

    >>> import flambeau as fb
    >>> fb.typename(fb.ones(2))
    'flambeau.FloatTensor'
    """
    if isinstance(obj, _C.Tensor):
        return obj.type()
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


def set_default_tensor_type(t):
    """Sets the default dtype by the name or class of a legacy tensor type.

    >>> import flambeau as fb
    >>> fb.set_default_tensor_type(fb.FloatTensor)
    """
    names = {
        "FloatTensor": _C.float32,
        "DoubleTensor": _C.float64,
        "HalfTensor": _C.float16,
        "BFloat16Tensor": _C.bfloat16,
    }
    _C.set_default_dtype(names[t.rsplit(".", 1)[-1]] if isinstance(t, str) else t.dtype)


_deterministic = [False, False]


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Accepts PyTorch's switch; every kernel here is deterministic always.

    >>> import flambeau as fb
    >>> fb.use_deterministic_algorithms(True)
    >>> fb.are_deterministic_algorithms_enabled()
    True
    >>> fb.use_deterministic_algorithms(False)
    """
    _deterministic[:] = [bool_(mode), bool_(warn_only)]


def are_deterministic_algorithms_enabled():
    """Whether use_deterministic_algorithms was turned on.

    >>> import flambeau as fb
    >>> fb.are_deterministic_algorithms_enabled()
    False
    """
    return _deterministic[0]


def is_deterministic_algorithms_warn_only_enabled():
    """Whether use_deterministic_algorithms was asked to warn only.

    >>> import flambeau as fb
    >>> fb.is_deterministic_algorithms_warn_only_enabled()
    False
    """
    return _deterministic[1]


_precision = ["highest"]


def set_float32_matmul_precision(precision):
    """'high' and 'medium' let a GPU multiply float32 matrices in TF32, 'highest' does not.

    TF32 keeps 10 bits of the factors and sums in float32. The CPU computes at the highest always.

    >>> import flambeau as fb
    >>> fb.set_float32_matmul_precision("high")
    >>> fb.get_float32_matmul_precision()
    'high'
    >>> fb.set_float32_matmul_precision("highest")
    """
    if precision not in ("highest", "high", "medium"):
        raise ValueError(
            f"invalid matmul precision {precision!r}: use 'highest', 'high' or 'medium'"
        )
    _precision[0] = precision
    _C._cuda_setting("matmul_tf32", 0 if precision == "highest" else 1)


def get_float32_matmul_precision():
    """How precisely a GPU multiplies float32 matrices: 'highest', 'high' or 'medium'.

    >>> import flambeau as fb
    >>> fb.get_float32_matmul_precision()
    'highest'
    """
    # backends.cuda.matmul.allow_tf32 is the same switch
    if not _C._cuda_setting("matmul_tf32"):
        return "highest"
    return "high" if _precision[0] == "highest" else _precision[0]


def get_num_interop_threads():
    """The number of threads that run independent operations: always 1.

    >>> import flambeau as fb
    >>> fb.get_num_interop_threads()
    1
    """
    return 1


def set_num_interop_threads(n):
    """Accepts PyTorch's call; operations run one after another here.

    >>> import flambeau as fb
    >>> fb.set_num_interop_threads(1)
    """
    if not isinstance(n, builtins.int) or n < 1:
        raise RuntimeError(f"expected a positive number of threads, got {n!r}")


def set_flush_denormal(mode):
    """Denormal numbers are never flushed here: returns False, as where it is unsupported.

    >>> import flambeau as fb
    >>> fb.set_flush_denormal(True)
    False
    """
    return False


def bool_(x):
    return True if x else False


bool = _C.bool  # noqa: A001

__all__ = [
    n
    for n in dir()
    if not n.startswith("_") and n not in ("math", "builtins", "annotations", "bool_")
]
