"""Matrix products of every shape class, and decompositions."""

from __future__ import annotations

from .base import both, case, forward_backward, functional, on

G = "linear algebra"

for _m, _n, _k in (
    (16, 16, 16),
    (64, 64, 64),
    (128, 128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (64, 256, 784),
    (128, 10, 512),
    (1, 1024, 1024),
    (1024, 1, 1024),
    (4096, 64, 64),
    (64, 64, 4096),
):
    case(
        G,
        f"{_m} x {_k} @ {_k} x {_n}",
        **both([(_m, _k), (_k, _n)], lambda m, a, b: a @ b),
        flops=2.0 * _m * _n * _k,
    )
case(
    G, "a.T @ b, 512", **both([(512, 512), (512, 512)], lambda m, a, b: a.T @ b), flops=2.0 * 512**3
)
case(
    G, "a @ b.T, 512", **both([(512, 512), (512, 512)], lambda m, a, b: a @ b.T), flops=2.0 * 512**3
)
case(G, "matrix @ vector, 1024", **both([(1024, 1024), (1024,)], lambda m, a, b: a @ b))
case(G, "dot, 1,000,000", **both([(1_000_000,)] * 2, lambda m, a, b: a @ b), bytes=8e6)
case(G, "outer, 1000", on([(1000,), (1000,)], lambda m, a, b: m.outer(a, b)))
case(
    G,
    "32 of 64 x 64 @ 64 x 64",
    **both([(32, 64, 64), (32, 64, 64)], lambda m, a, b: m.matmul(a, b)),
    flops=2.0 * 32 * 64**3,
)
case(G, "1000 of 8 x 8", **both([(1000, 8, 8)] * 2, lambda m, a, b: m.matmul(a, b)))
case(
    G,
    "float64, 256",
    on([(256, 256)] * 2, lambda m, a, b: a @ b, dtype="float64"),
    flops=2.0 * 256**3,
)
case(G, "bfloat16, 256", on([(256, 256)] * 2, lambda m, a, b: a @ b, dtype="bfloat16"))
case(G, "float16, 256", on([(256, 256)] * 2, lambda m, a, b: a @ b, dtype="float16"))
case(G, "int64, 128", on([(128, 128)] * 2, lambda m, a, b: a @ b, dtype="int64"))
_LINEAR = [(64, 784), (256, 784), (256,)]
case(G, "linear 64 x 784 -> 256", on(_LINEAR, lambda m, x, w, b: functional(m).linear(x, w, b)))
case(
    G,
    "linear 64 x 784 -> 256, backward",
    forward_backward(_LINEAR, lambda m, x, w, b: functional(m).linear(x, w, b)),
)
_WIDE = [(768, 128), (512, 128), (512,)]
case(
    G,
    "linear 768 x 128 -> 512, backward",
    forward_backward(_WIDE, lambda m, x, w, b: functional(m).linear(x, w, b)),
)
case(
    G,
    "einsum bij,bjk->bik",
    on([(16, 64, 64), (16, 64, 64)], lambda m, a, b: m.einsum("bij,bjk->bik", a, b)),
)
case(G, "addmm", on([(256,), (128, 256), (256, 256)], lambda m, c, a, b: m.addmm(c, a, b)))
case(G, "matmul, backward, 256", forward_backward([(256, 256)] * 2, lambda m, a, b: a @ b))


def symmetric(f, n=100):
    def make(m):
        a = m.rand(n, n)
        a = a @ a.T + n * m.eye(n)
        return lambda: f(m, a)

    return make


case(G, "cholesky, 100", symmetric(lambda m, a: m.linalg.cholesky(a)))
case(G, "solve, 100", symmetric(lambda m, a: m.linalg.solve(a, a)))
case(G, "inverse, 100", symmetric(lambda m, a: m.linalg.inv(a)))
case(G, "svd, 100", symmetric(lambda m, a: m.linalg.svd(a)))
case(G, "eigh, 100", symmetric(lambda m, a: m.linalg.eigh(a)))
case(G, "qr, 100", symmetric(lambda m, a: m.linalg.qr(a)))
case(G, "det, 4", symmetric(lambda m, a: m.linalg.det(a), 4))
case(G, "eigvalsh, 100", symmetric(lambda m, a: m.linalg.eigvalsh(a)))
case(G, "lstsq, 100", symmetric(lambda m, a: m.linalg.lstsq(a, a)))
case(G, "fft of 1,024", on([(1024,)], lambda m, a: m.fft.fft(a)))
case(G, "rfft2 of 512 x 512", on([(512, 512)], lambda m, a: m.fft.rfft2(a)))
