"""Composites that join several tensors: grids, products."""

from __future__ import annotations

import flambeau as fb

from ._register import composite
from ._util import need_tensors, star


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
