"""NumPy's own ground: array expressions of its and SciPy's tutorials, from one number to 10^8."""

from __future__ import annotations

from .base import both, case

G = "NumPy's ground"
SIZES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)


def ground(name, f, arrays=1, sizes=SIZES):
    """f(library, *arrays) at each of the sizes."""
    for n in sizes:
        case(G, f"{name}, {n:,}", **both([(n,)] * arrays, f), torch=False)


ground("a * 2 + b", lambda m, a, b: a * 2 + b, 2)
ground("sin(a) ** 2 + cos(a) ** 2", lambda m, a: m.sin(a) ** 2 + m.cos(a) ** 2)
ground("(a - a.mean()) / a.std()", lambda m, a: (a - a.mean()) / a.std())
ground("exp(-a * a / 2)", lambda m, a: m.exp(-a * a / 2))
ground("((a - b) ** 2).sum()", lambda m, a, b: ((a - b) ** 2).sum(), 2)
ground("polynomial", lambda m, a: ((2 * a - 3) * a + 1) * a - 5)
ground("where(a > b, a, b)", lambda m, a, b: m.where(a > b, a, b), 2)
ground("a[a > 0.5].sum()", lambda m, a: a[a > 0.5].sum(), sizes=SIZES[:-1])
ground("a[::2] + a[1::2]", lambda m, a: a[::2] + a[1::2], sizes=(2, *SIZES[1:]))
ground("cumsum", lambda m, a: m.cumsum(a, 0))
ground("a.max() - a.min()", lambda m, a: a.max() - a.min())
ground("dot", lambda m, a, b: m.dot(a, b), 2)

SQUARES = (2, 10, 100, 1_000, 3_000)


def square(name, f, arrays=1, sizes=SQUARES):
    """f(library, *arrays) of n x n numbers."""
    for n in sizes:
        case(G, f"{name}, {n:,} x {n:,}", **both([(n, n)] * arrays, f), torch=False)


square("rows / row sums", lambda m, a: a / a.sum(1)[:, None])
square("columns - column means", lambda m, a: a - a.mean(0))
square("a.T + a", lambda m, a: a.T + a)
square("outer difference", lambda m, a: a[0][:, None] - a[1][None, :])
square("neighbours' mean", lambda m, a: (a[:-1, :-1] + a[1:, 1:] + a[:-1, 1:] + a[1:, :-1]) / 4)
square("a @ a", lambda m, a: a @ a, sizes=SQUARES[:-1])
