"""Pooling over windows and over adaptive bins."""

import numpy as np

from .base import FLOAT, REAL, Bad, S, T, op
from .reference import adaptive_pool, avg_pool, max_pool

F = "nn.functional."


def D(*shape):
    return T(*shape, distinct=True)


SHAPE = {1: (9,), 2: (6, 7), 3: (4, 4, 5)}
for _n, _s in SHAPE.items():
    op(
        F + f"max_pool{_n}d",
        max_pool(_n),
        [
            S(D(2, 2, *_s), 2),
            S(D(1, 2, *_s), 3, 2, 1),
            S(D(1, 1, *_s), 2, 1, 0, 2),
            S(D(1, 2, *_s), 2, 2, ceil_mode=True),
            S(D(2, *_s), 2),
            S(T(0, 2, *_s), 2),
            S(D(1, 1, *_s), (3,) * _n, stride=(2,) * _n, ceil_mode=True),
        ],
        dtypes=FLOAT,
        big=S(T(8, 16, *((300,), (30, 31), (10, 11, 12))[_n - 1]), 3, 2, 1),
        error=[
            Bad(S(D(1, 1, *_s), 3, 1, 2), RuntimeError, "pad"),
            Bad(S(D(1, 1, *_s), 99), RuntimeError, ""),
        ],
    )
    op(
        F + f"avg_pool{_n}d",
        avg_pool(_n),
        [
            S(T(2, 2, *_s), 2),
            S(T(1, 2, *_s), 3, 2, 1),
            S(T(1, 2, *_s), 3, 2, 1, True),
            S(T(1, 2, *_s), 3, 2, 1, count_include_pad=False),
            S(T(2, *_s), 2),
        ],
        dtypes=FLOAT,
        tol=3,
        big=S(T(8, 16, *((300,), (30, 31), (10, 11, 12))[_n - 1]), 3, 2, 1),
        error=Bad(S(T(1, 1, *_s), 3, 1, 2), RuntimeError, "pad"),
    )
    op(
        F + f"adaptive_avg_pool{_n}d",
        adaptive_pool(_n, np.mean),
        [S(T(1, 2, *_s), 1), S(T(1, 2, *_s), 3), S(T(2, *_s), (2,) * _n if _n > 1 else 2)],
        dtypes=FLOAT,
        tol=3,
    )
    op(
        F + f"adaptive_max_pool{_n}d",
        adaptive_pool(_n, np.max),
        [S(D(1, 2, *_s), 1), S(D(1, 2, *_s), 3), S(D(2, *_s), 2)],
        dtypes=FLOAT,
    )
op(
    F + "avg_pool2d",
    avg_pool(2),
    [S(T(1, 2, 6, 7), 2, divisor_override=3)],
    dtypes=REAL,
    key="avg_pool2d_divisor",
    tol=3,
)
op(
    F + "adaptive_avg_pool2d",
    adaptive_pool(2, np.mean),
    [S(T(1, 2, 5, 7), (None, 3)), S(T(1, 2, 5, 7), (7, 9))],
    dtypes=REAL,
    key="adaptive_avg_pool2d_none",
    tol=3,
)


def _max_indices(x, k):
    n, c, h, w = x.shape
    v = x[:, :, : h // k * k, : w // k * k].reshape(n, c, h // k, k, w // k, k).swapaxes(3, 4)
    flat = v.reshape(n, c, h // k, w // k, k * k)
    at = flat.argmax(-1)
    rows = np.arange(h // k)[:, None] * k + at // k
    cols = np.arange(w // k)[None, :] * k + at % k
    return flat.max(-1), rows * w + cols


op(
    F + "max_pool2d",
    lambda x, k, return_indices: _max_indices(x, k),
    [S(D(2, 2, 6, 7), 2, return_indices=True)],
    dtypes=REAL,
    result=("same", "int64"),
    key="max_pool2d_indices",
)
op(
    F + "lp_pool2d",
    lambda x, p, k: (avg_pool(2)(np.abs(x) ** p, k) * k * k) ** (1 / p),
    [S(T(1, 2, 4, 6, lo=0.2, hi=2), 2.0, 2)],
    dtypes=REAL,
    tol=6,
)
op(
    F + "unfold",
    lambda x, k: np.stack(
        [
            x[:, c, i : x.shape[2] - k + 1 + i, j : x.shape[3] - k + 1 + j].reshape(x.shape[0], -1)
            for c in range(x.shape[1])
            for i in range(k)
            for j in range(k)
        ],
        1,
    ),
    [S(T(2, 2, 4, 5), 2), S(T(1, 1, 4, 4), 3)],
    dtypes=REAL,
)
op(
    F + "pixel_shuffle",
    lambda x, r: (
        x.reshape(x.shape[0], -1, r, r, *x.shape[2:])
        .transpose(0, 1, 4, 2, 5, 3)
        .reshape(x.shape[0], -1, x.shape[2] * r, x.shape[3] * r)
    ),
    [S(T(1, 8, 2, 3), 2)],
    dtypes=REAL,
)
op(
    F + "interpolate",
    lambda x, scale_factor, mode: x.repeat(scale_factor, 2).repeat(scale_factor, 3),
    [S(T(1, 2, 3, 2), scale_factor=2, mode="nearest")],
    dtypes=REAL,
)
