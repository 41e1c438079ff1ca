"""finfo and iinfo: the numerical limits of dtypes."""

from __future__ import annotations

from . import _C

_FLOATS = {  # bits, eps, max, smallest normal, smallest subnormal, decimal resolution
    "float16": (16, 2.0**-10, 65504.0, 2.0**-14, 2.0**-24, 1e-3),
    "bfloat16": (16, 2.0**-7, (2 - 2.0**-7) * 2.0**127, 2.0**-126, 2.0**-133, 1e-2),
    "float32": (32, 2.0**-23, (2 - 2.0**-23) * 2.0**127, 2.0**-126, 2.0**-149, 1e-6),
    "float64": (64, 2.0**-52, (2 - 2.0**-52) * 2.0**1023, 2.0**-1022, 5e-324, 1e-15),
}


_made = {}  # one finfo a dtype


class finfo:
    """Limits of a float dtype (of the real part's, if complex).

    >>> import flambeau as fb
    >>> fb.finfo(fb.float32).eps
    1.1920928955078125e-07
    """

    def __new__(cls, dtype=None):
        try:
            return _made[dtype]
        except KeyError:
            pass
        self = object.__new__(cls)
        self._describe((_C.get_default_dtype() if dtype is None else dtype).to_real())
        if dtype is not None:
            _made[dtype] = self
        return self

    def _describe(self, dtype):
        if dtype.name not in _FLOATS:
            raise TypeError(f"finfo() requires a floating point input type, not {dtype}; use iinfo")
        self.dtype = dtype.name
        (self.bits, self.eps, self.max, self.tiny, self.smallest_subnormal, self.resolution) = (
            _FLOATS[dtype.name]
        )
        self.min, self.smallest_normal = -self.max, self.tiny

    def __repr__(self):
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.tiny:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )

    def __eq__(self, other):
        return isinstance(other, finfo) and other.dtype == self.dtype

    def __hash__(self):
        return hash(self.dtype)


class iinfo:
    """Limits of an integer dtype.

    >>> import flambeau as fb
    >>> fb.iinfo(fb.int8).max
    127
    """

    def __init__(self, dtype):
        if dtype.is_floating_point or dtype.is_complex or dtype is _C.bool:
            raise TypeError(f"iinfo() requires an integer input type, not {dtype}; use finfo")
        self.dtype, self.bits = dtype.name, dtype.itemsize * 8
        self.max = (1 << (self.bits - dtype.is_signed)) - 1
        self.min = -(self.max + 1) if dtype.is_signed else 0

    def __repr__(self):
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other):
        return isinstance(other, iinfo) and other.dtype == self.dtype

    def __hash__(self):
        return hash(self.dtype)
