"""Layers against NumPy formulas: linear maps, convolutions, norms, pooling, embeddings, lazies."""

import itertools
import math

import numpy as np
import pytest

from under_test import fb, submodule

nn = submodule("nn")
F = submodule("nn.functional")


def array(t):
    return t.detach().numpy()


def close(t, want, tol=1e-5):
    got = array(t)
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


def data(rng, *shape):
    return fb.tensor(rng.normal(size=shape), dtype=fb.float64)


# ---- linear


def test_linear_and_bilinear(rng):
    x, y = data(rng, 5, 3), data(rng, 5, 4)
    m = nn.Linear(3, 2, dtype=fb.float64)
    close(m(x), array(x) @ array(m.weight).T + array(m.bias))
    b = nn.Bilinear(3, 4, 2, dtype=fb.float64)
    want = np.einsum("ni,kij,nj->nk", array(x), array(b.weight), array(y)) + array(b.bias)
    close(b(x, y), want)
    with pytest.raises(RuntimeError):
        b(x, x)


def test_linear_starts_uniform_within_its_bound():
    m = nn.Linear(400, 300)
    for p in (m.weight, m.bias):
        assert np.abs(array(p)).max() <= 1 / 20
        assert array(p).std() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.1)


def test_flatten_and_unflatten():
    x = fb.arange(24).reshape(2, 3, 4)
    assert tuple(nn.Flatten()(x).shape) == (2, 12)
    assert tuple(nn.Flatten(0, 1)(x).shape) == (6, 4)
    assert nn.Unflatten(1, (3, 4))(x.flatten(1)).tolist() == x.tolist()
    with pytest.raises(TypeError):
        nn.Unflatten(1, 3)


# ---- convolution


def np_conv(x, w, b, stride, padding, dilation, groups):
    """Cross-correlation in any number of dimensions, by its definition."""
    n = w.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in padding])
    out = [
        (x.shape[2 + i] - dilation[i] * (w.shape[2 + i] - 1) - 1) // stride[i] + 1 for i in range(n)
    ]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    per_in, per_out = w.shape[1], w.shape[0] // groups
    for o, place in itertools.product(range(w.shape[0]), np.ndindex(*out)):
        g = o // per_out
        window = tuple(
            slice(p * s, p * s + d * (k - 1) + 1, d)
            for p, s, d, k in zip(place, stride, dilation, w.shape[2:])
        )
        part = x[(slice(None), slice(g * per_in, (g + 1) * per_in), *window)]
        y[(slice(None), o, *place)] = (part * w[o]).sum(tuple(range(1, n + 2)))
    return y + b.reshape(1, -1, *(1,) * n)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"groups": 2, "dilation": 2, "padding": 2}]
)
def test_convolution(n, options, rng):
    x = data(rng, 2, 4, *(6, 5, 5)[:n])
    m = getattr(nn, f"Conv{n}d")(4, 6, 3, dtype=fb.float64, **options)
    full = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **options}
    want = np_conv(
        array(x), array(m.weight), array(m.bias), (full["stride"],) * n, (full["padding"],) * n,
        (full["dilation"],) * n, full["groups"],
    )  # fmt: skip
    close(m(x), want, 1e-9)


@pytest.mark.parametrize(
    "mode, numpy_mode", [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
def test_padding_modes_of_a_convolution(mode, numpy_mode, rng):
    x = data(rng, 1, 2, 5, 6)
    m = nn.Conv2d(2, 3, 3, padding=2, padding_mode=mode, dtype=fb.float64)
    padded = np.pad(array(x), [(0, 0), (0, 0), (2, 2), (2, 2)], mode=numpy_mode)
    want = np_conv(padded, array(m.weight), array(m.bias), (1, 1), (0, 0), (1, 1), 1)
    close(m(x), want, 1e-9)


def test_same_padding_keeps_the_size(rng):
    x = data(rng, 1, 2, 7)
    assert tuple(nn.Conv1d(2, 3, 4, padding="same", dtype=fb.float64)(x).shape) == (1, 3, 7)
    with pytest.raises(ValueError):
        nn.Conv1d(2, 3, 3, padding="same", stride=2)
    with pytest.raises(ValueError):
        nn.Conv1d(2, 3, 3, groups=2)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_transposed_convolution_is_the_adjoint(n, rng):
    """<conv(x), y> = <x, conv_transpose(y)> with the same weight."""
    down = getattr(nn, f"Conv{n}d")(4, 6, 3, stride=2, padding=1, bias=False, dtype=fb.float64)
    up = getattr(nn, f"ConvTranspose{n}d")(
        6, 4, 3, stride=2, padding=1, bias=False, dtype=fb.float64
    )
    up.load_state_dict(down.state_dict())
    x = data(rng, 2, 4, *(6, 7, 5)[:n])
    y = down(x)
    v = data(rng, *y.shape)
    back = up(v, output_size=x.shape[2:])
    assert tuple(back.shape) == tuple(x.shape)
    assert float((y * v).sum()) == pytest.approx(float((x * back).sum()), rel=1e-9)
    with pytest.raises(ValueError):
        up(v, output_size=(99,) * n)


# ---- norms


def test_batch_norm_trains_and_evaluates(rng):
    x = data(rng, 6, 3, 4)
    m = nn.BatchNorm1d(3, momentum=0.3, dtype=fb.float64)
    a = array(x)
    mean, var = a.mean((0, 2)), a.var((0, 2))
    shape = (1, 3, 1)
    close(m(x), (a - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 1e-5))
    close(m.running_mean, 0.3 * mean)
    close(m.running_var, 0.7 + 0.3 * a.var((0, 2), ddof=1))
    assert int(m.num_batches_tracked) == 1
    m.eval()
    rm, rv = array(m.running_mean).reshape(shape), array(m.running_var).reshape(shape)
    close(m(x), (a - rm) / np.sqrt(rv + 1e-5))
    assert int(m.num_batches_tracked) == 1
    with pytest.raises(ValueError, match="expected 2D or 3D"):
        m(data(rng, 1, 3, 2, 2))
    with pytest.raises(ValueError, match="more than 1 value"):
        m.train()(data(rng, 1, 3))


def test_batch_norm_without_momentum_averages(rng):
    m = nn.BatchNorm2d(2, momentum=None, dtype=fb.float64)
    xs = [data(rng, 3, 2, 2, 2) for _ in range(3)]
    for x in xs:
        m(x)
    close(m.running_mean, np.mean([array(x).mean((0, 2, 3)) for x in xs], 0))


def test_layer_group_instance_and_rms_norm(rng):
    x = data(rng, 2, 4, 5)
    a = array(x)

    def norm(v, axes, eps=1e-5):
        return (v - v.mean(axes, keepdims=True)) / np.sqrt(v.var(axes, keepdims=True) + eps)

    ln = nn.LayerNorm(5, dtype=fb.float64)
    with fb.no_grad():
        ln.weight.copy_(fb.arange(5.0))
        ln.bias.fill_(2)
    close(ln(x), norm(a, -1) * np.arange(5) + 2)
    close(nn.LayerNorm((4, 5), elementwise_affine=False)(x), norm(a, (1, 2)))
    close(nn.InstanceNorm1d(4)(x), norm(a, -1))
    close(nn.InstanceNorm1d(4)(x[0]), norm(a[0], -1))
    grouped = norm(a.reshape(2, 2, 10), -1).reshape(2, 4, 5)
    close(nn.GroupNorm(2, 4, dtype=fb.float64)(x), grouped)
    rms = np.sqrt((a**2).mean(-1, keepdims=True) + 0.1)
    close(nn.RMSNorm(5, eps=0.1, dtype=fb.float64)(x), a / rms)
    with pytest.raises(ValueError):
        nn.GroupNorm(3, 4)


def test_local_response_norm(rng):
    x = data(rng, 2, 6, 3)
    a, want = array(x), np.empty((2, 6, 3))
    for c in range(6):
        near = a[:, max(c - 2, 0) : c + 3 - 1]
        want[:, c] = a[:, c] / (2 + 0.5 / 4 * (near**2).sum(1)) ** 0.75
    close(nn.LocalResponseNorm(4, alpha=0.5, k=2.0)(x), want)


# ---- pooling


def windows(a, kernel, stride, reduce):
    """Pool the last two dimensions of a by ``reduce``."""
    h = (a.shape[-2] - kernel) // stride + 1
    w = (a.shape[-1] - kernel) // stride + 1
    out = np.empty((*a.shape[:-2], h, w))
    for i, j in np.ndindex(h, w):
        rows, cols = slice(i * stride, i * stride + kernel), slice(j * stride, j * stride + kernel)
        out[..., i, j] = reduce(a[..., rows, cols])
    return out


def test_pooling(rng):
    x = data(rng, 2, 3, 7, 6)
    a = array(x)
    close(nn.MaxPool2d(3, 2)(x), windows(a, 3, 2, lambda v: v.max((-2, -1))))
    close(nn.AvgPool2d(2)(x), windows(a, 2, 2, lambda v: v.mean((-2, -1))))
    want = windows(np.abs(a), 2, 1, lambda v: (v**3).sum((-2, -1)) ** (1 / 3))
    close(nn.LPPool2d(3, 2, 1)(x.abs()), want)
    assert tuple(nn.MaxPool2d(2, ceil_mode=True)(x).shape) == (2, 3, 4, 3)
    padded = np.pad(a, [(0, 0), (0, 0), (1, 1), (1, 1)])
    close(nn.AvgPool2d(3, 2, padding=1)(x), windows(padded, 3, 2, lambda v: v.mean((-2, -1))))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_adaptive_pooling(n, rng):
    x = data(rng, 2, 3, *(7, 5, 6)[:n])
    a = array(x)
    out = (3, 2, 4)[:n]
    spans = [
        [slice(i * s // o, -(-(i + 1) * s // o)) for i in range(o)]
        for s, o in zip(a.shape[2:], out)
    ]
    axes = tuple(range(2, 2 + n))
    for kind, reduce in (("Avg", np.mean), ("Max", np.max)):
        want = np.empty((2, 3, *out))
        for place in np.ndindex(*out):
            part = a[(slice(None), slice(None), *(spans[i][p] for i, p in enumerate(place)))]
            want[(slice(None), slice(None), *place)] = reduce(part, axis=axes)
        close(getattr(nn, f"Adaptive{kind}Pool{n}d")(out)(x), want)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling_puts_maxima_back(n, rng):
    x = data(rng, 2, 3, *(6,) * n)
    values, index = getattr(nn, f"MaxPool{n}d")(2, return_indices=True)(x)
    back = array(getattr(nn, f"MaxUnpool{n}d")(2)(values, index))
    assert back.shape == tuple(x.shape)
    kept = back != 0
    assert kept.sum() == values.numel()
    np.testing.assert_array_equal(back[kept], array(x)[kept])
    with pytest.raises(RuntimeError):
        getattr(nn, f"MaxUnpool{n}d")(2)(values, index + 999)


def test_fractional_pooling_takes_window_maxima(rng):
    x = data(rng, 1, 2, 9, 8)
    values, index = nn.FractionalMaxPool2d(2, output_size=(4, 3), return_indices=True)(x)
    assert tuple(values.shape) == (1, 2, 4, 3)
    flat = array(x).reshape(1, 2, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, array(index).reshape(1, 2, -1), 2).reshape(values.shape),
        array(values),
    )
    assert float(values[0, 0].max()) <= float(x[0, 0].max())
    last = array(x)[0, 0, 7:9, 6:8].max()  # the last window ends at the corner
    assert float(values[0, 0, -1, -1]) == last
    with pytest.raises(ValueError):
        nn.FractionalMaxPool2d(2)


# ---- embeddings


def test_embedding(rng):
    m = nn.Embedding(6, 3, padding_idx=1)
    assert array(m.weight)[1].tolist() == [0, 0, 0]
    index = fb.tensor([[0, 1], [5, 0]])
    close(m(index), array(m.weight)[[[0, 1], [5, 0]]])
    m(index).sum().backward()
    assert array(m.weight.grad)[:, 0].tolist() == [2, 0, 0, 0, 0, 1]
    limited = nn.Embedding(6, 3, max_norm=0.5)
    assert np.linalg.norm(array(limited(index)), axis=-1).max() <= 0.5 + 1e-5
    frozen = nn.Embedding.from_pretrained(fb.ones(2, 3))
    assert not frozen.weight.requires_grad
    with pytest.raises(IndexError):
        m(fb.tensor([6]))
    with pytest.raises(AssertionError):
        nn.Embedding(3, 2, padding_idx=3)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode, rng):
    m = nn.EmbeddingBag(6, 3, mode=mode, padding_idx=2)
    w = array(m.weight)
    index, offsets = [0, 2, 5, 2, 2, 1, 1], [0, 3, 5, 5]
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
    want = np.zeros((4, 3), np.float32)
    for row, (start, end) in enumerate(zip(offsets, [*offsets[1:], 7])):
        bag = [i for i in index[start:end] if i != 2]
        if bag:
            want[row] = reduce(w[bag], axis=0)
    close(m(fb.tensor(index), fb.tensor(offsets)), want)
    table = [[0, 1], [2, 3]]
    rows = np.stack([reduce(w[[i for i in r if i != 2]], axis=0) for r in table])
    close(m(fb.tensor(table)), rows)
    with pytest.raises(ValueError):
        m(fb.tensor(index))


def test_weighted_embedding_bag():
    m = nn.EmbeddingBag(4, 2, mode="sum", include_last_offset=True)
    out = m(fb.tensor([0, 1, 3]), fb.tensor([0, 2, 3]), fb.tensor([2.0, -1.0, 3.0]))
    w = array(m.weight)
    close(out, np.stack([2 * w[0] - w[1], 3 * w[3]]))


# ---- dropout


@pytest.mark.parametrize("name, shape", [("Dropout", (100, 90)), ("Dropout2d", (60, 50, 2, 2))])
def test_dropout_drops_its_share_and_scales_the_rest(name, shape):
    x = fb.ones(*shape)
    y = array(getattr(nn, name)(0.25)(x))
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.03)
    assert np.unique(y).tolist() == pytest.approx([0, 4 / 3])
    if name == "Dropout2d":
        assert np.array_equal(y, np.broadcast_to(y[..., :1, :1], y.shape))
    assert getattr(nn, name)(0.25).eval()(x).tolist() == x.tolist()
    with pytest.raises(ValueError):
        nn.Dropout(1.5)


def test_alpha_dropout_keeps_mean_and_variance():
    y = array(nn.AlphaDropout(0.3)(fb.randn(400, 300)))
    assert y.mean() == pytest.approx(0, abs=0.02) and y.std() == pytest.approx(1, abs=0.02)


# ---- lazies


@pytest.mark.parametrize(
    "make, shape, name",
    [
        (lambda: nn.LazyLinear(3), (2, 5), "Linear(in_features=5, out_features=3, bias=True)"),
        (lambda: nn.LazyConv2d(4, 3), (1, 2, 5, 5),
         "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1))"),
        (lambda: nn.LazyConvTranspose1d(4, 3, 2), (1, 2, 5),
         "ConvTranspose1d(2, 4, kernel_size=(3,), stride=(2,))"),
        (lambda: nn.LazyBatchNorm1d(affine=False), (3, 4),
         "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=False, bias=False, "
         "track_running_stats=True)"),
    ],
)  # fmt: skip
def test_lazy_layers_become_real_ones(make, shape, name):
    m = make()
    assert m.has_uninitialized_params()
    y = m(fb.randn(*shape))
    assert repr(m) == name and y.shape[0] == shape[0]
    assert all(type(p) is nn.Parameter for p in m.parameters())
    other = make()
    other.load_state_dict(m.state_dict())
    assert all(
        np.array_equal(array(a), array(b))
        for a, b in zip(m.state_dict().values(), other.state_dict().values())
    )


def test_a_lazy_parameter_has_no_shape():
    m = nn.LazyLinear(3)
    with pytest.raises(RuntimeError):
        _ = m.weight.shape
