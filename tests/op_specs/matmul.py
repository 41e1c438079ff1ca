"""Matrix products and what is built on them."""

import numpy as np

from .base import CPLX, FLOAT, INT, REAL, Bad, S, T, op

NUM = FLOAT + INT[:2] + CPLX
INNER = RuntimeError


def product(name, oracle, samples, **kw):
    kw.setdefault("dtypes", NUM)
    kw.setdefault("method", True)
    kw.setdefault("out", True)
    return op(name, oracle, samples, cgrad=True, tol=15, **kw)


product(
    "mm",
    np.matmul,
    [
        S(T(3, 4), T(4, 5)),
        S(T(1, 1), T(1, 1)),
        S(T(0, 3), T(3, 2)),
        S(T(2, 0), T(0, 3)),
        S(T(7, 1), T(1, 9)),
        S(T(33, 17), T(17, 40)),
        S(T(5, 70), T(70, 3)),
    ],
    big=S(T(130, 257), T(257, 101)),
    error=[Bad(S(T(2, 3), T(4, 5)), INNER, "2x3"), Bad(S(T(2), T(2, 2)), INNER, "")],
)
product(
    "bmm",
    np.matmul,
    [S(T(2, 3, 4), T(2, 4, 5)), S(T(0, 2, 2), T(0, 2, 2)), S(T(3, 2, 0), T(3, 0, 2))],
    big=S(T(8, 40, 60), T(8, 60, 50)),
    error=Bad(S(T(2, 3, 4), T(3, 4, 5)), INNER, "2"),
)
product(
    "mv",
    np.matmul,
    [S(T(3, 4), T(4)), S(T(0, 2), T(2)), S(T(2, 0), T(0))],
    big=S(T(400, 300), T(300)),
    error=Bad(S(T(2, 3), T(4)), INNER, "4"),
)
product(
    "dot",
    np.dot,
    [S(T(5), T(5)), S(T(0), T(0)), S(T(1), T(1))],
    big=S(T(100001), T(100001)),
    error=Bad(S(T(3), T(4)), INNER, "3"),
)
product("vdot", np.vdot, [S(T(5), T(5))])
product("inner", np.inner, [S(T(3, 4), T(2, 4)), S(T(4), T(4)), S(T(), T(3))])
product("outer", np.outer, [S(T(3), T(4)), S(T(0), T(2))], error=Bad(S(T(2, 2), T(2)), INNER, ""))
product(
    "matmul",
    np.matmul,
    [
        S(T(3, 4), T(4, 5)),
        S(T(4), T(4)),
        S(T(4), T(4, 3)),
        S(T(3, 4), T(4)),
        S(T(2, 3, 4), T(4, 5)),
        S(T(2, 1, 3, 4), T(3, 4, 2)),
        S(T(2, 3, 4), T(4)),
        S(T(4), T(2, 4, 3)),
        S(T(2, 0, 3), T(3, 2)),
    ],
    error=[Bad(S(T(2, 3), T(4, 5)), INNER, "3"), Bad(S(T(), T(2)), INNER, "")],
)
op("linalg.matmul", np.matmul, [S(T(2, 3), T(3, 2))], dtypes=REAL, tol=4)


def addf(f):
    def run(x, a, b, beta=1, alpha=1):
        p = alpha * f(a, b)
        return p + (beta * x if beta else 0)

    return run


product(
    "addmm",
    addf(np.matmul),
    [
        S(T(3, 5), T(3, 4), T(4, 5)),
        S(T(5), T(3, 4), T(4, 5)),
        S(T(3, 1), T(3, 2), T(2, 2), beta=2, alpha=3),
        S(T(2), T(2, 0), T(0, 2)),
        S(T(), T(2, 3), T(3, 2), beta=0),
    ],
    big=S(T(101), T(130, 257), T(257, 101)),
    inplace=True,
    error=Bad(S(T(2), T(2, 3), T(4, 5)), INNER, "2x3"),
)
product(
    "baddbmm",
    addf(np.matmul),
    [S(T(2, 3, 5), T(2, 3, 4), T(2, 4, 5)), S(T(5), T(2, 3, 4), T(2, 4, 5), beta=2, alpha=3)],
    inplace=True,
)
product(
    "addbmm",
    addf(lambda a, b: np.matmul(a, b).sum(0)),
    [S(T(3, 5), T(2, 3, 4), T(2, 4, 5))],
    dtypes=REAL,
)
product(
    "addmv",
    addf(np.matmul),
    [S(T(3), T(3, 4), T(4)), S(T(1), T(3, 4), T(4), beta=2, alpha=3)],
    inplace=True,
)
product(
    "addr",
    addf(np.outer),
    [S(T(3, 4), T(3), T(4)), S(T(4), T(3), T(4), beta=2, alpha=3)],
    inplace=True,
)
op(
    "nn.functional.linear",
    lambda x, w, b=None: x @ w.T + (0 if b is None else b),
    [
        S(T(3, 4), T(5, 4), T(5)),
        S(T(4), T(5, 4)),
        S(T(2, 3, 4), T(5, 4), T(5)),
        S(T(0, 4), T(5, 4), T(5)),
        S(T(3, 4), T(1, 4), T(1)),
    ],
    dtypes=FLOAT + CPLX,
    cgrad=True,
    tol=15,
    big=S(T(65, 256), T(101, 256), T(101)),
    error=Bad(S(T(2, 3), T(5, 4)), INNER, "2x3"),
)


def einsum(eq, *xs):
    return np.einsum(eq, *(xs[0] if isinstance(xs[0], list) else xs))


op(
    "einsum",
    einsum,
    [
        S("ij,jk->ik", T(3, 4), T(4, 5)),
        S("bij,bjk->bik", T(2, 3, 4), T(2, 4, 2)),
        S("ii->i", T(3, 3)),
        S("ii", T(3, 3)),
        S("ij->ji", T(2, 3)),
        S("i,j->ij", T(2), T(3)),
        S("...ij,...jk->...ik", T(2, 2, 3), T(3, 2)),
        S("ij,ij->", T(2, 3), T(2, 3)),
        S("bhqd,bhkd->bhqk", T(1, 2, 3, 4), T(1, 2, 2, 4)),
        S("ij,jk,kl->il", T(2, 3), T(3, 2), T(2, 2)),
        S("ij->i", T(2, 3)),
        S("ji,kj", T(2, 3), T(4, 2)),
        S("i,i,i->i", T(3), T(3), T(3)),
        S("abc,cd->dab", T(2, 2, 3), T(3, 2)),
    ],
    dtypes=REAL + INT[:1] + CPLX,
    cgrad=True,
    tol=15,
    error=[Bad(S("ij,jk->ik", T(2, 3), T(4, 5)), INNER, ""), Bad(S("ij->k", T(2, 3)), INNER, "k")],
)
op(
    "tensordot",
    lambda a, b, dims: np.tensordot(a, b, dims),
    [S(T(2, 3, 4), T(3, 4, 2), 2), S(T(2, 3), T(4, 3), dims=([1], [1]))],
    dtypes=REAL + INT[:1],
    tol=4,
)
op(
    "linalg.multi_dot",
    lambda ts: np.linalg.multi_dot(ts),
    [S([T(2, 3), T(3, 4), T(4, 2)])],
    dtypes=REAL,
    tol=6,
)
op(
    "trace",
    np.trace,
    [S(T(3, 3)), S(T(2, 4))],
    dtypes=REAL + INT,
    result="sum",
    method=True,
    tol=4,
    error=Bad(S(T(3)), RuntimeError, ""),
)
op(
    "cdist",
    lambda a, b, p=2.0: (np.abs(a[..., :, None, :] - b[..., None, :, :]) ** p).sum(-1) ** (1 / p),
    [S(T(3, 4), T(2, 4)), S(T(2, 3, 4), T(2, 2, 4), p=1.0)],
    dtypes=REAL,
    tol=20,
    grad2=False,
    gtol=5,
)
op("linalg.cross", np.cross, [S(T(4, 3), T(4, 3))], dtypes=REAL, tol=4)
op(
    "cross",
    lambda a, b, dim: np.cross(a, b, axis=dim),
    [S(T(3, 4), T(3, 4), dim=0)],
    dtypes=REAL,
    method=True,
    tol=4,
)
op(
    "linalg.matrix_power",
    np.linalg.matrix_power,
    [S(T(3, 3), 3), S(T(2, 3, 3), 2), S(T(2, 2), 0)],
    dtypes=REAL,
    tol=20,
)
# decompositions run in NumPy's LAPACK, which has no shape rules for the meta device
op(
    "linalg.inv",
    np.linalg.inv,
    [S(T(3, 3, psd=True)), S(T(2, 2, 2, psd=True))],
    dtypes=REAL + CPLX,
    tol=40,
    gtol=10,
    cgrad=True,
    meta=False,
)
op(
    "linalg.det",
    np.linalg.det,
    [S(T(3, 3)), S(T(2, 2, 2))],
    dtypes=REAL + CPLX,
    tol=40,
    gtol=10,
    cgrad=True,
    meta=False,
)
op(
    "linalg.slogdet",
    lambda a: tuple(np.linalg.slogdet(a)),
    [S(T(3, 3, psd=True))],
    dtypes=REAL,
    tol=40,
    gtol=10,
    meta=False,
)
op(
    "linalg.solve",
    np.linalg.solve,
    [S(T(3, 3, psd=True), T(3, 2)), S(T(3, 3, psd=True), T(3))],
    dtypes=REAL,
    tol=40,
    gtol=10,
    meta=False,
)
op(
    "linalg.cholesky",
    np.linalg.cholesky,
    [S(T(3, 3, psd=True)), S(T(2, 3, 3, psd=True))],
    dtypes=REAL,
    tol=40,
    grad=False,
    meta=False,
)
op(
    "linalg.eigvalsh",
    np.linalg.eigvalsh,
    [S(T(4, 4, psd=True))],
    dtypes=REAL,
    tol=40,
    grad=False,
    meta=False,
)
op(
    "linalg.svdvals",
    lambda a: np.linalg.svd(a, compute_uv=False),
    [S(T(4, 3))],
    dtypes=REAL,
    tol=40,
    grad2=False,
    gtol=10,
    meta=False,
)
op(
    "linalg.qr",
    lambda a: tuple(abs(m) for m in np.linalg.qr(a)),
    [S(T(4, 3))],
    dtypes=REAL,
    tol=40,
    post=lambda r: [r[0].abs(), r[1].abs()],
    grad2=False,
    gtol=10,
    meta=False,
)
op(
    "linalg.pinv",
    np.linalg.pinv,
    [S(T(4, 3))],
    dtypes=REAL,
    tol=100,
    grad2=False,
    gtol=50,
    meta=False,
)
op(
    "linalg.matrix_norm",
    lambda a, ord="fro": np.linalg.norm(a, ord, (-2, -1)),
    [S(T(3, 4)), S(T(3, 4), 1), S(T(2, 3, 3), "nuc")],
    dtypes=REAL,
    tol=20,
    grad2=False,
    gtol=10,
    meta=False,
)
