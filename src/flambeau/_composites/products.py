"""Composites over products: contractions, distances, crosses."""

from __future__ import annotations

import flambeau as fb

from .. import _C
from .._autocast import in_float32, in_narrow, in_widest
from ._register import composite
from ._util import as_inexact, inexact, star, wrap_dim


@composite(method=True, out=True)
def kron(input, other):
    """Kronecker product; the tensor with fewer dims gets ones in front.

    >>> import flambeau as fb
    >>> fb.kron(fb.eye(2), fb.tensor([[1., 2.]])).tolist()
    [[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 2.0]]
    """
    n = max(input.dim(), other.dim())
    a = (1,) * (n - input.dim()) + tuple(input.shape)
    b = (1,) * (n - other.dim()) + tuple(other.shape)
    x = input.reshape([s for k in a for s in (k, 1)])
    y = other.reshape([s for k in b for s in (1, k)])
    return (x * y).reshape([i * j for i, j in zip(a, b)])


@composite(out=True)
@in_widest("cuda")
def tensordot(a, b, dims=2):
    """Contract dims of `a` with dims of `b`: an int (last of a, first of b) or two lists.

    >>> import flambeau as fb
    >>> fb.tensordot(fb.ones(2, 3), fb.ones(3, 2), dims=1).tolist()
    [[3.0, 3.0], [3.0, 3.0]]
    """
    if isinstance(dims, fb.Tensor):
        dims = int(dims) if dims.numel() == 1 else dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        da, db = list(range(a.dim() - dims, a.dim())), list(range(dims))
    else:
        da, db = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(da) != len(db):
        raise RuntimeError("both dimension lists should have same length")
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"tensordot: both inputs should have same dtype, got {a.dtype} and {b.dtype}"
        )
    da, db = [wrap_dim(d, a.dim()) for d in da], [wrap_dim(d, b.dim()) for d in db]
    for i, j in zip(da, db):
        m, n = a.shape[i], b.shape[j]
        if m != n and m != 1 and n != 1:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {m} in "
                "dim "
                f"{i} and second has size {n} in dim {j}"
            )
        a, b = (
            (a.sum(i, keepdim=True) if n == 1 != m else a),
            (b.sum(j, keepdim=True) if m == 1 != n else b),
        )
    fa = [i for i in range(a.dim()) if i not in da]
    fa_shape = [a.shape[i] for i in fa]
    fb_ = [i for i in range(b.dim()) if i not in db]
    shape = fa_shape + [b.shape[i] for i in fb_]
    k = 1
    for d in da:
        k *= a.shape[d]
    x = a.permute(fa + da).reshape(_size(fa_shape), k)
    y = b.permute(db + fb_).reshape(k, _size(b.shape[i] for i in fb_))
    return fb.mm(x, y).reshape(shape)


def _size(shape):
    n = 1
    for s in shape:
        n *= s
    return n


@composite(method=True, out=True)
def inner(input, other):
    """Products summed over the last dimension of both: `(..., k)`, `(*, k)` -> `(..., *)`."""
    if input.dim() == 0 or other.dim() == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got "
            "shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, dims=([-1], [-1]))


@composite(method=True, out=True)
def vdot(input, other):
    """Dot product of two 1-d tensors, the first conjugated."""
    return fb.dot(input.conj(), other)


@composite(out=True)
def chain_matmul(*matrices):
    """Product of matrices in the cheapest order; see `linalg.multi_dot`."""
    ms = star(matrices)
    return ms[0] if len(ms) == 1 else fb.linalg.multi_dot(ms)


@composite(method=True, inplace=True, out=True)
@in_narrow("cpu", "cuda")
def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """`beta * input + alpha * sum_b batch1[b] @ batch2[b]`."""
    for name, b in (("batch1", batch1), ("batch2", batch2)):
        if b.dim() != 3:
            raise RuntimeError(f"addbmm: {name} must be a 3D tensor, got {b.dim()}D")
    if batch1.shape[0] != batch2.shape[0] or batch1.shape[2] != batch2.shape[1]:
        raise RuntimeError(
            "addbmm: batch1 and batch2 must have same number of batches and "
            "matching "
            f"inner sizes, got {list(batch1.shape)} and {list(batch2.shape)}"
        )
    if not inexact(input):
        alpha, beta = int(alpha), int(beta)
    b, n, k = batch1.shape
    p = batch2.shape[2]
    prod = fb.mm(batch1.permute(1, 0, 2).reshape(n, b * k), batch2.reshape(b * k, p))
    if alpha != 1:
        prod = prod * alpha
    if beta == 0:
        input.expand(n, p)
        return prod
    return fb.add(input if beta == 1 else input * beta, prod).expand(n, p)


@composite(method=True)
@in_float32("cuda")
def dist(input, other, p=2):
    """p-norm of `input - other`, 0-d."""
    return fb.norm(as_inexact(input - other), p)


def _euclid(x1, x2):
    # |a - b|^2 = |a|^2 - 2ab + |b|^2 as one product, as PyTorch does for many rows
    n1, n2 = (x1 * x1).sum(-1, keepdim=True), (x2 * x2).sum(-1, keepdim=True)
    one1, one2 = fb.ones_like(n1), fb.ones_like(n2)
    left = fb.cat([-2 * x1, n1, one1], -1)
    right = fb.cat([x2, one2, n2], -1)
    return fb.matmul(left, right.transpose(-2, -1)).clamp(min=1e-30).sqrt()


@composite()
@in_float32("cpu", "cuda")
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """p-norm distances between the rows of `(..., P, M)` and `(..., R, M)`: `(..., P, R)`.

    >>> import flambeau as fb
    >>> fb.cdist(fb.zeros(1, 2), fb.tensor([[3., 4.]])).tolist()
    [[5.0]]
    """
    modes = (
        "use_mm_for_euclid_dist_if_necessary",
        "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist",
    )
    if compute_mode not in modes and compute_mode is not None:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    for name, x in (("X1", x1), ("X2", x2)):
        if not x.is_floating_point():
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {x.dtype}")
        if x.dim() < 2:
            raise RuntimeError(f"cdist: {name} must have at least two dimensions, got {x.dim()}")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}")
    big = x1.shape[-2] > 25 or x2.shape[-2] > 25
    mm = compute_mode == modes[1] or compute_mode in (None, modes[0]) and big
    if p == 2 and mm and x1.shape[-1] and x1.shape[-2] and x2.shape[-2]:
        return _euclid(x1, x2)
    batch = fb.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    x1, x2 = (x.expand(*batch, *x.shape[-2:]) for x in (x1, x2))
    return _C._cdist(x1, x2, p)


@composite()
@in_float32("cuda")
def pdist(input, p=2.0):
    """p-norm distances between all pairs of rows of `(N, M)`: `(N * (N - 1) / 2,)`."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if not input.is_floating_point():
        raise RuntimeError(f"pdist only supports floating-point dtypes, got {input.dtype}")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    return _C._pdist(input, p)


@composite(method=True, out=True)
def cross(input, other, dim=None):
    """Cross product of 3-vectors along `dim` (default: the first dim of size 3)."""
    if dim is None:
        dim = next((i for i, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return fb.linalg.cross(input, other, dim=dim)


@composite(method=True, inplace=True, out=True)
@in_float32("cuda")
def renorm(input, p, dim, maxnorm):
    """Slices of `input` along `dim` scaled down so that their p-norm is at most `maxnorm`."""
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive-norm not supported, got p={p}")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.dim() < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.dim()} dimensions"
        )
    dim = wrap_dim(dim, input.dim())
    rest = [i for i in range(input.dim()) if i != dim]
    size = fb.norm(input.abs(), p, rest, keepdim=True)
    scale = fb.where(size > maxnorm, maxnorm / (size + 1e-7), fb.ones_like(size))
    return input * scale


@composite()
def norm_except_dim(v, pow=2, dim=0):
    """p-norm over all dims but `dim` (kept as 1s); over everything for dim = -1."""
    if dim == -1:
        return fb.norm(v, pow)
    rest = [i for i in range(v.dim()) if i != dim % v.dim()]
    return fb.norm(v, pow, rest, keepdim=True) if rest else v.abs()


@composite(out=True)
def frobenius_norm(input, dim=(), keepdim=False):
    """Square root of the sum of squared magnitudes over `dim`."""
    dim = [dim] if isinstance(dim, int) else list(dim)
    return fb.norm(input, 2, dim or None, keepdim=keepdim)


@composite(out=True)
def nuclear_norm(input, dim=None, keepdim=False):
    """Sum of the singular values of the matrices in the two dims `dim`."""
    return fb.linalg.matrix_norm(input, "nuc", dim or (-2, -1), keepdim)
