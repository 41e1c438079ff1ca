"""Norms, ranks, condition numbers and products of `flambeau.linalg`."""

from __future__ import annotations

import flambeau as fb

from ._composites._register import _wrap
from ._composites._util import wrap_dim
from ._linalg_seam import LinAlgError


def public(f):
    """Give a linalg function its `out=` keyword and NumPy spellings."""
    return _wrap(f, True)


def check_inexact(name, *tensors, low=True):
    """Linear algebra wants float32/64 or complex64/128."""
    for t in tensors:
        if not isinstance(t, fb.Tensor):
            raise TypeError(f"{name}: expected Tensor, got {type(t).__name__}")
        if not (t.is_floating_point() or t.is_complex()):
            raise RuntimeError(
                f"{name}: Expected a floating point or complex tensor as input. "
                f"Got {t.dtype}; convert it with .float() or .double()"
            )
        if low and t.dtype in (fb.float16, fb.bfloat16):
            raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {t.dtype}")


def check_matrix(name, *tensors):
    """At least two dims, and a dtype of linear algebra."""
    check_inexact(name, *tensors)
    for t in tensors:
        if t.dim() < 2:
            raise RuntimeError(
                f"{name}: The input tensor A must have at least 2 dimensions, got "
                f"shape {list(t.shape)}"
            )


def check_square(name, a):
    """`check_matrix`, and as many rows as columns."""
    check_matrix(name, a)
    if a.shape[-1] != a.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are "
            f"{a.shape[-2]} by {a.shape[-1]} matrices"
        )


def _check_norm_dtype(name, dtype, x):
    if dtype is None:
        return x
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"{name}: dtype should be floating point or complex. Got {dtype}")
    if x.is_complex() != dtype.is_complex:
        raise RuntimeError(
            f"{name}: dtype should be {'complex' if x.is_complex() else 'real'} for "
            f"{'complex' if x.is_complex() else 'real'} inputs, but got {dtype}"
        )
    if fb.promote_types(x.dtype, dtype) != dtype:
        raise RuntimeError(
            f"{name}: the dtype of the input ({x.dtype}) should be convertible "
            "without "
            f"narrowing to the specified dtype ({dtype})"
        )
    return x.to(dtype)


@public
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """p-norm over `dim` (all dims by default) of the magnitudes; any real `ord`.

    >>> import flambeau as fb
    >>> fb.linalg.vector_norm(fb.tensor([3., 4.])).item()
    5.0
    """
    check_inexact("linalg.vector_norm", x, low=False)
    return fb._C.linalg_vector_norm(x, ord, dim, keepdim, dtype=dtype)


@public
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """Norm of matrices in two dims: "fro", "nuc", inf, -inf, 1, -1, 2 or -2.

    >>> import flambeau as fb
    >>> fb.linalg.matrix_norm(fb.eye(4)).item()
    2.0
    """
    name = "linalg.matrix_norm"
    check_inexact(name, A, low=ord in ("nuc", 2, -2))
    if A.dim() < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if isinstance(dim, int) or len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    a, b = wrap_dim(dim[0], A.dim()), wrap_dim(dim[1], A.dim())
    if a == b:
        raise RuntimeError(f"{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    A = _check_norm_dtype(name, dtype, A)
    if ord == "fro":
        return vector_norm(A, 2, (a, b), keepdim)
    if ord in ("nuc", 2, -2):
        s = fb.linalg.svdvals(fb.movedim(A, (a, b), (-2, -1)))
        s = s.sum(-1) if ord == "nuc" else s[..., :1].sum(-1) if ord == 2 else s.amin(-1)
    elif ord in (1, -1, fb.inf, -fb.inf):
        over, of = (a, b) if abs(ord) == 1 else (b, a)
        s = A.abs().sum(over, keepdim=True)
        if s.shape[of] == 0 and ord > 0:
            s = s.sum(of, keepdim=True)
        s = s.amax(of, keepdim=True) if ord > 0 else s.amin(of, keepdim=True)
        return s if keepdim else s.squeeze(max(a, b)).squeeze(min(a, b))
    else:
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    return s.unsqueeze(min(a, b)).unsqueeze(max(a, b)) if keepdim else s


@public
def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """Vector norm, or matrix norm when `ord` and two dims ask for it; NumPy's `linalg.norm`."""
    if dim is not None and not isinstance(dim, int) and len(dim) not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {dim}"
        )
    if ord is not None and dim is None and A.dim() not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D "
            "or "
            f"2D. Got {A.dim()}D."
        )
    if isinstance(ord, str) and (
        isinstance(dim, int) or dim is not None and len(dim) != 2 or dim is None and A.dim() != 2
    ):
        raise RuntimeError(f"linalg.norm: ord={ord!r} needs a matrix (two dims)")
    two = (A.dim() if dim is None else 1 if isinstance(dim, int) else len(dim)) == 2
    if ord is not None and two:
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@public
def cond(A, p=None):
    """Condition number of matrices in the norm `p` (None is 2); inf for singular ones."""
    check_matrix("linalg.cond", A)
    if p in (None, 2, -2):
        s = fb.linalg.svdvals(A)
        if s.shape[-1] == 0:
            return fb.zeros(A.shape[:-2], dtype=s.dtype, device=s.device)
        return s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
    if p not in ("fro", "nuc", fb.inf, -fb.inf, 1, -1):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    check_square("linalg.cond", A)
    if A.numel() == 0:
        return fb.zeros(A.shape[:-2], dtype=A.abs().dtype, device=A.device)
    x, info = fb.linalg.inv_ex(A)
    out = matrix_norm(A, p) * matrix_norm(x, p)
    return fb.where(info > 0, fb.full_like(out, fb.inf), out) if bool((info > 0).any()) else out


def tolerance(A, atol, rtol, tol=None):
    """Absolute and relative cuts, PyTorch's defaults: rtol = eps * max(m, n) unless atol > 0."""
    real = A.abs().dtype

    def tensor(v):
        if not isinstance(v, fb.Tensor):
            return fb.full((), float(v), dtype=real, device=A.device)
        if v.is_complex():
            raise RuntimeError(
                f"linalg: atol and rtol tensors of complex type are not supported, got {v.dtype}"
            )
        return v.to(real)

    default = fb.finfo(real).eps * max(A.shape[-2:])
    a = tensor(0.0 if atol is None else atol)
    if rtol is not None:
        return a, tensor(rtol)
    r = tensor(default)
    if atol is None:
        return a, r
    return a, fb.where(a > 0, fb.zeros_like(a), fb.zeros_like(a) + r)


@public
def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None):
    """How many singular values exceed max(atol, rtol * the largest); int64.

    >>> import flambeau as fb
    >>> fb.linalg.matrix_rank(fb.ones(3, 3)).item()
    1
    """
    check_matrix("linalg.matrix_rank", A)
    if tol is not None:
        atol, rtol = tol, 0.0
    a, r = tolerance(A, atol, rtol)
    A = A.detach()
    if A.numel() == 0:
        return fb.zeros(A.shape[:-2], dtype=fb.int64, device=A.device)
    s = fb.linalg.eigvalsh(A).abs() if hermitian else fb.linalg.svdvals(A)
    cut = fb.maximum(a, r * s.amax(-1))
    return (s > cut.unsqueeze(-1)).sum(-1)


@public
def vecdot(x, y, *, dim=-1):
    """Dot products along `dim`, the first operand conjugated."""
    check_inexact("linalg.vecdot", x, y, low=False)
    if x.dtype != y.dtype:
        raise RuntimeError(
            "linalg.vecdot: Expected x and y to have the same dtype, but got "
            f"{x.dtype} "
            f"and {y.dtype}"
        )
    return (x.conj() * y).sum(dim)


@public
def cross(input, other, *, dim=-1):
    """Cross product of 3-vectors along `dim`, batch dims broadcast.

    >>> import flambeau as fb
    >>> fb.linalg.cross(fb.tensor([1., 0., 0.]), fb.tensor([0., 1., 0.])).tolist()
    [0.0, 0.0, 1.0]
    """
    if input.dim() != other.dim():
        raise RuntimeError(
            "linalg.cross: inputs must have the same number of dimensions, got "
            f"{input.dim()} and {other.dim()}."
        )
    d = wrap_dim(dim, input.dim())
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got "
            f"{input.shape[d]} and {other.shape[d]}"
        )
    a = [input.select(d, i) for i in (0, 1, 2)]
    b = [other.select(d, i) for i in (0, 1, 2)]
    parts = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    return fb.stack(parts, d)


@public
def vander(x, N=None):
    """Vandermonde matrices `(..., n, N)` with increasing powers of `x` `(..., n)`."""
    if x.dtype == fb.bool:
        raise RuntimeError("linalg.vander: not defined for bool")
    if x.dim() == 0:
        x = x.reshape(1)
    n = x.shape[-1] if N is None else N
    if n <= 1 and N is not None:
        raise RuntimeError(f"linalg.vander: N must be greater than 1, got {n}")
    if not (x.is_floating_point() or x.is_complex()):
        x = x.to(fb.int64)
    one = fb.ones_like(x).unsqueeze(-1)
    if n < 2:
        return one
    return fb.cat([one, x.unsqueeze(-1).expand(*x.shape, n - 1).cumprod(-1)], -1)


@public
def multi_dot(tensors):
    """Product of matrices in the order of fewest multiplications (Cormen et al., 15.2).

    The first and last may be vectors.
    """
    ts = list(tensors)
    if len(ts) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(ts)}")
    for i, t in enumerate(ts):
        ok = (1, 2) if i in (0, len(ts) - 1) else (2,)
        if t.dim() not in ok:
            raise RuntimeError(
                f"multi_dot(): tensor {i} must be {'1D or ' * (len(ok) - 1)}2D but got {t.dim()}D"
            )
        if t.dtype != ts[0].dtype:
            raise RuntimeError(
                f"multi_dot(): all tensors must have the same dtype, tensor 0 is "
                f"{ts[0].dtype} and tensor {i} {t.dtype}"
            )
    first, last = ts[0].dim() == 1, ts[-1].dim() == 1
    ts[0] = ts[0].unsqueeze(0) if first else ts[0]
    ts[-1] = ts[-1].unsqueeze(-1) if last else ts[-1]
    for i, (a, b) in enumerate(zip(ts, ts[1:])):
        if a.shape[1] != b.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(a.shape)} "
                "and "
                f"{list(b.shape)} cannot be multiplied"
            )
    out = _chain(ts, 0, len(ts) - 1, _order([ts[0].shape[0]] + [t.shape[1] for t in ts]))
    out = out.squeeze(0) if first else out
    return out.squeeze(-1) if last else out


def _order(p):
    n = len(p) - 1
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for size in range(1, n):
        for i in range(n - size):
            j = i + size
            best = [cost[i][k] + cost[k + 1][j] + p[i] * p[k + 1] * p[j + 1] for k in range(i, j)]
            cost[i][j] = min(best)
            cut[i][j] = i + best.index(cost[i][j])
    return cut


def _chain(ts, i, j, cut):
    if i == j:
        return ts[i]
    k = cut[i][j]
    return fb.mm(_chain(ts, i, k, cut), _chain(ts, k + 1, j, cut))


@public
def matrix_power(A, n):
    """Integer power of square matrices by repeated squaring; negative n inverts first."""
    name = "linalg.matrix_power"
    if A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        check_square(name, A)
    if n == 0:
        return fb.eye(A.shape[-1], dtype=A.dtype, device=A.device).expand(A.shape).clone()
    if n < 0:
        check_square(name, A)
        A, n = fb.linalg.inv(A), -n
    out, z = None, A
    while True:
        if n & 1:
            out = z if out is None else fb.matmul(out, z)
        n >>= 1
        if not n:
            return out.clone() if out is A else out
        z = fb.matmul(z, z)


_PADE = (
    64764752532480000,
    32382376266240000,
    7771770303897600,
    1187353796428800,
    129060195264000,
    10559470521600,
    670442572800,
    33522128640,
    1323241920,
    40840800,
    960960,
    16380,
    182,
    1,
)


@public
def matrix_exp(A):
    """Matrix exponential by scaling, squaring and the [13/13] Pade approximant (Higham 2005).

    >>> import flambeau as fb
    >>> fb.linalg.matrix_exp(fb.zeros(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_square("linalg.matrix_exp", A)
    if A.numel() == 0 or A.shape[-1] == 1:
        return A.exp()
    size = A.detach().abs().sum(-2).amax(-1)
    s = fb.ceil(fb.log2((size / 5.371920351148152).clamp(min=1.0)))
    top = int(s.max()) if bool(fb.isfinite(s).all()) else 0
    x = A / fb.exp2(s).unsqueeze(-1).unsqueeze(-1).to(A.dtype)
    eye = fb.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    b = [v / _PADE[0] for v in _PADE]
    x2 = fb.matmul(x, x)
    x4 = fb.matmul(x2, x2)
    x6 = fb.matmul(x2, x4)
    u = fb.matmul(x6, b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2
    u = fb.matmul(x, u + b[1] * eye)
    v = fb.matmul(x6, b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2
    v = v + b[0] * eye
    r = fb.linalg.solve(v - u, v + u)
    for i in range(top):
        more = (s > i).unsqueeze(-1).unsqueeze(-1)
        r = fb.where(more, fb.matmul(r, r), r)
    return r


__all__ = [
    "LinAlgError",
    "cond",
    "cross",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "vander",
    "vecdot",
    "vector_norm",
]
