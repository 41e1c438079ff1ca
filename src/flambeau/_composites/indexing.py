"""Composites that pick, place or look up elements."""

from __future__ import annotations

import flambeau as fb

from .._autocast import in_float32
from ._register import composite
from ._util import wrap_dim


@composite(method=True)
def argwhere(input):
    """Indices `(n, input.dim())` of the non-zero elements, int64."""
    return fb.nonzero(input)


@composite(method=True, out=True)
def nonzero_static(input, *, size, fill_value=-1):
    """`nonzero` cut or padded (with `fill_value`) to exactly `size` rows."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    at = fb.nonzero(input)
    n = at.shape[0]
    if n >= size:
        return at[:size]
    return fb.cat([at, at.new_full((size - n, at.shape[1]), fill_value)], 0)


@composite(method=True)
def diagflat(input, offset=0):
    """`input` flattened as the diagonal of a matrix."""
    return fb.diag_embed(input.reshape(-1), offset)


@composite(method=True)
@in_float32("cpu")
def trace(input):
    """Sum of the main diagonal of a matrix; integers sum to int64."""
    if input.dim() != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.dim()}")
    return input.diagonal().sum()


def _check_src(name, src, view):
    if tuple(src.shape) != tuple(view.shape):
        raise RuntimeError(
            f"{name}: expected src to have a size equal to the slice of self: src "
            "has "
            f"shape {tuple(src.shape)}, the slice {tuple(view.shape)}"
        )


def _scattered(name, input, src, view):
    out = input.clone()
    part = view(out)
    _check_src(name, src, part)
    part.copy_(src)
    return out


@composite(method=True)
def select_scatter(input, src, dim, index):
    """A copy of `input` with `src` written to `select(dim, index)`."""
    return _scattered("select_scatter", input, src, lambda t: t.select(dim, index))


@composite(method=True, out=True)
def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """A copy of `input` with `src` written to the slice `start:end:step` of `dim`.

    >>> import flambeau as fb
    >>> fb.slice_scatter(fb.zeros(4), fb.ones(2), start=1, end=3).tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    dim = wrap_dim(dim, input.dim())
    key = (slice(None),) * dim + (slice(start, end, step),)
    return _scattered("slice_scatter", input, src, lambda t: t[key])


@composite(method=True)
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy of `input` with `src` written to `diagonal(offset, dim1, dim2)`."""
    return _scattered("diagonal_scatter", input, src, lambda t: t.diagonal(offset, dim1, dim2))


@composite(method=True, inplace=True, out=True)
def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """Reduce slices of `source` into rows `index` of `input` along `dim`.

    `reduce` is "prod", "mean", "amax" or "amin"; `index` is 1-d and of integers.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin "
            "but "
            f"got {reduce}."
        )
    if index.dtype not in (fb.int32, fb.int64):
        raise RuntimeError(
            f"index_reduce(): Expected dtype int32/int64 for index, got {index.dtype}"
        )
    if index.dim() > 1:
        raise RuntimeError(f"index_reduce(): index is supposed to be a vector, got {index.dim()}-d")
    if input.dtype != source.dtype:
        raise RuntimeError(
            "index_reduce(): self and source expected to have the same dtype, but "
            "got "
            f"(self) {input.dtype} and (source) {source.dtype}"
        )
    d = wrap_dim(dim, input.dim())
    if input.dim() == 0:
        one = index_reduce(
            input.reshape(1),
            0,
            index.reshape(-1),
            source.reshape(-1),
            reduce,
            include_self=include_self,
        )
        return one.reshape(())
    n = source.shape[d] if source.dim() else 1
    if index.numel() != n:
        raise RuntimeError(
            f"index_reduce(): Number of indices ({index.numel()}) should be equal "
            "to "
            f"source.size(dim) ({n})"
        )
    view = [1] * source.dim()
    view[d] = -1
    full = index.to(fb.int64).reshape(view).expand(source.shape)
    return input.scatter_reduce(d, full, source, reduce, include_self=include_self)


@composite(out=True)
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Bool tensor: which elements occur in `test_elements` (either may be a number).

    >>> import flambeau as fb
    >>> fb.isin(fb.tensor([1, 2, 3]), fb.tensor([2, 5])).tolist()
    [False, True, False]
    """
    a, b = elements, test_elements
    if not isinstance(a, fb.Tensor) and not isinstance(b, fb.Tensor):
        raise TypeError("isin: elements and test_elements cannot both be numbers")
    if not isinstance(a, fb.Tensor):
        a = fb.tensor(a, dtype=b.dtype if not isinstance(a, float) else None, device=b.device)
    if not isinstance(b, fb.Tensor):
        b = fb.tensor(b, dtype=a.dtype if not isinstance(b, float) else None, device=a.device)
    dtype = fb.promote_types(a.dtype, b.dtype)
    if dtype.is_complex:
        raise RuntimeError("Unsupported input type encountered for isin(): complex")
    if dtype == fb.bool:
        dtype = fb.uint8
    x, y = a.detach().to(dtype), b.detach().to(dtype).reshape(-1)
    if y.numel() == 0:
        hit = fb.zeros(x.shape, dtype=fb.bool, device=x.device)
    elif y.numel() <= 8:
        hit = (x.unsqueeze(-1) == y).any(-1)
    else:
        y = fb.sort(y)[0]
        at = fb.searchsorted(y, x.reshape(-1)).clamp(max=y.numel() - 1)
        hit = (y.index_select(0, at) == x.reshape(-1)).reshape(x.shape)
    return ~hit if invert else hit


@composite()
def unravel_index(indices, shape):
    """Flat indices turned into a tuple of coordinates in a tensor of `shape`.

    >>> import flambeau as fb
    >>> [t.tolist() for t in fb.unravel_index(fb.tensor([4, 5]), (2, 3))]
    [[1, 1], [1, 2]]
    """
    if not isinstance(indices, fb.Tensor):
        raise TypeError(f"unravel_index: indices must be a Tensor, got {type(indices).__name__}")
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == fb.bool:
        raise ValueError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    if not isinstance(shape, (int, tuple, list)):
        raise ValueError(f"expected 'shape' to be int or sequence of ints, but got {type(shape)}")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    for n in shape:
        if not isinstance(n, int):
            raise TypeError(f"expected 'shape' sequence to only contain ints, but got {type(n)}")
        if n < 0:
            raise ValueError(f"'shape' cannot have negative values, but got {shape}")
    out, rest = [], indices
    for n in reversed(shape):
        out.append(fb.remainder(rest, max(n, 1)))
        rest = fb.div(rest, max(n, 1), rounding_mode="floor")
    return tuple(reversed(out))
