"""Reductions, scans, softmax, norms and losses on a GPU, in layouts and sizes of their own."""

import numpy as np
import pytest

from cuda_support import DEVICE, needs_cuda
from under_test import fb

pytestmark = needs_cuda
RNG = np.random.default_rng(7)


def both(*shape, dtype=np.float32):
    a = RNG.standard_normal(shape).astype(dtype)
    return a, fb.tensor(a).to(DEVICE)


def close(got, want, tol=2e-6):
    got = got.detach().cpu().numpy()
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol * max(1, np.abs(want).max()))


# one output in parts, rows in parts, columns in parts, narrow columns, odd lengths, both in turn
SHAPES = [
    ((50_001,), 0),
    ((3, 20_000), 1),
    ((20_000, 3), 0),
    ((5000, 7), 0),
    ((40, 130, 6), 1),
    ((64, 33), 1),
    ((2, 3000, 5), (0, 2)),
    ((4, 3, 64), (0, 2)),
    ((700, 1, 9), (1,)),
]


@pytest.mark.parametrize("shape, dim", SHAPES, ids=str)
def test_reductions_in_all_shapes(shape, dim):
    a, t = both(*shape)
    wide = a.astype(np.float64)
    close(t.sum(dim), wide.sum(dim), 2e-5)
    close(t.amax(dim), a.max(dim))
    var, mean = fb.var_mean(t, dim)
    dim_size = wide.size // wide.sum(dim).size
    if dim_size > 1:
        close(var, wide.var(dim, ddof=1), 1e-5)
    close(mean, wide.mean(dim), 1e-5)
    if isinstance(dim, int):
        assert (t.argmin(dim).cpu().numpy() == a.argmin(dim)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_summed_in_float(dtype):
    t = fb.full((3, 5001), 1.0, dtype=getattr(fb, dtype), device=DEVICE)
    assert t.sum(1, dtype=fb.float32).tolist() == [5001.0] * 3
    assert t.sum(1).tolist() == fb.full((3,), 5001.0).to(t.dtype).tolist()
    assert t.mean().item() == 1.0


def test_views_that_start_and_step_anywhere():
    a, t = both(67, 41)
    for cut in [np.s_[1:, 3:], np.s_[::2, 1:], np.s_[:, ::3], np.s_[5:6, 7:], np.s_[1:, :1]]:
        v, w = t[cut], a[cut]
        for dim in (0, 1):
            close(v.sum(dim), w.sum(dim), 1e-5)
            close(v.transpose(0, 1).amin(dim), w.T.min(dim))
            close(fb.softmax(v, dim), softmax(w, dim), 1e-5)
            close(v.cumsum(dim), w.cumsum(dim), 1e-5)
    close(t[:, None].expand(67, 5, 41).sum((0, 1)), 5 * a.sum(0), 1e-5)


def softmax(a, dim):
    e = np.exp(a.astype(np.float64) - a.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


def test_first_of_equal_extremes_and_nan_over_parts():
    t = fb.zeros(60_000, device=DEVICE)
    assert t.argmax().item() == 0
    t[41_234] = float("nan")
    t[50_000] = float("nan")
    assert t.argmax().item() == 41_234
    assert np.isnan(t.max().item())
    t = fb.zeros(9, 30, device=DEVICE)
    values, at = t.max(0)
    assert at.tolist() == [0] * 30


def test_variance_far_from_zero():
    a = (1e4 + RNG.standard_normal(40_000)).astype(np.float32)
    close(fb.tensor(a).to(DEVICE).var(), a.astype(np.float64).var(ddof=1), 1e-4)


@pytest.mark.parametrize("n", [1, 31, 100, 1000, 4096, 16_384, 20_001])
def test_softmax_and_norm_of_rows_of_any_length(n):
    a, t = both(3, n)
    close(fb.softmax(t, 1), softmax(a, 1), 1e-5)
    close(fb.log_softmax(t, 1), np.log(softmax(a, 1)), 1e-5)
    wide = a.astype(np.float64)
    want = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    close(fb.nn.functional.layer_norm(t, (n,)), want, 1e-5)


def on_both(fn, *arrays):
    """Values and gradients of fn on the host and on the GPU."""
    results = []
    for device in ("cpu", DEVICE):
        leaves = [fb.tensor(a).to(device).requires_grad_() for a in arrays]
        y = fn(*leaves)
        weights = fb.linspace(-1, 2, y.numel()).reshape(y.shape).to(device)
        (y * weights).sum().backward()
        results.append([y] + [x.grad for x in leaves])
    for host, gpu in zip(*results):
        close(gpu, host.detach().numpy(), 2e-5)


F = fb.nn.functional
GRADIENTS = {
    "softmax": (lambda x: fb.softmax(x, 1), (3, 500)),
    "softmax_columns": (lambda x: fb.softmax(x, 0), (300, 5)),
    "log_softmax_long": (lambda x: fb.log_softmax(x, 1), (2, 17_000)),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (36,), w, b), (300, 36), (36,), (36,)),
    "layer_norm_long": (lambda x, w, b: F.layer_norm(x, (17_000,), w, b), (2, 17_000))
    + ((17_000,), (17_000,)),
    "rms_norm": (lambda x, w: F.rms_norm(x, (33,), w), (5, 33), (33,)),
    "batch_norm_rows": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (200, 12))
    + ((12,), (12,)),
    "batch_norm_planes": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (4, 3, 7, 8))
    + ((3,), (3,)),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (3, 6, 5, 7), (6,), (6,)),
    "group_norm_flat": (lambda x, w, b: F.group_norm(x, 3, w, b), (4, 6), (6,), (6,)),
    "mse_loss": (lambda a, b: F.mse_loss(a, b), (9000,), (9000,)),
    "huber_loss": (lambda a, b: F.huber_loss(a, b, reduction="none", delta=0.7), (41,), (41,)),
    "smooth_l1": (lambda a, b: F.smooth_l1_loss(a, b, beta=0.5), (11, 3), (11, 3)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_match_the_host(name):
    fn, *shapes = GRADIENTS[name]
    rng = np.random.default_rng(
        7
    )  # its own: a group of two equal numbers has no gradient to compare
    on_both(fn, *(rng.standard_normal(s).astype(np.float32) for s in shapes))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("classes", [10, 16, 5000])
def test_cross_entropy(classes, reduction):
    target = RNG.integers(0, classes, 37)
    target[::5] = -100
    weight = RNG.random(classes).astype(np.float32)

    def loss(x):
        to = {"device": x.device}
        t, w = fb.tensor(target, **to), fb.tensor(weight, **to)
        return F.cross_entropy(x, t, w, reduction=reduction)

    on_both(loss, RNG.standard_normal((37, classes)).astype(np.float32))


def test_nll_loss_of_many_positions():
    target = RNG.integers(0, 3, (2, 9000))
    target[:, ::7] = 1

    def loss(x):
        t = fb.tensor(target, device=x.device)
        return F.nll_loss(x, t, ignore_index=1)

    on_both(loss, RNG.standard_normal((2, 3, 9000)).astype(np.float32))


def test_running_statistics_stay_on_the_gpu():
    a, t = both(6, 4, 5)
    mean, var = fb.zeros(4, device=DEVICE), fb.ones(4, device=DEVICE)
    F.batch_norm(t, mean, var, training=True, momentum=0.25)
    close(mean, 0.25 * a.mean((0, 2)), 1e-5)
    close(var, 0.75 + 0.25 * a.var((0, 2), ddof=1), 1e-5)
    scale = 1 / np.sqrt(var.cpu().numpy() + 1e-5)
    want = (a - mean.cpu().numpy()[:, None]) * scale[:, None]
    close(F.batch_norm(t, mean, var), want, 1e-5)


@pytest.mark.parametrize("shape, dim", [((70_000,), 0), ((3, 5001), 1), ((3000, 4), 0)], ids=str)
def test_scans_in_chunks(shape, dim):
    a, t = both(*shape)
    close(t.cumsum(dim), a.astype(np.float64).cumsum(dim), 1e-5)
    close(t.logcumsumexp(dim), np.logaddexp.accumulate(a.astype(np.float64), dim), 1e-5)
    values, at = t.cummax(dim)
    close(values, np.maximum.accumulate(a, dim))
    assert (at.cpu() == fb.tensor(a).cummax(dim)[1]).all().item()
    signs = fb.tensor(np.sign(a)).to(DEVICE)
    assert (signs.cumprod(dim).cpu().numpy() == np.sign(a).cumprod(dim)).all()
