"""Layouts, sizes and values that reach every branch of the CPU's loops, against NumPy and SciPy."""

import itertools
import math

import numpy as np
import pytest
import scipy.special as sp

import flambeau as fb
import flambeau.nn.functional as F

rng = np.random.default_rng(3)
REALS = ["bool", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"]


def values(shape, dtype="float32"):
    x = rng.normal(size=shape) * 20
    return (np.abs(x) if dtype in ("bool", "uint8") else x).astype(dtype)


def same(got, want):
    np.testing.assert_array_equal(got.numpy(), want)


# ---- copies and arithmetic between layouts ----
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128"])
@pytest.mark.parametrize(
    "shape", [(2, 2), (3, 50), (50, 3), (15, 17), (16, 64), (70, 131), (5, 9, 33), (2, 3, 7, 9)]
)
def test_transposed_copies(shape, dtype):
    x = values(shape, dtype)
    t = fb.from_numpy(x)
    for order in itertools.permutations(range(len(shape))):
        same(t.permute(order).contiguous(), np.ascontiguousarray(x.transpose(order)))
        same(t.permute(order)[:, 1:].contiguous(), x.transpose(order)[:, 1:])


@pytest.mark.parametrize("dtype", ["int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(7, 9), (8, 8), (40, 300), (300, 40), (3, 20, 150)])
def test_operands_of_crossed_layouts(shape, dtype):
    x, row = values(shape, dtype), values(shape[-1:], dtype)
    y = values(shape[:-2] + (shape[-1], shape[-2]), dtype)
    a, b, r = fb.from_numpy(x), fb.from_numpy(y).mT, fb.from_numpy(row)
    yt = np.swapaxes(y, -1, -2)
    same(a + b, x + yt)
    same(b - a, yt - x)
    if dtype != "float16":  # NumPy rounds the product
        same(fb.addcmul(a, b, r), x + yt * row)
    same(a > b, x > yt)
    same(a.double() + b, x.astype("float64") + yt)
    out = fb.empty(shape, dtype=a.dtype)
    same(fb.add(a, b, out=out), x + yt)
    same(a[..., ::2] + b[..., ::2], x[..., ::2] + yt[..., ::2])


# Several blocks a row, and (1300 x 1500) results that are written past the caches.
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("shape", [(70, 2100), (2100, 70), (1300, 1500)])
def test_long_crossed_rows(shape, dtype):
    x, y = values(shape, dtype), values(shape[::-1], dtype)
    a, b = fb.from_numpy(x), fb.from_numpy(y)
    same(a + b.t(), x + y.T)
    same(b.t() + a[:, :1], y.T + x[:, :1])
    same(a.double() - b.t(), x.astype("float64") - y.T)
    want = x * y.T
    same(a.mul_(b.t()), want)


@pytest.mark.parametrize("n", [1, 7, 100, 513, 40000])
def test_where_with_single_values(n):
    m, x, y = values(n) > 0, values(n), values(n)
    c, a, b = fb.from_numpy(m), fb.from_numpy(x), fb.from_numpy(y)
    same(fb.where(c, a, b), np.where(m, x, y))
    same(fb.where(c, a, 2.0), np.where(m, x, np.float32(2)))
    same(fb.where(c, 2.0, b), np.where(m, np.float32(2), y))
    same(fb.where(c, 2.0, 3.0), np.where(m, np.float32(2), np.float32(3)))
    same(fb.where(c, a.half(), b.half()), np.where(m, x, y).astype("float16"))
    same(a.masked_fill(c, -1), np.where(m, np.float32(-1), x))


@pytest.mark.parametrize("n", [5, 600])
def test_lerp_and_addcdiv_with_single_values(n):
    x, y, w = values(n), values(n), np.abs(values(n)) + 1
    a, b, c = fb.from_numpy(x), fb.from_numpy(y), fb.from_numpy(w)
    np.testing.assert_allclose(
        fb.lerp(a, b, 0.25).numpy(), x + 0.25 * (y - x), rtol=1e-5, atol=1e-4
    )
    one = fb.tensor(2.0)
    np.testing.assert_allclose(fb.addcdiv(one, b, c).numpy(), 2 + y / w, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fb.addcdiv(a, one, c).numpy(), x + 2 / w, rtol=1e-5, atol=1e-5)


# ---- conversions ----
@pytest.mark.parametrize("to", REALS)
@pytest.mark.parametrize("dtype", REALS)
def test_conversions(dtype, to):
    x = values(37, dtype)
    same(fb.from_numpy(x).to(getattr(fb, to)), x.astype(to))
    same(fb.from_numpy(x)[::2].to(getattr(fb, to)), x[::2].astype(to))


def test_large_integers_become_doubles():
    x = np.concatenate(
        [rng.integers(-(2**63), 2**63 - 1, 50), [2**63 - 1, -(2**63), -1, 0, 2**53 + 1]]
    )
    same(fb.from_numpy(x).double(), x.astype("float64"))


def test_halves_of_every_value():
    bits = np.arange(65536, dtype="uint16")
    x = bits.view("float16")
    same(fb.from_numpy(x).float(), x.astype("float32"))
    f = np.linspace(-70000, 70000, 9999, dtype="float32") * np.float32(1e-3)
    edges = np.array([65504, 65519, 65520, 6e-8, 2.9e-8, 6.1e-5, np.inf, np.nan], "float32")
    f = np.concatenate([f, edges, -edges, f * np.float32(1e-5)])
    with np.errstate(over="ignore"):
        same(fb.from_numpy(f).half(), f.astype("float16"))


# ---- formulas at their edges ----
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-40, 1e30, np.inf, -np.inf, np.nan, 7.0, -7.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_remainders(dtype):
    pairs = np.array(list(itertools.product(EDGES, EDGES)), dtype)
    more = np.stack([values(4000, dtype), values(4000, dtype) / 7], 1)
    a, b = np.ascontiguousarray(np.concatenate([pairs, more]).T)
    x, y = fb.from_numpy(a), fb.from_numpy(b)
    with np.errstate(all="ignore"):
        same(fb.fmod(x, y), np.fmod(a, b))
        same(x % y, np.mod(a, b))
        same(x // y, np.floor_divide(a, b))
        same(x // 0.75, np.floor_divide(a, np.array(0.75, dtype)))


def test_double_powers_and_distances():
    a = np.concatenate([np.abs(values(3000, "float64")), np.exp(values(500, "float64") * 10)])
    b = np.concatenate([values(3000, "float64"), rng.uniform(-1, 1, 500)])
    pairs = np.array(list(itertools.product(EDGES, EDGES)))
    a, b = np.concatenate([a, pairs[:, 0]]), np.concatenate([b, pairs[:, 1]])
    with np.errstate(all="ignore"):
        got, want = fb.pow(fb.from_numpy(a), fb.from_numpy(b)).numpy(), np.power(a, b)
        np.testing.assert_allclose(got, want, rtol=5e-16, atol=0)
        signs = np.signbit(got) == np.signbit(want)
        assert (signs | np.isnan(want)).all()
        got = fb.hypot(fb.from_numpy(a), fb.from_numpy(b)).numpy()
        np.testing.assert_allclose(got, np.hypot(a, b), rtol=5e-16, atol=0)


@pytest.mark.parametrize("power", [2, 3, 0.5, -0.5, -1])
def test_powers_that_are_other_functions(power):
    x = np.abs(values(100, "float64")) + 0.1
    t = fb.from_numpy(x).requires_grad_()
    y = t**power
    np.testing.assert_allclose(y.detach().numpy(), x**power, rtol=1e-14)
    y.sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), power * x ** (power - 1), rtol=1e-13)


def test_gelu_keeps_its_digits_in_the_tail():
    x = np.linspace(-13, 6, 4001, dtype="float32")
    wide = x.astype("float64")
    want = wide * 0.5 * sp.erfc(-wide / np.sqrt(2))
    np.testing.assert_allclose(F.gelu(fb.from_numpy(x)).numpy(), want, rtol=6e-7)
    t = fb.from_numpy(x).requires_grad_()
    F.gelu(t).sum().backward()
    slope = 0.5 * sp.erfc(-wide / np.sqrt(2)) + wide * np.exp(-wide * wide / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(t.grad.numpy(), slope, rtol=2e-6, atol=1e-7)
    edge = F.gelu(fb.tensor([np.inf, -np.inf, np.nan, 0.0, -0.0, -40.0, 1e30])).numpy()
    np.testing.assert_array_equal(edge[[0, 3, 6]], np.array([np.inf, 0, 1e30], "float32"))
    assert np.isnan(edge[[1, 2]]).all() and abs(edge[5]) < 1e-40


@pytest.mark.parametrize("name", ["erf", "erfc"])  # SciPy's erfc loses digits in the tail
def test_double_error_functions(name):
    x = np.concatenate(
        [np.linspace(-28, 28, 5001), np.linspace(-1.2, 1.2, 5001), [np.inf, -np.inf]]
    )
    got, want = (
        getattr(fb, name)(fb.from_numpy(x)).numpy(),
        np.array([getattr(math, name)(v) for v in x]),
    )
    np.testing.assert_allclose(got, want, rtol=2e-15, atol=5e-324)
    assert np.isnan(getattr(fb, name)(fb.tensor([np.nan], dtype=fb.float64)).numpy()).all()


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integer_quotients(dtype):
    edges = [2**30, 2**31 - 1] if dtype == "int32" else [2**51 - 1, 2**51, 2**53 + 1, 2**63 - 1]
    pool = np.array([v * s for v in (1, 2, 3, 7, 97, 1000, *edges) for s in (1, -1)], dtype)
    x = np.concatenate([np.repeat(pool, len(pool)), rng.integers(-(10**9), 10**9, 1000)])
    y = np.concatenate([np.tile(pool, len(pool)), rng.integers(1, 10**5, 1000)])
    x, y = x.astype(dtype), y.astype(dtype)
    for a, b in ((x, y), (x[-1000:], y[-1000:]), (x, y[5]), (x[-1000:], y[7]), (x[3], y)):
        s, t = fb.from_numpy(np.array(a)), fb.from_numpy(np.array(b))
        same(s // t, a // b)
        same(s % t, a % b)
    same(fb.from_numpy(x[::2]) // fb.from_numpy(y[::2]), x[::2] // y[::2])
    holed = y[-1000:].copy()
    holed[777] = 0
    for f in (fb.floor_divide, fb.remainder):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            f(fb.from_numpy(x[-1000:]), fb.from_numpy(holed))


@pytest.mark.parametrize("f", ["add", "sub", "mul", "true_divide"])
def test_bfloat16_arithmetic(f):
    # Each result is the float's, rounded once to the nearest, ties to even.
    specials = fb.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, 3e38, -3e38, 1e-40, 1.0, 257.0])
    a = fb.cat([specials.repeat_interleave(10), fb.from_numpy(values(5003))]).bfloat16()
    b = fb.cat([specials.repeat(10), fb.from_numpy(values(5003))]).bfloat16()
    f = getattr(fb, f)
    for x, y in (
        (a, b),
        (a, b[:1]),
        (b[:1], a),
        (a[:5000].view(50, 100), b[:100]),
        (a[::3], b[::3]),
    ):
        got, want = f(x, y), f(x.float(), y.float()).bfloat16()
        assert got.dtype == fb.bfloat16
        assert fb.equal(got.isnan(), want.isnan())
        keep = ~want.isnan()
        same(got[keep].view(fb.int16), want[keep].view(fb.int16).numpy())
    for number in (2, 0.5, 0.1, -3.0, 1e-3, math.inf):
        got, want = f(a, number), f(a.float(), number).bfloat16()
        keep = ~want.isnan()
        same(got[keep].view(fb.int16), want[keep].view(fb.int16).numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 31, 64, 65, 200])
def test_rows_beside_rows_and_columns(n, dtype):
    x, row, column = values((9, n), dtype), values(n, dtype), values((9, 1), dtype)
    a, r, c = fb.from_numpy(x), fb.from_numpy(row), fb.from_numpy(column)
    for f in (np.add, np.subtract, np.multiply, np.true_divide):
        g = getattr(fb, f.__name__)
        for s, t, u, v in ((a, r, x, row), (r, a, row, x), (a, c, x, column), (c, a, column, x)):
            same(g(s, t), f(u, v))
        same(g(c, r), f(column, row))


def test_operands_beyond_the_caches():
    x, y = values(3_000_001), values(3_000_001)
    a, b = fb.from_numpy(x), fb.from_numpy(y)
    same(a + b, x + y)
    same(a[1:] + b[:-1], x[1:] + y[:-1])
    same(a > b, x > y)
    same(a.double(), x.astype("float64"))
    same(a[1:].clone(), x[1:])
    same(a[:2_800_000].view(1400, 2000) + b[:2000], x[:2_800_000].reshape(1400, 2000) + y[:2000])
    want = x + y
    same(a.add_(b), want)


@pytest.mark.parametrize("shift", [0, 1, 5, 63, 64, -1])
def test_shifts_of_long_integers(shift):
    x = np.concatenate([rng.integers(-(2**63), 2**63 - 1, 20), [-1, 0, 1]])
    want = x >> (shift if 0 <= shift < 64 else 63)
    same(fb.from_numpy(x) >> fb.full(x.shape, shift), want)


# ---- indexing over more than one chunk ----
@pytest.mark.parametrize("shape", [(9,), (70000,), (300, 301), (3, 40, 500), (40, 5, 7)])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_masks(shape, share):
    m, x = rng.random(shape) < share, values(shape)
    mask, t = fb.from_numpy(m), fb.from_numpy(x)
    same(mask.nonzero(), np.argwhere(m))
    same(t[mask], x[m])
    same(fb.masked_select(t.to(fb.int16), mask), x.astype("int16")[m])
    t.requires_grad_()
    t[mask].sum().backward()
    same(t.grad, m.astype("float32"))


@pytest.mark.parametrize("shape", [(50000,), (300, 200), (3, 100, 80), (20, 3, 2)])
def test_gather_and_scatter(shape):
    x, src = values(shape), np.round(values(shape))
    for dim in range(len(shape)):
        i = rng.integers(0, shape[dim], shape)
        t, s, index = fb.from_numpy(x), fb.from_numpy(src), fb.from_numpy(i)
        same(fb.gather(t, dim, index), np.take_along_axis(x, i, dim))
        want = np.zeros(shape, "float32")
        places = list(np.indices(shape))
        places[dim] = i
        np.add.at(want, tuple(places), src)
        same(fb.zeros(shape).scatter_add(dim, index, s), want)
        want[...] = 0
        np.put_along_axis(want, i, 1, dim)
        same(fb.zeros(shape).scatter(dim, index, 1.0), want)
        with pytest.raises(RuntimeError, match="out of bounds"):
            fb.gather(t, dim, index + shape[dim])


@pytest.mark.parametrize("f", ["scatter", "scatter_add"])
def test_scattering_into_nothing_is_an_error(f):
    index, ones = fb.zeros(2, 100, dtype=fb.int64), fb.ones(2, 100)
    with pytest.raises(RuntimeError, match="out of bounds for dimension 0 with size 0"):
        getattr(fb.zeros(0, 100), f)(0, index, ones)


@pytest.mark.parametrize("shape", [(30, 700), (700, 30), (5, 40, 90), (40000,)])
def test_slices_by_index(shape):
    x = np.round(values(shape))
    for dim in range(len(shape)):
        i = rng.integers(0, shape[dim], 57)
        t, index = fb.from_numpy(x), fb.from_numpy(i)
        got = fb.index_select(t, dim, index)
        same(got, np.take(x, i, dim))
        want = x.copy()
        np.add.at(want, (slice(None),) * dim + (i,), np.take(x, i, dim))
        same(t.index_add(dim, index, got), want)
    i = rng.integers(-shape[0], shape[0], (3, 50))
    same(fb.from_numpy(x)[fb.from_numpy(i)], x[i])
    y = x.copy()
    y[i[0]] = 3
    t = fb.from_numpy(x.copy())
    t[fb.from_numpy(i[0])] = 3
    same(t, y)
