"""The torch-level names of linear algebra: thin shells over `flambeau.linalg`."""

from __future__ import annotations

import flambeau as fb

from ._register import composite
from ._util import named


def _same(name, of=None, method=True):
    def f(input, *args, **kw):
        return getattr(fb.linalg, of or name)(input, *args, **kw)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"See `flambeau.linalg.{of or name}`."
    composite(method=method, out=True)(f)


for _n in ("det", "slogdet", "matrix_exp", "matrix_power"):
    _same(_n)
_same("inverse", "inv")
_same("orgqr", "householder_product")


@composite(method=True, out=True)
def cholesky(input, upper=False):
    """Lower (or upper) Cholesky factor; see `flambeau.linalg.cholesky`."""
    return fb.linalg.cholesky(input, upper=upper)


@composite(method=True, out=True)
def cholesky_solve(input, L, upper=False):
    """X with `A @ X = input` given the Cholesky factor of A."""
    t = fb.linalg.solve_triangular
    if upper:
        return t(L, t(L.mH, input, upper=False), upper=True)
    return t(L.mH, t(L, input, upper=False), upper=True)


@composite(method=True, out=True)
def cholesky_inverse(L, upper=False):
    """Inverse of A given its Cholesky factor."""
    if L.dim() < 2 or L.shape[-1] != L.shape[-2]:
        raise RuntimeError(
            f"cholesky_inverse: A must be batches of square matrices, got shape {list(L.shape)}"
        )
    return cholesky_solve(fb.eye(L.shape[-1], dtype=L.dtype, device=L.device), L, upper)


@composite(method=True)
def logdet(input):
    """Log of the determinant; NaN where it is negative."""
    sign, log = fb.linalg.slogdet(input)
    if input.is_complex():
        return log + fb.log(sign)
    return log + fb.where(sign < 0, fb.full_like(log, fb.nan), fb.zeros_like(log))


@composite(method=True, out=True)
def qr(input, some=True):
    """Q, R; see `flambeau.linalg.qr`."""
    return fb.linalg.qr(input, "reduced" if some else "complete")


@composite(method=True, out=True)
def svd(input, some=True, compute_uv=True):
    """U, S, V with `input = U @ diag(S) @ V.mH`; zero-filled U and V without `compute_uv`."""
    if compute_uv:
        u, s, vh = fb.linalg.svd(input, full_matrices=not some)
        return named("svd", "U S V", u, s, vh.mH)
    m, n = input.shape[-2:]
    lead = tuple(input.shape[:-2])
    s = fb.linalg.svdvals(input)
    return named("svd", "U S V", input.new_zeros(*lead, m, m), s, input.new_zeros(*lead, n, n))


@composite(method=True)
def pinverse(input, rcond=1e-15):
    """Moore-Penrose inverse; see `flambeau.linalg.pinv`."""
    return fb.linalg.pinv(input, rcond)


@composite(method=True, out=True)
def geqrf(input):
    """Householder form of QR, LAPACK's: reflectors below R `(..., m, n)`, and `tau`."""
    from .._linalg_seam import call

    if input.dim() < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")

    def raw(a):
        import numpy as np

        h, tau = np.linalg.qr(a, "raw")
        return np.swapaxes(h, -2, -1), tau

    return named("geqrf", "a tau", *call(raw, input))


@composite(method=True, out=True)
def ormqr(input, tau, other, left=True, transpose=False):
    """`other` times the Q (or its adjoint) that reflectors `input`, `tau` define, left or right."""
    if input.dim() < 2 or other.dim() < 2 or input.dim() != other.dim():
        raise RuntimeError(
            "torch.ormqr: input and other must have the same number of dimensions, "
            "at "
            f"least 2, got {input.dim()} and {other.dim()}"
        )
    k, side = tau.shape[-1], -2 if left else -1
    if other.shape[side] < k or other.shape[side] != input.shape[-2]:
        raise RuntimeError(
            f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2] "
            "and at "
            f"least tau.shape[-1], got {list(other.shape)}, {list(input.shape)}"
        )
    if tau.dtype != input.dtype or other.dtype != input.dtype:
        raise RuntimeError("torch.ormqr: Expected input, tau and other to have the same dtype")
    if tuple(tau.shape[:-1]) != tuple(input.shape[:-2]) or tuple(other.shape[:-2]) != tuple(
        input.shape[:-2]
    ):
        raise RuntimeError(
            "torch.ormqr: Expected batch dimensions of tau and other to be equal to "
            f"input.shape[:-2] = {list(input.shape[:-2])}"
        )
    reflect = fb.linalg.reflect
    c = other if left else other.mH
    adjoint = transpose == left
    order = range(k) if adjoint else range(k - 1, -1, -1)
    c = reflect(input, tau, c, order, adjoint)
    return c if left else c.mH


@composite(method=True)
def lu(input, pivot=True, get_infos=False):
    """Compact LU and pivots (and infos); see `flambeau.linalg.lu_factor`."""
    out = fb.linalg.lu_factor_ex(input, pivot=pivot, check_errors=not get_infos)
    return tuple(out) if get_infos else tuple(out[:2])


@composite(method=True, out=True)
def lu_solve(b, LU_data, LU_pivots):
    """X with `A @ X = b` from `lu(A)`."""
    return fb.linalg.lu_solve(LU_data, LU_pivots, b)


@composite(out=True)
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """P, L, U from a compact LU and its pivots."""
    if LU_pivots.dtype != fb.int32 and unpack_pivots:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of "
            f"torch.int32 dtype. Got {LU_pivots.dtype}"
        )
    m, n = LU_data.shape[-2:]
    k = min(m, n)
    p = low = up = LU_data.new_empty(0)
    if unpack_pivots:
        perm = fb.linalg.pivots_to_permutation(LU_pivots, m)
        p = fb.linalg._permutation(perm, LU_data.dtype)
    if unpack_data:
        eye = fb.eye(m, k, dtype=LU_data.dtype, device=LU_data.device)
        low, up = LU_data[..., :k].tril(-1) + eye, LU_data[..., :k, :].triu()
    return named("lu_unpack", "P L U", p, low, up)


@composite(method=True, out=True)
def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False):
    """(solution, clone of A) of `A @ X = b` for triangular A."""
    t = A.transpose(-2, -1) if transpose else A
    x = fb.linalg.solve_triangular(t, b, upper=upper != transpose, unitriangular=unitriangular)
    return named("triangular_solve", "solution cloned_coefficient", x, A.clone())


def _low_rank(A, q, niter, M=None):
    # randomised range finder with power iterations: Halko, Martinsson & Tropp 2011, algorithm 4.4
    if M is not None:
        A = A - M
    m, n = A.shape[-2:]
    flip = m < n
    if flip:
        A = A.mH
    q_ = fb.linalg.qr(fb.matmul(A, fb.randn(A.shape[-1], q, dtype=A.dtype, device=A.device)))[0]
    for _ in range(niter):
        q_ = fb.linalg.qr(fb.matmul(A.mH, q_))[0]
        q_ = fb.linalg.qr(fb.matmul(A, q_))[0]
    u, s, vh = fb.linalg.svd(fb.matmul(q_.mH, A), full_matrices=False)
    u, v = fb.matmul(q_, u), vh.mH
    return (v, s, u) if flip else (u, s, v)


@composite()
def svd_lowrank(A, q=6, niter=2, M=None):
    """Randomised U, S, V of rank `q`: `A - M` is about `U @ diag(S) @ V.mH` (Halko et al. 2011)."""
    q = 6 if q is None else q
    if M is not None:
        M = M.expand(A.shape)
    return _low_rank(A, q, niter, M)


@composite()
def pca_lowrank(A, q=None, center=True, niter=2):
    """Principal components by `svd_lowrank` of `(..., m, n)`, columns centred by default."""
    m, n = A.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return _low_rank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
