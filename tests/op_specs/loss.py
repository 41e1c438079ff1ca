"""Losses of nn.functional and distances."""

import numpy as np
from scipy import special as sp

from .base import FLOAT, REAL, Bad, S, T, op
from .reference import cross_entropy, nll, reduced

F = "nn.functional."
KINDS = ("mean", "sum", "none")


def I(values):  # noqa: E743
    return T(values=values, dtype="int64")


def pair(**kw):
    """Input and target of one shape, with each reduction."""
    return [S(T(3, 4), T(3, 4, **kw), reduction=r) for r in KINDS] + [
        S(T(5), T(5, **kw)),
        S(T(), T(**kw)),
    ]


def loss(name, f, samples=None, **kw):
    """A loss given by its elementwise formula."""
    kw.setdefault("dtypes", FLOAT)
    kw.setdefault("tol", 4)
    return op(
        F + name,
        lambda x, *a, reduction="mean", **k: reduced(f(x, *a, **k), reduction),
        samples or pair(),
        **kw,
    )


CLASH = Bad(S(T(3, 4), T(3, 5)), (RuntimeError, ValueError), "4")
loss("mse_loss", lambda x, y: (x - y) ** 2, big=S(T(401, 301), T(401, 301)), error=CLASH)
loss("l1_loss", lambda x, y: np.abs(x - y), error=CLASH)
loss(
    "smooth_l1_loss",
    lambda x, y, beta=1.0: np.where(
        np.abs(x - y) < beta, 0.5 * (x - y) ** 2 / beta, np.abs(x - y) - 0.5 * beta
    ),
    pair() + [S(T(3, 4), T(3, 4), beta=0.5)],
    error=CLASH,
)
loss(
    "huber_loss",
    lambda x, y, delta=1.0: np.where(
        np.abs(x - y) <= delta, 0.5 * (x - y) ** 2, delta * (np.abs(x - y) - 0.5 * delta)
    ),
    pair() + [S(T(3, 4), T(3, 4), delta=0.5)],
    error=CLASH,
)


def bce(x, y, weight=None):
    with np.errstate(divide="ignore"):
        out = -(y * np.maximum(np.log(x), -100) + (1 - y) * np.maximum(np.log1p(-x), -100))
    return out if weight is None else out * weight


UNIT = dict(lo=0.1, hi=0.9)
loss(
    "binary_cross_entropy",
    bce,
    [S(T(3, 4, **UNIT), T(3, 4, **UNIT, grad=False), reduction=r) for r in KINDS]
    + [S(T(4, **UNIT), T(4, **UNIT, grad=False), T(4, **UNIT, grad=False))],
    gtol=3,
    error=Bad(S(T(3, **UNIT), T(4, **UNIT)), ValueError, "4"),
)


def bce_logits(x, y, weight=None, pos_weight=None):
    p = 1 if pos_weight is None else pos_weight
    out = -(p * y * -np.logaddexp(0, -x) + (1 - y) * -np.logaddexp(0, x))
    return out if weight is None else out * weight


loss(
    "binary_cross_entropy_with_logits",
    bce_logits,
    [S(T(3, 4), T(3, 4, **UNIT), reduction=r) for r in KINDS]
    + [S(T(3, 4), T(3, 4, **UNIT), T(4, **UNIT, grad=False), pos_weight=T(4, **UNIT, grad=False))],
    error=Bad(S(T(3), T(4)), ValueError, "4"),
)
loss("soft_margin_loss", lambda x, y: np.log1p(np.exp(-y * x)), [S(T(3, 4), T(3, 4, grad=False))])
loss(
    "kl_div",
    lambda x, y, log_target=False: np.exp(y) * (y - x) if log_target else sp.xlogy(y, y) - y * x,
    [S(T(3, 4), T(3, 4, **UNIT), reduction=r) for r in KINDS]
    + [S(T(3, 4), T(3, 4), log_target=True, reduction="sum")],
)
loss(
    "poisson_nll_loss",
    lambda x, y, log_input=True, eps=1e-8: (
        np.exp(x) - y * x if log_input else x - y * np.log(x + eps)
    ),
    [
        S(T(3, 4), T(3, 4, grad=False)),
        S(T(3, 4, lo=0.2, hi=2), T(3, 4, grad=False), log_input=False, reduction="sum"),
    ],
    dtypes=REAL,
)
loss(
    "gaussian_nll_loss",
    lambda x, y, v: 0.5 * (np.log(v) + (x - y) ** 2 / v),
    [S(T(3, 4), T(3, 4), T(3, 4, lo=0.3, hi=2))],
    dtypes=REAL,
    meta=False,
)
loss(
    "hinge_embedding_loss",
    lambda x, y, margin=1.0: np.where(y > 0, x, np.maximum(0, margin - x)),
    [S(T(6), T(values=[1.0, -1, 1, -1, 1, -1], grad=False))],
    dtypes=REAL,
)
loss(
    "margin_ranking_loss",
    lambda a, b, y, margin=0.0: np.maximum(0, -y * (a - b) + margin),
    [S(T(4), T(4), T(values=[1.0, -1, 1, -1], grad=False), margin=0.3)],
    dtypes=REAL,
)
loss(
    "triplet_margin_loss",
    lambda a, p, n, margin=1.0: np.maximum(
        0, np.linalg.norm(a - p + 1e-6, axis=-1) - np.linalg.norm(a - n + 1e-6, axis=-1) + margin
    ),
    [S(T(3, 4), T(3, 4), T(3, 4))],
    dtypes=REAL,
)


def cosine(a, b, dim=1, eps=1e-8):
    n = lambda v: np.maximum(np.linalg.norm(v, axis=dim), eps)
    return (a * b).sum(dim) / (n(a) * n(b))


op(
    F + "cosine_similarity",
    cosine,
    [S(T(3, 4), T(3, 4)), S(T(2, 3, 4), T(2, 3, 4), -1)],
    dtypes=REAL,
    tol=4,
)
loss(
    "cosine_embedding_loss",
    lambda a, b, y, margin=0.0: np.where(
        y > 0, 1 - cosine(a, b), np.maximum(0, cosine(a, b) - margin)
    ),
    [S(T(3, 4), T(3, 4), T(values=[1.0, -1, 1], grad=False))],
    dtypes=REAL,
)
op(
    F + "pairwise_distance",
    lambda a, b, p=2.0, eps=1e-6: (np.abs(a - b + eps) ** p).sum(-1) ** (1 / p),
    [S(T(3, 4), T(3, 4)), S(T(3, 4), T(3, 4), 1.0)],
    dtypes=REAL,
    tol=4,
)
loss(
    "multi_margin_loss",
    lambda x, t: np.array(
        [
            sum(max(0.0, 1 - r[k] + r[j]) for j in range(len(r)) if j != k) / len(r)
            for r, k in zip(x, t)
        ]
    ),
    [S(T(3, 4), I([0, 3, 1]))],
    dtypes=REAL,
    grad2=False,
)
loss(
    "multilabel_soft_margin_loss",
    lambda x, y: -(y * -np.logaddexp(0, -x) + (1 - y) * -np.logaddexp(0, x)).mean(-1),
    [S(T(3, 4), T(3, 4, **UNIT, grad=False))],
    dtypes=REAL,
)

TARGET, GRID = I([0, 3, 1]), I([[0, 3], [1, -100], [2, 2]])
WEIGHT = T(4, lo=0.5, hi=2, grad=False)
for _name, _f, _err in (
    ("nll_loss", nll, RuntimeError),
    ("cross_entropy", cross_entropy, RuntimeError),
):
    op(
        F + _name,
        _f,
        [S(T(3, 4), TARGET, reduction=r) for r in KINDS]
        + [
            S(T(3, 4), TARGET, WEIGHT),
            S(T(3, 4, 2), GRID),
            S(T(3, 4, 2), GRID, WEIGHT, reduction="none"),
            S(T(3, 4), I([0, 1, 1]), ignore_index=1),
            S(T(4), I(2)),
            S(T(3, 4), TARGET, WEIGHT, reduction="sum"),
        ],
        dtypes=FLOAT,
        tol=4,
        big=S(T(1001, 120), T(1001, lo=0, hi=119, dtype="int64")),
        error=[
            Bad(S(T(3, 4), I([0, 9, 1])), IndexError, "9"),
            Bad(S(T(3, 4), I([0, 1])), ValueError, "3"),
        ],
    )
op(
    F + "cross_entropy",
    cross_entropy,
    [
        S(T(3, 4), TARGET, label_smoothing=0.2),
        S(T(3, 4), TARGET, WEIGHT, label_smoothing=0.1),
        S(T(3, 4), T(3, 4, **UNIT)),
        S(T(3, 4), T(3, 4, **UNIT), reduction="none"),
        S(T(3, 4, 2), T(3, 4, 2, **UNIT), WEIGHT),
        S(T(3, 4), T(3, 4, **UNIT), label_smoothing=0.1),
    ],
    dtypes=FLOAT,
    key="cross_entropy_soft",
    tol=4,
)


def ctc(logp, targets, ilen, tlen, reduction="mean"):
    """The forward algorithm of Graves et al. 2006, blank 0, in the log domain."""
    out = []
    for b in range(logp.shape[1]):
        z = [0]
        for c in targets[b, : tlen[b]]:
            z += [int(c), 0]
        a = np.full(len(z), -np.inf)
        a[:2] = logp[0, b, z[:2]]
        for t in range(1, ilen[b]):
            n = a.copy()
            for s in range(len(z)):
                v = [a[s]] + ([a[s - 1]] if s else [])
                v += [a[s - 2]] if s > 1 and z[s] and z[s] != z[s - 2] else []
                n[s] = np.logaddexp.reduce(v) + logp[t, b, z[s]]
            a = n
        out.append(-np.logaddexp(a[-1], a[-2]))
    out = np.array(out)
    return reduced(out / np.maximum(tlen, 1) if reduction == "mean" else out, reduction)


op(
    F + "ctc_loss",
    ctc,
    [
        S(T(5, 2, 4, lo=-2, hi=-0.5), I([[1, 2], [3, 3]]), I([5, 4]), I([2, 2]), reduction=r)
        for r in KINDS
    ],
    dtypes=REAL,
    tol=10,
    grad=False,
    meta=False,
)  # its gradient presumes normalised log-probabilities
