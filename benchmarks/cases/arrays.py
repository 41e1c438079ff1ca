"""Elementwise formulas over sizes and dtypes, strided and broadcast operands, random numbers."""

from __future__ import annotations

from .base import both, case, forward_backward, functional, on, on_arrays

G = "elementwise"

for _n in (1_000, 100_000, 1_000_000, 16_000_000):
    _kw = dict(large=_n == 16_000_000)
    case(G, f"a + b, {_n:,}", **both([(_n,), (_n,)], lambda m, a, b: a + b), bytes=12 * _n, **_kw)
    case(G, f"exp, {_n:,}", **both([(_n,)], lambda m, a: m.exp(a)), **_kw)
    case(G, f"tanh, {_n:,}", **both([(_n,)], lambda m, a: m.tanh(a)), **_kw)
    case(G, f"gelu, {_n:,}", on([(_n,)], lambda m, a: functional(m).gelu(a)), **_kw)
    case(G, f"a > 0.5, {_n:,}", **both([(_n,)], lambda m, a: a > 0.5), bytes=5 * _n, **_kw)

_M = 1_000_000
case(G, "a * b, float64", on([(_M,), (_M,)], lambda m, a, b: a * b, dtype="float64"))
case(G, "a + b, bfloat16", on([(_M,), (_M,)], lambda m, a, b: a + b, dtype="bfloat16"))
case(G, "exp, bfloat16", on([(_M,)], lambda m, a: m.exp(a), dtype="bfloat16"))
case(G, "a + b, int64", on([(_M,), (_M,)], lambda m, a, b: a + b, dtype="int64"))
case(G, "a // 3, int64", on([(_M,)], lambda m, a: a // 3, dtype="int64"))
case(G, "a & b, bool", on([(_M,), (_M,)], lambda m, a, b: a & b, dtype="bool"))
case(G, "sigmoid", on([(_M,)], lambda m, a: m.sigmoid(a)))
case(G, "log", **both([(_M,)], lambda m, a: m.log(a)))
case(G, "sin", **both([(_M,)], lambda m, a: m.sin(a)))
case(G, "sqrt", **both([(_M,)], lambda m, a: m.sqrt(a)))
case(G, "a ** 3", **both([(_M,)], lambda m, a: a**3))
case(G, "a ** b", **both([(_M,), (_M,)], lambda m, a, b: a**b))
case(G, "atan2", on([(_M,), (_M,)], lambda m, a, b: m.atan2(a, b)))
case(G, "silu", on([(_M,)], lambda m, a: functional(m).silu(a)))
case(G, "softplus", on([(_M,)], lambda m, a: functional(m).softplus(a)))
case(G, "erf", on([(_M,)], lambda m, a: m.erf(a)))
case(G, "clamp", on([(_M,)], lambda m, a: a.clamp(0.2, 0.8)))
case(G, "lerp", on([(_M,)] * 3, lambda m, a, b, c: m.lerp(a, b, c)))
case(G, "addcmul", on([(_M,)] * 3, lambda m, a, b, c: m.addcmul(a, b, c)))
case(G, "where, 1,000,000", **both([(_M,)], lambda m, a: m.where(a > 0.5, a, -a)))
case(G, "add_, 1,000,000", on([(_M,)], lambda m, a: a.add_(0.1)), bytes=8 * _M)
case(G, "to(float64)", on([(_M,)], lambda m, a: a.to(m.float64)))
case(G, "relu, backward", forward_backward([(_M,)], lambda m, a: m.relu(a)))
case(G, "gelu, backward", forward_backward([(_M,)], lambda m, a: functional(m).gelu(a)))
case(G, "tanh, backward", forward_backward([(_M,)], lambda m, a: m.tanh(a)))
case(G, "a * b + c, backward", forward_backward([(_M,)] * 3, lambda m, a, b, c: a * b + c))
_L = 16_000_000
case(G, "a * 2 + 1, 16,000,000", on([(_L,)], lambda m, a: a * 2 + 1), large=True)
case(G, "sigmoid, 16,000,000", on([(_L,)], lambda m, a: m.sigmoid(a)), large=True)
case(G, "to(float64), 16,000,000", on([(_L,)], lambda m, a: a.to(m.float64)), large=True)
case(
    G,
    "clone, 16,000,000",
    on([(_L,)], lambda m, a: a.clone()),
    on_arrays([(_L,)], lambda np, a: a.copy()),
    large=True,
)
case(
    G,
    "a + b, float64, 16,000,000",
    on([(_L,), (_L,)], lambda m, a, b: a + b, dtype="float64"),
    large=True,
)

G = "broadcast and strides"
case(G, "(1000, 1) * (1000)", **both([(1000, 1), (1000,)], lambda m, a, b: a * b))
case(G, "(1000, 1000) + row", **both([(1000, 1000), (1000,)], lambda m, a, b: a + b))
case(G, "(1000, 1000) + column", **both([(1000, 1000), (1000, 1)], lambda m, a, b: a + b))
case(
    G,
    "(64, 32, 28, 28) * channels",
    on([(64, 32, 28, 28), (32, 1, 1)], lambda m, a, b: a * b),
)
case(
    G,
    "transposed + contiguous, 1000 x 1000",
    on([(1000, 1000), (1000, 1000)], lambda m, a, b: a.t() + b),
    on_arrays([(1000, 1000), (1000, 1000)], lambda np, a, b: a.T + b),
)
case(
    G,
    "t().contiguous(), 1000 x 1000",
    on([(1000, 1000)], lambda m, a: a.t().contiguous()),
    on_arrays([(1000, 1000)], lambda np, a: a.T.copy()),
)
case(G, "a[::2] * 2", **both([(_M,)], lambda m, a: a[::2] * 2))
case(G, "a[:, ::2] + 1", **both([(1000, 1000)], lambda m, a: a[:, ::2] + 1))
case(
    G,
    "NCHW to NHWC",
    on([(64, 32, 28, 28)], lambda m, a: a.permute(0, 2, 3, 1).contiguous()),
)
case(G, "flip", on([(1000, 1000)], lambda m, a: a.flip(1)))
case(G, "roll", on([(1000, 1000)], lambda m, a: a.roll(3, 1)))
case(G, "cat of 10", on([(100, 1000)] * 10, lambda m, *a: m.cat(a)))
case(G, "cat of 10 along rows", on([(1000, 100)] * 10, lambda m, *a: m.cat(a, 1)))
case(G, "stack of 64 images", on([(3, 32, 32)] * 64, lambda m, *a: m.stack(a)))
case(G, "repeat", on([(100, 100)], lambda m, a: a.repeat(10, 10)))
case(G, "pad", on([(64, 32, 28, 28)], lambda m, a: functional(m).pad(a, (1, 1, 1, 1))))
case(G, "tril", on([(1000, 1000)], lambda m, a: a.tril()))
case(G, "chunk(4) and cat", on([(1000, 1000)], lambda m, a: m.cat(a.chunk(4, 1), 0)))

G = "random"
case(G, "rand", lambda m: lambda: m.rand(_M), lambda np: lambda: np.random.rand(_M))
case(
    G,
    "randn",
    lambda m: lambda: m.randn(_M),
    lambda np: lambda: np.random.standard_normal(_M).astype("f"),
)
case(G, "randint", lambda m: lambda: m.randint(0, 10, (_M,)))
case(G, "randperm", lambda m: lambda: m.randperm(100_000))
case(G, "dropout", on([(_M,)], lambda m, a: functional(m).dropout(a, 0.1)))
case(G, "dropout, backward", forward_backward([(_M,)], lambda m, a: functional(m).dropout(a, 0.1)))
case(G, "bernoulli", on([(_M,)], lambda m, a: m.bernoulli(a)))
case(G, "normal_", on([(_M,)], lambda m, a: a.normal_()))
case(G, "uniform_", on([(_M,)], lambda m, a: a.uniform_(-1, 1)))
case(G, "exponential_", on([(_M,)], lambda m, a: a.exponential_()))
case(G, "multinomial", on([(64, 1000)], lambda m, a: m.multinomial(a, 1)))
case(G, "rand_like, 1,000", on([(1000,)], lambda m, a: m.rand_like(a)))
case(G, "randn, 16,000,000", lambda m: lambda: m.randn(_L), large=True)
case(G, "kaiming_uniform_", on([(512, 512)], lambda m, a: m.nn.init.kaiming_uniform_(a)))
