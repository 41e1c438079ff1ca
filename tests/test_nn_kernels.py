"""Layers that are one kernel, at the edges of its blocks, against NumPy and finite differences."""

import numpy as np
import pytest

from test_nn_recurrent import run
from under_test import IS_TORCH, fb, submodule

nn = submodule("nn")
F = submodule("nn.functional")
R = submodule("nn.utils.rnn")


def array(t):
    return t.detach().numpy()


def data(rng, *shape):
    return fb.tensor(rng.normal(size=shape), dtype=fb.float64, requires_grad=True)


def check_slope(f, inputs, rng, step=1e-5):
    """The gradients of a sum over f's result, along a random direction, against its change."""
    weight = fb.tensor(rng.normal(size=tuple(f(*inputs).shape)), dtype=fb.float64)
    ways = [rng.normal(size=tuple(t.shape)) for t in inputs]

    def at(by):
        moved = [t.detach() + by * fb.tensor(w) for t, w in zip(inputs, ways)]
        return float((f(*moved) * weight).sum())

    grads = fb.autograd.grad((f(*inputs) * weight).sum(), inputs)
    got = sum((array(g) * w).sum() for g, w in zip(grads, ways))
    want = (at(step) - at(-step)) / (2 * step)
    assert abs(got - want) < 1e-6 * max(1, abs(want)) + 1e-6


# -- attention ---------------------------------------------------------------------------------


def attention(q, k, v, mask=None, causal=False, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if causal:
        mask = np.tri(q.shape[-2], k.shape[-2], dtype=bool)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isinf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total) @ v


# queries, keys, dim, value dim: one query, part of a tile, one block, several of both
SIZES = [(1, 7, 4, 4), (2, 300, 5, 3), (5, 1, 8, 8), (17, 33, 16, 24), (97, 60, 20, 20),
         (60, 97, 8, 8), (200, 270, 32, 7)]  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["none", "causal", "bool", "added", "keys"])
def test_attention(sizes, kind, rng):
    length, source, dim, wide = sizes
    q, k = data(rng, 2, 3, length, dim), data(rng, 2, 3, source, dim)
    v = data(rng, 2, 3, source, wide)
    mask = {
        "bool": rng.random((length, source)) > 0.3,
        "added": rng.normal(size=(2, 1, length, source)),
        "keys": rng.random((2, 1, 1, source)) > 0.3,
    }.get(kind)
    if kind == "bool":
        mask[0] = False  # sees nothing
    causal = kind == "causal"

    def f(*qkv):
        given = None if mask is None else fb.tensor(mask)
        return F.scaled_dot_product_attention(*qkv, given, is_causal=causal, scale=0.4)

    want = attention(*(array(t) for t in (q, k, v)), mask, causal, 0.4)
    np.testing.assert_allclose(array(f(q, k, v)), want, rtol=1e-9, atol=1e-9)
    check_slope(f, [q, k, v], rng)
    single = [t.detach().float() for t in (q, k, v)]
    given = None if mask is None else fb.tensor(mask if mask.dtype == bool else mask.astype("f4"))
    got = F.scaled_dot_product_attention(*single, given, is_causal=causal, scale=0.4)
    np.testing.assert_allclose(array(got), want, rtol=1e-4, atol=1e-5)


def test_attention_with_heads_in_the_middle_or_shared(rng):
    q, k, v = (data(rng, 2, 40, 4, 8).transpose(1, 2) for _ in range(3))
    want = attention(array(q), array(k), array(v), causal=True)
    got = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    np.testing.assert_allclose(array(got), want, rtol=1e-9, atol=1e-9)
    assert IS_TORCH or got.transpose(1, 2).is_contiguous()  # as the next layer wants it
    few = [t[:, :2] for t in (k, v)]
    want = attention(array(q), *(np.repeat(array(t), 2, 1) for t in few))
    got = F.scaled_dot_product_attention(q, *few, enable_gqa=True)
    np.testing.assert_allclose(array(got), want, rtol=1e-9, atol=1e-9)
    own = [t.detach().clone().requires_grad_() for t in (q, *few)]
    check_slope(lambda *t: F.scaled_dot_product_attention(*t, enable_gqa=True), own, rng)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_attention_in_half_precision(name, rng):
    q, k, v = (fb.tensor(rng.normal(size=(1, 2, 70, 16))).to(getattr(fb, name)) for _ in range(3))
    got = F.scaled_dot_product_attention(q, k, v)
    assert got.dtype == q.dtype
    want = attention(*(array(t.float()) for t in (q, k, v)))
    np.testing.assert_allclose(array(got.float()), want, rtol=2e-2, atol=2e-2)


def test_attention_keeps_nan_and_leaves_other_rows_alone():
    q = fb.ones(1, 1, 4, 2)
    q[0, 0, 1, 0] = float("nan")
    y = F.scaled_dot_product_attention(q, fb.ones(1, 1, 3, 2), fb.ones(1, 1, 3, 2))
    assert fb.isnan(y).any(-1).flatten().tolist() == [False, True, False, False]


@pytest.mark.parametrize("heads", [1, 20])
def test_attention_does_not_depend_on_threads(heads, rng):
    values = [rng.normal(size=(1, heads, 250, 16)).astype("f4") for _ in range(3)]
    before, results = fb.get_num_threads(), []
    try:
        for n in (1, 2, 4):
            fb.set_num_threads(n)
            q, k, v = (fb.tensor(a, requires_grad=True) for a in values)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            y.sum().backward()
            results.append([array(y), array(q.grad), array(k.grad), array(v.grad)])
    finally:
        fb.set_num_threads(before)
    if not IS_TORCH:
        for other in results[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(results[0], other))


# -- recurrent layers --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
# steps, batch, hidden: vectors, plain products (few steps), panels of one part, of several
@pytest.mark.parametrize("sizes", [(6, 2, 21), (2, 9, 5), (4, 5, 17), (3, 26, 9)])
def test_recurrent(kind, sizes, rng):
    steps, batch, hidden = sizes
    m = getattr(nn, kind)(3, hidden, bidirectional=True, dtype=fb.float64)
    lstm = kind == "LSTM"
    x, h, c = data(rng, steps, batch, 3), data(rng, 2, batch, hidden), data(rng, 2, batch, hidden)
    state = (array(h), array(c)) if lstm else (array(h),)
    want, _ = run(m, kind, array(x), state)
    np.testing.assert_allclose(array(m(x, (h, c) if lstm else h)[0]), want, rtol=1e-9, atol=1e-9)
    names = [name for name, _ in m.named_parameters()]

    def f(x, h, c, *weights):
        for name, value in zip(names, weights):
            m._parameters[name] = value
        out, end = m(x, (h, c) if lstm else h)
        return fb.cat([t.flatten() for t in (out, *(end if lstm else (end, c)))])

    weights = [p.detach().clone().requires_grad_() for p in m.parameters()]
    if not IS_TORCH:
        check_slope(f, [x, h, c, *weights], rng)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_packed_recurrent_gradients(kind, rng):
    m = getattr(nn, kind)(3, 5, num_layers=2, bidirectional=True, bias=False, dtype=fb.float64)
    lengths = [6, 6, 5, 4, 4, 4, 2, 1, 1]

    def f(x):
        out, _ = m(R.pack_padded_sequence(x, fb.tensor(lengths)))
        return out.data

    check_slope(f, [data(rng, 6, 9, 3)], rng)


def test_recurrent_layers_differentiate_twice(rng):
    for kind in ("LSTM", "GRU", "RNN"):
        m = getattr(nn, kind)(2, 2, dtype=fb.float64)
        assert fb.autograd.gradgradcheck(lambda x, m=m: m(x)[0], (data(rng, 3, 1, 2),))
    relu = nn.RNN(2, 3, nonlinearity="relu", dtype=fb.float64)
    check_slope(lambda x: relu(x)[0], [data(rng, 5, 4, 2)], rng)


def test_recurrent_threads_and_half_precision(rng):
    m, before, results = nn.LSTM(8, 12), fb.get_num_threads(), []
    x = fb.tensor(rng.normal(size=(5, 30, 8)).astype("f4"))
    try:
        for n in (1, 2, 3):
            fb.set_num_threads(n)
            m.zero_grad()
            out = m(x)[0]
            out.sum().backward()
            results.append([array(out), *(array(p.grad) for p in m.parameters())])
    finally:
        fb.set_num_threads(before)
    if not IS_TORCH:
        for other in results[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(results[0], other))
    narrow = m.to(fb.bfloat16)
    y = narrow(x.to(fb.bfloat16))[0]
    assert y.dtype == fb.bfloat16
    np.testing.assert_allclose(array(y.float()), results[0][0], rtol=5e-2, atol=3e-2)


# -- resizing and sampling ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(3, 11), (9, 4), (13, 5), (5, 7)])
def test_resizing_is_linear_with_the_right_transpose(mode, size, rng):
    x = data(rng, 2, 3, 5, 7)
    check_slope(lambda t: F.interpolate(t, size, mode=mode), [x], rng)
    twice = F.interpolate(2 * x, size, mode=mode)
    np.testing.assert_allclose(array(twice), 2 * array(F.interpolate(x, size, mode=mode)))


def test_resizing_volumes_lines_and_bytes(rng):
    check_slope(lambda t: F.interpolate(t, (5, 3, 8), mode="trilinear"), [data(rng, 1, 2, 3, 4, 5)],
                rng)  # fmt: skip
    check_slope(lambda t: F.interpolate(t, 9, mode="linear"), [data(rng, 2, 3, 4)], rng)
    image = rng.integers(0, 256, size=(1, 3, 9, 8)).astype(np.uint8)
    for mode in ("bilinear", "bicubic"):
        got = F.interpolate(fb.tensor(image), (5, 13), mode=mode)
        assert got.dtype == fb.uint8
        want = array(F.interpolate(fb.tensor(image.astype("f4")), (5, 13), mode=mode))
        assert np.abs(array(got).astype(float) - np.clip(want, 0, 255)).max() < 1.01


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [True, False])
def test_sampling_kernel(mode, padding, align, rng):
    x, grid = data(rng, 2, 5, 6, 7), fb.tensor(rng.uniform(-1.6, 1.6, size=(2, 9, 11, 2)))
    options = dict(mode=mode, padding_mode=padding, align_corners=align)
    inputs = [x] if mode == "nearest" else [x, grid.requires_grad_()]
    check_slope(lambda t, g=grid: F.grid_sample(t, g, **options), inputs, rng, 1e-7)
    if not IS_TORCH:
        from flambeau.nn.functional.sampling import _composed

        want = array(_composed(x, grid, mode, padding, align))
        np.testing.assert_allclose(array(F.grid_sample(x, grid, **options)), want, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 5, 6, 7), (1, 2, 1, 2), (3, 1, 9, 2), (1, 3, 2, 40)])
@pytest.mark.parametrize("points", [(1, 1), (3, 5), (20, 31)])
@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("align", [True, False])
def test_sampling_pairs_of_floats(shape, points, padding, align, rng):
    x = rng.normal(size=shape).astype("f4")
    grid = rng.uniform(-1.6, 1.6, size=(shape[0], *points, 2)).astype("f4")
    grid.reshape(-1)[::9] = rng.choice([-1, 0, 1, -3, 3, 1e9, -1e30], grid.reshape(-1)[::9].shape)
    shares = []  # of each row and column: a hat around the point
    for axis, size in ((1, shape[2]), (0, shape[3])):
        at = grid[..., axis].reshape(shape[0], -1, 1).astype("f8") + 1
        at = at * (size - 1) / 2 if align else (at * size - 1) / 2
        at = np.clip(at, 0, size - 1) if padding == "border" else at
        shares.append(np.maximum(0, 1 - np.abs(at - np.arange(size))))
    want = np.einsum("nchw,nph,npw->ncp", x, *shares).reshape(*shape[:2], *points)
    got = F.grid_sample(fb.tensor(x), fb.tensor(grid), padding_mode=padding, align_corners=align)
    np.testing.assert_allclose(array(got), want, atol=1e-5)


def test_sampling_reads_no_pixel_that_has_no_share():
    x = np.zeros((1, 1, 3, 4), "f4")
    x[..., 2], x[..., 0, :] = np.inf, np.nan
    x[0, 0, 1:, 3] = 5, 7
    grid = fb.tensor([[[[4.0, 0.0], [4.0, 4.0]]]])  # beyond the right border
    got = F.grid_sample(fb.tensor(x), grid, padding_mode="border", align_corners=False)
    assert array(got).tolist() == [[[[5.0, 7.0]]]]


def test_sampling_volumes(rng):
    x, grid = data(rng, 1, 2, 4, 5, 3), fb.tensor(rng.uniform(-1.2, 1.2, size=(1, 2, 3, 40, 3)))
    inputs = [x, grid.requires_grad_()]
    check_slope(lambda t, g: F.grid_sample(t, g, align_corners=False), inputs, rng, 1e-7)


# -- ctc ---------------------------------------------------------------------------------------


def test_ctc_gradient_of_uneven_lengths(rng):
    targets = fb.tensor([[1, 1, 2, 3], [3, 0, 0, 0], [2, 2, 2, 0]])
    lengths = fb.tensor([9, 4, 6]), fb.tensor([4, 1, 3])

    def f(x):
        return F.ctc_loss(x.log_softmax(2), targets, *lengths, blank=4, reduction="none")

    check_slope(f, [data(rng, 9, 3, 5)], rng)
