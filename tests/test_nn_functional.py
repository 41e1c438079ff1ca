"""Functions of images and vectors against NumPy and SciPy: padding, resizing, sampling, more."""

import itertools

import numpy as np
import pytest

from under_test import IS_TORCH, fb, submodule

F = submodule("nn.functional")


def t(a):
    return fb.tensor(np.asarray(a), dtype=fb.float64)


def close(got, want, tol=1e-9):
    assert tuple(got.shape) == np.shape(want)
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=tol, atol=tol)


# ---- padding and rearranging


@pytest.mark.parametrize(
    "mode, numpy_mode",
    [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")],
)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_pad(mode, numpy_mode, n, rng):
    x = rng.normal(size=(2, 3, 4, 5, 6)[: n + 2])
    sides = [(1, 2), (0, 3), (2, 1)][:n]
    flat = [s for side in sides for s in side]
    widths = [(0, 0)] * 2 + [sides[n - 1 - i] for i in range(n)]
    close(F.pad(t(x), flat, mode=mode), np.pad(x, widths, mode=numpy_mode))


def test_pad_crops_fills_and_refuses():
    x = fb.arange(6.0).reshape(2, 3)
    assert F.pad(x, (-1, 1), value=9.0).tolist() == [[1, 2, 9], [4, 5, 9]]
    assert F.pad(x, (-1, 1), mode="replicate").tolist() == [[1, 2, 2], [4, 5, 5]]
    for bad, kind in [
        (lambda: F.pad(x, (1,)), RuntimeError),
        (lambda: F.pad(x, (3, 3), mode="reflect"), RuntimeError),
        (lambda: F.pad(x, (4, 0), mode="circular"), RuntimeError),
        (lambda: F.pad(x, (1, 1), mode="mirror"), NotImplementedError),
        (lambda: F.pad(x[0], (1, 1), mode="reflect"), NotImplementedError),
    ]:
        with pytest.raises(kind):
            bad()


def test_unfold_and_fold(rng):
    x = rng.normal(size=(2, 3, 6, 7))
    options = dict(kernel_size=(3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1))
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0)])
    rows, cols = range(0, 6, 2), range(5)
    blocks = [padded[:, :, i : i + 3, j : j + 3 : 2].reshape(2, -1) for i in rows for j in cols]
    got = F.unfold(t(x), **options)
    close(got, np.stack(blocks, -1))
    v = rng.normal(size=tuple(got.shape))
    back = F.fold(t(v), output_size=(6, 7), **options)
    assert float((got * t(v)).sum()) == pytest.approx(float((t(x) * back).sum()))  # the adjoint
    with pytest.raises(RuntimeError):
        F.fold(t(v[..., :-1]), output_size=(6, 7), **options)
    with pytest.raises(RuntimeError):
        F.unfold(t(x), 9)


def test_shuffles(rng):
    x = rng.normal(size=(2, 8, 3, 4))
    want = np.empty((2, 2, 6, 8))
    for c, i, j in itertools.product(range(2), range(2), range(2)):
        want[:, c, i::2, j::2] = x[:, c * 4 + i * 2 + j]
    close(F.pixel_shuffle(t(x), 2), want)
    close(F.pixel_unshuffle(t(want), 2), x)
    close(F.channel_shuffle(t(x), 2), x[:, [0, 4, 1, 5, 2, 6, 3, 7]])
    with pytest.raises(RuntimeError):
        F.pixel_shuffle(t(x), 3)


# ---- resizing


def corners(size, out, align):
    i = np.arange(out)
    if align:
        return i * (size - 1) / max(out - 1, 1)
    return np.clip((i + 0.5) * size / out - 0.5, 0, None)


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("mode, n", [("linear", 1), ("bilinear", 2), ("trilinear", 3)])
def test_linear_resizing(mode, n, align, rng):
    x = rng.normal(size=(2, 3, 5, 6, 4)[: n + 2])
    out = (8, 3, 4)[:n]
    want = x
    for i in range(n):
        size = x.shape[2 + i]
        at = corners(size, out[i], align)
        want = np.apply_along_axis(lambda v: np.interp(at, np.arange(len(v)), v), 2 + i, want)
    close(F.interpolate(t(x), out, mode=mode, align_corners=align), want)


def test_nearest_resizing():
    x = t(np.arange(5.0)).reshape(1, 1, 5)
    assert F.interpolate(x, 7).flatten().tolist() == [0, 0, 1, 2, 2, 3, 4]
    exact = F.interpolate(x, 7, mode="nearest-exact").flatten().tolist()
    assert exact == [0, 1, 1, 2, 3, 3, 4]
    assert F.interpolate(x, scale_factor=0.5).flatten().tolist() == [0, 2]
    assert F.interpolate(x, 5).tolist() == x.tolist()


def test_bicubic_reproduces_cubics_and_area_averages(rng):
    grid = np.arange(12.0)
    x = np.broadcast_to(grid**2, (1, 1, 12, 12))
    y = F.interpolate(t(x), (12, 23), mode="bicubic", align_corners=True)[0, 0, 5]
    want = (np.arange(23) / 2) ** 2
    assert np.abs(y.numpy() - want)[4:-4].max() < 0.2  # a = -0.75 is not exact on squares
    line = np.broadcast_to(grid, (1, 1, 12, 12))
    y = F.interpolate(t(line), (12, 23), mode="bicubic", align_corners=True)[0, 0, 5]
    np.testing.assert_allclose(y.numpy()[4:-4], np.arange(23)[4:-4] / 2)
    z = rng.normal(size=(1, 2, 6, 4))
    mean = z.reshape(1, 2, 3, 2, 2, 2).mean((3, 5))
    close(F.interpolate(t(z), (3, 2), mode="area"), mean)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiased_resizing_keeps_constants_and_means(mode, rng):
    x = rng.normal(size=(1, 1, 24, 24))
    ones = F.interpolate(t(np.ones_like(x)), (7, 9), mode=mode, antialias=True)
    close(ones, np.ones((1, 1, 7, 9)))
    wave = np.cos(np.pi * np.arange(24))  # the highest frequency must go
    flat = F.interpolate(t(np.broadcast_to(wave, x.shape)), (24, 6), mode=mode, antialias=True)
    assert np.abs(flat.numpy()).max() < 0.2


@pytest.mark.parametrize(
    "options, kind",
    [
        ({}, ValueError),
        ({"size": 2, "scale_factor": 2}, ValueError),
        ({"size": (2,), "mode": "bilinear"}, ValueError),
        ({"size": 2, "mode": "linear"}, NotImplementedError),
        ({"size": 2, "mode": "cubic"}, NotImplementedError),
        ({"size": 2, "align_corners": True}, ValueError),
        ({"size": 2, "antialias": True}, ValueError),
    ],
)
def test_resizing_refuses(options, kind):
    with pytest.raises(kind):
        F.interpolate(fb.zeros(1, 1, 4, 4), **options)


# ---- sampling


def test_affine_identity_samples_the_image(rng):
    x = t(rng.normal(size=(2, 3, 5, 6)))
    theta = t([[[1, 0, 0], [0, 1, 0]]] * 2)
    for align in (True, False):
        grid = F.affine_grid(theta, x.shape, align_corners=align)
        for mode in ("bilinear", "nearest", "bicubic"):
            close(F.grid_sample(x, grid, mode=mode, align_corners=align), x.numpy())
    flip = t([[[-1, 0, 0], [0, 1, 0]]] * 2)
    grid = F.affine_grid(flip, x.shape, align_corners=False)
    close(F.grid_sample(x, grid, align_corners=False), x.numpy()[..., ::-1])
    volume = t(rng.normal(size=(1, 2, 3, 4, 5)))
    grid = F.affine_grid(t([np.eye(3, 4)]), volume.shape, align_corners=True)
    close(F.grid_sample(volume, grid, align_corners=True), volume.numpy())


def test_grid_sample_blends_and_pads():
    x = t(np.arange(6.0)).reshape(1, 1, 2, 3)

    def at(px, py, **options):
        grid = t([px - 1, py * 2 - 1]).reshape(1, 1, 1, 2)  # pixel coordinates, corners aligned
        return F.grid_sample(x, grid, align_corners=True, **options).item()

    assert at(1.25, 0.5) == pytest.approx(0.5 * 1.25 + 0.5 * 4.25)
    assert at(2.5, 0.0) == pytest.approx(1.0)  # half of 2, half of the zeros outside
    assert at(9.0, 0.0) == 0
    assert at(9.0, 1.0, padding_mode="border") == 5
    assert at(2.5, 0.0, padding_mode="reflection") == pytest.approx(1.5)
    assert at(1.4, 0.8, mode="nearest") == 4
    with pytest.raises(RuntimeError):
        F.grid_sample(x, fb.zeros(2, 1, 1, 2), align_corners=True)
    with pytest.raises(ValueError):
        F.grid_sample(x, fb.zeros(1, 1, 1, 2), mode="cubic", align_corners=True)


# ---- vectors and classes


def test_one_hot():
    y = F.one_hot(fb.tensor([[0, 2], [1, 1]]))
    assert y.tolist() == np.eye(3, dtype=int)[[[0, 2], [1, 1]]].tolist() and y.dtype == fb.int64
    assert tuple(F.one_hot(fb.tensor([0]), 5).shape) == (1, 5)
    for bad in (lambda: F.one_hot(fb.tensor([2]), 2), lambda: F.one_hot(fb.tensor([-1]))):
        with pytest.raises(RuntimeError):
            bad()
    with pytest.raises(RuntimeError):
        F.one_hot(fb.tensor([1.0]))


def test_distances(rng):
    from scipy.spatial.distance import cosine, pdist

    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    close(F.cosine_similarity(t(x), t(y)), [1 - cosine(a, b) for a, b in zip(x, y)])
    close(F.pairwise_distance(t(x), t(y), p=1, eps=0.0), np.abs(x - y).sum(1))
    for p in (1, 2, 3):
        close(F.pdist(t(x), p), pdist(x, "minkowski", p=p))
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    close(F.normalize(t(x)), x / norms)
    assert F.normalize(fb.zeros(1, 3)).tolist() == [[0, 0, 0]]


def test_activations_by_their_formulas(rng):
    x = rng.normal(size=50) * 3
    a = t(x)
    sig = 1 / (1 + np.exp(-x))
    for got, want in [
        (F.relu(a), np.maximum(x, 0)),
        (F.relu6(a), np.clip(x, 0, 6)),
        (F.elu(a, 0.7), np.where(x > 0, x, 0.7 * np.expm1(x))),
        (F.celu(a, 1.3), np.where(x > 0, x, 1.3 * np.expm1(x / 1.3))),
        (F.leaky_relu(a, 0.2), np.where(x > 0, x, 0.2 * x)),
        (F.hardtanh(a, -0.5, 2.0), np.clip(x, -0.5, 2)),
        (F.hardsigmoid(a), np.clip(x / 6 + 0.5, 0, 1)),
        (F.hardswish(a), x * np.clip(x / 6 + 0.5, 0, 1)),
        (F.silu(a), x * sig),
        (F.mish(a), x * np.tanh(np.log1p(np.exp(x)))),
        (F.softsign(a), x / (1 + np.abs(x))),
        (F.tanhshrink(a), x - np.tanh(x)),
        (F.threshold(a, 0.1, 7.0), np.where(x > 0.1, x, 7)),
        (F.softplus(a, 2.0), np.log1p(np.exp(2 * x)) / 2),
        (F.logsigmoid(a), np.log(sig)),
        (F.softshrink(a), np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
        (F.hardshrink(a), np.where(np.abs(x) > 0.5, x, 0)),
        (F.rrelu(a, 0.1, 0.3), np.where(x > 0, x, 0.2 * x)),
        (F.glu(a), x[:25] / (1 + np.exp(-x[25:]))),
        (F.softmin(a, 0), np.exp(-x) / np.exp(-x).sum()),
    ]:
        close(got, want)


@pytest.mark.parametrize("name", "relu relu6 elu selu celu leaky_relu hardtanh silu mish".split())
def test_in_place_activations_write_into_their_input(name, rng):
    x = rng.normal(size=20)
    a = t(x)
    want = getattr(F, name)(a).tolist()
    result = getattr(F, name)(a, inplace=True)
    assert result.data_ptr() == a.data_ptr() and a.tolist() == pytest.approx(want)


def test_random_activations(rng):
    x = fb.randn(2000)
    y = F.rrelu(x, 0.1, 0.3, training=True)
    slope = (y / x)[x < 0].numpy()
    assert 0.1 <= slope.min() and slope.max() <= 0.3 and slope.std() > 0.04
    logits = fb.tensor([2.0, 0.0, 1.0]).log_softmax(0).expand(4000, 3)
    hard = F.gumbel_softmax(logits, hard=True)
    assert set(hard.flatten().tolist()) <= {0.0, 1.0} and hard.sum(1).tolist() == [1.0] * 4000
    np.testing.assert_allclose(hard.mean(0).numpy(), logits[0].exp().numpy(), atol=0.04)
    soft = F.gumbel_softmax(logits, tau=0.5)
    np.testing.assert_allclose(soft.sum(1).numpy(), 1, rtol=1e-5)


def test_sequence_convolution_and_groups(rng):
    x, w, b = rng.normal(size=(6, 2, 3)), rng.normal(size=(3, 3, 4)), rng.normal(size=4)
    want = np.stack([sum(x[i + k] @ w[k] for k in range(3)) + b for i in range(4)])
    close(F.conv_tbc(t(x), t(w), t(b)), want)
    if IS_TORCH:
        return  # its grouped product asks for more alignment than these shapes have
    a, mats = rng.normal(size=(5, 3)), rng.normal(size=(2, 3, 4))
    got = F.grouped_mm(t(a).bfloat16(), t(mats).bfloat16(), offs=fb.tensor([2, 5], dtype=fb.int32))
    want = np.concatenate([a[:2] @ mats[0], a[2:] @ mats[1]])
    np.testing.assert_allclose(got.double().numpy(), want, atol=0.2)
