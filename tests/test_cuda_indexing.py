"""Indexing, joining, sorting and searching on a GPU, where the op sweep does not reach: many
blocks and tiles, odd layouts, sixteen bits, and indices out of range."""

import numpy as np
import pytest

from cuda_support import DEVICE, needs_cuda
from under_test import fb

pytestmark = needs_cuda


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def gpu(a):
    return fb.from_numpy(np.ascontiguousarray(a)).to(DEVICE)


def host(t):
    t = t.detach().cpu()
    return (t.float() if t.dtype == fb.bfloat16 else t).numpy()


def equal(t, want):
    assert t.device.type == DEVICE
    np.testing.assert_array_equal(host(t), want)


# picking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 3, 4, 8, 33])  # rows in words of 4, 8 and 16 bytes
@pytest.mark.parametrize("dtype", ["float32", "int8", "float16", "complex128"])
def test_rows_of_any_width(rng, width, dtype):
    table = rng.integers(-100, 100, (300, width)).astype(dtype)
    at = rng.integers(0, 300, 700)
    equal(fb.index_select(gpu(table), 0, gpu(at)), table[at])
    equal(gpu(table)[gpu(at - 300)], table[at])
    equal(fb.index_select(gpu(table).t(), 1, gpu(at)), table.T[:, at])


def test_rows_that_start_between_words(rng):
    flat = gpu(rng.standard_normal(4001).astype(np.float32))
    table = flat[1:].view(500, 8)  # 4 bytes past a word of 16
    at = gpu(rng.integers(0, 500, 90))
    equal(table[at], host(table)[host(at)])
    wide = gpu(rng.standard_normal((100, 24)).astype(np.float32))[:, 4:12]
    equal(wide[at % 100], host(wide)[host(at) % 100])


def test_several_indices_and_gaps(rng):
    x = rng.standard_normal((7, 5, 6, 4)).astype(np.float32)
    i, j = rng.integers(-7, 7, (3, 1)), rng.integers(-6, 6, 8)
    equal(gpu(x)[gpu(i), :, gpu(j)], x[i, :, j])
    equal(gpu(x)[1:, gpu(i % 5), gpu(j)], x[1:, i % 5, j])
    equal(
        gpu(x).permute(3, 1, 0, 2)[:, gpu(i % 5), gpu(j % 7)],
        x.transpose(3, 1, 0, 2)[:, i % 5, j % 7],
    )
    mask = rng.random((7, 5)) < 0.4
    equal(gpu(x)[gpu(mask)], x[mask])
    equal(gpu(x)[fb.from_numpy(mask)], x[mask])  # the host's indices follow
    equal(gpu(x)[gpu(mask), gpu(np.array(2))], x[mask, 2])


def test_indices_into_nothing_are_refused_at_once():
    with pytest.raises(IndexError):
        fb.zeros(0, 3, device=DEVICE)[fb.tensor([0], device=DEVICE)]
    assert fb.zeros(0, 3, device=DEVICE)[fb.tensor([], dtype=fb.int64, device=DEVICE)].shape == (
        0,
        3,
    )


BAD = {
    "gather": lambda x, i: fb.gather(x, 1, i),
    "index_select": lambda x, i: fb.index_select(x, 0, i[0]),
    "scatter": lambda x, i: fb.scatter(x, 0, i, 1.0),
    "scatter_add": lambda x, i: fb.scatter_add(x, 0, i, x),
    "index_add": lambda x, i: fb.index_add(x, 0, i[0], x),
    "index": lambda x, i: x[i],
    "index_put": lambda x, i: x.index_put((i, i), fb.tensor(1.0)),
    "masked_scatter": lambda x, i: fb.masked_scatter(x, x == x, x[0]),
}


@pytest.mark.parametrize("name", BAD)
def test_an_index_out_of_range_is_raised_by_the_next_wait(name):
    x = fb.ones(2, 2, device=DEVICE)
    r = BAD[name](x, fb.tensor([[0, 99], [1, 0]], device=DEVICE))
    with pytest.raises(IndexError, match=name):
        r.cpu()
    equal(x + 1, np.full((2, 2), 2.0))  # the GPU goes on


# putting --------------------------------------------------------------------------------------

COMBINED = ["float32", "float64", "int64", "int32", "int16", "uint8"]


@pytest.mark.parametrize("dtype", COMBINED)
@pytest.mark.parametrize("how", ["sum", "prod", "amax", "amin", "mean"])
@pytest.mark.parametrize("include_self", [True, False])
def test_many_writes_to_few_places(rng, dtype, how, include_self):
    low = 0 if dtype == "uint8" else -3
    x = rng.integers(low, 4, (3, 5)).astype(dtype)
    src = rng.integers(low, 4, (90, 5)).astype(dtype)
    src[src == 0] = 1
    at = rng.integers(0, 3, (90, 5))
    want = fb.from_numpy(x).scatter_reduce(
        0, fb.from_numpy(at), fb.from_numpy(src), how, include_self=include_self
    )
    if how == "prod" and dtype.startswith("float"):
        src = np.sign(src)
        want = fb.from_numpy(x).scatter_reduce(
            0, fb.from_numpy(at), fb.from_numpy(src), how, include_self=include_self
        )
    got = gpu(x).scatter_reduce(0, gpu(at), gpu(src), how, include_self=include_self)
    np.testing.assert_allclose(host(got), want.numpy(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [fb.float16, fb.bfloat16, fb.int8, fb.bool])
def test_elements_smaller_than_a_word_leave_their_neighbours(rng, dtype):
    x = fb.zeros(7, dtype=dtype, device=DEVICE)
    at = gpu(np.repeat([1, 2, 5], 3))
    r = x.index_add(0, at, fb.ones(9, device=DEVICE).to(dtype))
    equal(r, np.array([0, 3, 3, 0, 0, 3, 0]).astype(bool if dtype == fb.bool else host(r).dtype))


def test_complex_sums_and_products(rng):
    at = gpu(np.array([0, 1, 0, 1]))
    src = gpu(np.array([1 + 2j, 3j, 2 - 1j, 1j], np.complex64))
    for t in (fb.complex64, fb.complex128):
        x = fb.ones(2, dtype=t, device=DEVICE)
        equal(x.scatter_add(0, at, src.to(t)), np.array([4 + 1j, 1 + 4j]))
        equal(x.scatter(0, at, src.to(t), reduce="multiply"), np.array([4 + 3j, -3]))


def test_put_in_place(rng):
    x = rng.standard_normal((9, 8)).astype(np.float32)
    t, want = gpu(x), x.copy()
    mask = x > 0.5
    t[gpu(mask)] = 7.0
    want[mask] = 7.0
    rows = np.array([1, 4, 8])
    t[gpu(rows), 2:5] = gpu(np.arange(3, dtype=np.float32))
    want[rows, 2:5] = np.arange(3)
    t[:, gpu(np.array([0, -1]))] = [[5.0, 6.0]]
    want[:, [0, -1]] = [5, 6]
    t[gpu(want < -0.5)] = gpu(np.full((want < -0.5).sum(), 2, np.float32))
    want[want < -0.5] = 2
    equal(t, want)
    t.index_put_((gpu(np.array([3, 3, 3])),), fb.tensor(1.0, device=DEVICE), accumulate=True)
    want[3] += 3
    equal(t, want)


def test_overlapping_windows_add_up():
    x = fb.arange(10.0, device=DEVICE, requires_grad=True)
    w = x.unfold(0, 4, 1)
    w.backward(fb.ones_like(w))
    equal(x.grad, np.array([1, 2, 3, 4, 4, 4, 4, 3, 2, 1.0]))


def test_gradients_come_back_to_their_places(rng):
    x = fb.ones(4, 3, device=DEVICE, requires_grad=True)
    g = gpu(rng.standard_normal((5, 3)).astype(np.float32))
    x[gpu(np.array([0, 2, 2, -1, 0]))].backward(g)
    want = np.zeros((4, 3), np.float32)
    np.add.at(want, [0, 2, 2, 3, 0], host(g))
    np.testing.assert_allclose(host(x.grad), want, rtol=1e-6)


# masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0,), (1,), (4096,), (5 * 4096 + 17,), (13, 70, 41), (3, 0, 2)])
def test_positions_of_masks(rng, shape):
    mask = rng.random(shape) < 0.3
    equal(fb.nonzero(gpu(mask)), np.argwhere(mask))
    equal(fb.nonzero(gpu(mask.astype(np.float32) * -2)), np.argwhere(mask))
    odd = gpu(np.concatenate([[True], mask.ravel()]))[1:]  # not at a word's start
    equal(fb.nonzero(odd), np.argwhere(mask.ravel()))


def test_masked_scatter_over_tiles(rng):
    x = rng.standard_normal(10001).astype(np.float32)
    mask = rng.random(10001) < 0.5
    src = rng.standard_normal(10001).astype(np.float32)
    want = x.copy()
    want[mask] = src[: mask.sum()]
    equal(fb.masked_scatter(gpu(x), gpu(mask), gpu(src)), want)


# joining --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "float64"])
def test_cat_of_many(rng, dim, dtype):
    parts = []
    for k in range(101):  # more than one launch holds
        shape = [3, 4, 5]
        shape[dim] = k % 4
        parts.append(rng.integers(0, 100, shape).astype(dtype))
    tensors = [gpu(p) for p in parts]
    tensors[7] = gpu(parts[7].transpose(2, 1, 0)).permute(2, 1, 0)
    equal(fb.cat(tensors, dim), np.concatenate(parts, dim))


def test_flip_and_triangles(rng):
    x = rng.standard_normal((3, 40, 300))
    equal(fb.flip(gpu(x), [0]), x[::-1])
    equal(fb.flip(gpu(x), [1, 2]), x[:, ::-1, ::-1])
    equal(fb.flip(gpu(x.transpose(2, 0, 1)), [0]), x.transpose(2, 0, 1)[::-1])
    for k in (-50, -3, 0, 7, 299, 400):
        equal(fb.tril(gpu(x), k), np.tril(x, k))
        equal(fb.triu(gpu(x).transpose(0, 1), k), np.triu(x.transpose(1, 0, 2), k))


def test_repeat_interleave(rng):
    x = rng.standard_normal((4, 6, 3)).astype(np.float32)
    times = np.array([0, 3, 1, 0, 2, 5])
    equal(fb.repeat_interleave(gpu(x), 3, 1), x.repeat(3, 1))
    n, ends = int(times.sum()), gpu(np.cumsum(times))
    equal(fb._C._repeat_slices(gpu(x), 1, ends, n), x.repeat(times, 1))


# order ----------------------------------------------------------------------------------------


def keys(rng, n, dtype):
    a = rng.standard_normal((2, n)) * 50
    if np.dtype(dtype).kind == "f":
        a = a.astype(dtype)
        a[0, ::7] = np.nan
        a[1, ::5], a[1, 2::5] = 0.0, -0.0
        a[:, 3::11] = np.inf
        return a
    return a > 0 if dtype == "bool" else a.astype(np.int64).astype(dtype)


@pytest.mark.parametrize("n", [1, 3, 100, 513, 2048, 2049, 9001])
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int64", "int16", "int8", "uint8", "bool"]
)
def test_sort_is_the_host_s(rng, n, dtype):
    a = keys(rng, n, dtype)
    for down in (False, True):
        got, want = fb.sort(gpu(a), 1, down), fb.sort(fb.from_numpy(a), 1, down)
        equal(got[1], want[1].numpy())  # stable: places agree wherever values are equal
        equal(got[0], want[0].numpy())
    if dtype != "bool":
        k = (n + 1) // 2
        got, want = fb.topk(gpu(a), k, 1), fb.topk(fb.from_numpy(a), k, 1)
        equal(got[1], want[1].numpy())
        equal(got[0], want[0].numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int16", "uint8"])
@pytest.mark.parametrize("k", [1, 5, 300])
def test_the_best_of_long_rows(rng, dtype, k):
    a = keys(rng, 5003, dtype)
    for largest in (True, False):
        got = fb.topk(gpu(a), k, 1, largest)
        want = fb.topk(fb.from_numpy(a), k, 1, largest)
        equal(got[1], want[1].numpy())  # of equal ones the first
        equal(got[0], want[0].numpy())


def test_sort_along_any_dimension(rng):
    x = rng.standard_normal((5, 3000, 3)).astype(np.float32)
    for dim in (0, 1, 2):
        v, i = fb.sort(gpu(x), dim)
        equal(v, np.sort(x, dim))
        equal(i, np.argsort(x, dim, kind="stable"))
    half = gpu(x).to(fb.bfloat16)
    equal(fb.sort(half, 1)[0], np.sort(host(half), 1))


@pytest.mark.parametrize("n", [1, 50, 3001])
def test_elements_by_rank(rng, n):
    a = rng.integers(-9, 9, (4, n)).astype(np.float32)
    t, h = gpu(a), fb.from_numpy(a)
    pairs = [
        (fb.kthvalue(t, (n + 1) // 2, 1), fb.kthvalue(h, (n + 1) // 2, 1)),
        (fb.median(t, 1), fb.median(h, 1)),
        (fb.mode(t, 1), fb.mode(h, 1)),
    ]
    a[0, ::3] = np.nan
    a[1, :] = np.nan
    t, h = gpu(a), fb.from_numpy(a)
    pairs += [
        (fb.median(t, 1), fb.median(h, 1)),
        (fb.nanmedian(t, 1), fb.nanmedian(h, 1)),
        (fb.mode(t, 1), fb.mode(h, 1)),
    ]
    for got, want in pairs:
        equal(got[0], want[0].numpy())
        equal(got[1], want[1].numpy())
    equal(fb.median(t), fb.median(h).numpy())
    equal(fb.nanmedian(t), fb.nanmedian(h).numpy())


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8"])
def test_distinct_values(rng, dtype):
    a = rng.integers(0, 2 if dtype == "bool" else 40, 5000).astype(dtype)
    got = fb.unique(gpu(a), return_inverse=True, return_counts=True)
    for g, w in zip(got, np.unique(a, return_inverse=True, return_counts=True)):
        equal(g, w)
    got = fb.unique_consecutive(gpu(a), return_inverse=True, return_counts=True)
    want = fb.unique_consecutive(fb.from_numpy(a), return_inverse=True, return_counts=True)
    for g, w in zip(got, want):
        equal(g, w.numpy())
    assert fb.unique(gpu(a[:0])).shape == (0,)


def test_distinct_rows(rng):
    a = rng.integers(0, 3, (60, 3))
    got = fb.unique(gpu(a), return_inverse=True, dim=0)
    want = np.unique(a, return_inverse=True, axis=0)
    equal(got[0], want[0])
    equal(got[1], want[1].reshape(-1))


def test_places_among_boundaries(rng):
    edges = np.sort(rng.integers(0, 500, 300)).astype(np.float32)
    v = rng.integers(-5, 505, (40, 30)).astype(np.float32)
    v[0, 0] = np.nan
    for right in (False, True):
        side = "right" if right else "left"
        equal(fb.searchsorted(gpu(edges), gpu(v), right=right), np.searchsorted(edges, v, side))
    mixed = rng.permutation(edges)
    order = np.argsort(mixed, kind="stable")
    equal(fb.searchsorted(gpu(mixed), gpu(v), sorter=gpu(order)), np.searchsorted(edges, v))
    rows = np.sort(rng.standard_normal((40, 17)), 1)
    want = np.stack([np.searchsorted(r, x) for r, x in zip(rows, v.astype(np.float64))])
    equal(
        fb.searchsorted(gpu(rows), gpu(v.astype(np.float64)), out_int32=True), want.astype(np.int32)
    )
    equal(fb.bucketize(3.0, gpu(edges)), np.searchsorted(edges, 3.0))


@pytest.mark.parametrize("bins", [10, 10000])  # counted in shared memory, and not
def test_histograms(rng, bins):
    x = rng.random(30000).astype(np.float32)
    h = fb.histc(fb.from_numpy(x), bins, 0.1, 0.8)
    equal(fb.histc(gpu(x), bins, 0.1, 0.8), h.numpy())
