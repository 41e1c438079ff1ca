"""Compares results of two libraries: values, dtypes, shapes, containers."""

from __future__ import annotations

import numpy as np
import torch

from convert import short


class Mismatch(Exception):
    """What differs, in words."""


TOLERANCE = {
    "float64": (1e-7, 1e-7),
    "complex128": (1e-7, 1e-7),
    "float32": (1e-4, 1e-5),
    "complex64": (1e-4, 1e-5),
    "float16": (2e-3, 2e-3),
    "bfloat16": (2e-2, 2e-2),
}


def tensors(x, conv):
    """All tensors in nested containers."""
    if conv.is_tensor(x):
        return [x]
    values = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    return [t for v in values for t in tensors(v, conv)]


def same_tensor(want, got, conv, values, where, scale):
    if not conv.is_tensor(got):
        raise Mismatch(f"{where}: a {type(got).__name__}, PyTorch gives a tensor")
    (dw, sw, vw), (dg, sg, vg) = conv.numpy(want), conv.numpy(got)
    if dw != dg:
        raise Mismatch(f"{where}: dtype {dg}, PyTorch {dw}")
    if sw != sg:
        raise Mismatch(f"{where}: shape {sg}, PyTorch {sw}")
    if not values:
        return
    if vw.dtype.kind not in "fc":
        if not np.array_equal(vw, vg):
            raise Mismatch(f"{where}: {int((vw != vg).sum())} of {vw.size} values differ")
        return
    rtol, atol = TOLERANCE.get(dw, (5e-3, 5e-3))
    finite = np.abs(vw[np.isfinite(vw)])
    largest = float(finite.max()) if finite.size else 0.0
    with np.errstate(all="ignore"):
        if not np.allclose(vg, vw, rtol * scale, atol * scale * max(1.0, min(largest, 1e6)), True):
            worst = float(np.nanmax(np.abs(vg - vw))) if vw.size else 0.0
            raise Mismatch(f"{where}: values differ by up to {worst:.3g}, largest {largest:.3g}")


def same(want, got, conv, values=True, where="out", scale=1.0):
    """Raises Mismatch unless the other side's result equals PyTorch's."""
    if isinstance(want, torch.Tensor):
        same_tensor(want, got, conv, values, where, scale)
    elif isinstance(want, dict):
        if list(want) != list(got):
            raise Mismatch(f"{where}: keys {list(got)[:6]}, PyTorch {list(want)[:6]}")
        for k in want:
            same(want[k], got[k], conv, values, f"{where}[{k!r}]", scale)
    elif isinstance(want, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(want) != len(got):
            raise Mismatch(f"{where}: {type(got).__name__} instead of {len(want)} results")
        for name in getattr(want, "_fields", ()):
            if not hasattr(got, name):
                raise Mismatch(f"{where}: no field {name!r}")
        for i, (w, g) in enumerate(zip(want, got)):
            same(w, g, conv, values, f"{where}[{i}]", scale)
    elif isinstance(want, torch.dtype):
        if short(want) != short(got):
            raise Mismatch(f"{where}: {got}, PyTorch {want}")
    elif want is None or isinstance(want, (bool, int, str)):
        if want != got or (want is None) != (got is None):
            raise Mismatch(f"{where}: {got!r}, PyTorch {want!r}")
    elif isinstance(want, (float, complex)):
        if values and not np.allclose(got, want, 1e-4, 1e-5, True):
            raise Mismatch(f"{where}: {got!r}, PyTorch {want!r}")
    elif type(want).__name__ != type(got).__name__:
        raise Mismatch(f"{where}: {type(got).__name__}, PyTorch {type(want).__name__}")


def weighted_sum(root, outputs, conv):
    """A scalar of all differentiable outputs, with fixed uneven weights; None if there is none."""
    total = None
    for t in outputs:
        if not t.requires_grad:
            continue
        n = int(np.prod(tuple(t.shape)))
        w = (np.cos(np.arange(n) * 0.7 + 0.3) + 0.5).reshape(tuple(t.shape)).astype("f8")
        w = root.from_numpy(w) if w.ndim else root.tensor(float(w))
        s = (t * w.to(t.dtype)).sum()
        s = s.real + s.imag if s.dtype.is_complex else s
        total = s.double() if total is None else total + s.double()
    return total
