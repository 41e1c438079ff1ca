"""Composites that rearrange or re-view one tensor."""

from __future__ import annotations

import flambeau as fb

from .. import _C
from ._register import composite
from ._util import need_tensors, star, wrap_dim, wrap_dims


def _each(name, f, tensors):
    ts = star(tensors)
    if isinstance(ts, fb.Tensor):
        return f(ts)
    need_tensors(name, ts)
    return f(ts[0]) if len(ts) == 1 and ts is tensors else tuple(f(t) for t in ts)


@composite()
def atleast_1d(*tensors):
    """Each tensor with at least one dimension (a tuple when several are given).

    >>> import flambeau as fb
    >>> tuple(fb.atleast_1d(fb.tensor(2.0)).shape)
    (1,)
    """
    return _each("atleast_1d", lambda t: t.reshape(1) if t.dim() == 0 else t, tensors)


@composite()
def atleast_2d(*tensors):
    """Each tensor with at least two dimensions: `()` -> `(1, 1)`, `(n,)` -> `(1, n)`."""

    def f(t):
        return t.reshape(1, 1) if t.dim() == 0 else t.unsqueeze(0) if t.dim() == 1 else t

    return _each("atleast_2d", f, tensors)


@composite()
def atleast_3d(*tensors):
    """Each tensor with three or more dimensions: `(n,)` -> `(1, n, 1)`, `(m, n)` -> `(m, n, 1)`."""

    def f(t):
        if t.dim() == 0:
            return t.reshape(1, 1, 1)
        if t.dim() == 1:
            return t.unsqueeze(0).unsqueeze(-1)
        return t.unsqueeze(-1) if t.dim() == 2 else t

    return _each("atleast_3d", f, tensors)


@composite()
def broadcast_shapes(*shapes):
    """The shape that tensors of the given shapes broadcast to (RuntimeError if they clash).

    >>> import flambeau as fb
    >>> tuple(fb.broadcast_shapes((2, 1), (3,), 1))
    (2, 3)
    """
    shapes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    out = [1] * max((len(s) for s in shapes), default=0)
    for s in shapes:
        for i, n in enumerate(reversed(s), 1):
            if n < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension ({n}): ({n})")
            if n == 1 or n == out[-i]:
                continue
            if out[-i] != 1:
                raise RuntimeError(
                    "Shape mismatch: objects cannot be broadcast to a single shape: "
                    + ", ".join(str(t) for t in shapes)
                )
            out[-i] = n
    return fb.Size(out)


@composite()
def broadcast_tensors(*tensors):
    """All tensors as views of their common broadcast shape.

    >>> import flambeau as fb
    >>> a, b = fb.broadcast_tensors(fb.zeros(3, 1), fb.zeros(2))
    >>> tuple(a.shape), tuple(b.shape)
    ((3, 2), (3, 2))
    """
    ts = need_tensors("broadcast_tensors", star(tensors))
    shape = broadcast_shapes(*(t.shape for t in ts))
    return tuple(t.expand(shape) for t in ts)


@composite(method=True)
def tile(input, *dims):
    """`input` repeated `dims` times along its last dimensions (NumPy's tile).

    >>> import flambeau as fb
    >>> fb.tile(fb.tensor([1, 2]), (2,)).tolist()
    [1, 2, 1, 2]
    """
    dims = tuple(star(dims))
    dims = (1,) * (input.dim() - len(dims)) + dims
    return input.repeat(dims)


def _check_repeats(repeats, output_size, total):
    if output_size is not None and output_size != total:
        raise RuntimeError(
            f"repeat_interleave: allocated size does not match required size: "
            f"output_size={output_size}, the repeats sum to {total}"
        )


@composite(method=True)
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each element (or slice along `dim`) repeated in place; `repeats` is an int or int tensor.

    With one argument, an int tensor of counts, returns the index of every repeat.

    >>> import flambeau as fb
    >>> fb.repeat_interleave(fb.tensor([7, 8]), fb.tensor([1, 2])).tolist()
    [7, 8, 8]
    """
    if repeats is None:
        if input.dim() != 1 or input.dtype not in (fb.int32, fb.int64):
            raise RuntimeError(
                "repeat_interleave: repeats must be a 1-d tensor of int32 or int64, "
                f"got {input.dim()}-d {input.dtype}"
            )
        return repeat_interleave(
            fb.arange(input.numel(), dtype=input.dtype, device=input.device),
            input,
            0,
            output_size=output_size,
        )
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim = wrap_dim(dim, input.dim())
    if input.dim() == 0:
        input = input.reshape(1)
    n = input.shape[dim]
    if isinstance(repeats, (tuple, list)):
        repeats = fb.tensor(repeats, device=input.device)
    if isinstance(repeats, fb.Tensor) and repeats.numel() == 1:
        if repeats.is_floating_point():
            raise RuntimeError(
                f"repeat_interleave: repeats has to be int32 or int64, got {repeats.dtype}"
            )
        repeats = int(repeats)
    if not isinstance(repeats, fb.Tensor):
        if repeats < 0:
            raise RuntimeError(f"repeat_interleave: repeats cannot be negative, got {repeats}")
        _check_repeats(repeats, output_size, repeats * n)
        return _C._repeat_slices(input, dim, repeats)
    if repeats.dim() != 1 or repeats.dtype not in (fb.int32, fb.int64):
        raise RuntimeError(
            "repeat_interleave: repeats must be 0-d or 1-d and int32 or int64, got "
            f"{repeats.dim()}-d {repeats.dtype}"
        )
    if repeats.numel() != n:
        raise RuntimeError(
            "repeat_interleave: repeats must have the same size as input along dim, "
            f"but got repeats.size(0) = {repeats.numel()} and input.size({dim}) = "
            f"{n}"
        )
    if n and int(repeats.min()) < 0:
        raise RuntimeError("repeat_interleave: repeats can not be negative")
    ends = repeats.cumsum(0)
    total = int(ends[-1]) if n else 0
    _check_repeats(repeats, output_size, total)
    return _C._repeat_slices(input, dim, ends, total)


@composite(method=True)
def rot90(input, k=1, dims=(0, 1)):
    """`input` turned by 90 degrees `k` times in the plane of two dims.

    >>> import flambeau as fb
    >>> fb.rot90(fb.tensor([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.dim() < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.dim()}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input.dim():
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    for d in dims:
        if not -input.dim() <= d < input.dim():
            raise RuntimeError(f"Rotation dim out of range, dim = {d}")
    a, b = wrap_dims(dims, input.dim())
    k %= 4
    if k == 0:
        return input.clone()
    if k == 2:
        return input.flip(a, b)
    return input.flip(b).transpose(a, b) if k == 1 else input.flip(a).transpose(a, b)


@composite(method=True)
def fliplr(input):
    """`input` (at least 2-d) mirrored left to right: flipped along dim 1."""
    if input.dim() < 2:
        raise RuntimeError(f"Input must be >= 2-d, got {input.dim()}-d")
    return input.flip(1)


@composite(method=True)
def flipud(input):
    """`input` (at least 1-d) mirrored upside down: flipped along dim 0."""
    if input.dim() < 1:
        raise RuntimeError("Input must be >= 1-d, got 0-d")
    return input.flip(0)


@composite(method=True)
def reshape_as(input, other):
    """`input` in the shape of `other`."""
    return input.reshape(other.shape)


@composite(method=True)
def view_as(input, other):
    """A view of `input` in the shape of `other`."""
    return input.view(other.shape)


@composite(method=True)
def expand_as(input, other):
    """A view of `input` expanded to the shape of `other`."""
    return input.expand(other.shape)


@composite(method=True)
def sum_to_size(input, *size):
    """Sum `input` to `size`, the opposite of broadcasting."""
    size = tuple(star(size))
    lead = input.dim() - len(size)
    if lead < 0 or any(n != m and n != 1 for n, m in zip(size, input.shape[lead:])):
        raise RuntimeError(
            f"size {{{list(size)}}} is not expandable to size {{{list(input.shape)}}}."
        )
    dims = [
        i for i in range(input.dim()) if i < lead or (size[i - lead] == 1 and input.shape[i] != 1)
    ]
    out = input.sum(dims, keepdim=True) if dims else input
    return out.reshape(size) if lead else out


@composite(method=True)
def unsafe_chunk(input, chunks, dim=0):
    """`chunk` without the check that in-place writes to the parts are safe."""
    return tuple(input.chunk(chunks, dim))


@composite()
def block_diag(*tensors):
    """A 2-d tensor with the given 0-, 1- or 2-d tensors along its diagonal.

    >>> import flambeau as fb
    >>> fb.block_diag(fb.tensor([[1, 2]]), fb.tensor(3)).tolist()
    [[1, 2, 0], [0, 0, 3]]
    """
    if not tensors:
        return fb.empty(1, 0)
    need_tensors("block_diag", tensors)
    mats = []
    for i, t in enumerate(tensors):
        if t.dim() > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                f"Input {i} has {t.dim()} dimensions"
            )
        mats.append(t.reshape(1, -1) if t.dim() < 2 else t)
    dtype = mats[0].dtype
    for m in mats:
        if m.dtype != dtype:
            dtype = fb.promote_types(dtype, m.dtype)
    left, right, rows = 0, sum(m.shape[1] for m in mats), []
    for m in mats:
        right -= m.shape[1]
        rows.append(fb.constant_pad_nd(m if m.dtype == dtype else m.to(dtype), [left, right]))
        left += m.shape[1]
    return fb.cat(rows, 0)
