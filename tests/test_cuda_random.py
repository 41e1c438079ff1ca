"""Random numbers on a GPU: the CPU's bits, generators, dropout, graphs."""

import pickle

import numpy as np
import pytest

from cuda_support import DEVICE, needs_cuda
from under_test import fb

pytestmark = needs_cuda

FLOATS = [fb.float32, fb.float64, fb.float16, fb.bfloat16]


def drawn(make, seed=3):
    """`make(device)` on the CPU and on the GPU from one seed, as arrays."""
    made = []
    for device in ("cpu", DEVICE):
        fb.manual_seed(seed)
        t = make(device)
        assert t.device.type == device
        made.append(t.cpu().to(fb.complex128 if t.is_complex() else fb.float64).numpy())
    return made


def equal(a, b):
    return a.shape == b.shape and a.tolist() == b.tolist()


def same(make):
    a, b = drawn(make)
    np.testing.assert_array_equal(b, a)


@pytest.mark.parametrize("n", [0, 1, 3, 4, 1001, 5000])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_fills_have_the_bits_of_the_cpu(dtype, n):
    same(lambda d: fb.rand(n, dtype=dtype, device=d))
    same(lambda d: fb.randn(n, dtype=dtype, device=d))
    same(lambda d: fb.empty(n, dtype=dtype, device=d).uniform_(-3, 5))
    same(lambda d: fb.empty(n, dtype=dtype, device=d).normal_(2, 0.5))
    same(lambda d: fb.empty(n, dtype=dtype, device=d).exponential_(2))
    same(lambda d: fb.empty(n, dtype=dtype, device=d).bernoulli_(0.25))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_transformed_fills(dtype):
    for fill in (
        lambda t: t.cauchy_(1, 2),
        lambda t: t.geometric_(0.2),
        lambda t: t.log_normal_(0, 0.5),
    ):
        a, b = drawn(lambda d: fill(fb.empty(1001, dtype=dtype, device=d)))
        eps = fb.finfo(dtype).eps
        np.testing.assert_allclose(b, a, rtol=8 * eps, atol=8 * eps)


@pytest.mark.parametrize(
    "dtype",
    [fb.bool, fb.uint8, fb.int8, fb.int16, fb.int32, fb.int64, fb.float32, fb.bfloat16],
    ids=str,
)
def test_integers(dtype):
    same(lambda d: fb.empty(1001, dtype=dtype, device=d).random_())
    same(lambda d: fb.empty(1001, dtype=dtype, device=d).random_(2))
    same(lambda d: fb.randint(0, 100, (1001,), dtype=dtype, device=d))
    same(lambda d: fb.empty(1001, dtype=dtype, device=d).bernoulli_(0.5))


def test_large_ranges():
    same(lambda d: fb.randint(-(2**62), 2**62, (101,), device=d))
    same(lambda d: fb.empty(101, dtype=fb.int64, device=d).random_(-(2**63), None))
    same(lambda d: fb.randint(0, 2**16, (101,), device=d))
    same(lambda d: fb.randint(0, 2**16 + 1, (101,), device=d))


def test_layouts():
    same(lambda d: fb.empty(7, 9, device=d).t().normal_())
    same(lambda d: fb.zeros(40, device=d)[1:].uniform_())  # not aligned for packs
    same(lambda d: fb.zeros(40, device=d)[::3].exponential_())
    same(lambda d: fb.empty(33, dtype=fb.complex64, device=d).normal_())
    same(lambda d: fb.randn(5, 3, dtype=fb.complex128, device=d))
    same(lambda d: fb.zeros(9, 2, dtype=fb.int16, device=d)[:, 1].random_(50))


def test_factories_and_draws():
    same(lambda d: fb.rand_like(fb.zeros(5, 3, device=d)))
    same(lambda d: fb.randn_like(fb.zeros(5, 3, device=d)))
    same(lambda d: fb.randint_like(fb.zeros(5, 3, device=d), 3, 9))
    same(lambda d: fb.randperm(101, device=d))
    same(lambda d: fb.normal(1.0, 2.0, (5, 7), device=d))
    same(lambda d: fb.bernoulli(fb.linspace(0, 1, 101, device=d)))
    same(lambda d: fb.zeros(101, device=d).bernoulli_(fb.linspace(0, 1, 101, device=d)))
    same(lambda d: fb.poisson(fb.linspace(0, 60, 101, device=d)))
    a, b = drawn(lambda d: fb.normal(fb.zeros(9, device=d), fb.arange(9.0, device=d)))
    np.testing.assert_allclose(b, a, rtol=1e-6)


def test_the_streams_go_on():
    def twice(d):
        fb.rand(5, device=d)
        fb.randn(3, dtype=fb.float64, device=d)
        return fb.rand(9, device=d)

    same(twice)


@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial(replacement):
    weights = np.random.default_rng(0).random((3, 301))
    weights[:, ::7] = 0
    count = 20
    a, b = drawn(
        lambda d: fb.multinomial(fb.tensor(weights, device=d), count, replacement=replacement)
    )
    np.testing.assert_array_equal(b, a)
    assert not (b % 7 == 0).any()
    same(lambda d: fb.multinomial(fb.tensor([0.1, 0.0, 0.9], device=d), 2, True))
    same(lambda d: fb.multinomial(fb.ones(70, device=d), 50))  # many: by the host


def test_multinomial_names_bad_weights():
    for values, count, replace, message in [
        ([0.5, -1.0], 1, True, "inf"),
        ([0.5, float("nan")], 1, True, "nan"),
        ([0.0, 0.0], 1, True, "sum of probabilities"),
        ([1.0, 0.0], 2, False, "not enough"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            fb.multinomial(fb.tensor(values, device=DEVICE), count, replace)


@pytest.mark.parametrize("dtype", [*FLOATS, fb.complex64], ids=str)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout(dtype, p):
    x = fb.arange(1003).to(dtype) / 7 + 1
    a, b = drawn(lambda d: fb.native_dropout(x.to(d), p, True)[0])
    np.testing.assert_allclose(b, a, rtol=2e-7)
    same(lambda d: fb.native_dropout(x.to(d), p, True)[1])
    same(lambda d: fb.native_dropout(x.to(d)[1:], p, True)[1])


@pytest.mark.parametrize("kind", ["dropout", "dropout1d", "alpha_dropout", "feature_alpha_dropout"])
def test_kinds_of_dropout(kind):
    f = getattr(fb.nn.functional, kind)

    def gradient(d):
        x = fb.linspace(-2, 2, 2 * 6 * 5, device=d).reshape(2, 6, 5).requires_grad_()
        y = f(x, 0.4, training=True)
        y.backward(y.detach())
        return fb.complex(y.detach().cpu(), x.grad.cpu()).to(d)

    a, b = drawn(gradient)
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
    assert a.real.std() > 0 and a.imag.std() > 0


def test_generators():
    g = fb.Generator(device=DEVICE)
    assert g.device.type == "cuda" and g.device.index == 0
    g.manual_seed(5)
    a = fb.rand(4, device=DEVICE, generator=g)
    host = fb.Generator().manual_seed(5)
    assert equal(a.cpu(), fb.rand(4, generator=host))
    state = g.get_state()
    b = fb.rand(4, device=DEVICE, generator=g)
    moved = fb.Generator(device=DEVICE).set_state(state)
    assert equal(b, fb.rand(4, device=DEVICE, generator=moved))
    again = pickle.loads(pickle.dumps(g))
    assert again.device == g.device
    assert equal(fb.rand(4, device=DEVICE, generator=again), fb.rand(4, device=DEVICE, generator=g))
    with pytest.raises(RuntimeError, match="Expected a 'cuda:0' device type for generator"):
        fb.rand(4, device=DEVICE, generator=host)
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator"):
        fb.rand(4, generator=g)


def test_each_device_has_its_own_stream():
    fb.manual_seed(1)
    a = fb.rand(3, device=DEVICE)
    fb.rand(100)  # the CPU's stream
    b = fb.rand(3, device=DEVICE)
    fb.manual_seed(1)
    assert equal(fb.rand(3, device=DEVICE), a) and equal(fb.rand(3, device=DEVICE), b)
    assert fb.cuda.initial_seed() == 1
    fb.cuda.manual_seed(2)
    assert fb.initial_seed() == 1
    c = fb.rand(3, device=DEVICE)
    fb.cuda.manual_seed_all(2)
    assert equal(fb.rand(3, device=DEVICE), c)
    assert len(fb.cuda.default_generators) == fb._C._cuda_device_count()
    fb.cuda.default_generators[0].manual_seed(2)
    assert equal(fb.rand(3, device=DEVICE), c)


def test_states():
    state = fb.cuda.get_rng_state()
    assert state.device.type == "cpu" and state.dtype == fb.uint8
    a = fb.rand(3, device=DEVICE)
    fb.cuda.set_rng_state(state)
    assert equal(fb.rand(3, device=DEVICE), a)
    fb.cuda.set_rng_state_all([state])
    assert equal(fb.rand(3, device=DEVICE), a)
    with fb.random.fork_rng():
        fb.manual_seed(0)
        fb.rand(100, device=DEVICE)
    b = fb.rand(3, device=DEVICE)
    fb.cuda.set_rng_state(state)
    fb.rand(3, device=DEVICE)
    assert equal(fb.rand(3, device=DEVICE), b)
    with fb.random.fork_rng(devices=[]):
        fb.rand(3, device=DEVICE)
    c = fb.rand(3, device=DEVICE)
    fb.cuda.set_rng_state(state)
    assert not equal(fb.rand(3, device=DEVICE), c)


class Recorded:
    """Work recorded in a CUDA graph, by the functions that flambeau.cuda.graph wraps."""

    def __init__(self, work):
        core = fb._C
        stream = core._cuda_stream_create(0, 0)
        core._cuda_synchronize(0)
        before = core._cuda_current_stream(0)
        core._cuda_set_stream(0, stream)
        try:
            self.graph = core._cuda_graph_begin(-1, 0, None)
            self.out = work()
            core._cuda_graph_end(self.graph)
        finally:
            core._cuda_set_stream(0, before)

    def replay(self):
        fb._C._cuda_graph_replay(self.graph)
        fb._C._cuda_synchronize(0)


def test_replays_draw_new_numbers():
    own = fb.Generator(device=DEVICE)

    def work():
        x = fb.rand(5, device=DEVICE)
        y = fb.nn.functional.dropout(fb.ones(100, device=DEVICE), 0.5)
        return x, y, fb.randn(4, device=DEVICE, generator=own)

    graph = Recorded(work)
    fb.manual_seed(7)
    own.manual_seed(8)
    seen = []
    for _ in range(3):
        graph.replay()
        seen.append([t.cpu() for t in graph.out])
    after = fb.rand(2, device=DEVICE)
    fb.manual_seed(7)
    own.manual_seed(8)
    for got in seen:
        for a, b in zip(got, work()):
            assert equal(a, b.cpu())
    assert equal(after, fb.rand(2, device=DEVICE))


def test_recording_leaves_the_stream_where_it_was():
    fb.manual_seed(7)
    a = fb.rand(3, device=DEVICE)
    fb.manual_seed(7)
    Recorded(lambda: fb.rand(5, device=DEVICE))
    assert equal(fb.rand(3, device=DEVICE), a)


def test_what_the_host_draws_cannot_be_recorded():
    def work():
        with pytest.raises(NotImplementedError, match="randperm"):
            fb.randperm(5, device=DEVICE)
        with pytest.raises(NotImplementedError, match="poisson"):
            fb.poisson(rates)

    rates = fb.ones(3, device=DEVICE)
    Recorded(work)


def test_init_and_composites():
    def weight(d):
        w = fb.empty(6, 4, device=d)
        fb.nn.init.kaiming_uniform_(w)
        return w

    a, b = drawn(weight)
    np.testing.assert_allclose(b, a, rtol=1e-6)
    for init in ("xavier_normal_", "orthogonal_", "trunc_normal_"):
        a, b = drawn(lambda d: getattr(fb.nn.init, init)(fb.empty(6, 4, device=d)))
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
