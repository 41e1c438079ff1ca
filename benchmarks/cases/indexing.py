"""Reading and writing by index and by mask."""

from __future__ import annotations

from .base import case, forward_backward, functional

G = "indexing"
_M = 1_000_000


def indexed(shape, index_shape, limit, f):
    """f(m, values, integers below limit)."""

    def make(m):
        a, i = m.rand(*shape), m.randint(0, limit, index_shape)
        return lambda: f(m, a, i)

    return make


def masked(shape, f):
    def make(m):
        a = m.rand(*shape)
        mask = m.rand(*shape) > 0.5
        return lambda: f(m, a, mask)

    return make


def numpy_indexed(shape, index_shape, limit, f):
    def make(np):
        a = np.random.rand(*shape).astype("f")
        i = np.random.randint(0, limit, index_shape)
        return lambda: f(np, a, i)

    return make


_ROWS = ((10_000, 64), (10_000,), 10_000)
case(
    G,
    "a[i], rows of 64",
    indexed(*_ROWS, lambda m, a, i: a[i]),
    numpy_indexed(*_ROWS, lambda np, a, i: a[i]),
)
_FLAT = ((_M,), (_M,), _M)
case(
    G,
    "a[i], 1,000,000 numbers",
    indexed(*_FLAT, lambda m, a, i: a[i]),
    numpy_indexed(*_FLAT, lambda np, a, i: a[i]),
)
case(
    G, "index_select(1)", indexed((1000, 1000), (500,), 1000, lambda m, a, i: a.index_select(1, i))
)
case(G, "gather(1)", indexed((1000, 1000), (1000, 500), 1000, lambda m, a, i: a.gather(1, i)))
case(
    G,
    "scatter(1)",
    indexed((1000, 1000), (1000, 500), 1000, lambda m, a, i: a.scatter(1, i, 1.0)),
)
case(
    G,
    "scatter_add(0)",
    indexed((1000, 1000), (1000, 1000), 1000, lambda m, a, i: a.scatter_add(0, i, a)),
)
case(
    G,
    "index_add",
    indexed((10_000, 64), (10_000,), 10_000, lambda m, a, i: a.index_add(0, i, a)),
)
case(G, "a[i] = v", indexed((10_000, 64), (5000,), 10_000, lambda m, a, i: a.__setitem__(i, 1.0)))
case(G, "a[mask]", masked((_M,), lambda m, a, k: a[k]))
case(G, "a[mask] = 0", masked((_M,), lambda m, a, k: a.__setitem__(k, 0)))
case(G, "masked_fill", masked((1000, 1000), lambda m, a, k: a.masked_fill(k, 0)))
case(G, "nonzero", masked((_M,), lambda m, a, k: k.nonzero()))
case(
    G,
    "take_along_dim",
    indexed((1000, 1000), (1000, 10), 1000, lambda m, a, i: m.take_along_dim(a, i, 1)),
)
case(G, "a[i, j]", indexed((1000, 1000), (100_000,), 1000, lambda m, a, i: a[i, i]))
case(G, "small a[i]", indexed((16, 4), (8,), 16, lambda m, a, i: a[i]))
case(G, "one_hot", indexed((4,), (10_000,), 10, lambda m, a, i: functional(m).one_hot(i, 10)))


def embedding(backward):
    def make(m):
        table = m.rand(10_000, 128, requires_grad=True)
        i = m.randint(0, 10_000, (32, 128))
        if not backward:
            return lambda: functional(m).embedding(i, table)
        seed = m.ones(32, 128, 128)

        def run():
            table.grad = None
            functional(m).embedding(i, table).backward(seed)

        return run

    return make


case(G, "embedding", embedding(False))
case(G, "embedding, backward", embedding(True))
case(
    G,
    "a[:, 1:] - a[:, :-1], backward",
    forward_backward([(1000, 1000)], lambda m, a: a[:, 1:] - a[:, :-1]),
)
