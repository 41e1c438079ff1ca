"""Times Flambeau on a GPU beside PyTorch (if it sees the GPU too) and NumPy; makes a table."""

import statistics
import time

import numpy as np

import flambeau


def torch_on_gpu():
    """PyTorch, if it is installed and sees a GPU; else None."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def device_ms(lib, call, repeats):
    """The median time of a call on the device, by events, in milliseconds."""
    for _ in range(3):
        call()
    lib.cuda.synchronize()
    times = []
    for _ in range(repeats):
        start, end = (lib.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def host_us(lib, call, count):
    """The time that the program spends to queue a call, in microseconds."""
    for _ in range(10):
        call()
    lib.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        call()
    spent = time.perf_counter() - start
    lib.cuda.synchronize()
    return spent / count * 1e6


# Each case: (name, unit, how many units one call is, lib -> call). GB counts reads and writes.


def bandwidth_cases(n):
    """Copies, sums and normalisations of n floats, which memory bounds."""
    gb = 4 * n / 1e9
    rows, cols = max(n >> 12, 1), min(n, 1 << 12)

    def with_x(f):
        def make(lib):
            x = lib.ones(rows, cols, device="cuda")
            return f(lib, x)

        return make

    def norm(lib, x):
        w, b = lib.ones(cols, device="cuda"), lib.zeros(cols, device="cuda")
        return lambda: lib.nn.functional.layer_norm(x, (cols,), w, b)

    def into(lib, x):
        y = lib.empty_like(x)
        return lambda: y.copy_(x)

    return [
        ("copy", "GB/s", 2 * gb, with_x(into)),
        ("add", "GB/s", 3 * gb, with_x(lambda lib, x: lambda: x + x.detach())),
        ("transposed copy", "GB/s", 2 * gb, with_x(lambda lib, x: lambda: x.t().contiguous())),
        ("exp", "GB/s", 2 * gb, with_x(lambda lib, x: x.exp)),
        ("sum of all", "GB/s", gb, with_x(lambda lib, x: x.sum)),
        ("sum of rows", "GB/s", gb, with_x(lambda lib, x: lambda: x.sum(1))),
        ("sum of columns", "GB/s", gb, with_x(lambda lib, x: lambda: x.sum(0))),
        ("softmax", "GB/s", 2 * gb, with_x(lambda lib, x: lambda: x.softmax(1))),
        ("layer norm", "GB/s", 2 * gb, with_x(norm)),
        ("cumsum", "GB/s", 2 * gb, with_x(lambda lib, x: lambda: x.cumsum(1))),
        ("sort", "GB/s", 3 * gb, with_x(lambda lib, x: lambda: x.sort(1))),
    ]


def product_cases(n):
    """Matrix products of n by n."""
    tflop = 2 * n**3 / 1e12

    def of(dtype, tf32=False):
        def make(lib):
            a = lib.ones(n, n, device="cuda", dtype=getattr(lib, dtype))

            def call():
                lib.backends.cuda.matmul.allow_tf32 = tf32
                a @ a
                lib.backends.cuda.matmul.allow_tf32 = False

            return call

        return make

    return [
        (f"product {n}, float32", "TFLOP/s", tflop, of("float32")),
        (f"product {n}, TF32", "TFLOP/s", tflop, of("float32", True)),
        (f"product {n}, float16", "TFLOP/s", tflop, of("float16")),
        (f"product {n}, bfloat16", "TFLOP/s", tflop, of("bfloat16")),
    ]


# Training steps ----------------------------------------------------------------------------------


def mnist_net(lib, tiny):
    """The demonstration's network, with a batch."""
    nn = lib.nn
    net = nn.Sequential(
        nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(10, 20, 5), nn.MaxPool2d(2),
        nn.ReLU(), nn.Flatten(), nn.Linear(320, 120), nn.ReLU(), nn.Linear(120, 10),
    )  # fmt: skip
    n = 2 if tiny else 256
    return net, lib.randn(n, 1, 28, 28), lib.arange(n) % 10


def residual_net(lib, tiny):
    """A residual block of two convolutions with batch norm, pooled to classes."""
    nn, c = lib.nn, 4 if tiny else 64

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = (nn.Conv2d(c, c, 3, padding=1, bias=False) for _ in range(2))
            self.na, self.nb = nn.BatchNorm2d(c), nn.BatchNorm2d(c)
            self.head = nn.Linear(c, 10)

        def forward(self, x):
            y = self.nb(self.b(self.na(self.a(x)).relu()))
            return self.head((x + y).relu().mean((2, 3)))

    n, size = (2, 6) if tiny else (64, 56)
    return Block(), lib.randn(n, c, size, size), lib.arange(n) % 10


def transformer_net(lib, tiny):
    """Two encoder layers over a sequence."""
    nn, (d, heads, length, n) = lib.nn, (8, 2, 4, 2) if tiny else (512, 8, 128, 16)
    layer = nn.TransformerEncoderLayer(d, heads, 4 * d, dropout=0.0, batch_first=True)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.TransformerEncoder(layer, 1 if tiny else 2, enable_nested_tensor=False)
            self.head = nn.Linear(d, 10)

        def forward(self, x):
            return self.head(self.body(x).mean(1))

    return Model(), lib.randn(n, length, d), lib.arange(n) % 10


def step_of(lib, build, tiny, amp=False):
    """A training step of a network as a function without arguments."""
    lib.manual_seed(0)
    net, x, y = build(lib, tiny)
    net, x, y = net.cuda(), x.cuda(), y.cuda()
    opt = lib.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def step():
        opt.zero_grad(set_to_none=False)
        with lib.autocast("cuda", dtype=lib.bfloat16, enabled=amp):
            loss = lib.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        opt.step()

    return step


def graphed(lib, step):
    """The same step, recorded once and launched as a whole."""
    side = lib.cuda.Stream()
    side.wait_stream(lib.cuda.current_stream())
    with lib.cuda.stream(side):
        for _ in range(3):
            step()
    lib.cuda.current_stream().wait_stream(side)
    g = lib.cuda.CUDAGraph()
    with lib.cuda.graph(g):
        step()
    return g.replay


def training_cases(tiny):
    """The three networks, eager, graphed and in mixed precision."""
    cases = []
    for name, build in (
        ("MNIST network", mnist_net),
        ("residual block", residual_net),
        ("transformer", transformer_net),
    ):
        cases += [
            (f"{name}, step", "ms", None, lambda lib, b=build: step_of(lib, b, tiny)),
            (f"{name}, step as a graph", "ms", None,
             lambda lib, b=build: graphed(lib, step_of(lib, b, tiny))),
            (f"{name}, step in bfloat16", "ms", None,
             lambda lib, b=build: step_of(lib, b, tiny, amp=True)),
        ]  # fmt: skip
    return cases


# The tables --------------------------------------------------------------------------------------


def measure(lib, unit, amount, make, repeats):
    """One figure of one case; a text where it failed."""
    try:
        ms = device_ms(lib, make(lib), repeats)
    except Exception as e:
        return f"{type(e).__name__}: {str(e).splitlines()[0][:60]}"
    return ms if unit == "ms" else amount / max(ms, 1e-6) * 1e3


def text(value):
    """A figure with three digits, or the text of what went wrong."""
    return value if isinstance(value, str) else "-" if value is None else f"{value:.3g}"


def device_table(cases, repeats):
    """Rows of markdown: Flambeau beside PyTorch."""
    torch = torch_on_gpu()
    lines = ["| case | unit | Flambeau | PyTorch |", "|---|---|---|---|"]
    for name, unit, amount, make in cases:
        ours = measure(flambeau, unit, amount, make, repeats)
        theirs = measure(torch, unit, amount, make, repeats) if torch else None
        lines.append(f"| {name} | {unit} | {text(ours)} | {text(theirs)} |")
        print(lines[-1], flush=True)
    return lines


def overhead_table(count):
    """What it costs the program to queue small work, in microseconds."""
    lines = ["| call | Flambeau, µs | PyTorch, µs |", "|---|---|---|"]
    cases = {
        "a + b, 4 floats": lambda lib, a: lambda: a + a,
        "a.add_(b)": lambda lib, a: lambda: a.add_(0.0),
        "empty(4)": lambda lib, a: lambda: lib.empty(4, device="cuda"),
        "linear of 4 to 4": lambda lib, a: lambda: lib.nn.functional.linear(a, a),
        "item()": lambda lib, a: a[0, 0].item,
    }
    for name, make in cases.items():
        row = []
        for lib in (flambeau, torch_on_gpu()):
            row.append(lib and host_us(lib, make(lib, lib.zeros(4, 4, device="cuda")), count))
        lines.append(f"| {name} | {text(row[0])} | {text(row[1])} |")
        print(lines[-1], flush=True)
    return lines


def array_table(n, repeats):
    """Array work as one writes it for NumPy, n elements, in milliseconds."""
    fb = flambeau
    a = np.random.default_rng(0).random(n, dtype=np.float32)
    x = fb.from_numpy(a).cuda()
    cases = {
        "sqrt(a * a + 2 a)": (lambda: np.sqrt(a * a + 2 * a), lambda: (x * x + 2 * x).sqrt()),
        "a[a > 0.5]": (lambda: a[a > 0.5], lambda: x[x > 0.5]),
        "cumsum": (lambda: a.cumsum(), lambda: x.cumsum(0)),
        "sort": (lambda: np.sort(a), lambda: x.sort()),
        "mean, std": (lambda: (a.mean(), a.std()), lambda: (x.mean(), x.std())),
        "argmax": (lambda: a.argmax(), lambda: x.argmax()),
    }  # fmt: skip
    lines = [f"| {n:,} floats | NumPy, ms | Flambeau on the GPU, ms |", "|---|---|---|"]
    for name, (host, device) in cases.items():
        times = []
        for _ in range(3):
            start = time.perf_counter()
            host()
            times.append((time.perf_counter() - start) * 1e3)
        ours = measure(fb, "ms", None, lambda lib, d=device: d, repeats)
        lines.append(f"| {name} | {text(min(times))} | {text(ours)} |")
        print(lines[-1], flush=True)
    return lines


def tables(tiny):
    """All tables as one markdown text."""
    repeats = 1 if tiny else 30
    n, size = (1 << 12, 32) if tiny else (1 << 26, 8192)
    parts = [
        "## Device time\n",
        *device_table(bandwidth_cases(n) + product_cases(size), repeats),
        "\n## Training steps\n",
        *device_table(training_cases(tiny), repeats),
        "\n## The program's share\n",
        *overhead_table(3 if tiny else 2000),
        "\n## Array work\n",
        *array_table(1000 if tiny else 10_000_000, repeats),
    ]
    return "\n".join(parts) + "\n"
