"""Reductions, softmax, sorting and scans."""

from __future__ import annotations

from .base import both, case, forward_backward, functional, on, on_arrays

G = "reduction"
_M, _L, _S = 1_000_000, 16_000_000, (1000, 1000)
case(G, "sum, 1,000", **both([(1000,)], lambda m, a: a.sum()))
case(G, "sum, 1,000,000", **both([(_M,)], lambda m, a: a.sum()))
case(G, "sum, 16,000,000", **both([(_L,)], lambda m, a: a.sum()), large=True, bytes=4 * _L)
case(G, "max, 1,000,000", **both([(_M,)], lambda m, a: a.max()))
case(G, "mean, 16,000,000", **both([(_L,)], lambda m, a: a.mean()), large=True, bytes=4 * _L)
case(G, "sum, bfloat16", on([(_M,)], lambda m, a: a.sum(), dtype="bfloat16"))
case(G, "sum, int64", on([(_M,)], lambda m, a: a.sum(), dtype="int64"))
case(G, "any, bool", on([(_M,)], lambda m, a: (a > 2).any()))
for _d in (0, 1):
    case(G, f"sum({_d})", **both([_S], lambda m, a, d=_d: a.sum(d)), bytes=4e6)
    case(G, f"max({_d})", on([_S], lambda m, a, d=_d: a.max(d)))
    case(G, f"argmax({_d})", **both([_S], lambda m, a, d=_d: a.argmax(d)))
    case(G, f"var({_d})", **both([_S], lambda m, a, d=_d: a.var(d)))
    case(G, f"amax({_d})", on([_S], lambda m, a, d=_d: a.amax(d)))
case(G, "sum((0, 2, 3))", on([(64, 32, 28, 28)], lambda m, a: a.sum((0, 2, 3))))
case(G, "mean((2, 3))", on([(64, 256, 7, 7)], lambda m, a: a.mean((2, 3))))
case(G, "sum(1), 100,000 x 10", **both([(100_000, 10)], lambda m, a: a.sum(1)))
case(G, "norm", on([(_M,)], lambda m, a: a.norm()))
case(G, "prod(1)", **both([_S], lambda m, a: a.prod(1)))
case(G, "logsumexp(1)", on([_S], lambda m, a: m.logsumexp(a, 1)))
case(G, "softmax(1)", on([_S], lambda m, a: m.softmax(a, 1)))
case(G, "softmax(0)", on([_S], lambda m, a: m.softmax(a, 0)))
case(G, "softmax(1), 10,000 x 10", on([(10_000, 10)], lambda m, a: m.softmax(a, 1)))
case(G, "mean(0), backward", forward_backward([_S], lambda m, a: a.mean(0)))
case(G, "var(1), backward", forward_backward([_S], lambda m, a: a.var(1)))
case(G, "normalize", on([_S], lambda m, a: functional(m).normalize(a)))
case(G, "cdist", on([(500, 64), (500, 64)], lambda m, a, b: m.cdist(a, b)))

G = "sort and scan"
for _n in (1_000, 100_000, 1_000_000):
    case(
        G,
        f"sort, {_n:,}",
        on([(_n,)], lambda m, a: a.sort()),
        on_arrays([(_n,)], lambda np, a: (np.sort(a), np.argsort(a))),
    )
case(G, "sort rows", on([_S], lambda m, a: a.sort(1)))
case(G, "argsort, int64", on([(100_000,)], lambda m, a: a.argsort(), dtype="int64"))
case(G, "topk(5)", on([_S], lambda m, a: a.topk(5)))
case(G, "topk(50) of 50,000", on([(8, 50_000)], lambda m, a: a.topk(50)))
case(G, "median", on([(_M,)], lambda m, a: a.median()))
case(G, "kthvalue", on([_S], lambda m, a: a.kthvalue(100, 1)))
case(G, "unique", on([(100_000,)], lambda m, a: m.unique(a), dtype="int64"))
case(G, "searchsorted", on([(1000,), (100_000,)], lambda m, a, b: m.searchsorted(a, b)))
case(G, "histc", on([(_M,)], lambda m, a: m.histc(a, 100)))
case(G, "bincount", on([(_M,)], lambda m, a: m.bincount(a + 100), dtype="int64"))
case(G, "cumsum(1)", **both([_S], lambda m, a: a.cumsum(1)))
case(G, "cumsum(0)", **both([_S], lambda m, a: a.cumsum(0)))
case(G, "cumsum, 1,000,000", **both([(_M,)], lambda m, a: a.cumsum(0)))
case(G, "cumprod(1)", on([_S], lambda m, a: a.cumprod(1)))
case(G, "cummax(1)", on([_S], lambda m, a: a.cummax(1)))
