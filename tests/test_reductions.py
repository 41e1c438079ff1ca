"""Kernels over rows and columns, at the sizes where they change their way: against NumPy."""

import numpy as np
import pytest

import flambeau as fb

F = fb.nn.functional
SIZES = [1, 2, 7, 8, 9, 16, 24, 25, 31, 33, 100, 1000, 5003]


def numbers(*shape, scale=1.0, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * np.float32(scale)


def close(got, want, rtol=2e-6, atol=2e-6):
    got = got.detach().numpy() if isinstance(got, fb.Tensor) else got
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol, equal_nan=True)


def log_softmax(x, axis):
    x = x.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = x - x.max(axis, keepdims=True)
        return x - np.log(np.exp(x).sum(axis, keepdims=True))


def with_threads(f):
    before = fb.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            fb.set_num_threads(n)
            results.append(f().numpy())
    finally:
        fb.set_num_threads(before)
    for r in results[1:]:
        np.testing.assert_array_equal(results[0], r)
    return results[0]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_rows_and_columns(n, scale, dtype):
    rows = 67 if n < 1000 else 3
    for shape, axis in (((rows, n), 1), ((n, rows), 0), ((2, n, 5), 1)):
        x = numbers(*shape, scale=scale).astype(dtype)
        want = log_softmax(x, axis)
        t = fb.tensor(x, requires_grad=True)
        tol = dict(rtol=3e-5 if scale > 1 else 4e-6, atol=1e-6 * max(scale, 1))
        y = F.log_softmax(t, axis)
        close(y, want, **tol)
        close(F.softmax(t, axis), np.exp(want), rtol=2e-4 if scale > 1 else 4e-6, atol=1e-7)
        lse = x.astype(np.float64).max(axis) - log_softmax(x, axis).max(axis)
        close(fb.logsumexp(t, axis), lse, **tol)
        g = numbers(*shape, seed=1).astype(dtype)
        (d,) = fb.autograd.grad(y, t, fb.tensor(g))
        close(d, g - np.exp(want) * g.sum(axis, keepdims=True, dtype=np.float64), 1e-4, 1e-4)
        p = np.exp(want)
        (d,) = fb.autograd.grad(F.softmax(t, axis), t, fb.tensor(g))
        close(d, (g - (g * p).sum(axis, keepdims=True)) * p, 1e-4, 1e-5)
        (d,) = fb.autograd.grad(fb.logsumexp(t, axis).sum(), t)
        close(d, p, 2e-4 if scale > 1 else 1e-5, 1e-6)


@pytest.mark.parametrize("n", [3, 8, 40, 300])
def test_softmax_keeps_infinities_and_nan(n):
    inf, nan = np.inf, np.nan
    for special in ([-inf], [inf], [nan], [-inf, inf], [-inf, nan], [inf, nan]):
        for start in (0, 1):
            x = numbers(4, n)
            x[1, start : start + len(special)] = special[: n - start]
            x[2] = special[0]
            for t, axis in ((fb.tensor(x), 1), (fb.tensor(x.T.copy()), 0)):
                want = log_softmax(x, 1)
                got = F.softmax(t, axis)
                close(got if axis else got.t(), np.exp(want))
                with np.errstate(invalid="ignore"):
                    lse = np.logaddexp.reduce(x.astype(np.float64), 1)
                close(fb.logsumexp(t, axis), lse)


@pytest.mark.parametrize("c", [2, 10, 24, 25, 300])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(c, reduction):
    x, w = numbers(203, c, scale=5), np.abs(numbers(c, seed=2)) + 0.1
    target = np.random.default_rng(3).integers(0, c, 203)
    target[5] = 1
    t = fb.tensor(x, requires_grad=True)
    loss = F.cross_entropy(t, fb.tensor(target), fb.tensor(w), ignore_index=1, reduction=reduction)
    k = np.where(target == 1, 0, w[target])
    each = -log_softmax(x, 1)[np.arange(203), target] * k
    total = {"mean": k.sum(), "sum": 1, "none": 1}[reduction]
    close(loss, each if reduction == "none" else each.sum() / total, 1e-5, 1e-5)
    loss.sum().backward()
    want = np.exp(log_softmax(x, 1))
    want[np.arange(203), target] -= 1
    close(t.grad, want * k[:, None] / total, 1e-4, 1e-5)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm_backward(n, affine):
    x, g = numbers(131, n), numbers(131, n, seed=1)
    w, b = (numbers(n, seed=2), numbers(n, seed=3)) if affine else (None, None)
    leaves = [fb.tensor(v, requires_grad=True) for v in (x, w, b) if v is not None]
    y = F.layer_norm(leaves[0], (n,), *leaves[1:])
    y.backward(fb.tensor(g))
    x = x.astype(np.float64)
    r = 1 / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    xh = (x - x.mean(1, keepdims=True)) * r
    gw = g * w if affine else g
    want = r * (gw - gw.mean(1, keepdims=True) - xh * (gw * xh).mean(1, keepdims=True))
    close(leaves[0].grad, want, 1e-4, 2e-5 if n > 2 else 2e-2)
    if affine and n > 2:
        close(leaves[1].grad, (g * xh).sum(0), 1e-4, 1e-4)
        close(leaves[2].grad, g.sum(0, dtype=np.float64), 1e-4, 1e-4)


@pytest.mark.parametrize("shape", [(70, 5), (513, 130), (300, 600), (4, 6, 7, 3), (2, 3, 50)])
def test_batch_norm_backward(shape):
    x, g, w = numbers(*shape), numbers(*shape, seed=1), numbers(shape[1], seed=2)
    t, u = fb.tensor(x, requires_grad=True), fb.tensor(w, requires_grad=True)
    F.batch_norm(t, None, None, u, training=True).backward(fb.tensor(g))
    axes = (0, *range(2, len(shape)))
    wide = (1, -1) + (1,) * (len(shape) - 2)
    x = x.astype(np.float64)
    r = 1 / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    xh = (x - x.mean(axes, keepdims=True)) * r
    want = g - g.mean(axes, keepdims=True) - xh * (g * xh).mean(axes, keepdims=True)
    close(t.grad, want * r * w.reshape(wide), 1e-4, 2e-5)
    close(u.grad, (g * xh).sum(axes), 1e-4, 1e-4)


@pytest.mark.parametrize("shape", [(3, 4), (1000,), (130, 300), (70000,)])
def test_losses_of_probabilities(shape):
    x, t = numbers(*shape, scale=8), 1 / (1 + np.exp(-numbers(*shape, seed=1)))
    p = 1 / (1 + np.exp(-x.astype(np.float64)))
    a = fb.tensor(x, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(a, fb.tensor(t))
    close(loss, np.mean(np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x.astype(np.float64))))))
    loss.backward()
    close(a.grad, (p - t) / x.size, 1e-4, 1e-9)
    q = np.clip(p.astype(np.float32), 1e-4, 1 - 1e-4)
    b = fb.tensor(q, requires_grad=True)
    d = q.astype(np.float64)
    loss = F.binary_cross_entropy(b, fb.tensor(t), reduction="sum")
    close(loss, -(t * np.log(d) + (1 - t) * np.log1p(-d)).sum(), 1e-4)
    loss.backward()
    close(b.grad, (d - t) / (d * (1 - d)), 1e-3, 1e-4)


def test_probabilities_outside_their_range_are_refused():
    for bad in (-0.1, 1.5):
        for reduction in ("mean", "none"):
            with pytest.raises(RuntimeError, match="between 0 and 1"):
                F.binary_cross_entropy(fb.tensor([0.5, bad]), fb.zeros(2), reduction=reduction)
    ends = F.binary_cross_entropy(fb.tensor([0.0, 1.0]), fb.tensor([1.0, 0.0]), reduction="none")
    assert ends.tolist() == [100.0, 100.0]


@pytest.mark.parametrize("op", ["cumsum", "cumprod", "cummax", "cummin"])
@pytest.mark.parametrize(
    "shape", [(1,), (5,), (31, 9), (3, 140, 5), (2, 1003), (200001,), (2, 140000)]
)
def test_scans(op, shape):
    x = numbers(*shape)
    if op == "cumprod":
        x = np.exp(x * 0.01).astype(np.float32)
    for axis in range(len(shape)):
        got = with_threads(lambda a=axis: _first(getattr(fb, op)(fb.tensor(x), a)))
        f = {"cumsum": np.cumsum, "cumprod": np.cumprod, "cummax": np.maximum.accumulate,
             "cummin": np.minimum.accumulate}[op]  # fmt: skip
        close(got, f(x.astype(np.float64), axis=axis), 2e-6, 2e-5)
    if op == "cumsum":
        i = (x * 100).astype(np.int64)
        assert (fb.cumsum(fb.tensor(i), -1).numpy() == i.cumsum(-1)).all()


def _first(r):
    return r if isinstance(r, fb.Tensor) else r[0]


def test_cumsum_is_wider_than_its_elements():
    x = fb.tensor([1e8, 1.0, -1e8, 1.0])
    assert fb.cumsum(x, 0).tolist() == [1e8, 1e8, 1.0, 2.0]


def test_cummax_with_nan_and_ties():
    x = fb.tensor([1.0, 3.0, 3.0, float("nan"), 9.0, float("nan")])
    values, at = fb.cummax(x, 0)
    assert at.tolist() == [0, 1, 2, 3, 3, 5] and values[3:].isnan().all()


@pytest.mark.parametrize("n", [1, 5, 15, 16, 100, 255, 256, 257, 1000, 5000])
def test_positions_of_extremes(n):
    x = np.round(numbers(37, n) * 10) / 10  # with ties
    t = fb.tensor(x)
    assert (fb.argmax(t, 1).numpy() == x.argmax(1)).all()
    assert (fb.argmin(t, 1).numpy() == x.argmin(1)).all()
    assert (fb.argmax(t, 0).numpy() == x.argmax(0)).all()
    x[3, n // 2] = np.nan
    x[4, n // 3 :] = np.nan
    assert (fb.argmax(fb.tensor(x), 1).numpy() == x.argmax(1)).all()
    i = (x[:3] * 10).astype(np.int32)
    assert (fb.argmax(fb.tensor(i), 1).numpy() == i.argmax(1)).all()


@pytest.mark.parametrize("shape", [(1, 3), (33, 600), (1000, 7), (4, 65, 9), (70, 513)])
def test_variance_over_columns(shape):
    x = numbers(*shape) + np.float32(100)
    x[0] += 1000  # the first row is far from the others
    if shape[0] > 1:
        close(fb.var(fb.tensor(x), 0), x.astype(np.float64).var(0, ddof=1), 2e-5)
    close(fb.var(fb.tensor(x), -1), x.astype(np.float64).var(-1, ddof=1), 2e-4, 1e-6)


@pytest.mark.parametrize("n", [1, 2, 9, 16, 17, 32, 33, 200])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bfloat16"])
def test_short_rows_are_sorted_stably(n, dtype):
    x = fb.tensor(np.round(numbers(50, n) * 3) + 20).to(getattr(fb, dtype))
    if x.is_floating_point():
        x[3, n // 2] = float("nan")
        x[4] = -0.0
        x[4, n // 2] = 0.0
    a = x.double().numpy()
    for descending in (False, True):
        values, at = x.sort(1, descending=descending)
        key = -a if descending else a
        want = np.argsort(key, 1, kind="stable")
        if descending and x.is_floating_point():  # NaN counts as the largest
            want[3] = np.concatenate([want[3][-1:], want[3][:-1]])
        assert (at.numpy() == want).all()
        got = values.double().numpy()
        np.testing.assert_array_equal(got, np.take_along_axis(a, want, 1))


@pytest.mark.parametrize("k", [1, 5, 64, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_topk_of_long_rows(k, dtype):
    x = np.round(numbers(6, 3000) * 1000).astype(dtype)
    for largest in (True, False):
        values, at = fb.topk(fb.tensor(x), k, largest=largest)
        want = np.argsort(-x if largest else x, 1, kind="stable")[:, :k]
        assert (at.numpy() == want).all()
        assert (values.numpy() == np.take_along_axis(x, want, 1)).all()


def test_cat_of_nothing_in_another_layout():
    x = fb.zeros(2, 3, 0).permute(2, 0, 1)
    assert fb.cat([x, x], 1).shape == (0, 4, 3)


@pytest.mark.parametrize("n", [100000, 150001])
def test_long_rows_are_sorted_stably_for_any_number_of_threads(n):
    x = np.round(numbers(n) * 1000) / 1000
    for a in (x, x.astype(np.float64) * np.pi, (x * 1000).astype(np.int64), np.full(n, 2.0)):
        got = with_threads(lambda a=a: fb.tensor(a).sort()[1])
        assert (got == np.argsort(a, kind="stable")).all()
        down = fb.tensor(a).sort(descending=True)[1].numpy()
        assert (down == np.argsort(-a, kind="stable")).all()


@pytest.mark.parametrize("n", [1, 100, 40000, 200001])
def test_counts_and_runs(n):
    x = np.random.default_rng(n).integers(0, 70, n)
    assert (fb.bincount(fb.tensor(x)).numpy() == np.bincount(x)).all()
    x = np.sort(x)[::-1].copy()
    runs = fb.unique_consecutive(fb.tensor(x))
    assert (runs.numpy() == np.unique(x)[::-1]).all()
    with pytest.raises(RuntimeError, match="negative"):
        fb.bincount(fb.tensor(np.append(x, -1)))


@pytest.mark.parametrize("p", [0.0, 1.0, 1.5, 2.0, 3.0, np.inf])
def test_distances(p):
    a, b = numbers(2, 7, 13), numbers(2, 30, 13, seed=1)
    if p not in (1.5, 3.0):  # whose slow form has no gradient there
        b[0, 0] = a[0, 0]
    x, y = fb.tensor(a, requires_grad=True), fb.tensor(b, requires_grad=True)
    d = a[:, :, None].astype(np.float64) - b[:, None]
    got = fb.cdist(x, y, p=p, compute_mode="donot_use_mm_for_euclid_dist")
    close(got, np.linalg.norm(d, p, axis=-1), 2e-6, 1e-6)
    got.sum().backward()
    slow = fb.linalg.vector_norm(x.detach().double().unsqueeze(2) - y.detach().unsqueeze(1), p, -1)
    close(got, slow.numpy(), 1e-5, 1e-5)
    u, v = (t.detach().double().requires_grad_() for t in (x, y))
    fb.linalg.vector_norm(u.unsqueeze(2) - v.unsqueeze(1), p, -1).sum().backward()
    close(x.grad, u.grad.numpy(), 1e-4, 1e-5)
    close(y.grad, v.grad.numpy(), 1e-4, 1e-5)
    i, j = np.triu_indices(30, 1)
    w = fb.tensor(b[1], requires_grad=True)
    got = fb.pdist(w, p)
    close(got, np.linalg.norm((b[1, i] - b[1, j]).astype(np.float64), p, axis=-1), 2e-6, 1e-6)
    got.sum().backward()
    z = fb.tensor(b[1].astype(np.float64), requires_grad=True)
    fb.cdist(z, z, p=p, compute_mode="donot_use_mm_for_euclid_dist").triu(1).sum().backward()
    close(w.grad, z.grad.numpy(), 1e-4, 1e-5)


@pytest.mark.parametrize("n", [*SIZES, 4097, 70_000])
def test_sums_of_bfloat16(n):
    rows = 67 if n < 1000 else 3
    t = fb.tensor(numbers(rows, 2 * n)).bfloat16()
    for x in (t[:, :n].contiguous(), t[:, :n], t[:, ::2], t[:, 1::2]):
        exact = x.double().numpy()
        close(x.sum(1).float(), exact.sum(1), 2**-8, 1e-3)
        close(x.mean(1, dtype=fb.float32), exact.mean(1), 2e-6, 2e-6)
        close(x.sum(dtype=fb.float32), exact.sum(), 2e-6, 1e-3)
    u = t[:, :n].contiguous()
    u[0, n // 2], u[1, n - 1], u[2, 0] = float("inf"), float("nan"), float("-inf")
    got = u.sum(1).float().numpy()
    assert got[0] == np.inf
    assert np.isnan(got[1])
    assert got[2] == -np.inf


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bfloat16", "complex64"])
@pytest.mark.parametrize("shape", [(37, 10, 50, 33), (16, 3, 300, 100), (8, 1, 400, 170)])
def test_sums_of_channels(shape, dtype):
    a = fb.tensor(numbers(*shape) * 3).to(getattr(fb, dtype))
    for x in (a, a[:, :, 1:], a[:, -1:], a[::2]):
        exact = x.to(fb.complex128 if dtype == "complex64" else fb.float64).numpy()
        tolerance = 2**-8 if dtype == "bfloat16" else 2e-6
        got = x.sum((0, 2, 3)).to(fb.complex128 if dtype == "complex64" else fb.float64)
        close(got, exact.sum((0, 2, 3)), tolerance, 1e-2)
        if dtype in ("float32", "float64"):
            close(x.mean((0, 2, 3)), exact.mean((0, 2, 3)), tolerance, 1e-6)
            close(x.var((0, 2, 3)), exact.var((0, 2, 3), ddof=1), 1e-5, 1e-5)
            close(x.amax((0, 2, 3)), exact.max((0, 2, 3)), 0, 0)
    if dtype == "float32":
        a[1, 0, 7, 9] = float("nan")
        assert np.isnan(a.sum((0, 2, 3)).numpy()).tolist() == [True] + [False] * (shape[1] - 1)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128"])
def test_every_second_element_is_copied_and_summed(dtype):
    for n in SIZES:
        a = np.arange(5 * 2 * n).reshape(5, 2 * n).astype(dtype)
        for x, want in ((fb.tensor(a)[:, ::2], a[:, ::2]), (fb.tensor(a)[:, 1::2], a[:, 1::2])):
            np.testing.assert_array_equal(x.contiguous().numpy(), want)
            close(x.sum(1), want.sum(1))
