"""Differentiable decompositions: forward through the seam, backward as tensor formulas."""

from __future__ import annotations

import numpy as np

import flambeau as fb

from . import _linalg_numpy as own
from ._linalg_seam import LinAlgError, per_matrix, single, to_numpy, to_tensor

Function = fb.autograd.Function

MOST_EIGENVALUES = 128  # beyond these LAPACK divides and conquers
MOST_COLUMNS = 400  # beyond these LAPACK's blocked Householder reflections are faster


def herm(x):
    """Conjugate transpose of the last two dims."""
    return x.transpose(-2, -1).conj() if x.is_complex() else x.transpose(-2, -1)


def _diag(v):
    return fb.diag_embed(v)


def _zero_diag(x):
    return x - _diag(x.diagonal(0, -2, -1))


def _real_if(x, like):
    return x if like.is_complex() or not x.is_complex() else x.real


def is_real(x):
    """Whether the core has kernels for it: float32 and float64, not complex."""
    return x.dtype in (fb.float32, fb.float64)


def cholesky(a):
    """L, NaN where there is none, and the order of the first minor that is not positive."""
    if is_real(a):
        return fb._C._cholesky(a)
    n = to_numpy(a)
    try:
        low = np.linalg.cholesky(n)
        return to_tensor(low, a), to_tensor(np.zeros(n.shape[:-2], np.int32), a)
    except np.linalg.LinAlgError:
        flat = n.reshape(own.count(n.shape[:-2]), *n.shape[-2:])
    info = np.array([_minor(m) for m in flat], np.int32).reshape(n.shape[:-2])
    ok = (info == 0)[..., None, None]
    low = np.linalg.cholesky(np.where(ok, n, np.eye(n.shape[-1], dtype=n.dtype)))
    low = np.where(ok, low, np.tril(np.full_like(low, np.nan)))
    return to_tensor(low, a), to_tensor(info, a)


def _minor(m):
    for k in range(1, m.shape[0] + 1):
        try:
            np.linalg.cholesky(m[:k, :k])
        except np.linalg.LinAlgError:
            return k
    return 0


class Cholesky(Function):
    """L of A = L L^H. Backward: Murray 2016, 'Differentiation of the Cholesky decomposition'."""

    @staticmethod
    def forward(ctx, a):
        out, info = cholesky(a)
        ctx.save_for_backward(out)
        ctx.mark_non_differentiable(info)
        return out, info

    @staticmethod
    def backward(ctx, g, _):
        (low,) = ctx.saved_tensors
        return cholesky_backward(low, g)


def cholesky_backward(low, g):
    p = fb.matmul(herm(low), g).tril()
    p = p - 0.5 * _diag(p.diagonal(0, -2, -1))
    s = 0.5 * (p + herm(p))
    lh = herm(low)
    return solve_tri(lh, herm(solve_tri(lh, herm(s), True)), True)


def eigh(a, uplo, vectors=True):
    """Eigenvalues and, unless `vectors` is false, eigenvectors of Hermitian matrices."""
    name = "linalg.eigh" if vectors else "linalg.eigvalsh"
    if is_real(a) and a.shape[-1] <= MOST_EIGENVALUES:
        w, v, fine = fb._C._eigh(a if uplo == "L" else a.mT, vectors)
        if not bool(fine.all()):
            at = fine.reshape(-1).tolist().index(False)
            where = f"(Batch element {at}): " if a.dim() > 2 else ""
            raise LinAlgError(f"{name}: {where}the iteration did not converge")
        return w, v
    side = "lo" if uplo == "L" else "up"
    if not vectors:
        f = single(f"eigvalsh_{side}", lambda x: np.linalg.eigvalsh(x, uplo))
        return to_tensor(per_matrix(f, to_numpy(a), name), a), None
    f = single(f"eigh_{side}", lambda x: np.linalg.eigh(x, uplo))
    w, v = per_matrix(f, to_numpy(a), name)
    return to_tensor(w, a), to_tensor(v, a)


class Eigh(Function):
    """Eigenvalues and vectors of a Hermitian matrix. Backward: Giles 2008, section 3.1."""

    @staticmethod
    def forward(ctx, a, uplo):
        w, v = eigh(a, uplo)
        ctx.save_for_backward(w, v)
        ctx.set_materialize_grads(False)
        return w, v

    @staticmethod
    def backward(ctx, gw, gv):
        w, v = ctx.saved_tensors
        if gw is None and gv is None:
            return None, None
        inner = fb.zeros_like(v) if gw is None else _diag(gw.to(v.dtype))
        if gv is not None:
            gap = w.unsqueeze(-2) - w.unsqueeze(-1)
            gap = gap + fb.eye(w.shape[-1], dtype=gap.dtype, device=gap.device)
            inner = inner + _zero_diag(fb.matmul(herm(v), gv)) / gap
        return fb.matmul(fb.matmul(v, inner), herm(v)), None


class Eig(Function):
    """Eigenvalues and unit eigenvectors of any square matrix. Backward: Boeddeker et al. 2017."""

    @staticmethod
    def forward(ctx, a):
        w, v = per_matrix(np.linalg.eig, to_numpy(a), "linalg.eig")
        kind = np.result_type(w, np.complex64)
        if a.dtype in (fb.float32, fb.complex64):
            kind = np.complex64
        w, v = to_tensor(w.astype(kind), a), to_tensor(v.astype(kind), a)
        ctx.save_for_backward(w, v, a)
        ctx.set_materialize_grads(False)
        return w, v

    @staticmethod
    def backward(ctx, gw, gv):
        w, v, a = ctx.saved_tensors
        if gw is None and gv is None:
            return None
        inner = fb.zeros_like(v) if gw is None else _diag(gw)
        vh = herm(v)
        if gv is not None:
            p = fb.matmul(vh, gv)
            q = fb.matmul(vh, v * p.diagonal(0, -2, -1).real.unsqueeze(-2))
            gap = (w.unsqueeze(-2) - w.unsqueeze(-1)).conj()
            gap = gap + fb.eye(w.shape[-1], dtype=gap.dtype, device=gap.device)
            inner = inner + _zero_diag(p - q) / gap
        return _real_if(Solve.apply(vh, fb.matmul(inner, vh)), a)


def svd(a, full):
    """U, S and Vh of matrices."""
    f = single("svd_f" if full else "svd_s", lambda x: np.linalg.svd(x, full))
    u, s, vh = per_matrix(f, to_numpy(a), "linalg.svd")
    return to_tensor(u, a), to_tensor(s, a), to_tensor(vh, a)


class SVD(Function):
    """Singular value decomposition. Backward: Townsend 2016, complex: Wan & Zhang 2019."""

    @staticmethod
    def forward(ctx, a, full):
        u, s, vh = svd(a, full)
        ctx.save_for_backward(u, s, vh)
        ctx.set_materialize_grads(False)
        return u, s, vh

    @staticmethod
    def backward(ctx, gu, gs, gvh):
        u, s, vh = ctx.saved_tensors
        k = s.shape[-1]
        if gu is None and gs is None and gvh is None:
            return None, None
        u, vh = u[..., :k], vh[..., :k, :]
        gu = None if gu is None else gu[..., :k]
        gvh = None if gvh is None else gvh[..., :k, :]
        return svd_backward(u, s, vh, gu, gs, gvh), None


def svd_backward(u, s, vh, gu, gs, gvh):
    inner = None if gs is None else _diag(gs.to(u.dtype))
    if gu is None and gvh is None:
        return fb.matmul(fb.matmul(u, inner), vh)
    k = s.shape[-1]
    gap = (s.unsqueeze(-2) - s.unsqueeze(-1)) * (s.unsqueeze(-2) + s.unsqueeze(-1))
    gap = gap + fb.eye(k, dtype=s.dtype, device=s.device)
    out = fb.zeros_like(fb.matmul(u, vh))
    inner = fb.zeros(*s.shape, k, dtype=u.dtype, device=u.device) if inner is None else inner
    if gu is not None:
        p = fb.matmul(herm(u), gu)
        skew = p - herm(p)
        inner = inner + _zero_diag(skew) / gap * s.unsqueeze(-2)
        if u.is_complex():
            inner = inner + _diag(skew.diagonal(0, -2, -1) / (2 * s))
        if u.shape[-2] > k:
            out = out + fb.matmul((gu - fb.matmul(u, p)) / s.unsqueeze(-2), vh)
    if gvh is not None:
        p = fb.matmul(vh, herm(gvh))
        inner = inner + s.unsqueeze(-1) * (_zero_diag(p - herm(p)) / gap)
        if vh.shape[-1] > k:
            out = out + fb.matmul(u / s.unsqueeze(-2), gvh - fb.matmul(herm(p), vh))
    return out + fb.matmul(fb.matmul(u, inner), vh)


class QR(Function):
    """Q and R of a matrix, rows >= columns. Backward: Walter & Lehmann 2018."""

    @staticmethod
    def forward(ctx, a, mode):
        if is_real(a) and a.shape[-1] <= MOST_COLUMNS:
            q, r = fb._C._qr(a, mode == "complete")
        else:
            q, r = (to_tensor(f, a) for f in np.linalg.qr(to_numpy(a), mode))
        ctx.save_for_backward(q, r)
        ctx.set_materialize_grads(False)
        ctx.square = mode == "reduced" or a.shape[-2] <= a.shape[-1]
        return q, r

    @staticmethod
    def backward(ctx, gq, gr):
        q, r = ctx.saved_tensors
        if gq is None and gr is None:
            return None, None
        if not ctx.square:
            raise RuntimeError(
                "linalg.qr: the derivative for mode='complete' needs at most as "
                "many "
                "rows as columns; use mode='reduced'"
            )
        m = 0
        if gr is not None:
            m = fb.matmul(gr, herm(r))
        if gq is not None:
            m = m - fb.matmul(herm(q), gq)
        m = m.triu()
        m = m + herm(m)
        m = m - 0.5 * _diag(m.diagonal(0, -2, -1))
        g = fb.matmul(q, m)
        g = g if gq is None else g + gq
        return herm(solve_tri(r, herm(g), True)), None


class LU(Function):
    """Compact LU, pivots, permutation, info. Backward: blockwise product rules of P A = L U."""

    @staticmethod
    def forward(ctx, a, pivot):
        with np.errstate(all="ignore"):
            lu, piv, perm, info = own.lu(to_numpy(a), pivot)
        back = to_tensor(np.argsort(perm, -1), a)
        lu, piv, perm, info = (to_tensor(t, a) for t in (lu, piv, perm, info))
        ctx.save_for_backward(lu, back)
        ctx.mark_non_differentiable(piv, perm, info)
        return lu, piv, perm, info

    @staticmethod
    def backward(ctx, g, *_):
        lu, back = ctx.saved_tensors
        m, n = lu.shape[-2:]
        k = min(m, n)
        square = lu[..., :k, :k]
        eye = fb.eye(k, dtype=lu.dtype, device=lu.device)
        low, up = square.tril(-1) + eye, square.triu()
        lh, uh = herm(low), herm(up)
        gl, gu, rest = g[..., :k, :k].tril(-1), g[..., :k, :k].triu(), None
        if m > k:
            rest = _right(g[..., k:, :], up)
            gu = gu - fb.matmul(herm(lu[..., k:, :]), rest)
        elif n > k:
            rest = solve_tri(lh, g[..., k:], True, unit=True)
            gl = gl - fb.matmul(rest, herm(lu[..., k:]))
        inner = fb.matmul(lh, gl).tril(-1) + fb.matmul(gu, uh).triu()
        ga = _right(solve_tri(lh, inner, True, unit=True), up)
        if rest is not None:
            ga = fb.cat([ga, rest], -2 if m > k else -1)
        return ga.gather(-2, back.unsqueeze(-1).expand(ga.shape)), None


def _right(x, up):
    """x @ up^{-H} for upper triangular `up`."""
    return herm(solve_tri(up, herm(x), True))


class Triangular(Function):
    """X of A X = B with triangular A. Backward: Giles 2008, section 2.3.1."""

    @staticmethod
    def forward(ctx, a, b, upper, unit):
        with np.errstate(all="ignore"):
            x = to_tensor(own.triangular(to_numpy(a), to_numpy(b), upper, unit), a)
        ctx.save_for_backward(a, x)
        ctx.upper, ctx.unit, ctx.b_shape = upper, unit, b.shape
        return x

    @staticmethod
    def backward(ctx, g):
        a, x = ctx.saved_tensors
        gb = solve_tri(herm(a), g, not ctx.upper, unit=ctx.unit)
        ga = None
        if ctx.needs_input_grad[0]:
            ga = -fb.matmul(gb, herm(x))
            off = int(ctx.unit)
            ga = ga.triu(off) if ctx.upper else ga.tril(-off)
            ga = fb.sum_to_size(ga, a.shape)
        return ga, fb.sum_to_size(gb, ctx.b_shape), None, None


def solve_tri(a, b, upper, unit=False):
    """Solve `a @ x = b` with triangular `a`, batch dims broadcast."""
    return Triangular.apply(a, b, upper, unit)


class Solve(Function):
    """X of A X = B. Backward: Giles 2008, section 2.3.1."""

    @staticmethod
    def forward(ctx, a, b):
        an, bn = to_numpy(a), to_numpy(b)
        x = to_tensor(per_matrix(lambda m: _solve(m, bn, an), an, "linalg.solve"), a)
        ctx.save_for_backward(a, x)
        ctx.b_shape = b.shape
        return x

    @staticmethod
    def backward(ctx, g):
        a, x = ctx.saved_tensors
        gb = Solve.apply(herm(a), g)
        ga = None
        if ctx.needs_input_grad[0]:
            ga = fb.sum_to_size(-fb.matmul(gb, herm(x)), a.shape)
        return ga, fb.sum_to_size(gb, ctx.b_shape)


def _solve(m, b, whole):
    if m is not whole:  # looking for the singular matrix of a batch
        return np.linalg.inv(m)
    return np.linalg.solve(m, b)


class Inv(Function):
    """Inverse. Backward: Giles 2008, section 2.2.3."""

    @staticmethod
    def forward(ctx, a):
        x = to_tensor(per_matrix(np.linalg.inv, to_numpy(a), "linalg.inv"), a)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx, g):
        xh = herm(ctx.saved_tensors[0])
        return -fb.matmul(fb.matmul(xh, g), xh)


class Det(Function):
    """Determinant. Backward: the cofactor matrix, by the inverse or, if singular, by the SVD."""

    @staticmethod
    def forward(ctx, a):
        d = to_tensor(np.linalg.det(to_numpy(a)), a)
        ctx.save_for_backward(a, d)
        return d

    @staticmethod
    def backward(ctx, g):
        a, d = ctx.saved_tensors
        if a.numel() == 0:
            return fb.zeros_like(a)
        n = to_numpy(a)
        with np.errstate(all="ignore"):
            sv = np.linalg.svd(n, compute_uv=False)
        if bool((sv[..., -1] > 1e-6 * sv[..., 0]).all()):
            return (g * d.conj()).unsqueeze(-1).unsqueeze(-1) * herm(Inv.apply(a))
        return g.unsqueeze(-1).unsqueeze(-1) * to_tensor(_cofactors(n), a, a.dtype)


def _cofactors(a):
    """conj of d det / d a for singular matrices: det(U) det(Vh) U diag(prod of others) Vh."""
    u, s, vh = np.linalg.svd(a)
    k = s.shape[-1]
    others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(k)], -1)
    phase = np.conj(np.linalg.det(u) * np.linalg.det(vh))
    return phase[..., None, None] * ((u * others[..., None, :]) @ vh)


class Slogdet(Function):
    """Sign and log |det|. Backward: Giles 2008, section 2.2.4."""

    @staticmethod
    def forward(ctx, a):
        with np.errstate(all="ignore"):
            sign, log = np.linalg.slogdet(to_numpy(a))
        sign, log = to_tensor(sign, a), to_tensor(log, a)
        ctx.save_for_backward(a, sign)
        if not a.is_complex():
            ctx.mark_non_differentiable(sign)
        ctx.set_materialize_grads(False)
        return sign, log

    @staticmethod
    def backward(ctx, gs, gl):
        a, sign = ctx.saved_tensors
        g = None if gl is None else gl.to(a.dtype)
        if gs is not None and a.is_complex():
            turn = (gs * sign.conj()).imag * 1j
            g = turn if g is None else g + turn
        if g is None:
            return None
        return g.unsqueeze(-1).unsqueeze(-1) * herm(Inv.apply(a))


class Pinv(Function):
    """Moore-Penrose inverse of tolerance (atol, rtol). Backward: Golub & Pereyra 1973, (4.12)."""

    @staticmethod
    def forward(ctx, a, cut, hermitian):
        n = to_numpy(a)
        if hermitian:
            w, u = np.linalg.eigh(n)
            sign = np.where(w < 0, -1, 1).astype(w.dtype)
            s, vh = np.abs(w), np.conj(np.swapaxes(u * sign[..., None, :], -2, -1))
        else:
            u, s, vh = np.linalg.svd(n, full_matrices=False)
        top = s.max(-1, keepdims=True, initial=0)
        keep = s > np.maximum(cut[0][..., None], cut[1][..., None] * top)
        inv = np.where(keep, 1 / np.where(keep, s, 1), 0).astype(s.dtype)
        p = np.conj(np.swapaxes(vh, -2, -1)) * inv[..., None, :] @ np.conj(np.swapaxes(u, -2, -1))
        p = to_tensor(p, a)
        ctx.save_for_backward(a, p)
        return p

    @staticmethod
    def backward(ctx, g):
        a, p = ctx.saved_tensors
        ph, gh = herm(p), herm(g)
        out = -fb.matmul(ph, fb.matmul(g, ph))
        left = fb.matmul(gh, fb.matmul(p, ph))
        out = out + left - fb.matmul(a, fb.matmul(p, left))
        right = fb.matmul(fb.matmul(ph, p), gh)
        return out + right - fb.matmul(fb.matmul(right, p), a), None, None
