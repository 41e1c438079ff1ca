"""Gathering, scattering and selecting by index or mask."""

import numpy as np

from .base import ALL, CPLX, INT, REAL, Bad, S, T, op

ANY = ALL + CPLX


def I(*values):  # noqa: E743
    return T(
        values=list(values) if len(values) != 1 or not isinstance(values[0], list) else values[0],
        dtype="int64",
    )


def mask(*shape):
    return T(*shape, dtype="bool")


MAT = I([[0, 2, 1, 0], [1, 1, 2, 0]])
WIDE = I([[0, 3], [1, 1], [2, 0]])

op(
    "gather",
    lambda x, d, i: np.take_along_axis(x, i, d),
    [S(T(3, 4), 1, WIDE), S(T(4), 0, I(0, 3, 3))],
    dtypes=ANY,
    method=True,
    out=True,
    cgrad=True,
    error=[
        Bad(S(T(3, 4), 1, I([[9, 0]])), (RuntimeError, IndexError), ""),
        Bad(S(T(3, 4), 5, WIDE), IndexError, "5"),
    ],
)
op(
    "take_along_dim",
    lambda x, i, d: np.take_along_axis(x, i, d),
    [S(T(3, 4), WIDE, 1)],
    dtypes=ANY,
    method=True,
    out=True,
)


def scatter(x, d, i, src, reduce=None, how=None):
    """The definition, one element at a time."""
    out = np.array(x)
    src = np.broadcast_to(src, i.shape) if np.ndim(src) == 0 else src
    how = how or {None: lambda a, b: b, "add": np.add, "multiply": np.multiply}[reduce]
    for at in np.ndindex(i.shape):
        to = list(at)
        to[d] = i[at]
        out[tuple(to)] = how(out[tuple(to)], src[at])
    return out


UNIQUE = I([[0, 2, 1, 2], [1, 1, 2, 0]])
op(
    "scatter",
    scatter,
    [S(T(3, 4), 0, UNIQUE, T(2, 4)), S(T(3, 4), 1, WIDE, T(3, 4)), S(T(3, 4), 0, UNIQUE, 2)],
    dtypes=ALL[:9],
    method=True,
    inplace=True,
    out=True,
    grad=False,
    error=Bad(S(T(3, 4), 0, I([[7]]), T(1, 1)), (RuntimeError, IndexError), ""),
)
op(
    "scatter",
    scatter,
    [S(T(3, 4), 0, I([[0, 2, 1, 2], [1, 1, 2, 0]]), T(2, 4)), S(T(4), 0, I(2, 0), 1.5)],
    dtypes=REAL,
    key="scatter_grad",
    layouts=False,
)
op(
    "scatter_add",
    lambda x, d, i, s: scatter(x, d, i, s, "add"),
    [S(T(3, 4), 0, MAT, T(2, 4)), S(T(3, 4), 1, WIDE, T(3, 2))],
    dtypes=ALL[:9] + CPLX,
    method=True,
    inplace=True,
    out=True,
    tol=3,
    big=S(T(50, 301), 0, T(401, 301, lo=0, hi=48, dtype="int64"), T(401, 301)),
)


def scatter_reduce(x, d, i, s, reduce, include_self=True):
    """The definition of scatter_reduce, by listing what lands at each place."""
    lists = {}
    for at in np.ndindex(i.shape):
        to = list(at)
        to[d] = int(i[at])
        lists.setdefault(tuple(to), []).append(s[at])
    out = np.array(x)
    f = dict(sum=np.sum, prod=np.prod, amax=np.max, amin=np.min, mean=np.mean)[reduce]
    for to, vals in lists.items():
        out[to] = f(([x[to]] if include_self else []) + vals)
    return out


for _r in ("sum", "prod", "mean", "amax", "amin"):
    op(
        "scatter_reduce",
        scatter_reduce,
        [
            S(T(3, 4, away=0.2), 0, MAT, T(2, 4, away=0.2), _r),
            S(T(3, 4), 1, WIDE, T(3, 2), reduce=_r, include_self=False),
        ],
        dtypes=REAL,
        method=True,
        inplace=True,
        key="scatter_reduce_" + _r,
        grad2=_r in ("sum", "mean"),
        tol=3,
    )
op(
    "index_select",
    lambda x, d, i: np.take(x, i, d),
    [S(T(3, 4), 1, I(0, 2, 2)), S(T(5), 0, I(1)), S(T(3, 2), 0, T(0, dtype="int64", lo=0, hi=1))],
    dtypes=ANY,
    method=True,
    out=True,
    cgrad=True,
    error=Bad(S(T(3, 4), 1, I(9, 1)), (RuntimeError, IndexError), ""),
)


def index_put_rows(how):
    def run(x, d, i, src, alpha=1):
        out = np.moveaxis(np.array(x), d, 0)
        s = np.moveaxis(np.asarray(src), d, 0) if np.ndim(src) else [src] * len(i)
        for k, to in enumerate(i):
            out[to] = how(out[to], alpha * s[k] if alpha != 1 else s[k])
        return np.moveaxis(out, 0, d)

    return run


op(
    "index_add",
    index_put_rows(np.add),
    [S(T(3, 4), 1, I(0, 2, 2), T(3, 3)), S(T(3, 4), 0, I(1, 1), T(2, 4), alpha=2)],
    dtypes=REAL + INT,
    method=True,
    inplace=True,
    tol=3,
    error=Bad(S(T(3, 4), 0, I(1, 1), T(3, 4)), (RuntimeError, IndexError), ""),
)
op(
    "index_copy",
    index_put_rows(lambda a, b: b),
    [S(T(3, 4), 1, I(0, 2), T(3, 2))],
    dtypes=ANY,
    method=True,
    inplace=True,
)
op(
    "index_fill",
    index_put_rows(lambda a, b: b),
    [S(T(3, 4), 1, I(0, 2), 2), S(T(5), 0, I(3), 1)],
    dtypes=REAL + INT,
    method=True,
    inplace=True,
)


def put_at(x, idx, v, accumulate=False):
    out = np.array(x)
    if accumulate:
        np.add.at(out, idx, v)
    else:
        out[idx] = v
    return out


op(
    "index_put",
    put_at,
    [
        S(T(3, 4), (I(0, 2), I(1, 3)), T(2)),
        S(T(3, 4), (I(1, 1),), T(2, 4), True),
        S(T(3, 4), (mask(3, 4),), T()),
    ],
    dtypes=REAL + INT,
    method=True,
    inplace=True,
    layouts=False,
    meta=False,
    tol=3,
)
op(
    "masked_fill",
    lambda x, m, v: np.where(m, v, x).astype(x.dtype),
    [S(T(3, 4), mask(3, 4), 2), S(T(3, 4), mask(4), 0.0, dtypes=REAL), S(T(3, 4), mask(3, 1), T())],
    dtypes=ALL,
    method=True,
    inplace=True,
    error=Bad(S(T(3), mask(4), 1.0), RuntimeError, "4"),
)
op(
    "masked_select",
    lambda x, m: np.broadcast_to(x, np.broadcast(x, m).shape)[
        np.broadcast_to(m, np.broadcast(x, m).shape)
    ],
    [S(T(3, 4), mask(3, 4)), S(T(3, 4), mask(4)), S(T(2, 0), mask(1))],
    dtypes=ANY,
    method=True,
    out=False,
    meta=False,
)


def _masked_scatter(x, m, s):
    out = np.array(x)
    m = np.broadcast_to(m, x.shape)
    out[m] = s.reshape(-1)[: m.sum()]
    return out


op(
    "masked_scatter",
    _masked_scatter,
    [S(T(3, 4), mask(3, 4), T(12)), S(T(3, 4), mask(4), T(3, 4))],
    dtypes=REAL + INT,
    method=True,
    inplace=True,
)
op(
    "take",
    np.take,
    [S(T(3, 4), I(0, 11, 3, 3))],
    dtypes=ANY,
    method=True,
    out=True,
    error=Bad(S(T(3), I(7, 1)), (RuntimeError, IndexError), ""),
)


def _put(x, i, s, accumulate=False):
    out = np.array(x).reshape(-1)
    if accumulate:
        np.add.at(out, i, s)
    else:
        out[i] = s
    return out.reshape(x.shape)


op(
    "put",
    _put,
    [S(T(3, 4), I(0, 11, 3), T(3)), S(T(3, 4), I(1, 1), T(2), True)],
    dtypes=REAL + INT,
    method=True,
    inplace=True,
    tol=3,
)
op(
    "nonzero",
    lambda x: np.argwhere(x),
    [S(T(3, 4)), S(T(7)), S(T(0)), S(T(2, 3, 2))],
    dtypes=ALL,
    result="int64",
    grad=False,
    method=True,
    meta=False,
)
op(
    "argwhere",
    np.argwhere,
    [S(T(3, 4))],
    dtypes=REAL + INT,
    result="int64",
    grad=False,
    method=True,
    meta=False,
)
op(
    "nn.functional.embedding",
    lambda i, w: w[i],
    [
        S(I([[0, 2], [4, 4]]), T(5, 3)),
        S(I(1, 1, 1), T(2, 4)),
        S(T(0, dtype="int64", lo=0, hi=1), T(3, 2)),
    ],
    dtypes=REAL,
    layouts=True,
    error=Bad(S(I(9, 0), T(5, 3)), (IndexError, RuntimeError), ""),
)
op(
    "nn.functional.one_hot",
    lambda i, n=-1: np.eye(n if n > 0 else i.max() + 1, dtype=np.int64)[i],
    [S(I([[0, 2], [1, 4]]), 6), S(I(0, 3))],
    dtypes=("int64",),
    result="int64",
    grad=False,
    meta=False,
)
op(
    "select_scatter",
    lambda x, s, d, i: put_at(x, (slice(None),) * d + (i,), s),
    [S(T(3, 4), T(3), 1, 2)],
    dtypes=REAL,
    method=True,
)
op(
    "diagonal_scatter",
    lambda x, s: np.where(np.eye(*x.shape, dtype=bool), np.diag(s), x),
    [S(T(3, 3), T(3))],
    dtypes=REAL,
    method=True,
)
