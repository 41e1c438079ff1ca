"""The one seam to NumPy: decompositions that the core lacks take tensors and return tensors."""

from __future__ import annotations

import numpy as np

import flambeau as fb


class LinAlgError(RuntimeError):
    """A decomposition failed: a singular or non-positive-definite matrix, no convergence."""


def to_numpy(x):
    """The values of a tensor as an ndarray that shares memory when it lives on the CPU."""
    x = x.detach().resolve_conj()
    return (x if x.device.type == "cpu" else x.cpu()).numpy()


def to_tensor(a, like, dtype=None):
    """An ndarray (or scalar) as a tensor on the device of `like`."""
    a = np.asarray(a)
    if not a.flags.writeable or any(s < 0 for s in a.strides):
        a = a.copy()
    t = fb.from_numpy(a)
    if dtype is not None and t.dtype != dtype:
        t = t.to(dtype)
    return t if like.device.type == "cpu" else t.to(like.device)


def call(f, *tensors, **kw):
    """Apply an ndarray function to tensors; arrays in the result become tensors again."""
    arrays = [to_numpy(t) if isinstance(t, fb.Tensor) else t for t in tensors]
    out = f(*arrays, **kw)
    if isinstance(out, tuple):
        return tuple(to_tensor(o, tensors[0]) for o in out)
    return to_tensor(out, tensors[0])


def single(name, instead):
    """LAPACK's routine in single precision for such matrices: `np.linalg` computes in double."""
    lapack = getattr(getattr(np.linalg, "_umath_linalg", None), name, None)

    def f(a):
        if lapack is None or a.dtype.char not in "fF" or a.size == 0:
            return instead(a)
        with np.errstate(call=_no_convergence, invalid="call", over="ignore", under="ignore"):
            return lapack(a)

    return f


def _no_convergence(error, flag):
    raise np.linalg.LinAlgError("the iteration did not converge")


def per_matrix(f, a, name):
    """`f(a)` on a batch; a LinAlgError of NumPy names the failing matrix of the batch."""
    try:
        with np.errstate(all="ignore"):
            return f(a)
    except np.linalg.LinAlgError as e:
        raise LinAlgError(f"{name}: {_which(f, a)}{e}") from None


def _which(f, a):
    if a.ndim == 2:
        return ""
    flat = a.reshape(-1, *a.shape[-2:])
    for i, m in enumerate(flat):
        try:
            f(m)
        except np.linalg.LinAlgError:
            return f"(Batch element {i}): "
    return ""
