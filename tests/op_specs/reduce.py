"""Reductions over some or all dimensions."""

import numpy as np
from scipy import special as sp

from .base import ALL, CPLX, FLOAT, INT, REAL, Bad, S, T, op


def axes(dim):
    return tuple(dim) if isinstance(dim, (list, tuple)) else dim


def over(f):
    """A NumPy reduction with PyTorch's keywords."""

    def run(x, dim=None, keepdim=False):
        d = axes(dim)
        return f(x, axis=None if d == () else d, keepdims=keepdim)

    return run


def dims(many=True, empty=True, **kw):
    """Samples over no, one and several dimensions."""
    s = [
        S(T(3, 4, **kw)),
        S(T(3, 4, **kw), 0),
        S(T(3, 4, **kw), dim=1),
        S(T(2, 3, 4, **kw), -2, True),
        S(T(7, **kw), dim=0, keepdim=True),
        S(T(**kw)),
        S(T(1, 5, **kw), 0),
    ]
    if many:
        s += [
            S(T(2, 3, 4, **kw), (0, 2)),
            S(T(2, 3, 4, **kw), dim=(1, -1), keepdim=True),
            S(T(2, 3, 4, **kw), (0, 1, 2)),
        ]
    if empty:
        s += [S(T(0, 3, **kw), 0), S(T(2, 0, **kw), 1)] + ([S(T(0, **kw))] if many else [])
    return s


BIG = S(T(401, 301))
RANGE = Bad(S(T(2, 3), 5), IndexError, "5")


def reduction(name, oracle, samples, dtypes=FLOAT, result="same", **kw):
    kw.setdefault("method", True)
    kw.setdefault("error", RANGE)
    kw.setdefault("big", BIG)
    kw.setdefault("tol", 4)
    return op(name, oracle, samples, dtypes=dtypes, result=result, **kw)


reduction(
    "sum",
    over(np.sum),
    dims(),
    ALL + CPLX,
    "sum",
    cgrad=True,
    special=True,
    error=[RANGE, Bad(S(T(2, 3), (0, 0)), RuntimeError, "dim")],
)
reduction("nansum", over(np.nansum), dims(), REAL, "sum", special=True)
reduction(
    "mean",
    over(np.mean),
    dims(empty=False),
    FLOAT + CPLX,
    cgrad=True,
    special=True,
    error=[RANGE, Bad(S(T(3)), RuntimeError, "float", "int64")],
)
reduction("nanmean", over(np.nanmean), dims(empty=False), REAL)
reduction(
    "prod",
    over(np.prod),
    dims(many=False),
    ALL + CPLX,
    "sum",
    cgrad=True,
    big=S(T(64, 2000, lo=0.9, hi=1.1), 1),
)
reduction(
    "prod",
    over(np.prod),
    [
        S(T(values=[[1.0, 0.0, 3.0], [2.0, 0.5, 4.0]]), 1),
        S(T(values=[0.0, 2.0, 0.0])),
        S(T(values=[0.0, 2.0, 3.0])),
    ],
    REAL,
    "sum",
    key="prod_zeros",
    big=None,
    error=None,
)


def nanproof(f):
    def run(x, axis=None, keepdims=False):
        return f(x, axis=axis, keepdims=keepdims)

    return over(run)


EMPTY = Bad(S(T(0)), (RuntimeError, IndexError), "")
reduction(
    "amax", nanproof(np.max), dims(empty=False), ALL, special=True, out=False, error=[RANGE, EMPTY]
)
reduction("amin", nanproof(np.min), dims(empty=False), ALL, special=True, error=[RANGE, EMPTY])


def arg(f, vals):
    def run(x, dim=None, keepdim=False):
        if dim is None:
            return vals(x)
        i = np.expand_dims(f(x, axis=dim), dim)
        v = np.take_along_axis(x, i, dim)
        return (v, i) if keepdim else (np.squeeze(v, dim), np.squeeze(i, dim))

    return run


ONE = [
    S(T(3, 4, distinct=True), 0),
    S(T(3, 4, distinct=True), dim=1),
    S(T(2, 3, 4, distinct=True), -2, True),
    S(T(7, distinct=True), 0),
    S(T(2, 0), 0),
]
for _n, _a, _v in (("max", np.argmax, np.max), ("min", np.argmin, np.min)):
    reduction(
        _n,
        arg(_a, _v),
        ONE,
        REAL + INT,
        ("same", "int64"),
        key=_n + "_dim",
        big=S(T(401, 301, distinct=True), 1),
        error=[RANGE],
    )
    reduction(
        _n,
        arg(_a, _v),
        [S(T(3, 4, distinct=True)), S(T()), S(T(19))],
        ALL,
        big=BIG,
        special=True,
        error=EMPTY,
    )
    reduction(
        "arg" + _n,
        lambda x, dim=None, keepdim=False, _a=_a: _a(x, axis=dim, keepdims=keepdim),
        [
            S(T(3, 4, distinct=True)),
            S(T(3, 4, distinct=True), 0),
            S(T(2, 3, 4, distinct=True), dim=-1, keepdim=True),
            S(T()),
            S(T(17, distinct=True)),
        ],
        REAL + INT,
        "int64",
        grad=False,
        big=S(T(401, 301, distinct=True), 1),
        error=[RANGE, EMPTY],
    )
reduction(
    "aminmax",
    lambda x, dim=None, keepdim=False: (
        np.min(x, axis=dim, keepdims=keepdim),
        np.max(x, axis=dim, keepdims=keepdim),
    ),
    [S(T(3, 4)), S(T(3, 4), dim=0), S(T(3, 4), dim=1, keepdim=True)],
    REAL,
    error=None,
)
reduction(
    "all",
    over(np.all),
    dims(),
    ALL,
    lambda d: "uint8" if d == "uint8" else "bool",
    grad=False,
    special=True,
)
reduction(
    "any",
    over(np.any),
    dims(),
    ALL,
    lambda d: "uint8" if d == "uint8" else "bool",
    grad=False,
    special=True,
)
reduction(
    "count_nonzero",
    lambda x, dim=None: np.count_nonzero(x, axis=axes(dim)),
    [S(T(3, 4)), S(T(3, 4), 0), S(T(2, 3, 4), (0, 2)), S(T()), S(T(0, 3), 0)],
    ALL,
    "int64",
    grad=False,
)


def spread(f):
    """var or std with PyTorch's dim, correction and keepdim."""

    def run(x, dim=None, correction=1, keepdim=False, unbiased=None):
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        c = correction if unbiased is None else int(unbiased)
        return f(x, axis=axes(dim), ddof=c, keepdims=keepdim)

    return run


VAR = [
    S(T(3, 4)),
    S(T(3, 4), 0),
    S(T(3, 4), dim=1, keepdim=True),
    S(T(2, 3, 4), (0, 2)),
    S(T(3, 4), dim=0, correction=0),
    S(T(3, 4), dim=None, correction=2),
    S(T(3, 4), False),
    S(T(3, 4), dim=1, unbiased=False),
]
reduction("var", spread(np.var), VAR, FLOAT + CPLX, "real", cgrad=True, tol=8)
reduction("std", spread(np.std), VAR, FLOAT + CPLX, "real", cgrad=True, tol=8)
for _n, _f in (("var_mean", np.var), ("std_mean", np.std)):
    reduction(
        _n,
        lambda x, dim=None, correction=1, keepdim=False, _f=_f: (
            _f(x, axis=axes(dim), ddof=correction, keepdims=keepdim),
            np.mean(x, axis=axes(dim), keepdims=keepdim),
        ),
        [S(T(3, 4)), S(T(3, 4), 0), S(T(2, 3, 4), dim=(0, 2), correction=0, keepdim=True)],
        REAL,
        method=False,
        error=None,
        tol=8,
    )


def vnorm(x, ord=2, dim=None, keepdim=False, p=None):
    p = ord if p is None else p
    p = 2 if p == "fro" else p
    d = tuple(range(x.ndim)) if dim is None else axes(dim)
    a = np.abs(x)
    kw = dict(axis=d, keepdims=keepdim)
    if p == np.inf:
        return a.max(**kw)
    if p == -np.inf:
        return a.min(**kw)
    if p == 0:
        return (a != 0).sum(**kw).astype(a.dtype)
    return (a**p).sum(**kw) ** (1.0 / p)


NORMS = [
    S(T(3, 4)),
    S(T(3, 4), 2, 0),
    S(T(3, 4), 1, 1),
    S(T(3, 4), 3, dim=1, keepdim=True),
    S(T(2, 3, 4), 2, (0, 2)),
    S(T(7), 0.5),
]
reduction("norm", vnorm, NORMS, REAL + CPLX, "real", domain=(0.3, 2.0), error=None)
reduction(
    "linalg.vector_norm",
    vnorm,
    NORMS,
    REAL + CPLX,
    "real",
    domain=(0.3, 2.0),
    error=None,
    method=False,
)
reduction(
    "norm",
    vnorm,
    [
        S(T(3, 4, distinct=True), float("inf")),
        S(T(3, 4, distinct=True), float("-inf"), 1),
        S(T(3, 4), 0, 1),
    ],
    REAL,
    key="norm_inf",
    domain=(0.3, 2.0),
    error=None,
    grad2=False,
)
reduction(
    "logsumexp",
    lambda x, dim, keepdim=False: sp.logsumexp(x, axis=axes(dim), keepdims=keepdim),
    [
        S(T(3, 4), 0),
        S(T(3, 4), dim=1, keepdim=True),
        S(T(2, 3, 4), (0, 2)),
        S(T(5), 0),
        S(T(2, 0), 1),
        S(T(values=[[-np.inf, -np.inf], [np.inf, 1.0], [1e4, 1e4]], grad=False), 1, dtypes=REAL),
    ],
    FLOAT,
    big=S(T(401, 301), 1),
)
reduction(
    "median",
    lambda x, dim=None, keepdim=False: _median(x, dim, keepdim),
    [S(T(3, 5, distinct=True), 1), S(T(4, 4, distinct=True), dim=0, keepdim=True)],
    REAL,
    ("same", "int64"),
    key="median_dim",
    big=S(T(401, 301, distinct=True), 1),
)
reduction(
    "median",
    lambda x: np.sort(x.reshape(-1))[(x.size - 1) // 2],
    [S(T(3, 5, distinct=True)), S(T(6, distinct=True)), S(T())],
    REAL + INT,
    error=None,
    big=S(T(401, 301)),
)
reduction(
    "nanmedian",
    lambda x: np.sort(x[~np.isnan(x)])[(np.sum(~np.isnan(x)) - 1) // 2],
    [S(T(values=[1.0, np.nan, 3.0, 2.0, 5.0]))],
    REAL,
    error=None,
    big=None,
    grad=False,
)


def _median(x, dim, keepdim):
    i = np.take(np.argsort(x, axis=dim), [(x.shape[dim] - 1) // 2], axis=dim)
    v = np.take_along_axis(x, i, dim)
    return (v, i) if keepdim else (v.squeeze(dim), i.squeeze(dim))


def _sorted_stat(q):
    return lambda x, p, dim=None, keepdim=False: q(x, p, axis=dim, keepdims=keepdim)


reduction(
    "quantile",
    _sorted_stat(np.quantile),
    [
        S(T(3, 5, distinct=True), 0.3),
        S(T(3, 5, distinct=True), 0.5, 1),
        S(T(3, 5, distinct=True), 0.7, dim=0, keepdim=True),
    ],
    REAL,
    error=None,
    big=None,
)
reduction(
    "nanquantile",
    _sorted_stat(np.nanquantile),
    [S(T(3, 5, distinct=True), 0.3, 1)],
    REAL,
    error=None,
    big=None,
)
reduction(
    "kthvalue",
    lambda x, k, dim=-1, keepdim=False: _kth(x, k, dim, keepdim),
    [S(T(3, 5, distinct=True), 2), S(T(4, 3, distinct=True), 3, dim=0, keepdim=True)],
    REAL + INT,
    ("same", "int64"),
    big=None,
    error=Bad(S(T(3), 7), (RuntimeError, IndexError), ""),
)


def _kth(x, k, dim, keepdim):
    i = np.take(np.argsort(x, axis=dim), [k - 1], axis=dim)
    v = np.take_along_axis(x, i, dim)
    return (v, i) if keepdim else (v.squeeze(dim), i.squeeze(dim))


def _mode(x, dim=-1, keepdim=False):
    def one(v):
        u, c = np.unique(v, return_counts=True)
        return u[np.argmax(c)]

    v = np.apply_along_axis(one, dim, x)
    return np.expand_dims(v, dim) if keepdim else v


reduction(
    "mode",
    _mode,
    [S(T(3, 9, lo=0, hi=3)), S(T(9, 2, lo=0, hi=3), 0)],
    INT,
    big=None,
    post=lambda r: r[0],
    grad=False,
    error=None,
)
