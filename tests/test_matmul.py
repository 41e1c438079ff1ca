"""Products of bfloat16 matrices, at the sizes where blocks end, against products in float64."""

import os
import subprocess
import sys

import numpy as np
import pytest

import flambeau as fb

F = fb.nn.functional
# Tiles of 14 rows and 32 columns, pairs along k, blocks of 1,024, chunks; and what is too small.
SIZES = [
    (1, 1, 1),
    (2, 3, 5),
    (8, 8, 4),
    (14, 32, 16),
    (15, 33, 17),
    (16, 16, 1),
    (29, 31, 2),
    (1, 70, 90),
    (70, 1, 90),
    (7, 100, 33),
    (130, 10, 512),
    (65, 97, 301),
    (256, 256, 256),
    (9, 40, 1023),
    (30, 70, 2051),
    (300, 20, 15),
    (90, 200, 2048),
    (600, 300, 40),
]
LAYOUTS = ["rows", "columns", "padded rows", "padded columns", "steps"]


def stored(x, layout):
    """`x` (m, n) as bfloat16, laid out in memory in that way."""
    m, n = x.shape
    x = x.to(fb.bfloat16)
    if layout == "columns":
        return x.t().contiguous().t()
    if layout == "padded rows":
        return fb.cat([x, fb.full((m, 3), float("nan"), dtype=x.dtype)], 1)[:, :n]
    if layout == "padded columns":
        return stored(x.t(), "padded rows").t()
    return x.repeat_interleave(2, 1)[:, ::2] if layout == "steps" else x


def numbers(*shape, seed=0):
    return fb.tensor(np.random.default_rng(seed).standard_normal(shape))


def check(got, *products, added=0.0):
    """`got` is the sum of products and of `added`, summed in float32 and rounded once."""
    pairs = [(a.detach().double().numpy(), b.detach().double().numpy()) for a, b in products]
    want = sum(a @ b for a, b in pairs) + added
    terms = 2 + sum(a.shape[-1] for a, _ in pairs)
    summed = sum(np.abs(a) @ np.abs(b) for a, b in pairs) + np.abs(added)
    error = terms * 2.0**-24 * summed
    assert got.dtype == fb.bfloat16 and got.shape == want.shape
    off = np.abs(got.detach().double().numpy() - want)
    assert (off <= 2.0**-8 * (np.abs(want) + error) + error).all(), off.max()


@pytest.mark.parametrize("size", SIZES, ids=lambda s: "x".join(map(str, s)))
def test_every_layout(size):
    m, n, k = size
    a, b = numbers(m, k), numbers(k, n, seed=1)
    for left in LAYOUTS:
        for right in LAYOUTS:
            x, y = stored(a, left), stored(b, right)
            check(x @ y, (x, y))


def test_sums_are_rounded_once_to_even():
    for m, n, k in SIZES:
        rng = np.random.default_rng(2)
        a, b = rng.integers(-9, 10, (m, k)), rng.integers(-9, 10, (k, n))
        x, y = fb.tensor(a).to(fb.bfloat16), fb.tensor(b).to(fb.bfloat16)
        want = fb.tensor((a @ b).astype(np.float32)).to(fb.bfloat16)
        assert fb.equal(x @ y, want), (m, n, k)


@pytest.mark.parametrize("batch", [1, 3, 20])
@pytest.mark.parametrize("size", [(5, 7, 3), (40, 33, 17), (64, 64, 32), (150, 130, 120)], ids=str)
def test_batches(batch, size):
    m, n, k = size
    a = numbers(batch, m, k).to(fb.bfloat16)
    b = numbers(batch, k, n, seed=1).to(fb.bfloat16)
    for x in (a, a.transpose(1, 2).contiguous().transpose(1, 2), a[:1].expand(batch, m, k)):
        for y in (b, b.transpose(1, 2).contiguous().transpose(1, 2), b[:1].expand(batch, k, n)):
            check(fb.bmm(x, y), (x, y))
            check(x @ y[0], (x, y[0]))


@pytest.mark.parametrize("size", [(0, 20, 20), (20, 0, 20), (20, 20, 0)], ids=str)
def test_empty(size):
    m, n, k = size
    a, b = fb.ones(m, k, dtype=fb.bfloat16), fb.ones(k, n, dtype=fb.bfloat16)
    assert fb.equal(a @ b, fb.zeros(m, n, dtype=fb.bfloat16))
    row = fb.arange(n).to(fb.bfloat16)
    assert fb.equal(fb.addmm(row, a, b), row.expand(m, n))
    assert fb.bmm(a.expand(2, m, k), b.expand(2, k, n)).shape == (2, m, n)


def test_addmm_scales_both_sides():
    a, b = numbers(50, 70).to(fb.bfloat16), numbers(70, 45, seed=1).to(fb.bfloat16)
    for addend in (numbers(45, seed=2), numbers(50, 45, seed=2)):
        c = addend.to(fb.bfloat16)
        if c.dim() == 1:
            check(fb.addmm(c, a, b), (a, b), added=c.double().numpy())
        got = fb.addmm(c, a, b, beta=0.5, alpha=3).double()
        product = 3 * (a.double() @ b.double())
        want = product + 0.5 * c.double()
        # The product, its multiple and the sum are rounded each.
        assert ((got - want).abs() <= 2.0**-7 * product.abs() + 2.0**-8 * want.abs() + 1e-3).all()


def test_linear_and_its_gradients():
    x = numbers(4, 33, 65).to(fb.bfloat16).requires_grad_()
    w = numbers(47, 65, seed=1).to(fb.bfloat16).requires_grad_()
    bias = numbers(47, seed=2).to(fb.bfloat16).requires_grad_()
    y = F.linear(x, w, bias)
    check(y, (x, w.t()), added=bias.detach().double().numpy())
    g = numbers(4, 33, 47, seed=3).to(fb.bfloat16)
    y.backward(g)
    check(x.grad, (g, w))
    check(w.grad, (g.reshape(-1, 47).t(), x.detach().reshape(-1, 65)))


def test_infinities_and_nan_stay_where_ieee_puts_them():
    for m, n, k in [(20, 40, 31), (70, 65, 1100), (3, 30, 8)]:
        a, b = numbers(m, k).float().numpy(), numbers(k, n, seed=1).float().numpy()
        a[0, 1], a[1, k - 1], a[2, 0], a[2, 1] = np.inf, np.nan, np.inf, -np.inf
        b[1, 2], b[k - 1, 3], b[0, 4] = 0, -np.inf, 3e38
        x, y = fb.tensor(a).to(fb.bfloat16), fb.tensor(b).to(fb.bfloat16)
        with np.errstate(all="ignore"):
            want = (x.float().numpy()[:, None] * y.float().numpy().T).astype("f4").sum(-1)
        for left in LAYOUTS[:2]:
            for right in LAYOUTS[:2]:
                got = (stored(x, left) @ stored(y, right)).float().numpy()
                np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
                np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
                infinite = np.isinf(want)
                np.testing.assert_array_equal(got[infinite], want[infinite])


def test_a_sum_beyond_the_largest_number_is_infinite():
    x = fb.full((20, 20), 3e38, dtype=fb.bfloat16)
    assert (x @ fb.ones(20, 20, dtype=fb.bfloat16)).isinf().all()
    assert (x @ fb.eye(20).to(fb.bfloat16) == x).all()


def test_results_do_not_depend_on_threads():
    before = fb.get_num_threads()
    try:
        for m, n, k in SIZES:
            a, b = numbers(m, k).to(fb.bfloat16), numbers(k, n, seed=1).to(fb.bfloat16)
            results = []
            for threads in (1, 2, 3):
                fb.set_num_threads(threads)
                results.append([a @ b, stored(a, "columns") @ stored(b, "columns")])
            for other in results[1:]:
                assert all(map(fb.equal, results[0], other)), (m, n, k)
    finally:
        fb.set_num_threads(before)


@pytest.mark.parametrize("isa", ["base", "avx2"])
def test_lesser_instruction_sets(isa):
    """Where the processor lacks the instruction the product is the same, by way of float32."""
    code = (
        "import flambeau as fb\n"
        "a = (fb.arange(40 * 70) % 13 - 6).reshape(40, 70)\n"
        "want = (a.float() @ a.t().float()).to(fb.bfloat16)\n"
        "b = a.to(fb.bfloat16)\n"
        "assert fb.equal(b @ b.t(), want)\n"
        "tiny = fb.eye(40).to(fb.bfloat16) * 2.0**-130\n"
        "assert ((tiny @ fb.ones(40, 40).to(fb.bfloat16)) == 2.0**-130).all()\n"
    )
    env = dict(os.environ, FLAMBEAU_CPU_ISA=isa)
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=120)
