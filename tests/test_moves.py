"""Rows moved and rows written by index: sizes around every way of doing it, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from under_test import fb

SHAPES = [(1,), (33,), (5, 3), (17, 40), (300, 70), (2, 9, 33, 6), (3, 40_000)]
DTYPES = ["float32", "float64", "int8", "int16", "bool", "complex128"]


def drawn(shape, dtype):
    rng = np.random.default_rng(len(shape))
    return rng.integers(-100, 100, shape).astype(dtype)


def layouts(a):
    """The array as it is, and the same values with the strides of a transposed one."""
    yield a, fb.tensor(a)
    yield a, fb.tensor(np.ascontiguousarray(a.T)).permute(*reversed(range(a.ndim)))


def agree(t, a):
    got = t.numpy()
    assert got.shape == a.shape
    assert got.dtype == a.dtype
    np.testing.assert_array_equal(got, a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_flip_and_roll(shape, dtype):
    for a, t in layouts(drawn(shape, dtype)):
        axes = range(a.ndim)
        for k in range(1, a.ndim + 1):
            for dims in itertools.combinations(axes, k):
                agree(t.flip(dims), np.flip(a, dims))
        for d in axes:
            for shift in (0, 1, -1, a.shape[d], 1_000_003):
                agree(t.roll(shift, d), np.roll(a, shift, d))
        agree(
            t.roll(tuple(range(1, a.ndim + 1)), tuple(axes)), np.roll(a, range(1, a.ndim + 1), axes)
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_cat_stack_and_repeat(shape, dtype):
    for a, t in layouts(drawn(shape, dtype)):
        for d in range(a.ndim):
            for parts in (2, 7):
                cut, pieces = np.array_split(a, parts, d)[::-1], t.tensor_split(parts, d)[::-1]
                agree(fb.cat([*pieces, t], d), np.concatenate([*cut, a], d))
            wide = fb.cat([t.narrow(d, 0, 1).expand(t.shape), t], d)
            row = np.broadcast_to(np.take(a, [0], d), a.shape)
            agree(wide, np.concatenate([row, a], d))
            agree(
                t.repeat(*[3 if i == d else 1 for i in range(a.ndim)]), np.concatenate([a] * 3, d)
            )
        for d in range(a.ndim + 1):
            agree(fb.stack([t, t.flip(0), t], d), np.stack([a, a[::-1], a], d))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_pad(shape, dtype):
    rng = np.random.default_rng(0)
    for a, t in layouts(drawn(shape, dtype)):
        for k in range(1, a.ndim + 1):
            for _ in range(4):
                pads = [(0, 0)] * (a.ndim - k) + [tuple(rng.integers(0, 4, 2)) for _ in range(k)]
                flat = [int(n) for pair in reversed(pads[a.ndim - k :]) for n in pair]
                agree(fb.nn.functional.pad(t, flat, value=1), np.pad(a, pads, constant_values=1))
        cut = fb.nn.functional.pad(t, [-1, 2] if a.shape[-1] > 1 else [0, 2], value=1)
        first = 1 if a.shape[-1] > 1 else 0
        pads = [(0, 0)] * (a.ndim - 1) + [(0, 2)]
        agree(cut, np.pad(a[..., first:], pads, constant_values=1))


def test_pad_that_leaves_nothing():
    agree(fb.nn.functional.pad(fb.ones(2, 3), [-4, 5], value=2.0), np.full((2, 4), 2, "float32"))


# ---- writes at positions that an index names ----
INDEXED = [(9,), (70, 64), (3000, 40), (300, 9), (5, 600, 33), (20, 50, 8), (2, 7, 5000)]


@pytest.mark.parametrize("n", [1, 50, 2000])
@pytest.mark.parametrize("shape", INDEXED)
def test_slices_added_and_put(shape, n):
    rng = np.random.default_rng(n)
    for d in range(len(shape)):
        a, at = drawn(shape, "float64"), (slice(None),) * d
        i = rng.integers(0, shape[d], n)
        src = rng.integers(-100, 100, (*shape[:d], n, *shape[d + 1 :])).astype("float64")
        t, j, s = fb.tensor(a), fb.tensor(i), fb.tensor(src)
        want = a.copy()
        np.add.at(want, (*at, i), src)
        agree(t.index_add(d, j, s), want)
        agree(t.clone().index_add_(d, j, s), want)
        if d == 0:
            agree(t.index_put((j,), s, accumulate=True), want)
        agree(t.index_select(d, j), np.take(a, i, d))
        agree(t[(*at, j - shape[d])], np.take(a, i, d))
        want = a.copy()
        for k in range(n):  # the last of equal targets stays
            want[(*at, i[k])] = src[(*at, k)]
        u = t.clone()
        u[(*at, j)] = s
        agree(u, want)
        agree(t.index_copy(d, j, s), want)
        for value in (3.0, src[(0,) * (d + 1)] if d + 1 < len(shape) else 2.0):
            want[(*at, i)] = value
            u[(*at, j)] = fb.tensor(value) if np.ndim(value) else value
            agree(u, want)


@pytest.mark.parametrize("shape", INDEXED)
def test_elements_gathered_and_scattered(shape):
    rng = np.random.default_rng(1)
    for d in range(len(shape)):
        for n in (1, 40, 700):
            a = drawn(shape, "float64")
            i = rng.integers(0, shape[d], (*shape[:d], n, *shape[d + 1 :]))
            src = rng.integers(-100, 100, i.shape).astype("float64")
            t, j, s = fb.tensor(a), fb.tensor(i), fb.tensor(src)
            agree(t.gather(d, j), np.take_along_axis(a, i, d))
            where = list(np.indices(i.shape, sparse=True))
            where[d] = i
            want = a.copy()
            np.add.at(want, tuple(where), src)
            agree(t.scatter_add(d, j, s), want)
            want = a.copy()
            np.put_along_axis(want, i, 7, d)
            agree(t.scatter(d, j, 7.0), want)


def test_additions_do_not_depend_on_the_threads():
    rng = np.random.default_rng(2)
    a, i = fb.tensor(rng.normal(size=(4000, 48))), fb.tensor(rng.integers(0, 300, 4000))
    columns = fb.tensor(rng.integers(0, 4000, (4000, 48)))
    threads, results = fb.get_num_threads(), []
    try:
        for n in (1, 2, 5):
            fb.set_num_threads(n)
            w = fb.zeros(300, 48, dtype=fb.float64, requires_grad=True)
            fb.nn.functional.embedding(i, w).backward(a)
            put = fb.ones(300, 48, dtype=fb.float64).index_put_((i,), a, accumulate=True)
            results.append([w.grad, put, a.scatter_add(0, columns, a), a.index_add(0, i, a)])
    finally:
        fb.set_num_threads(threads)
    for others in results[1:]:
        for x, y in zip(results[0], others, strict=True):
            agree(x, y.numpy())


@pytest.mark.parametrize(
    "shape", [(0,), (70_000,), (3, 0), (5, 7), (900, 110), (2, 3, 40_000), (4, 5, 6, 7)]
)
def test_positions_of_nonzeros(shape):
    for share in (0.0, 0.02, 0.6, 1.0):
        a = np.random.default_rng(3).random(shape) < share
        agree(fb.tensor(a).nonzero(), np.argwhere(a))
