"""The benchmark's cases: each is the same program for Flambeau and PyTorch, some also for NumPy."""

from __future__ import annotations

import gzip
import importlib
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclass
class Case:
    """make(m) sets up with the module m and returns the function to time."""

    group: str
    name: str
    make: Callable
    numpy: Callable | None = None
    quick: bool = True
    long: bool = False  # one run is a measurement


CASES: list[Case] = []


def case(group, name, make, numpy=None, **kw):
    CASES.append(Case(group, name, make, numpy, **kw))


def on(shapes, f, grad=False):
    """A case over random tensors of the shapes."""

    def make(m):
        xs = [m.rand(*s, requires_grad=grad) for s in shapes]
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


def forward_backward(shapes, f):
    """Forward and backward pass, gradients for every input."""

    def make(m):
        xs = [m.rand(*s, requires_grad=True) for s in shapes]

        def run():
            for x in xs:
                x.grad = None
            f(m, *xs).sum().backward()

        return run

    return make


F = lambda m: m.nn.functional

# ---- small ops: what a call costs
case("small", "a + b", **both([(4,), (4,)], lambda m, a, b: a + b))
case("small", "a + b, with gradient", on([(4,), (4,)], lambda m, a, b: a + b, grad=True))
case("small", "a * 2", **both([(4,)], lambda m, a: a * 2))
case(
    "small",
    "relu",
    on([(4,)], lambda m, a: m.relu(a)),
    on_arrays([(4,)], lambda np, a: np.maximum(a, 0)),
)
case(
    "small",
    "view",
    on([(4, 4)], lambda m, a: a.view(16)),
    on_arrays([(4, 4)], lambda np, a: a.reshape(16)),
)
case("small", "sum", **both([(4,)], lambda m, a: a.sum()))
case("small", "a[1]", **both([(4, 4)], lambda m, a: a[1]))
case("small", "a[:, 1:3]", **both([(4, 4)], lambda m, a: a[:, 1:3]))
case("small", "a[1] = 0", **both([(4, 4)], lambda m, a: a.__setitem__(1, 0)))
case("small", "item", **both([(1,)], lambda m, a: a.item()))
case("small", "a @ b, 4 x 4", **both([(4, 4), (4, 4)], lambda m, a, b: a @ b))
case(
    "small",
    "cat",
    on([(4,), (4,)], lambda m, a, b: m.cat([a, b])),
    on_arrays([(4,), (4,)], lambda np, a, b: np.concatenate([a, b])),
)
case("small", "zeros(4)", lambda m: lambda: m.zeros(4), lambda np: lambda: np.zeros(4, "f"))


def small_linear(m):
    net, x = m.nn.Linear(4, 4), m.rand(1, 4)
    return lambda: net(x)


def small_step(m):
    net, x = m.nn.Linear(4, 4), m.rand(1, 4)

    def run():
        net.zero_grad()
        net(x).sum().backward()

    return run


case("small", "Linear(4, 4)", small_linear)
case("small", "Linear(4, 4), backward", small_step)

# ---- elementwise over sizes
for _n in (1_000, 100_000, 1_000_000, 10_000_000):
    _q = _n in (1_000, 1_000_000)
    case("elementwise", f"a + b, {_n:,}", **both([(_n,), (_n,)], lambda m, a, b: a + b), quick=_q)
    case("elementwise", f"exp, {_n:,}", **both([(_n,)], lambda m, a: m.exp(a)), quick=_q)
    case("elementwise", f"tanh, {_n:,}", **both([(_n,)], lambda m, a: m.tanh(a)), quick=_q)
    case("elementwise", f"gelu, {_n:,}", on([(_n,)], lambda m, a: F(m).gelu(a)), quick=_q)
    case("elementwise", f"a > 0.5, {_n:,}", **both([(_n,)], lambda m, a: a > 0.5), quick=_q)
case(
    "elementwise",
    "broadcast (1000, 1) * (1000)",
    **both([(1000, 1), (1000,)], lambda m, a, b: a * b),
)
case(
    "elementwise",
    "transposed + contiguous, 1000 x 1000",
    on([(1000, 1000), (1000, 1000)], lambda m, a, b: a.t() + b),
    on_arrays([(1000, 1000), (1000, 1000)], lambda np, a, b: a.T + b),
)
case(
    "elementwise", "where, 1,000,000", **both([(1_000_000,)], lambda m, a: m.where(a > 0.5, a, -a))
)
case("elementwise", "add_, 1,000,000", on([(1_000_000,)], lambda m, a: a.add_(0.1)))
case("elementwise", "dropout, 1,000,000", on([(1_000_000,)], lambda m, a: F(m).dropout(a, 0.1)))
case(
    "elementwise",
    "randn, 1,000,000",
    lambda m: lambda: m.randn(1_000_000),
    lambda np: lambda: np.random.standard_normal(1_000_000).astype("f"),
)
case(
    "elementwise",
    "clone, 10,000,000",
    on([(10_000_000,)], lambda m, a: a.clone()),
    on_arrays([(10_000_000,)], lambda np, a: a.copy()),
    quick=False,
)

# ---- reductions
for _s, _t in (((1_000_000,), "all of 1,000,000"),):
    case("reduce", f"sum, {_t}", **both([_s], lambda m, a: a.sum()))
    case("reduce", f"max, {_t}", **both([_s], lambda m, a: a.max()))
for _d in (0, 1):
    case("reduce", f"sum({_d}) of 1000 x 1000", **both([(1000, 1000)], lambda m, a, d=_d: a.sum(d)))
    case(
        "reduce",
        f"argmax({_d}) of 1000 x 1000",
        **both([(1000, 1000)], lambda m, a, d=_d: a.argmax(d)),
    )
case("reduce", "var(1) of 1000 x 1000", **both([(1000, 1000)], lambda m, a: a.var(1)))
case("reduce", "softmax(1) of 1000 x 1000", on([(1000, 1000)], lambda m, a: m.softmax(a, 1)))
case("reduce", "cumsum(1) of 1000 x 1000", **both([(1000, 1000)], lambda m, a: a.cumsum(1)))
case(
    "reduce",
    "sort of 100,000",
    on([(100_000,)], lambda m, a: a.sort()),
    on_arrays([(100_000,)], lambda np, a: np.sort(a)),
)
case("reduce", "topk(5) of 1000 x 1000", on([(1000, 1000)], lambda m, a: a.topk(5)))

# ---- matrix products
for _m, _n, _k in (
    (64, 64, 64),
    (128, 128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (1024, 1024, 1024),
    (64, 256, 784),
    (128, 10, 512),
    (1, 1024, 1024),
):
    case(
        "matmul",
        f"{_m} x {_k} @ {_k} x {_n}",
        **both([(_m, _k), (_k, _n)], lambda m, a, b: a @ b),
        quick=_m * _n * _k <= 256**3,
    )
case(
    "matmul",
    "32 of 64 x 64 @ 64 x 64",
    **both([(32, 64, 64), (32, 64, 64)], lambda m, a, b: m.matmul(a, b)),
)
case(
    "matmul",
    "linear 64 x 784 -> 256, backward",
    forward_backward([(64, 784), (256, 784), (256,)], lambda m, x, w, b: F(m).linear(x, w, b)),
)
case(
    "matmul",
    "attention 8 x 64 x 64",
    on([(1, 8, 64, 64)] * 3, lambda m, q, k, v: F(m).scaled_dot_product_attention(q, k, v)),
)

# ---- layers: forward, and forward with backward
LAYERS = [
    (
        "conv 64x1x28x28 -> 32, 3x3",
        [(64, 1, 28, 28), (32, 1, 3, 3), (32,)],
        lambda m, x, w, b: F(m).conv2d(x, w, b, padding=1),
        True,
    ),
    (
        "conv 64x32x28x28 -> 64, 3x3",
        [(64, 32, 28, 28), (64, 32, 3, 3), (64,)],
        lambda m, x, w, b: F(m).conv2d(x, w, b, padding=1),
        False,
    ),
    (
        "conv 8x64x56x56 -> 64, 3x3",
        [(8, 64, 56, 56), (64, 64, 3, 3), (64,)],
        lambda m, x, w, b: F(m).conv2d(x, w, b, padding=1),
        False,
    ),
    (
        "conv 8x128x28x28 -> 128, 3x3",
        [(8, 128, 28, 28), (128, 128, 3, 3), (128,)],
        lambda m, x, w, b: F(m).conv2d(x, w, b, padding=1),
        False,
    ),
    (
        "conv 8x3x112x112 -> 64, 7x7, stride 2",
        [(8, 3, 112, 112), (64, 3, 7, 7), (64,)],
        lambda m, x, w, b: F(m).conv2d(x, w, b, stride=2, padding=3),
        False,
    ),
    (
        "conv 16x256x14x14 -> 256, 1x1",
        [(16, 256, 14, 14), (256, 256, 1, 1), (256,)],
        lambda m, x, w, b: F(m).conv2d(x, w, b),
        False,
    ),
    (
        "conv 64x1x28x28 -> 10, 5x5",
        [(64, 1, 28, 28), (10, 1, 5, 5), (10,)],
        lambda m, x, w, b: F(m).conv2d(x, w, b),
        True,
    ),
    ("max_pool2d 64x10x24x24", [(64, 10, 24, 24)], lambda m, x: F(m).max_pool2d(x, 2), True),
    ("avg_pool2d 64x10x24x24", [(64, 10, 24, 24)], lambda m, x: F(m).avg_pool2d(x, 2), True),
    (
        "batch_norm 64x32x14x14",
        [(64, 32, 14, 14), (32,), (32,)],
        lambda m, x, w, b: F(m).batch_norm(x, None, None, w, b, True),
        True,
    ),
    (
        "layer_norm 512x768",
        [(512, 768), (768,), (768,)],
        lambda m, x, w, b: F(m).layer_norm(x, (768,), w, b),
        True,
    ),
    ("group_norm 8x64x28x28", [(8, 64, 28, 28)], lambda m, x: F(m).group_norm(x, 8), True),
    ("softmax 512x1000", [(512, 1000)], lambda m, x: m.softmax(x, -1), True),
    ("log_softmax 512x1000", [(512, 1000)], lambda m, x: m.log_softmax(x, -1), True),
]
for _name, _shapes, _f, _quick in LAYERS:
    case("layers", _name, on(_shapes, _f), quick=_quick)
    case("layers", _name + ", backward", forward_backward(_shapes, _f), quick=_quick)

# ---- optimisers
for _o, _kw in (
    ("SGD", dict(lr=0.01, momentum=0.9)),
    ("Adam", dict(lr=0.001)),
    ("AdamW", dict(lr=0.001)),
):

    def _step(m, o=_o, kw=_kw):
        ps = [
            m.nn.Parameter(m.rand(*s))
            for s in [(256, 784), (256,), (128, 256), (128,), (10, 128), (10,)]
        ]
        for p in ps:
            p.grad = m.rand(*p.shape)
        opt = getattr(m.optim, o)(ps, **kw)
        return lambda: opt.step()

    case("optim", f"{_o}, 234,634 parameters", _step)


# ---- programs
def demo_net(m):
    """The network of the demonstration."""
    nn = m.nn
    return nn.Sequential(
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.Dropout2d(),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(320, 120),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def training(m, net, opt):
    criterion = m.nn.CrossEntropyLoss()

    def step(x, y):
        opt.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        opt.step()
        return loss

    return step


def demo_step(m):
    net = demo_net(m)
    step = training(m, net, m.optim.Adam(net.parameters()))
    x, y = m.rand(64, 1, 28, 28), m.randint(0, 10, (64,))
    return lambda: step(x, y)


def demo_inference(m, batch):
    net, x = demo_net(m).eval(), m.rand(batch, 1, 28, 28)

    def run():
        with m.no_grad():
            return net(x)

    return run


def digits(m, limit):
    """MNIST's training images and labels as tensors."""
    import numpy as np

    raw = ROOT / "data" / "MNIST" / "raw"
    with gzip.open(raw / "train-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:limit]
    with gzip.open(raw / "train-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(), np.uint8, offset=8)[:limit]
    return m.from_numpy(x.astype("f") / 255), m.from_numpy(y.astype("i8"))


def epoch(limit):
    def make(m):
        data = importlib.import_module(m.__name__ + ".utils.data")
        loader = data.DataLoader(data.TensorDataset(*digits(m, limit)), batch_size=64, shuffle=True)
        net = demo_net(m)
        step = training(m, net, m.optim.Adam(net.parameters()))

        def run():
            for x, y in loader:
                step(x, y)

        return run

    return make


def recurrent_step(m):
    nn = m.nn
    cell, head = nn.LSTMCell(64, 128), nn.Linear(128, 64)
    opt = m.optim.Adam([*cell.parameters(), *head.parameters()])
    xs, y = m.rand(16, 8, 64), m.randint(0, 64, (8,))

    def run():
        opt.zero_grad()
        state = None
        for x in xs:
            state = cell(x, state)
        m.nn.functional.cross_entropy(head(state[0]), y).backward()
        opt.step()

    return run


case("programs", "demonstration, training step of 64", demo_step)
case("programs", "demonstration, inference of 1", lambda m: demo_inference(m, 1))
case("programs", "demonstration, inference of 1000", lambda m: demo_inference(m, 1000))
case("programs", "LSTM cell, 16 steps, training", recurrent_step)
case("programs", "MNIST, a tenth of an epoch with its loader", epoch(6000), long=True)
case("programs", "MNIST, an epoch with its loader", epoch(None), long=True, quick=False)
