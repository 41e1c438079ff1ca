"""Sorting, searching, counting and sets."""

import numpy as np

from .base import INT, REAL, Bad, S, T, op

D = lambda *s: T(*s, distinct=True)
NUM = REAL + INT


def ordered(x, dim=-1, descending=False, stable=True):
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    i = np.argsort(
        -x.astype(np.result_type(x, np.int64)) if descending else x, axis=dim, kind="stable"
    )
    return np.take_along_axis(x, i, dim), i


SORT = [
    S(D(3, 4)),
    S(D(3, 4), 0),
    S(D(2, 3, 4), dim=1, descending=True),
    S(D(19)),
    S(T(0, 3), 0),
    S(T()),
]
op(
    "sort",
    ordered,
    SORT,
    dtypes=NUM,
    result=("same", "int64"),
    method=True,
    big=S(D(401, 301), 1),
    error=Bad(S(D(3), 2), IndexError, "2"),
)
op(
    "sort",
    lambda x, dim, stable: ordered(x, dim),
    [S(T(40, lo=0, hi=3), dim=0, stable=True)],
    dtypes=NUM,
    result=("same", "int64"),
    key="sort_stable",
    grad=False,
)
op(
    "sort",
    lambda x: ordered(x),
    [S(T(values=[2.0, np.nan, -np.inf, 1.0, np.inf]))],
    dtypes=REAL,
    result=("same", "int64"),
    key="sort_nan",
    grad=False,
)
op(
    "argsort",
    lambda *a, **k: ordered(*a, **k)[1],
    SORT,
    dtypes=NUM,
    result="int64",
    grad=False,
    method=True,
)
op("msort", lambda x: np.sort(x, 0), [S(D(4, 3))], dtypes=REAL, method=True)


def topk(x, k, dim=-1, largest=True):
    v, i = ordered(x, dim, largest)
    return np.take(v, range(k), dim), np.take(i, range(k), dim)


op(
    "topk",
    topk,
    [S(D(3, 5), 2), S(D(5, 3), 3, 0), S(D(3, 5), 2, largest=False), S(D(7), 7), S(D(4), 0)],
    dtypes=NUM,
    result=("same", "int64"),
    method=True,
    big=S(D(101, 1001), 5),
    error=Bad(S(D(3), 5), RuntimeError, "k"),
)


def unique(x, sorted=True, return_inverse=False, return_counts=False, dim=None):
    r = np.unique(x, return_inverse=return_inverse, return_counts=return_counts, axis=dim)
    if not return_inverse:
        return r
    r = list(r)
    r[1] = r[1].reshape(x.shape if dim is None else (-1,))
    return r


FEW = dict(lo=0, hi=3)
op(
    "unique",
    unique,
    [S(T(9, **FEW)), S(T(3, 4, **FEW))],
    dtypes=INT,
    grad=False,
    method=True,
    meta=False,
)
op(
    "unique",
    unique,
    [S(T(3, 4, **FEW), return_inverse=True, return_counts=True)],
    dtypes=INT,
    result=("same", "int64", "int64"),
    grad=False,
    key="unique_all",
    meta=False,
)
op(
    "unique",
    unique,
    [S(T(values=[[1, 2], [0, 1], [1, 2]]), dim=0)],
    dtypes=INT,
    grad=False,
    key="unique_dim",
    meta=False,
)
op(
    "unique_consecutive",
    lambda x: x[np.r_[True, x[1:] != x[:-1]]],
    [S(T(9, lo=0, hi=1))],
    dtypes=INT,
    grad=False,
    method=True,
    meta=False,
)


def searched(s, v, right=False):
    side = "right" if right else "left"
    if s.ndim == 1:
        return np.searchsorted(s, v, side)
    return np.stack([np.searchsorted(a, b, side) for a, b in zip(s, v)])


EDGES = T(values=[-1, 0, 1, 2])
op(
    "searchsorted",
    searched,
    [S(EDGES, T(3, 4)), S(EDGES, T(5), right=True), S(T(values=[[0, 1, 2], [-1, 0, 5]]), T(2, 3))],
    dtypes=REAL + ("int64", "int32"),
    result="int64",
    grad=False,
)
op(
    "bucketize",
    lambda x, e, right=False: np.searchsorted(e, x, "right" if right else "left"),
    [S(T(3, 4), EDGES), S(T(5), EDGES, right=True)],
    dtypes=REAL + ("int64",),
    result="int64",
    grad=False,
)
op(
    "bincount",
    lambda x, weights=None, minlength=0: np.bincount(x, weights, minlength),
    [S(T(9, lo=0, hi=5)), S(T(9, lo=0, hi=5), minlength=9), S(T(0, lo=0, hi=1))],
    dtypes=INT,
    result="int64",
    grad=False,
    method=True,
    meta=False,
    error=Bad(S(T(values=[-1, 2])), RuntimeError, "neg", "int64"),
)
op(
    "histc",
    lambda x, bins=100, min=0, max=0: np.histogram(
        x, bins, (x.min(), x.max()) if min == max else (min, max)
    )[0],
    [S(T(50), 10), S(T(50), bins=4, min=-1, max=1)],
    dtypes=REAL,
    grad=False,
    method=True,
)
op(
    "isin",
    lambda x, t: np.isin(x, t),
    [S(T(3, 4, **FEW), T(2, **FEW))],
    dtypes=INT,
    result="bool",
    grad=False,
)
