"""Composites: ops written from other ops in Python."""

import numpy as np

from .base import REAL, S, T, op

KW = dict(dtypes=REAL)
D = lambda *s: T(*s, distinct=True)

op(
    "dist",
    lambda a, b, p=2: (np.abs(a - b) ** p).sum() ** (1 / p),
    [S(T(3, 4), T(3, 4)), S(T(5), T(5), 1)],
    method=True,
    tol=4,
    **KW,
)
op(
    "cov",
    lambda x, correction=1: np.cov(x, ddof=correction),
    [S(T(3, 5)), S(T(3, 5), correction=0), S(T(6))],
    method=True,
    meta=False,
    tol=6,
    **KW,
)
op("corrcoef", np.corrcoef, [S(T(3, 5))], method=True, meta=False, tol=10, gtol=5, **KW)
op(
    "vander",
    lambda x, n=None, increasing=False: np.vander(x, n, increasing),
    [S(T(4)), S(T(3), 4, True)],
    grad=False,
    **KW,
)
op(
    "renorm",
    lambda x, p, dim, maxnorm: np.stack(
        [
            r * min(1, maxnorm / ((np.abs(r) ** p).sum() ** (1 / p) + 1e-7))
            for r in np.moveaxis(x, dim, 0)
        ]
    ),
    [S(T(3, 4, lo=1, hi=2), 2, 0, 1.0)],
    method=True,
    tol=4,
    grad=False,
    **KW,
)
op(
    "bernoulli",
    lambda x, p: x * 0 + p,
    [S(T(3, 4), 1.0), S(T(5), 0.0)],
    grad=False,
    key="bernoulli_ends",
    meta=False,
    **KW,
)
op(
    "combinations",
    lambda x, r=2: np.array(list(__import__("itertools").combinations(x, r))),
    [S(T(4)), S(T(4), 3)],
    meta=False,
    **KW,
)
op(
    "broadcast_shapes",
    lambda *s: np.broadcast_shapes(*s),
    [S((3, 1), (4,))],
    grad=False,
    meta=False,
    post=lambda r: list(r),
    layouts=False,
    dtypes=("float32",),
)
op(
    "sum",
    lambda x, s: x.sum(0, keepdims=True),
    [S(T(3, 4), (1, 4))],
    key="sum_to_size",
    tol=4,
    fn=lambda x, s: x.sum_to_size(*s),
    **KW,
)
op(
    "special.xlog1py",
    lambda x, y: x * np.log1p(y),
    [S(T(3, 4), T(3, 4, lo=0.1, hi=2))],
    tol=3,
    **KW,
)
op("special.entr", lambda x: -x * np.log(x), [S(T(3, 4, lo=0.1, hi=2))], tol=3, **KW)
op("special.ndtr", lambda x: __import__("scipy.special").special.ndtr(x), [S(T(3, 4))], tol=4, **KW)
op("special.expit", lambda x: 1 / (1 + np.exp(-x)), [S(T(3, 4))], tol=3, **KW)
op(
    "special.softmax",
    lambda x, dim: np.exp(x) / np.exp(x).sum(dim, keepdims=True),
    [S(T(3, 4), 1)],
    tol=3,
    **KW,
)
op("fft.fft", np.fft.fft, [S(T(8)), S(T(2, 6))], dtypes=REAL, result="complex", tol=10)
op(
    "fft.rfft",
    np.fft.rfft,
    [S(T(8)), S(T(2, 7))],
    dtypes=REAL,
    result="complex",
    tol=10,
)
op(
    "fft.irfft",
    lambda x, n: np.fft.irfft(x, n),
    [S(T(5), 8)],
    dtypes=("complex64", "complex128"),
    result="real",
    tol=10,
    grad=False,
)
op(
    "fft.ifft",
    np.fft.ifft,
    [S(T(8))],
    dtypes=("complex64", "complex128"),
    tol=10,
    grad=False,
)
op("fft.fft2", np.fft.fft2, [S(T(4, 6))], dtypes=REAL, result="complex", tol=10)
op("fft.fftshift", np.fft.fftshift, [S(T(4, 5))], **KW)
op(
    "fft.fftfreq",
    np.fft.fftfreq,
    [S(8), S(7, 0.5)],
    dtypes=("float32",),
    grad=False,
    meta=False,
    layouts=False,
)
op(
    "nn.functional.bilinear",
    lambda a, b, w, c=None: np.einsum("ni,oij,nj->no", a, w, b) + (0 if c is None else c),
    [S(T(3, 2), T(3, 4), T(2, 2, 4), T(2))],
    tol=6,
    **KW,
)
op(
    "nn.functional.embedding_bag",
    lambda i, w, mode: np.stack([getattr(w[r], mode)(0) for r in i]),
    [S(T(values=[[0, 2], [1, 4]], dtype="int64"), T(5, 3), mode=m) for m in ("mean", "sum")],
    tol=4,
    meta=False,
    **KW,
)
op(
    "nn.functional.upsample",
    lambda x, scale_factor: x.repeat(scale_factor, 2).repeat(scale_factor, 3),
    [S(T(1, 1, 2, 3), scale_factor=2)],
    **KW,
)


def bilinear_resize(x, size, align_corners):
    """Bilinear sampling at the positions that interpolate documents."""

    def grid(n, m):
        if align_corners:
            p = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0)
        else:
            p = np.maximum((np.arange(m) + 0.5) * n / m - 0.5, 0)
        lo = np.minimum(p.astype(int), n - 1)
        return lo, np.minimum(lo + 1, n - 1), p - lo

    (a, b, u), (c, d, v) = grid(x.shape[2], size[0]), grid(x.shape[3], size[1])
    rows = x[:, :, a] * (1 - u)[:, None] + x[:, :, b] * u[:, None]
    return rows[..., c] * (1 - v) + rows[..., d] * v


op(
    "nn.functional.interpolate",
    lambda x, size, mode, align_corners: bilinear_resize(x, size, align_corners),
    [S(T(1, 2, 3, 4), size=(5, 6), mode="bilinear", align_corners=a) for a in (True, False)],
    key="interpolate_bilinear",
    tol=6,
    **KW,
)
