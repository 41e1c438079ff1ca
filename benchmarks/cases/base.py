"""What a case is, and the common ways to make one."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclass
class Case:
    """make(m) sets up with the module m and returns the function to time.

    Where `make` is None, Flambeau's side is `mine` and the only peer is NumPy.
    """

    group: str
    name: str
    make: Callable
    numpy: Callable | None = None
    jax: Callable | None = None
    torch: bool = True  # PyTorch is a peer
    large: bool = False  # an operand of 64 MB or more
    long: bool = False  # one run is a measurement
    flops: float = 0  # arithmetic of one run, where that is the limit
    bytes: float = 0  # memory traffic of one run, where that is the limit

    @property
    def key(self):
        return f"{self.group}: {self.name}"


CASES: list[Case] = []


def case(group, name, make, numpy=None, **kw):
    c = Case(group, name, make, numpy, **kw)
    if any(c.key == other.key for other in CASES):
        raise ValueError(f"two cases are called {c.key!r}")
    CASES.append(c)


def cast(m, x, dtype):
    """x as the named dtype; numbers for integers are spread over -100..100."""
    if dtype == "float32":
        return x
    if dtype.startswith(("float", "bfloat")):
        return x.to(getattr(m, dtype))
    if dtype == "bool":
        return x > 0.5
    return (x * 200 - 100).to(getattr(m, dtype))


def on(shapes, f, grad=False, dtype="float32"):
    """A case over random tensors of the shapes."""

    def make(m):
        xs = [cast(m, m.rand(*s), dtype).requires_grad_(grad) for s in shapes]
        return lambda: f(m, *xs)

    return make


def on_arrays(shapes, f):
    """The same for NumPy."""

    def make(np):
        xs = [np.random.rand(*s).astype("f") for s in shapes]
        return lambda: f(np, *xs)

    return make


def both(shapes, f):
    """A program that reads the same for NumPy."""
    return dict(make=on(shapes, f), numpy=on_arrays(shapes, f))


def forward_backward(shapes, f, dtype="float32"):
    """Forward and backward pass, gradients for every input; the gradient of the result is ones."""

    def make(m):
        xs = [cast(m, m.rand(*s), dtype).requires_grad_(True) for s in shapes]
        seed = m.ones_like(f(m, *xs).detach())

        def run():
            for x in xs:
                x.grad = None
            f(m, *xs).backward(seed)

        return run

    return make


def layer(group, name, shapes, f, **kw):
    """Two cases: forward alone, and with its backward pass."""
    case(group, name, on(shapes, f), **kw)
    work = {k: v for k, v in kw.items() if k not in ("flops", "bytes")}
    case(group, name + ", backward", forward_backward(shapes, f), **work)


def functional(m):
    return m.nn.functional
