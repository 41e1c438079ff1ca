"""Factorisations that NumPy lacks, on ndarrays: LU, LDL, triangular solves."""

from __future__ import annotations

import numpy as np

BLOCK = 48


def count(shape):
    """How many elements a shape has."""
    n = 1
    for s in shape:
        n *= s
    return n


def size(a):
    """The magnitude by which LAPACK picks pivots: |re| + |im|."""
    return np.abs(a.real) + np.abs(a.imag) if np.iscomplexobj(a) else np.abs(a)


def lu(a, pivot=True):
    """Compact LU of a batch `(..., m, n)` with partial pivoting.

    Returns (LU, pivots, permutation, info): pivots are LAPACK's 1-based row swaps (int32),
    `a[permutation] = L @ U`, info the 1-based column of the first zero pivot, 0 if none.
    Blocked right-looking algorithm (Golub & Van Loan, 3.4.1), vectorised over the batch.
    """
    m, n = a.shape[-2:]
    k = min(m, n)
    b = count(a.shape[:-2])
    x = np.array(a, order="C", copy=True).reshape(b, m, n)
    rows = np.arange(b)
    piv = np.tile(np.arange(1, k + 1, dtype=np.int32), (b, 1))
    perm = np.tile(np.arange(m), (b, 1))
    info = np.zeros(b, np.int32)
    for lo in range(0, k, BLOCK):
        hi = min(lo + BLOCK, k)
        for j in range(lo, hi):
            if pivot:
                p = j + np.argmax(size(x[:, j:, j]), axis=1)
                piv[:, j] = p + 1
                swap = p != j
                if swap.any():
                    for y in (x, perm):
                        t = y[rows, j].copy()
                        y[rows, j] = y[rows, p]
                        y[rows, p] = t
            d = x[:, j, j]
            zero = d == 0
            info[zero & (info == 0)] = j + 1
            if zero.any() and pivot:
                x[:, j + 1 :, j] /= np.where(zero, 1, d)[:, None]
            else:
                x[:, j + 1 :, j] /= d[:, None]
            x[:, j + 1 :, j + 1 : hi] -= x[:, j + 1 :, j, None] * x[:, j, None, j + 1 : hi]
        if hi < n:
            x[:, lo:hi, hi:] = triangular(x[:, lo:hi, lo:hi], x[:, lo:hi, hi:], False, True)
            if hi < m:
                x[:, hi:, hi:] -= x[:, hi:, lo:hi] @ x[:, lo:hi, hi:]
    lead = a.shape[:-2]
    return (x.reshape(a.shape), piv.reshape(*lead, k), perm.reshape(*lead, m), info.reshape(lead))


def _substitute(a, b, upper, unit):
    """Plain substitution on a small block, the batch at once; zero pivots give inf and NaN."""
    n = a.shape[-1]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*lead, *b.shape[-2:])), dtype=np.result_type(a, b), copy=True)
    order = range(n - 1, -1, -1) if upper else range(n)
    for i in order:
        done = slice(i + 1, n) if upper else slice(0, i)
        x[..., i, :] -= (a[..., i, None, done] @ x[..., done, :])[..., 0, :]
        if not unit:
            x[..., i, :] /= a[..., i, i, None]
    return x


def triangular(a, b, upper, unit=False):
    """Solve `a @ x = b` for triangular `a` `(..., n, n)` and `b` `(..., n, k)`, blocked."""
    n = a.shape[-1]
    if n <= BLOCK:
        with np.errstate(all="ignore"):
            return _substitute(a, b, upper, unit)
    h = n // 2
    if upper:
        x2 = triangular(a[..., h:, h:], b[..., h:, :], upper, unit)
        x1 = triangular(a[..., :h, :h], b[..., :h, :] - a[..., :h, h:] @ x2, upper, unit)
    else:
        x1 = triangular(a[..., :h, :h], b[..., :h, :], upper, unit)
        x2 = triangular(a[..., h:, h:], b[..., h:, :] - a[..., h:, :h] @ x1, upper, unit)
    return np.concatenate([x1, x2], axis=-2)


_ALPHA = (1 + 17**0.5) / 8


def _ldl_one(a, hermitian):
    """Bunch-Kaufman factorisation of one matrix, lower triangle (Bunch & Kaufman 1977)."""
    n = a.shape[0]
    c = np.conj if hermitian else (lambda v: v)
    piv = np.zeros(n, np.int32)
    info, k = 0, 0
    while k < n:
        step, p = 1, k
        here = abs(a[k, k].real) if hermitian else size(a[k, k])
        below = size(a[k + 1 :, k])
        r = k + 1 + int(np.argmax(below)) if below.size else k
        col = below[r - k - 1] if below.size else 0.0
        if max(here, col) == 0:
            info = info or k + 1
        elif here < _ALPHA * col:
            row = max(size(a[r, k:r]).max(), size(a[r + 1 :, r]).max(initial=0))
            diag = abs(a[r, r].real) if hermitian else size(a[r, r])
            if here < _ALPHA * col * (col / row):
                if diag >= _ALPHA * row:
                    p = r
                else:
                    p, step = r, 2
        kk = k + step - 1
        if p != kk:
            _swap(a, k, kk, p, step, c)
        if hermitian:
            for i in (k, kk):
                a[i, i] = a[i, i].real
        _eliminate(a, k, step, c, hermitian)
        piv[k] = p + 1 if step == 1 else -(p + 1)
        if step == 2:
            piv[k + 1] = -(p + 1)
        k += step
    return a, piv, info


def _swap(a, k, kk, p, step, c):
    # exchange rows and columns kk and p of the trailing block, lower triangle only
    a[p + 1 :, [kk, p]] = a[p + 1 :, [p, kk]]
    t = a[kk + 1 : p, kk].copy()
    a[kk + 1 : p, kk] = c(a[p, kk + 1 : p])
    a[p, kk + 1 : p] = c(t)
    a[p, kk] = c(a[p, kk])
    a[kk, kk], a[p, p] = a[p, p], a[kk, kk]
    if step == 2:
        a[k + 1, k], a[p, k] = a[p, k], a[k + 1, k]


def _eliminate(a, k, step, c, hermitian):
    rest = slice(k + step, None)
    if a[rest].size == 0:
        return
    if step == 1:
        if a[k, k] == 0:
            return
        v = a[rest, k].copy()
        low = np.tril(np.outer(v, c(v)) / a[k, k])
        a[rest, rest] -= low
        a[rest, k] = v / a[k, k]
    else:
        d = np.array([[a[k, k], c(a[k + 1, k])], [a[k + 1, k], a[k + 1, k + 1]]])
        w = a[rest, k : k + 2].copy()
        v = w @ np.linalg.inv(d)
        a[rest, rest] -= np.tril(v @ c(w).T)
        a[rest, k : k + 2] = v
    if hermitian:
        i = np.arange(k + step, a.shape[0])
        a[i, i] = a[i, i].real


def ldl(a, hermitian):
    """Compact LDL of a batch: (LD, pivots int32 as LAPACK's sytrf/hetrf, info)."""
    n = a.shape[-1]
    x = np.array(a, copy=True).reshape(count(a.shape[:-2]), n, n)
    up = np.triu(x, 1)
    parts = [_ldl_one(np.tril(m), hermitian) for m in x]
    lead = a.shape[:-2]
    ld = np.stack([p[0] for p in parts]) if parts else x
    piv = np.stack([p[1] for p in parts]) if parts else np.zeros((0, n), np.int32)
    info = np.array([p[2] for p in parts], np.int32)
    return ((ld + up * 0).reshape(a.shape), piv.reshape(*lead, n), info.reshape(lead))


def ldl_solve(ld, piv, b, hermitian):
    """Solve with the result of `ldl` for a batch of right-hand sides `(..., n, k)`."""
    lead = np.broadcast_shapes(ld.shape[:-2], b.shape[:-2])
    n = ld.shape[-1]
    ld = np.broadcast_to(ld, (*lead, n, n)).reshape(count(lead), n, n)
    piv = np.broadcast_to(piv, (*lead, n)).reshape(count(lead), n)
    x = np.array(np.broadcast_to(b, (*lead, *b.shape[-2:])), copy=True)
    flat = x.reshape(count(lead), *b.shape[-2:])
    for m, p, y in zip(ld, piv, flat):
        _ldl_solve_one(m, p, y, np.conj if hermitian else (lambda v: v))
    return flat.reshape(x.shape)


def _ldl_solve_one(a, piv, x, c):
    n, k = a.shape[0], 0
    while k < n:
        step = 1 if piv[k] > 0 else 2
        kk, p = k + step - 1, abs(piv[k]) - 1
        x[[kk, p]] = x[[p, kk]] if p != kk else x[[kk, p]]
        x[k + step :] -= a[k + step :, k : k + step] @ x[k : k + step]
        if step == 1:
            x[k] /= a[k, k]
        else:
            d = np.array([[a[k, k], c(a[k + 1, k])], [a[k + 1, k], a[k + 1, k + 1]]])
            x[k : k + 2] = np.linalg.solve(d, x[k : k + 2])
        k += step
    k = n - 1
    while k >= 0:
        step = 1 if piv[k] > 0 else 2
        lo, p = k - step + 1, abs(piv[k]) - 1
        x[lo : k + 1] -= c(a[k + 1 :, lo : k + 1]).T @ x[k + 1 :]
        if p != k:
            x[[k, p]] = x[[p, k]]
        k -= step
