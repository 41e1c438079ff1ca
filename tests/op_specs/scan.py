"""Cumulative ops along one dimension."""

import numpy as np

from .base import CPLX, FLOAT, INT, REAL, Bad, S, T, op

SHAPES = [
    S(T(3, 4), 0),
    S(T(3, 4), dim=1),
    S(T(2, 3, 4), -2),
    S(T(19), 0),
    S(T(0, 3), 0),
    S(T(), 0),
]
RANGE = Bad(S(T(2, 3), 5), IndexError, "5")


def scan(name, oracle, dtypes=FLOAT + INT, result="sum", samples=SHAPES, **kw):
    for form in ("method", "out"):
        kw.setdefault(form, True)
    kw.setdefault("big", S(T(401, 301), 0))
    return op(name, oracle, samples, dtypes=dtypes, result=result, error=RANGE, tol=8, **kw)


def along(f):
    return lambda x, dim: f(x, axis=dim) if x.ndim else x


scan("cumsum", along(np.cumsum), FLOAT + INT + ("bool",) + CPLX, cgrad=True)
scan(
    "cumprod",
    along(np.cumprod),
    FLOAT + INT + CPLX,
    cgrad=True,
    gtol=5,
    big=S(T(401, 301, lo=0.98, hi=1.02), 0),
)
scan(
    "cumprod",
    along(np.cumprod),
    REAL,
    key="cumprod_zeros",
    big=None,
    samples=[
        S(T(values=[1.0, 0.0, 2.0, 3.0]), 0),
        S(T(values=[[0.0, 2.0, 0.0], [1.0, 0.0, 4.0]]), 1),
    ],
)
scan("logcumsumexp", along(np.logaddexp.accumulate), FLOAT, "same")


def extreme(better):
    """Running extreme and where it last stood."""

    def run(x, dim):
        if x.ndim == 0:
            return x, np.zeros((), np.int64)
        x = np.moveaxis(x, dim, 0)
        v, i = x.copy(), np.zeros(x.shape, np.int64)
        for k in range(1, len(x)):
            take = better(x[k], v[k - 1]) | np.isnan(x[k].astype(float))
            v[k] = np.where(take, x[k], v[k - 1])
            i[k] = np.where(take, k, i[k - 1])
        return np.moveaxis(v, 0, dim), np.moveaxis(i, 0, dim)

    return run


scan("cummax", extreme(np.greater_equal), FLOAT + INT, ("same", "int64"))
scan("cummin", extreme(np.less_equal), FLOAT + INT, ("same", "int64"))


def _diff(x, n=1, dim=-1, prepend=None, append=None):
    kw = {k: v for k, v in (("prepend", prepend), ("append", append)) if v is not None}
    return np.diff(x, n, dim, **kw)


op(
    "diff",
    _diff,
    [S(T(3, 5)), S(T(3, 5), 2), S(T(4, 5), dim=0), S(T(5), prepend=T(2))],
    dtypes=REAL + INT,
    method=True,
)
op(
    "trapezoid",
    lambda y, x=None, dx=1.0, dim=-1: np.trapezoid(y, x, dx, dim),
    [S(T(3, 5)), S(T(3, 5), dx=0.5), S(T(3, 5), T(5)), S(T(4, 2), dim=0)],
    dtypes=REAL,
)
op(
    "cumulative_trapezoid",
    lambda y, dx=1.0, dim=-1: np.cumsum(
        dx * (y.take(range(1, y.shape[dim]), dim) + y.take(range(y.shape[dim] - 1), dim)) / 2, dim
    ),
    [S(T(3, 5)), S(T(4, 2), dx=0.5, dim=0)],
    dtypes=REAL,
)
