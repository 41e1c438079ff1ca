"""Small helpers that every family of composites shares."""

from __future__ import annotations

import flambeau as fb


def wrap_dim(dim, ndim, name="dim"):
    """Turn a possibly negative dimension into 0..ndim-1 (a 0-d tensor counts as 1-d)."""
    n = max(ndim, 1)
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    return dim + n if dim < 0 else dim


def wrap_dims(dims, ndim):
    """`wrap_dim` over an int or a sequence; repeated dimensions are an error."""
    ds = [wrap_dim(d, ndim) for d in ((dims,) if isinstance(dims, int) else dims)]
    if len(set(ds)) != len(ds):
        raise RuntimeError(f"dim {dims} appears multiple times in the list of dims")
    return ds


def inexact(x):
    """True for floating and complex tensors."""
    return x.is_floating_point() or x.is_complex()


def as_inexact(x):
    """Integer and bool tensors become the default floating type; others pass."""
    return x if inexact(x) else x.to(fb.get_default_dtype())


def real_dtype(dtype):
    """The real type that a complex type is made of."""
    return {fb.complex64: fb.float32, fb.complex128: fb.float64}.get(dtype, dtype)


def complex_dtype(dtype):
    """The complex type whose parts have the given real type."""
    return {fb.float64: fb.complex128, fb.float32: fb.complex64}.get(dtype, dtype)


def is_tensor(x):
    return isinstance(x, fb.Tensor)


def need_tensors(name, tensors):
    """Check a sequence of tensors given to `name`; a lone tensor or other thing is a TypeError."""
    if is_tensor(tensors) or not isinstance(tensors, (tuple, list)):
        raise TypeError(
            f"{name}: expected a tuple or list of Tensors, got {type(tensors).__name__}"
        )
    for i, t in enumerate(tensors):
        if not isinstance(t, fb.Tensor):
            raise TypeError(f"{name}: expected Tensor as element {i}, got {type(t).__name__}")
    return tensors


def star(args):
    """`f(a, b)` and `f((a, b))` mean the same."""
    return args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


def result_type(*tensors):
    """Promoted dtype of several tensors (0-d tensors weak, as in arithmetic)."""
    t = tensors[0]
    d = t.dtype
    for u in tensors[1:]:
        d = fb.promote_types(d, u.dtype)
    return d


_named = {}


def named(name, fields, *values):
    """A result tuple with named fields, as `flambeau.return_types` shows it."""
    cls = _named.get(name)
    if cls is None:
        from collections import namedtuple

        cls = _named[name] = namedtuple(name, fields)
    return cls(*values)
