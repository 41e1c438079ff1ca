"""Matrix products, convolutions and pooling on a GPU: tiles, splits, chunks and layouts."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from cuda_support import DEVICE, SIMULATED, needs_cuda
from under_test import fb

pytestmark = needs_cuda
F = fb.nn.functional
HALVES = ("float16", "bfloat16")


@pytest.fixture(params=["own", "cublas"])
def engine(request):
    """Each test runs with our own kernel and with cuBLAS, real or simulated."""
    folder = os.environ.get("FLAMBEAU_CUDA_LIBS", "")
    if request.param == "cublas" and SIMULATED and not list(Path(folder).glob("libcublas.so*")):
        pytest.skip("the simulated driver has no cuBLAS beside it")
    fb._C._cuda_setting("own_matmul", int(request.param == "own"))
    yield request.param
    fb._C._cuda_setting("own_matmul", 0)


def values(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if "int" in dtype:
        return rng.integers(-6, 7, shape).astype(dtype)
    a = rng.standard_normal(shape)
    return a + 1j * rng.standard_normal(shape) if "complex" in dtype else a


def on_gpu(array, dtype):
    return fb.tensor(array).to(getattr(fb, dtype)).to(DEVICE)


def as_array(t):
    t = t.cpu()
    return (t if t.dtype.is_complex else t.double()).numpy()


def close(got, want, dtype, terms):
    """Within the rounding of `terms` products summed in the compute type, and of the result."""
    eps = {"float16": 1e-3, "bfloat16": 8e-3, "float64": 1e-15, "complex128": 1e-15}.get(
        dtype, 2e-7
    )
    sums = 2e-7 if dtype in HALVES else eps
    size = np.abs(want).max(initial=1)
    np.testing.assert_allclose(got, want, rtol=eps, atol=size * (sums * terms**0.5 * 4 + eps))


SHAPES = [
    (1, 1, 1),
    (70, 40, 65),
    (3, 3000, 7),
    (1, 5000, 1),
    (64, 16, 64),
    (129, 7, 2),
    (5, 1, 200),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", *HALVES, "complex64", "complex128"])
def test_products_of_all_layouts(engine, dtype):
    for (m, k, n), ta, tb in itertools.product(SHAPES, (False, True), (False, True)):
        a = on_gpu(values((k, m) if ta else (m, k), dtype), dtype)
        b = on_gpu(values((n, k) if tb else (k, n), dtype, 1), dtype)
        a, b = a.T if ta else a, b.T if tb else b
        close(as_array(a @ b), as_array(a) @ as_array(b), dtype, k)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "bool"])
def test_products_of_integers_wrap(engine, dtype):
    a, b = values((33, 900), "int32"), values((900, 18), "int32", 1)
    if dtype == "bool":
        want = (a[:, :9] != 0).astype(np.uint8) @ (b[:9] != 0).astype(np.uint8) != 0
        got = on_gpu(a[:, :9], dtype) @ on_gpu(b[:9], dtype)
        assert np.array_equal(got.cpu().numpy(), want)
        return
    a, b = a.astype(dtype), b.astype(dtype)
    assert np.array_equal((on_gpu(a, dtype) @ on_gpu(b, dtype)).cpu().numpy(), a @ b)


def test_large_tiles(engine):
    for dtype, ta, tb, n in [
        ("float32", False, False, 1536),
        ("float32", True, True, 1537),
        ("float16", False, True, 1540),
    ]:
        a, b = (
            values((9, 1600) if ta else (1600, 9), dtype),
            values((n, 9) if tb else (9, n), dtype),
        )
        a, b = on_gpu(a, dtype), on_gpu(b, dtype)
        a, b = a.T if ta else a, b.T if tb else b
        close(as_array(a @ b), as_array(a) @ as_array(b), dtype, 9)


def test_batches_slices_and_broadcasts(engine):
    a, b = values((5, 9, 14), "float32"), values((5, 14, 11), "float32", 1)
    x, y = on_gpu(a, "float32"), on_gpu(b, "float32")
    for got, want in [
        (x @ y, a @ b),
        (x @ y[0], a @ b[0]),
        (x[:1].expand(5, 9, 14) @ y, a[:1] @ b),
        (x[:, 1:, 1:] @ y[:, 1:, 1:], a[:, 1:, 1:] @ b[:, 1:, 1:]),  # rows off 16-byte bounds
        (x[:, ::2, ::2] @ y[:, ::2], a[:, ::2, ::2] @ b[:, ::2]),  # no dense rows: a copy
        (x.transpose(0, 1) @ y[0], a.transpose(1, 0, 2) @ b[0]),
        (x[:, :, :0] @ y[:, :0], a[:, :, :0] @ b[:, :0]),
        (x[:0] @ y[:0], a[:0] @ b[:0]),
    ]:
        close(as_array(got), want.astype(float), "float32", 14)


@pytest.mark.skipif(SIMULATED, reason="takes a minute where a processor plays the GPU")
def test_more_matrices_than_a_grid_is_high(engine):
    a = values((70001, 1, 2), "float32")
    got = on_gpu(a, "float32") @ on_gpu(a, "float32").mT
    close(as_array(got), a @ a.transpose(0, 2, 1), "float32", 2)


@pytest.mark.parametrize("dtype", ["float32", *HALVES])
def test_linear_adds_its_bias(engine, dtype):
    x, w, b = (
        on_gpu(values(s, dtype, i), dtype) for i, s in enumerate([(2, 3, 50), (9, 50), (9,)])
    )
    want = as_array(x) @ as_array(w).T + as_array(b)
    close(as_array(F.linear(x, w, b)), want, dtype, 50)


# (nd, input, weight, arguments)
CONVOLUTIONS = {
    "plain": (2, (2, 3, 9, 8), (4, 3, 3, 3), {}),
    "wide": (2, (2, 3, 28, 30), (4, 3, 3, 3), {"padding": 1}),
    "one image": (2, (1, 3, 9, 8), (4, 3, 3, 3), {"padding": (2, 1)}),
    "strided": (2, (3, 4, 11, 10), (6, 4, 3, 2), {"stride": (2, 3), "padding": 1}),
    "dilated": (2, (2, 3, 12, 11), (4, 3, 3, 3), {"dilation": (2, 3), "padding": (2, 0)}),
    "groups": (2, (3, 6, 7, 8), (9, 2, 3, 3), {"groups": 3, "padding": 1}),
    "pointwise": (2, (3, 5, 6, 7), (4, 5, 1, 1), {}),
    "grouped pointwise": (2, (3, 6, 6, 7), (4, 3, 1, 1), {"groups": 2}),
    "strided pointwise": (2, (2, 5, 6, 7), (4, 5, 1, 1), {"stride": 2}),
    "depthwise": (2, (3, 5, 9, 8), (5, 1, 3, 3), {"groups": 5, "padding": 1}),
    "depthwise multiple": (
        2,
        (3, 5, 9, 8),
        (10, 1, 3, 2),
        {"groups": 5, "stride": 2, "padding": 1},
    ),
    "1d": (1, (2, 3, 50), (4, 3, 5), {"padding": 2, "stride": 2}),
    "3d": (3, (2, 3, 5, 6, 7), (4, 3, 2, 3, 2), {"padding": (1, 0, 1), "stride": (1, 2, 1)}),
    "depthwise 3d": (3, (2, 3, 5, 6, 7), (3, 1, 2, 3, 2), {"groups": 3, "dilation": 2}),
}


def differentiated(f, *tensors):
    """The function's value and its gradients, for a fixed upstream gradient."""
    leaves = [t.detach().requires_grad_() for t in tensors]
    y = f(*leaves)
    up = fb.tensor(np.random.default_rng(9).standard_normal(y.shape)).to(y.dtype).to(y.device)
    y.backward(up)
    return [y.detach(), *(t.grad for t in leaves)]


@pytest.fixture
def exact_convolutions():
    fb._C._cuda_setting("conv_tf32", 0)
    yield
    fb._C._cuda_setting("conv_tf32", 1)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(engine, exact_convolutions, name):
    nd, x, w, arguments = CONVOLUTIONS[name]
    function = getattr(F, f"conv{nd}d")
    arrays = values(x, "float64"), values(w, "float64", 1), values(w[:1], "float64", 2)

    def call(x, w, b):
        return function(x, w, b, **arguments)

    want = differentiated(call, *map(fb.tensor, arrays))
    for dtype in ("float32", "float64", *HALVES):
        inputs = [on_gpu(a, dtype) for a in arrays]
        if dtype in HALVES:  # what is left of the values in 16 bits
            want = differentiated(call, *(t.cpu().double() for t in inputs))
        for got, expected in zip(differentiated(call, *inputs), want, strict=True):
            close(as_array(got), expected.numpy(), dtype, 400)


def test_convolutions_use_tf32_unless_told_otherwise(engine):
    x, w = values((1, 8, 6, 6), "float32"), values((4, 8, 3, 3), "float32", 1)
    want = F.conv2d(fb.tensor(x), fb.tensor(w)).numpy()
    error = np.abs(as_array(F.conv2d(on_gpu(x, "float32"), on_gpu(w, "float32"))) - want).max()
    assert error < 0.02
    if SIMULATED:  # cuBLAS may, but need not
        assert (error > 1e-4) == (engine == "cublas")


def test_convolution_of_other_layouts_and_types(engine):
    x, w = values((2, 4, 9, 8), "float32"), values((5, 4, 3, 3), "float32", 1)
    want = F.conv2d(fb.tensor(x), fb.tensor(w)).numpy()
    a = on_gpu(x, "float64").to(memory_format=fb.channels_last)
    b = on_gpu(w, "float64").to(memory_format=fb.channels_last)
    close(as_array(F.conv2d(a, b)), want, "float32", 36)
    a, b = values((2, 4, 9), "int32"), values((5, 4, 3), "int32")
    got = F.conv1d(on_gpu(a, "int32"), on_gpu(b, "int32")).cpu()
    assert np.array_equal(got.numpy(), F.conv1d(fb.tensor(a), fb.tensor(b)).numpy())


def test_transposed_convolution(engine):
    x, w = values((2, 6, 5, 4), "float64"), values((6, 3, 3, 2), "float64", 1)
    for groups in (1, 2):

        def call(x, w, groups=groups):
            return F.conv_transpose2d(x, w, stride=2, padding=1, groups=groups)

        want = differentiated(call, fb.tensor(x), fb.tensor(w))
        got = differentiated(call, on_gpu(x, "float64"), on_gpu(w, "float64"))
        for a, b in zip(got, want, strict=True):
            close(as_array(a), b.numpy(), "float64", 100)


POOLS = {
    "max": lambda x: F.max_pool2d(x, 2),
    "max overlapping": lambda x: F.max_pool2d(x, 3, 2, padding=1),
    "max dilated": lambda x: F.max_pool2d(x, (2, 3), 1, dilation=(3, 2), padding=1, ceil_mode=True),
    "avg": lambda x: F.avg_pool2d(x, 3, 2, padding=1),
    "avg own": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "avg divisor": lambda x: F.avg_pool2d(x, (2, 3), divisor_override=5),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (4, 3)),
    "adaptive avg": lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
    "adaptive finer": lambda x: F.adaptive_avg_pool2d(x, (13, 17)),
    "whole": lambda x: F.adaptive_avg_pool2d(x, 1),
    "3d": lambda x: F.max_pool3d(x.unsqueeze(2).expand(2, 3, 4, 11, 9), 2, padding=1),
}


@pytest.mark.parametrize("name", POOLS)
def test_pooling(name):
    array = values((2, 3, 11, 9), "float64")
    array[0, 1] = np.round(array[0, 1])  # equal values: the first is the maximum
    for dtype in ("float32", "float64", *HALVES):
        x = on_gpu(array, dtype)
        got = differentiated(POOLS[name], x)
        want = differentiated(POOLS[name], x.cpu().double())
        for a, b in zip(got, want, strict=True):
            close(as_array(a), b.numpy(), dtype, 12)


def test_max_pooling_positions_and_nan():
    array = values((3, 8, 8), "float32").astype("float32")
    array[1, 3, 4] = np.nan
    array[2] = -np.inf
    for pool in (
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
        lambda x: F.adaptive_max_pool2d(x, (3, 5), return_indices=True),
    ):
        got, want = pool(on_gpu(array, "float32")), pool(fb.tensor(array))
        for a, b in zip(got, want, strict=True):
            assert np.array_equal(a.cpu().numpy(), b.numpy(), equal_nan=True)
