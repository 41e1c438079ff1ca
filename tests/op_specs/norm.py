"""Normalisation layers, softmax, dropout without chance, and attention."""

import numpy as np

from .base import FLOAT, REAL, Bad, S, T, op
from .reference import attention, batch_norm, group_norm, layer_norm, normalise, softmax

F = "nn.functional."
W = dict(lo=0.5, hi=1.5)
stat = lambda n: T(n, lo=0.5, hi=1.5, grad=False)

op(
    F + "layer_norm",
    layer_norm,
    [
        S(T(3, 4), (4,), T(4, **W), T(4)),
        S(T(2, 3, 4), (3, 4), T(3, 4, **W), T(3, 4)),
        S(T(3, 4), (4,)),
        S(T(3, 4), (4,), T(4, **W)),
        S(T(3, 4), (4,), eps=0.1),
        S(T(0, 4), (4,), T(4), T(4)),
    ],
    dtypes=FLOAT,
    tol=10,
    gtol=5,
    big=S(T(401, 301), (301,), T(301), T(301)),
    error=Bad(S(T(3, 4), (5,)), RuntimeError, "5"),
)
op(
    F + "rms_norm",
    lambda x, s, w=None, eps=None: (
        x
        / np.sqrt(
            (x * x).mean(tuple(range(-len(s), 0)), keepdims=True)
            + (np.finfo(np.float32).eps if eps is None else eps)
        )
        * (1 if w is None else w)
    ),
    [S(T(3, 4), (4,), T(4, **W), 1e-5), S(T(2, 3, 4), (3, 4), eps=1e-6)],
    dtypes=FLOAT,
    tol=10,
    gtol=5,
    big=S(T(401, 301), (301,), T(301), 1e-5),
    error=Bad(S(T(3, 4), (5,)), RuntimeError, "5"),
)
op(
    F + "group_norm",
    group_norm,
    [
        S(T(2, 4, 3), 2, T(4, **W), T(4)),
        S(T(1, 6, 2, 2), 3, T(6, **W), T(6)),
        S(T(2, 4, 3), 1),
        S(T(2, 4), 4 // 2, eps=0.1),
    ],
    dtypes=FLOAT,
    tol=10,
    gtol=20,
    big=S(T(4, 32, 30, 31), 8, T(32), T(32)),
    error=Bad(S(T(2, 5, 3), 2), RuntimeError, "5"),
)
op(
    F + "batch_norm",
    batch_norm,
    [
        S(T(4, 3), stat(3), stat(3), T(3, **W), T(3)),
        S(T(2, 3, 4), stat(3), stat(3)),
        S(T(2, 2, 3, 3), stat(2), stat(2), T(2, **W), T(2), False, 0.1, 0.01),
    ],
    dtypes=FLOAT,
    tol=10,
    big=S(T(8, 32, 30, 31), stat(32), stat(32), T(32), T(32)),
    error=Bad(S(T(4, 3), stat(2), stat(2)), RuntimeError, "2"),
)
op(
    F + "batch_norm",
    batch_norm,
    [
        S(T(4, 3), None, None, T(3, **W), T(3), True),
        S(T(3, 2, 4), None, None, training=True),
        S(T(2, 2, 3, 3), None, None, T(2, **W), T(2), True, 0.1, 0.01),
    ],
    dtypes=FLOAT,
    tol=10,
    gtol=10,
    key="batch_norm_training",
    big=S(T(8, 32, 30, 31), None, None, T(32), T(32), True),
    error=Bad(S(T(1, 3), None, None, None, None, True), ValueError, "1"),
)
op(
    F + "instance_norm",
    lambda x: normalise(x, tuple(range(2, x.ndim)), 1e-5),
    [S(T(2, 3, 5)), S(T(1, 2, 3, 3))],
    dtypes=REAL,
    tol=10,
    gtol=20,
)
op(
    F + "normalize",
    lambda x, p=2.0, dim=1: (
        x / np.maximum((np.abs(x) ** p).sum(dim, keepdims=True) ** (1 / p), 1e-12)
    ),
    [S(T(3, 4)), S(T(3, 4), 1.0, 0)],
    dtypes=REAL,
    tol=6,
)
op(
    F + "local_response_norm",
    lambda x, size, alpha=1e-4, beta=0.75, k=1.0: (
        x
        / (
            k
            + alpha
            * sum(
                np.pad(x * x, ((0, 0), (size // 2, (size - 1) // 2), (0, 0)))[:, i : i + x.shape[1]]
                for i in range(size)
            )
            / size
        )
        ** beta
    ),
    [S(T(2, 5, 3), 3), S(T(1, 4, 2), 2, alpha=0.5)],
    dtypes=REAL,
    tol=6,
)

DIMS = [
    S(T(3, 4), 0),
    S(T(3, 4), dim=1),
    S(T(2, 3, 4), 1),
    S(T(2, 3, 4), -1),
    S(T(19), 0),
    S(T(), 0),
    S(T(0, 3), 1),
]
EXTREME = [
    S(
        T(values=[[1e4, 1e4, -1e4], [-np.inf, 0.0, 1.0], [88.0, 89.0, 90.0]], grad=False),
        1,
        dtypes=REAL,
    )
]
BIG = S(T(401, 301), 1)
RANGE = Bad(S(T(3, 4), 2), IndexError, "2")
for _name in ("softmax", F + "softmax"):
    op(
        _name,
        lambda x, dim: softmax(x, dim),
        DIMS + EXTREME,
        dtypes=FLOAT,
        tol=3,
        big=BIG,
        error=[RANGE],
        method="." not in _name,
    )
op(
    "softmax",
    lambda x, dim, dtype=None: softmax(x.astype(float), dim),
    [S(T(3, 4), 1)],
    dtypes=REAL,
    key="softmax_first",
    big=S(T(301, 401), 0),
    tol=3,
)


def log_softmax(x, dim):
    return (
        np.zeros_like(x)
        if x.ndim == 0
        else (x - x.max(dim, keepdims=True))
        - np.log(np.exp(x - x.max(dim, keepdims=True)).sum(dim, keepdims=True))
    )


for _name in ("log_softmax", F + "log_softmax"):
    op(
        _name,
        log_softmax,
        DIMS + EXTREME,
        dtypes=FLOAT,
        tol=3,
        big=BIG,
        error=[RANGE],
        method="." not in _name,
    )
op(F + "softmin", lambda x, dim: softmax(-x, dim), [S(T(3, 4), 1)], dtypes=REAL, tol=3)
op(
    F + "glu",
    lambda x, dim=-1: np.split(x, 2, dim)[0] / (1 + np.exp(-np.split(x, 2, dim)[1])),
    [S(T(3, 4)), S(T(4, 3), 0)],
    dtypes=FLOAT,
    error=Bad(S(T(3, 3)), RuntimeError, "3"),
)

op(
    F + "scaled_dot_product_attention",
    attention,
    [
        S(T(1, 2, 3, 4), T(1, 2, 5, 4), T(1, 2, 5, 3)),
        S(T(2, 3, 4), T(2, 3, 4), T(2, 3, 4), is_causal=True),
        S(T(1, 3, 4), T(1, 5, 4), T(1, 5, 4), T(3, 5)),
        S(
            T(1, 2, 3, 4),
            T(1, 2, 3, 4),
            T(1, 2, 3, 4),
            T(values=[[True, False, True], [True, True, False], [False, True, True]], dtype="bool"),
        ),
        S(T(1, 3, 4), T(1, 3, 4), T(1, 3, 4), scale=0.3),
    ],
    dtypes=REAL,
    tol=10,
    gtol=3,
    big=S(T(2, 4, 130, 32), T(2, 4, 140, 32), T(2, 4, 140, 32)),
    error=Bad(S(T(1, 3, 4), T(1, 3, 5), T(1, 3, 5)), RuntimeError, ""),
)
for _name in ("dropout", "dropout2d", "alpha_dropout"):
    op(
        F + _name,
        lambda x, p, training: x,
        [S(T(2, 3, 4, 4), 0.5, False)],
        dtypes=REAL,
        error=Bad(S(T(2, 3, 4, 4), 1.5), (ValueError, RuntimeError), "1.5"),
    )
op(
    F + "dropout",
    lambda x, p: x * 0 if p == 1 else x,
    [S(T(3, 4), 0.0), S(T(3, 4), 1.0)],
    dtypes=REAL,
    key="dropout_ends",
)

# what chance leaves alone: nothing dropped at p = 0, nothing at all outside training
for _name in ("feature_dropout", "feature_alpha_dropout"):
    op(
        _name,
        lambda x, p, train: x,
        [S(T(2, 3, 4), 0.0, True), S(T(2, 3, 4), 0.5, False)],
        dtypes=FLOAT,
        tol=2,
    )
