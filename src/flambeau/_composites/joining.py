"""Composites that join several tensors: stacks, grids, products."""

from __future__ import annotations

import flambeau as fb

from ._register import composite
from ._util import need_tensors, star
from .shapes import atleast_1d, atleast_2d, atleast_3d

_AT_LEAST = {1: atleast_1d, 2: atleast_2d, 3: atleast_3d}


def _stacked(name, tensors, ndim, dim, up=None):
    """Join ``tensors``, those of fewer dimensions than ``ndim`` after ``up(tensor)``."""
    need_tensors(name, tensors)
    if not tensors:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    up = up or _AT_LEAST[ndim]
    return fb.cat([t if t.dim() >= ndim else up(t) for t in tensors], dim)


@composite(out=True)
def hstack(tensors):
    """Join tensors side by side: along dim 1 (dim 0 for 1-d).

    >>> import flambeau as fb
    >>> fb.hstack((fb.tensor([1, 2]), fb.tensor([3]))).tolist()
    [1, 2, 3]
    """
    need_tensors("hstack", tensors)
    one = bool(tensors) and tensors[0].dim() <= 1
    return _stacked("hstack", tensors, 1, 0 if one else 1)


@composite(out=True, aliases=("row_stack",))
def vstack(tensors):
    """Join tensors on top of each other: along dim 0, 1-d tensors as rows.

    >>> import flambeau as fb
    >>> fb.vstack((fb.tensor([1, 2]), fb.tensor([3, 4]))).tolist()
    [[1, 2], [3, 4]]
    """
    return _stacked("vstack", tensors, 2, 0)


@composite(out=True)
def dstack(tensors):
    """Join tensors along the third dimension."""
    return _stacked("dstack", tensors, 3, 2)


@composite(out=True)
def column_stack(tensors):
    """Join tensors as columns: 0-d and 1-d tensors become `(n, 1)` first."""
    return _stacked("column_stack", tensors, 2, 1, lambda t: t.reshape(-1, 1))


@composite()
def meshgrid(*tensors, indexing=None):
    """Coordinate grids of 0- or 1-d tensors, as views; `indexing` is "ij" (default) or "xy".

    >>> import flambeau as fb
    >>> a, b = fb.meshgrid(fb.tensor([1, 2]), fb.tensor([3, 4, 5]), indexing="ij")
    >>> tuple(a.shape), b[0].tolist()
    ((2, 3), [3, 4, 5])
    """
    ts = list(need_tensors("meshgrid", star(tensors)))
    if not ts:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for t in ts:
        if t.dim() > 1:
            raise RuntimeError(
                f"meshgrid: Expected 0D or 1D tensor in the tensor list but got: {tuple(t.shape)}"
            )
        if t.dtype != ts[0].dtype:
            raise RuntimeError(
                "meshgrid expects all tensors to have the same dtype, got "
                f"{ts[0].dtype} and {t.dtype}"
            )
        if t.device != ts[0].device:
            raise RuntimeError(
                "meshgrid expects all tensors to have the same device, got "
                f"{ts[0].device} and {t.device}"
            )
    swap = indexing == "xy" and len(ts) >= 2
    if swap:
        ts[0], ts[1] = ts[1], ts[0]
    shape = [t.numel() for t in ts]
    grids = []
    for i, t in enumerate(ts):
        view = [1] * len(ts)
        view[i] = -1 if t.numel() else 0
        grids.append(t.reshape(view).expand(shape))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@composite()
def cartesian_prod(*tensors):
    """All combinations of the elements of 1-d tensors, `(n1*n2*..., k)`; one tensor stays 1-d.

    >>> import flambeau as fb
    >>> fb.cartesian_prod(fb.tensor([1, 2]), fb.tensor([3])).tolist()
    [[1, 3], [2, 3]]
    """
    ts = need_tensors("cartesian_prod", star(tensors))
    if not ts:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for t in ts:
        if t.dim() != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(t.shape)}")
    if len(ts) == 1:
        return ts[0]
    return fb.stack([g.flatten() for g in meshgrid(*ts, indexing="ij")], dim=1)


@composite()
def combinations(input, r=2, with_replacement=False):
    """All combinations of `r` elements of a 1-d tensor, one a row, in order.

    >>> import flambeau as fb
    >>> fb.combinations(fb.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    if input.dim() != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty(0)
    n = input.numel()
    at = fb.arange(n, device=input.device)
    grids = meshgrid(*[at] * r, indexing="ij")
    keep = fb.ones([n] * r, dtype=fb.bool, device=input.device)
    for a, b in zip(grids[:-1], grids[1:]):
        keep = keep & (a <= b if with_replacement else a < b)
    rows = [input.index_select(0, g.masked_select(keep)) for g in grids]
    return fb.stack(rows, 1)
