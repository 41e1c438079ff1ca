"""Composites that cut a tensor into parts."""

from __future__ import annotations

import flambeau as fb

from ._register import composite
from ._util import wrap_dim


def _parts(input, edges, dim):
    n, out, lo = input.shape[dim], [], 0
    for hi in [*edges, n]:
        a, b = (min(max(e + n if e < 0 else e, 0), n) for e in (lo, hi))
        out.append(input.narrow(dim, a, max(b - a, 0)))
        lo = hi
    return tuple(out)


@composite(method=True)
def tensor_split(input, indices_or_sections, dim=0):
    """Cut `input` along `dim` into n nearly equal parts, or at the given indices; views.

    >>> import flambeau as fb
    >>> [t.tolist() for t in fb.tensor_split(fb.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    if input.dim() == 0:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim, where = wrap_dim(dim, input.dim()), indices_or_sections
    if isinstance(where, fb.Tensor):
        if where.dtype != fb.int64 or where.device.type != "cpu":
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to have dtype of "
                f"long and to be on cpu, but got {where.dtype} on {where.device}"
            )
        if where.dim() > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a "
                f"zero-dimensional or one-dimensional tensor, got {where.dim()} "
                "dims"
            )
        where = where.tolist()
    if isinstance(where, (tuple, list)):
        return _parts(input, [int(i) for i in where], dim)
    if where <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {where}")
    small, big = divmod(input.shape[dim], where)
    edges = [i * small + min(i, big) for i in range(1, where)]
    return _parts(input, edges, dim)


def _check_split(name, input, need, dim, where):
    if input.dim() < need:
        raise RuntimeError(
            f"torch.{name} requires a tensor with at least {need} dimension"
            f"{'s' if need > 1 else ''}, but got a tensor with {input.dim()} "
            "dimensions!"
        )
    if isinstance(where, int) and (where == 0 or input.shape[dim] % where):
        raise RuntimeError(
            f"torch.{name} attempted to split along dimension {dim}, but the size "
            "of "
            f"the dimension {input.shape[dim]} is not divisible by the split_size "
            f"{where}!"
        )
    return tensor_split(input, where, dim)


def _ints(args):
    return args[0] if len(args) == 1 else args


@composite(method=True)
def hsplit(input, *indices_or_sections):
    """Cut along columns (dim 1; dim 0 for 1-d): n equal parts, or at indices."""
    return _check_split(
        "hsplit", input, 1, 0 if input.dim() == 1 else 1, _ints(indices_or_sections)
    )


@composite(method=True)
def vsplit(input, *indices_or_sections):
    """Cut a tensor of two or more dims along rows (dim 0)."""
    return _check_split("vsplit", input, 2, 0, _ints(indices_or_sections))


@composite(method=True)
def dsplit(input, *indices_or_sections):
    """Cut a tensor of three or more dims along dim 2."""
    return _check_split("dsplit", input, 3, 2, _ints(indices_or_sections))


def _sized(input, split_sizes, dim):
    if input.dim() == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = wrap_dim(dim, input.dim())
    if any(s < 0 for s in split_sizes):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, "
            "but "
            f"got split_sizes={list(split_sizes)}"
        )
    if sum(split_sizes) != input.shape[dim]:
        raise RuntimeError(
            "split_with_sizes expects split_sizes to sum exactly to "
            f"{input.shape[dim]} "
            f"(input tensor's size at dimension {dim}), but got split_sizes="
            f"{list(split_sizes)}"
        )
    out, at = [], 0
    for s in split_sizes:
        out.append(input.narrow(dim, at, s))
        at += s
    return tuple(out)


@composite(method=True)
def unsafe_split(input, split_size, dim=0):
    """`split` without the check that in-place writes to the parts are safe."""
    return tuple(input.split(split_size, dim))


@composite(method=True)
def unsafe_split_with_sizes(input, split_sizes, dim=0):
    """`split_with_sizes` without the check that in-place writes to the parts are safe."""
    return _sized(input, split_sizes, dim)
