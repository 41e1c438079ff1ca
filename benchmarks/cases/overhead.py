"""What a call costs: operations on a handful of numbers."""

from __future__ import annotations

from .base import both, case, functional, on, on_arrays

G = "overhead"

case(G, "a + b", **both([(4,), (4,)], lambda m, a, b: a + b))
case(G, "a + b, with gradient", on([(4,), (4,)], lambda m, a, b: a + b, grad=True))
case(G, "a * 2", **both([(4,)], lambda m, a: a * 2))
case(G, "a > 0.5", **both([(4,)], lambda m, a: a > 0.5))
case(
    G,
    "relu",
    on([(4,)], lambda m, a: m.relu(a)),
    on_arrays([(4,)], lambda np, a: np.maximum(a, 0)),
)
case(G, "exp", **both([(4,)], lambda m, a: m.exp(a)))
case(G, "a += 1", on([(4,)], lambda m, a: a.add_(1)))
case(
    G,
    "view",
    on([(4, 4)], lambda m, a: a.view(16)),
    on_arrays([(4, 4)], lambda np, a: a.reshape(16)),
)
case(
    G,
    "transpose",
    on([(4, 4)], lambda m, a: a.transpose(0, 1)),
    on_arrays([(4, 4)], lambda np, a: a.transpose()),
)
case(G, "unsqueeze", on([(4,)], lambda m, a: a.unsqueeze(0)))
case(G, "shape", **both([(4, 4)], lambda m, a: a.shape))
case(G, "sum", **both([(4,)], lambda m, a: a.sum()))
case(G, "max", **both([(4,)], lambda m, a: a.max()))
case(G, "mean(1)", **both([(4, 4)], lambda m, a: a.mean(1)))
case(G, "a[1]", **both([(4, 4)], lambda m, a: a[1]))
case(G, "a[:, 1:3]", **both([(4, 4)], lambda m, a: a[:, 1:3]))
case(G, "a[1] = 0", **both([(4, 4)], lambda m, a: a.__setitem__(1, 0)))
case(G, "item", **both([(1,)], lambda m, a: a.item()))
case(G, "a @ b, 4 x 4", **both([(4, 4), (4, 4)], lambda m, a, b: a @ b))
case(
    G,
    "cat",
    on([(4,), (4,)], lambda m, a, b: m.cat([a, b])),
    on_arrays([(4,), (4,)], lambda np, a, b: np.concatenate([a, b])),
)
case(
    G,
    "stack",
    on([(4,), (4,)], lambda m, a, b: m.stack([a, b])),
    on_arrays([(4,), (4,)], lambda np, a, b: np.stack([a, b])),
)
case(
    G,
    "where",
    on([(4,), (4,)], lambda m, a, b: m.where(a > b, a, b)),
    on_arrays([(4,), (4,)], lambda np, a, b: np.where(a > b, a, b)),
)
case(G, "zeros(4)", lambda m: lambda: m.zeros(4), lambda np: lambda: np.zeros(4, "f"))
case(G, "arange(4)", lambda m: lambda: m.arange(4), lambda np: lambda: np.arange(4))
case(
    G,
    "tensor of a list",
    lambda m: lambda: m.tensor([1.0, 2.0, 3.0, 4.0]),
    lambda np: lambda: np.array([1.0, 2.0, 3.0, 4.0], "f"),
)
case(G, "rand(4)", lambda m: lambda: m.rand(4), lambda np: lambda: np.random.rand(4))
case(G, "to(float64)", on([(4,)], lambda m, a: a.to(m.float64)))
case(G, "clone", **dict(make=on([(4,)], lambda m, a: a.clone())))
case(G, "numpy()", on([(4,)], lambda m, a: a.numpy()))
case(G, "detach", on([(4,)], lambda m, a: a.detach(), grad=True))
case(G, "no_grad", lambda m: lambda: enter(m))


def enter(m):
    with m.no_grad():
        pass


def linear(m):
    net, x = m.nn.Linear(4, 4), m.rand(1, 4)
    return lambda: net(x)


def step(m):
    net, x = m.nn.Linear(4, 4), m.rand(1, 4)

    def run():
        net.zero_grad()
        net(x).sum().backward()

    return run


def perceptron(m):
    nn = m.nn
    net, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), m.rand(1, 4)

    def run():
        with m.no_grad():
            return net(x)

    return run


def scalar_chain(m):
    x = m.tensor(0.5, requires_grad=True)

    def run():
        x.grad = None
        y = x
        for _ in range(10):
            y = y * x + 1
        y.backward()

    return run


case(G, "Linear(4, 4)", linear)
case(G, "Linear(4, 4), backward", step)
case(G, "Linear-ReLU-Linear of one sample", perceptron)
case(G, "ten scalar multiply-adds, backward", scalar_chain)
case(G, "F.cross_entropy of 1 x 4", lambda m: one_loss(m))


def one_loss(m):
    x, y = m.rand(1, 4), m.tensor([2])
    return lambda: functional(m).cross_entropy(x, y)
