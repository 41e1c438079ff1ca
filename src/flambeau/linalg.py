"""`flambeau.linalg`: decompositions, solvers and norms, by the core or by NumPy's LAPACK."""

from __future__ import annotations

import numpy as np

import flambeau as fb

from . import _linalg_grad as grad
from . import _linalg_numpy as own
from ._composites._util import named
from ._linalg_norms import (  # noqa: F401
    LinAlgError,
    check_inexact,
    check_matrix,
    check_square,
    cond,
    cross,
    matrix_exp,
    matrix_norm,
    matrix_power,
    matrix_rank,
    multi_dot,
    norm,
    public,
    tolerance,
    vander,
    vecdot,
    vector_norm,
)
from ._linalg_seam import call, per_matrix, single, to_numpy, to_tensor

__all__ = [
    *"""LinAlgError cholesky cholesky_ex cond cross det diagonal eig eigh eigvals eigvalsh
householder_product inv inv_ex ldl_factor ldl_factor_ex ldl_solve lstsq lu lu_factor lu_factor_ex
lu_solve matmul matrix_exp matrix_norm matrix_power matrix_rank multi_dot norm pinv qr slogdet solve
solve_ex solve_triangular svd svdvals tensorinv tensorsolve vander vecdot vector_norm""".split()
]


def _info(a, values=None):
    if values is None:
        return fb.zeros(a.shape[:-2], dtype=fb.int32, device=a.device)
    return to_tensor(np.asarray(values, np.int32).reshape(tuple(a.shape[:-2])), a)


@public
def cholesky_ex(A, *, upper=False, check_errors=False):
    """`cholesky` that reports failure in `info` (0 fine, k: the k-th minor is not positive)."""
    check_square("linalg.cholesky", A)
    src = A.mH if upper else A
    low, info = grad.Cholesky.apply(src) if _recorded(A) else grad.cholesky(src)
    if check_errors and bool(info.any()):
        _complain_minor(A, info.reshape(-1).tolist())
    return named("cholesky_ex", "L info", grad.herm(low) if upper else low, info)


def _complain_minor(A, bad):
    at = next(i for i, k in enumerate(bad) if k)
    where = "" if A.dim() == 2 else f"(Batch element {at}): "
    raise LinAlgError(
        f"linalg.cholesky: {where}The factorization could not be completed because "
        "the "
        f"input is not positive-definite (the leading minor of order {bad[at]} is "
        "not "
        "positive-definite)."
    )


@public
def cholesky(A, *, upper=False):
    """L with `A = L @ L.mH` of Hermitian positive-definite `(..., n, n)` (or U, `A = U.mH @ U`).

    Raises LinAlgError when a matrix is not positive definite.

    >>> import flambeau as fb
    >>> fb.linalg.cholesky(fb.tensor([[4., 2.], [2., 5.]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    return cholesky_ex(A, upper=upper, check_errors=True)[0]


@public
def qr(A, mode="reduced"):
    """Orthonormal Q and upper triangular R, `A = Q @ R`; mode "reduced", "complete" or "r"."""
    check_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' "
            "(default), 'r', or 'complete'"
        )
    m, n = A.shape[-2:]
    if m >= n:
        q, r = grad.QR.apply(A, "complete" if mode == "complete" else "reduced")
    else:
        q, r = grad.QR.apply(A[..., :m], "reduced")
        r = fb.cat([r, fb.matmul(grad.herm(q), A[..., m:])], -1)
    if mode == "r":
        q, r = A.new_empty(0), r.detach()
    return named("qr", "Q R", q, r)


@public
def eigh(A, UPLO="L"):
    """Ascending eigenvalues `(..., n)` and eigenvectors (columns) of a Hermitian matrix.

    >>> import flambeau as fb
    >>> fb.linalg.eigh(fb.tensor([[2., 0.], [0., 1.]]))[0].tolist()
    [1.0, 2.0]
    """
    check_square("linalg.eigh", A)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    f = grad.Eigh.apply if _recorded(A) else grad.eigh
    return named("eigh", "eigenvalues eigenvectors", *f(A, UPLO.upper()))


@public
def eigvalsh(A, UPLO="L"):
    """Ascending eigenvalues of a Hermitian matrix."""
    if _recorded(A) or UPLO.upper() not in ("L", "U"):
        return eigh(A, UPLO)[0]
    check_square("linalg.eigvalsh", A)
    return grad.eigh(A, UPLO.upper(), vectors=False)[0]


@public
def eig(A):
    """Complex eigenvalues and unit eigenvectors (columns) of square matrices."""
    check_square("linalg.eig", A)
    _check_finite("linalg.eig", A)
    return named("eig", "eigenvalues eigenvectors", *grad.Eig.apply(A))


@public
def eigvals(A):
    """Eigenvalues of square matrices, complex, in LAPACK's order."""
    check_square("linalg.eigvals", A)
    _check_finite("linalg.eigvals", A)
    return grad.Eig.apply(A)[0]


def _recorded(A):
    """Whether a gradient may be asked for: then the vectors are needed, too."""
    return A.requires_grad and fb.is_grad_enabled()


def _values(f, A, name):
    return to_tensor(per_matrix(f, to_numpy(A), name), A)


def _check_finite(name, A):
    if not bool(fb.isfinite(A.detach()).all()):
        raise RuntimeError(f"{name}: input tensor should not contain infs or NaNs.")


@public
def svd(A, full_matrices=True, *, driver=None):
    """U, S (descending) and Vh with `A = U @ diag(S) @ Vh`.

    >>> import flambeau as fb
    >>> fb.linalg.svd(fb.tensor([[3., 0.], [0., 4.]]))[1].tolist()
    [4.0, 3.0]
    """
    check_matrix("linalg.svd", A)
    if driver is not None and A.device.type == "cpu":
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA "
            "inputs with cuSOLVER backend."
        )
    f = grad.SVD.apply if _recorded(A) else grad.svd
    return named("svd", "U S Vh", *f(A, bool(full_matrices)))


@public
def svdvals(A, *, driver=None):
    """Singular values in descending order."""
    if _recorded(A) or driver is not None:
        return svd(A, False, driver=driver)[1]
    check_matrix("linalg.svdvals", A)
    f = single("svd", lambda x: np.linalg.svd(x, compute_uv=False))
    return _values(f, A, "linalg.svdvals")


@public
def inv_ex(A, *, check_errors=False):
    """`inv` that reports singular matrices in `info` instead of raising."""
    check_square("linalg.inv", A)
    try:
        return named("inv_ex", "inverse info", grad.Inv.apply(A), _info(A))
    except LinAlgError:
        if check_errors:
            raise
    _, _, _, info = own.lu(to_numpy(A))
    info = _info(A, info)
    ok = (info == 0).unsqueeze(-1).unsqueeze(-1)
    x = grad.Inv.apply(fb.where(ok, A, fb.eye(A.shape[-1], dtype=A.dtype, device=A.device)))
    return named("inv_ex", "inverse info", fb.where(ok, x, fb.full_like(x, fb.inf)), info)


@public
def inv(A):
    """Inverse of square matrices; LinAlgError when one is singular.

    >>> import flambeau as fb
    >>> fb.linalg.inv(fb.tensor([[2., 0.], [0., 4.]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    check_square("linalg.inv", A)
    return grad.Inv.apply(A)


@public
def det(A):
    """Determinant of square matrices."""
    check_square("linalg.det", A)
    return grad.Det.apply(A)


@public
def slogdet(A):
    """Sign (or unit phase) and log of the magnitude of the determinant."""
    check_square("linalg.slogdet", A)
    return named("slogdet", "sign logabsdet", *grad.Slogdet.apply(A))


def _is_vector(A, B):
    return B.dim() == 1 or A.dim() - 1 == B.dim() and tuple(B.shape) == tuple(A.shape[:-1])


def _check_pair(name, A, B, left=True, side=None):
    check_inexact(name, A, B)
    if A.dtype != B.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type "
            f"{A.dtype} and B of type {B.dtype} instead"
        )
    if B.dim() < 2:
        raise RuntimeError(
            f"{name}: The input tensor B must have at least 2 dimensions, got {B.dim()}"
        )
    n, m = A.shape[-1], B.shape[-2 if left else -1]
    if n != m:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({A.shape[-2]}x{A.shape[-1]} and "
            f"{B.shape[-2]}x{B.shape[-1]})"
        )


@public
def solve_ex(A, B, *, left=True, check_errors=False):
    """`solve` that reports singular matrices in `info` instead of raising."""
    check_square("linalg.solve", A)
    vector = _is_vector(A, B)
    check_inexact("linalg.solve", B)
    if vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not "
            "supported "
            "for left=False."
        )
    b = B.unsqueeze(-1) if vector else B
    _check_pair("linalg.solve", A, b, left)
    try:
        x, info = _solve(A, b, left), _info(A)
    except LinAlgError:
        if check_errors:
            raise
        _, _, _, bad = own.lu(to_numpy(A))
        info = _info(A, bad)
        ok = (info == 0).unsqueeze(-1).unsqueeze(-1)
        x = _solve(fb.where(ok, A, fb.eye(A.shape[-1], dtype=A.dtype, device=A.device)), b, left)
        x = fb.where(ok, x, fb.full_like(x, fb.nan))
    return named("solve_ex", "result info", x.squeeze(-1) if vector else x, info)


def _solve(A, b, left):
    if left:
        return grad.Solve.apply(A, b)
    return grad.Solve.apply(A.transpose(-2, -1), b.transpose(-2, -1)).transpose(-2, -1)


@public
def solve(A, B, *, left=True):
    """X with `A @ X = B` (or `X @ A = B`); `B` a vector, or matrices; batch dims broadcast.

    >>> import flambeau as fb
    >>> fb.linalg.solve(fb.tensor([[2., 0.], [0., 4.]]), fb.tensor([2., 4.])).tolist()
    [1.0, 1.0]
    """
    return solve_ex(A, B, left=left, check_errors=True)[0]


@public
def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    """X with `A @ X = B` (or `X @ A = B`) for triangular A; the other triangle is not read."""
    check_square("linalg.solve_triangular", A)
    _check_pair("linalg.solve_triangular", A, B, left)
    if left:
        return grad.solve_tri(A, B, upper, unitriangular)
    x = grad.solve_tri(A.transpose(-2, -1), B.transpose(-2, -1), not upper, unitriangular)
    return x.transpose(-2, -1)


@public
def lu_factor_ex(A, *, pivot=True, check_errors=False):
    """Compact LU, 1-based int32 row swaps, and info (first zero pivot)."""
    check_matrix("linalg.lu_factor_ex", A)
    lu_, piv, _, info = grad.LU.apply(A, pivot)
    if check_errors and info.numel() and int(info.max()) > 0:
        raise LinAlgError(
            f"linalg.lu_factor: U[{int(info.max())},{int(info.max())}] is zero and "
            "using "
            "it on lu_solve would result in a division by zero."
        )
    return named("lu_factor_ex", "LU pivots info", lu_, piv, info)


@public
def lu_factor(A, *, pivot=True):
    """Compact LU (unit lower part below the diagonal) and 1-based int32 row swaps."""
    check_matrix("linalg.lu_factor", A)
    return named("lu_factor", "LU pivots", *lu_factor_ex(A, pivot=pivot)[:2])


@public
def lu(A, *, pivot=True):
    """P, L, U with `A = P @ L @ U`: permutation, unit lower and upper triangular.

    >>> import flambeau as fb
    >>> P, L, U = fb.linalg.lu(fb.tensor([[0., 1.], [2., 0.]]))
    >>> (P @ L @ U).tolist()
    [[0.0, 1.0], [2.0, 0.0]]
    """
    check_matrix("linalg.lu", A)
    compact, _, perm, _ = grad.LU.apply(A, pivot)
    m, n = A.shape[-2:]
    p = _permutation(perm, A.dtype) if pivot else A.new_empty(0)
    k = min(m, n)
    eye = fb.eye(m, k, dtype=A.dtype, device=A.device)
    return named("lu", "P L U", p, compact[..., :k].tril(-1) + eye, compact[..., :k, :].triu())


def _permutation(perm, dtype):
    n = perm.shape[-1]
    hot = perm.unsqueeze(-2) == fb.arange(n, device=perm.device).unsqueeze(-1)
    return hot.to(dtype)


def pivots_to_permutation(pivots, m):
    """Row order that LAPACK's 1-based swaps produce, `(..., m)` int64."""
    piv = to_numpy(pivots)
    flat = piv.reshape(own.count(piv.shape[:-1]), piv.shape[-1])
    perm = np.tile(np.arange(m), (flat.shape[0], 1))
    rows = np.arange(perm.shape[0])
    for i in range(flat.shape[-1]):
        p = flat[:, i] - 1
        t = perm[rows, i].copy()
        perm[rows, i] = perm[rows, p]
        perm[rows, p] = t
    return to_tensor(perm.reshape(*piv.shape[:-1], m), pivots)


@public
def lu_solve(LU, pivots, B, *, left=True, adjoint=False):
    """X with `A @ X = B` from `lu_factor(A)`; `adjoint` solves with A.mH."""
    check_square("linalg.lu_solve", LU)
    if pivots.dtype != fb.int32:
        raise RuntimeError(
            "linalg.lu_solve: pivots should be a Tensor of scalar type "
            "torch.int32. Got "
            f"{pivots.dtype}"
        )
    _check_pair("linalg.lu_solve", LU, B, left)
    if tuple(pivots.shape) != tuple(LU.shape[:-1]):
        raise RuntimeError(
            "linalg.lu_solve: Number of pivots per batch should be same as the "
            f"dimension of the matrix, got {list(pivots.shape)} and "
            f"{list(LU.shape)}"
        )
    if not left:
        # X A = B  <=>  A^H X^H = B^H
        return grad.herm(lu_solve(LU, pivots, grad.herm(B), adjoint=not adjoint))
    p = _permutation(pivots_to_permutation(pivots, LU.shape[-1]), LU.dtype)
    if adjoint:
        h = grad.herm(LU)
        y = grad.solve_tri(h, B, False)
        return fb.matmul(p, grad.solve_tri(h, y, True, unit=True))
    y = grad.solve_tri(LU, fb.matmul(p.transpose(-2, -1), B), False, unit=True)
    return grad.solve_tri(LU, y, True)


@public
def ldl_factor_ex(A, *, hermitian=False, check_errors=False):
    """Compact Bunch-Kaufman factors of a symmetric (Hermitian) matrix, pivots and info."""
    check_square("linalg.ldl_factor_ex", A)
    ld, piv, info = call(own.ldl, A, hermitian and A.is_complex())
    if check_errors and info.numel() and int(info.max()) > 0:
        raise LinAlgError(
            "linalg.ldl_factor: a diagonal block of D is exactly zero; using it on "
            "ldl_solve would result in a division by zero."
        )
    return named("ldl_factor_ex", "LD pivots info", ld, piv, info)


@public
def ldl_factor(A, *, hermitian=False):
    """Compact Bunch-Kaufman factors of a symmetric (Hermitian) matrix, and pivots."""
    return named(
        "ldl_factor", "LD pivots", *ldl_factor_ex(A, hermitian=hermitian, check_errors=True)[:2]
    )


@public
def ldl_solve(LD, pivots, B, *, hermitian=False):
    """X with `A @ X = B` from `ldl_factor(A)`."""
    check_square("linalg.ldl_solve", LD)
    _check_pair("linalg.ldl_solve", LD, B)
    if pivots.is_floating_point() or pivots.is_complex():
        raise RuntimeError(f"linalg.ldl_solve: Expected pivots to be integers. Got {pivots.dtype}")
    return call(own.ldl_solve, LD, pivots, B, hermitian=hermitian and LD.is_complex())


@public
def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None):
    """Moore-Penrose inverse `(..., n, m)`; singular values below the tolerance count as zero."""
    check_matrix("linalg.pinv", A)
    if A.numel() == 0:
        return A.transpose(-2, -1).clone()
    a, r = tolerance(A, atol, rcond if rtol is None else rtol)
    return grad.Pinv.apply(A, (to_numpy(a), to_numpy(r)), hermitian)


@public
def lstsq(A, B, rcond=None, *, driver=None):
    """Least squares: (solution, residuals, rank, singular_values) of min |A X - B|.

    Drivers "gelsy" (default), "gels", "gelsd" and "gelss" differ in what else they return.
    """
    check_matrix("linalg.lstsq", A)
    driver = driver or "gelsy"
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, "
            f"gelsd, gelss), got {driver}"
        )
    if A.dtype != B.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, "
            "but "
            f"got {A.dtype} and {B.dtype}"
        )
    vector = B.dim() == A.dim() - 1 and tuple(B.shape) == tuple(A.shape[:-1])
    b = B.unsqueeze(-1) if vector else B
    if b.dim() < 2 or b.shape[-2] != A.shape[-2]:
        raise RuntimeError(
            "torch.linalg.lstsq: input.size(-2) should match other.size(-2), got "
            f"{list(A.shape)} and {list(B.shape)}"
        )
    m, n = A.shape[-2:]
    eps = fb.finfo(A.dtype).eps * max(m, n) if rcond is None else rcond
    if driver in ("gels", "gelsy") and not _recorded(A) and not _recorded(B):
        fast = _lstsq_by_qr(A, b, vector, driver, eps)
        if fast is not None:
            return fast
    if _recorded(A):
        x, s = fb.matmul(pinv(A, rtol=eps), b), svdvals(A.detach())
    else:
        u, s, vh = svd(A, False)
        keep = s > eps * s.amax(-1, keepdim=True) if s.numel() else s > 0
        part = fb.where(keep, s, fb.inf).reciprocal().to(A.dtype).unsqueeze(-1)
        x = fb.matmul(grad.herm(vh), part * fb.matmul(grad.herm(u), b))
    empty = s.new_empty(0)
    rank = (
        (s > eps * s.amax(-1, keepdim=True)).sum(-1)
        if s.numel()
        else A.new_zeros(A.shape[:-2], dtype=fb.int64)
    )
    residuals = empty
    if driver != "gelsy" and m > n and bool((rank == n).all()):
        residuals = ((fb.matmul(A, x) - b).abs() ** 2).sum(-2)
    return _solved(x, vector, residuals, rank, s, driver)


def _solved(x, vector, residuals, rank, s, driver):
    """What `lstsq` returns: each driver leaves out what it does not find."""
    return named(
        "lstsq",
        "solution residuals rank singular_values",
        x.squeeze(-1) if vector else x,
        residuals,
        rank.new_empty(0) if driver == "gels" else rank,
        s if driver in ("gelsd", "gelss") else s.new_empty(0),
    )


def _lstsq_by_qr(A, b, vector, driver, eps):
    """`lstsq` of real matrices whose rank is certainly full, or None."""
    m, n = A.shape[-2:]
    fits = n <= m and n <= grad.MOST_COLUMNS and A.shape[:-2] == b.shape[:-2]
    if not (fits and grad.is_real(A) and A.numel() and b.numel()):
        return None
    x, sure = fb._C._lstsq(A, b, eps)
    if not bool(sure.all()):
        return None
    rank = fb.full(A.shape[:-2], n, device=A.device)
    empty = A.new_empty(0)
    residuals = ((fb.matmul(A, x) - b) ** 2).sum(-2) if driver == "gels" and m > n else empty
    return _solved(x, vector, residuals, rank, empty, driver)


@public
def householder_product(A, tau):
    """First n columns of the product of reflectors `I - tau v v^H` stored in A (LAPACK's orgqr)."""
    check_matrix("linalg.householder_product", A)
    m, n, k = A.shape[-2], A.shape[-1], tau.shape[-1] if tau.dim() else 0
    if m < n:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater "
            "than or "
            f"equal to input.shape[-1], got {list(A.shape)}"
        )
    if n < k:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater "
            "than or "
            f"equal to tau.shape[-1], got {list(A.shape)} and {list(tau.shape)}"
        )
    if A.dtype != tau.dtype:
        raise RuntimeError(
            f"torch.linalg.householder_product: tau dtype {tau.dtype} does "
            f"not match input dtype {A.dtype}"
        )
    if tuple(tau.shape[:-1]) != tuple(A.shape[:-2]):
        raise RuntimeError(
            "torch.linalg.householder_product: Expected batch dimensions of tau to "
            "be "
            f"equal to input.shape[:-2], but got {list(tau.shape[:-1])}"
        )
    if A.numel() == 0:
        return A.clone()
    q = fb.eye(m, n, dtype=A.dtype, device=A.device).expand(*A.shape[:-2], m, n)
    return reflect(A, tau, q, range(k - 1, -1, -1))


def reflect(A, tau, c, order, adjoint=False):
    """Multiply `c` from the left by the reflectors of A in `order` (the last named first)."""
    m = A.shape[-2]
    v = A[..., : tau.shape[-1]].tril(-1) + fb.eye(m, tau.shape[-1], dtype=A.dtype, device=A.device)
    t = tau.conj() if adjoint else tau
    for i in order:
        vi = v[..., i : i + 1]
        c = c - t[..., i, None, None] * fb.matmul(vi, fb.matmul(grad.herm(vi), c))
    return c


@public
def tensorinv(A, ind=2):
    """Inverse of `tensordot(A, ., ind)`: shape `A.shape[ind:] + A.shape[:ind]`."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', got {ind}")
    head, tail = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    n, m = _prod(head), _prod(tail)
    if n != m:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {m} != {n}"
        )
    return inv(A.reshape(n, m)).reshape(tail + head)


def _prod(shape):
    n = 1
    for s in shape:
        n *= s
    return n


@public
def tensorsolve(A, B, dims=None):
    """X with `tensordot(A, X, X.dim()) = B`."""
    if dims is not None:
        rest = [i for i in range(A.dim()) if i not in [d % A.dim() for d in dims]]
        A = A.permute(rest + [d % A.dim() for d in dims])
    shape = tuple(A.shape[B.dim() :])
    n, m = _prod(A.shape[: B.dim()]), _prod(shape)
    if n != m:
        raise RuntimeError(
            "Expected self to satisfy the requirement "
            "prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {m} != {n}"
        )
    return solve(A.reshape(n, m), B.reshape(-1)).reshape(shape)


@public
def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of the matrices in the last two dims, a view."""
    return A.diagonal(offset, dim1, dim2)


@public
def matmul(input, other):
    """Matrix product; see `flambeau.matmul`."""
    return fb.matmul(input, other)
