"""The attention kernel for 16-bit floats on a GPU, against float64 on the CPU."""

import numpy as np
import pytest

from cuda_support import DEVICE, needs_cuda
from under_test import fb

pytestmark = needs_cuda
attend = fb.nn.functional.scaled_dot_product_attention
HALVES = ("float16", "bfloat16")

# (query, key, value sizes, other arguments)
CASES = {
    "heads": ((2, 3, 50, 64), (2, 3, 70, 64), (2, 3, 70, 64), {}),
    "matrices": ((5, 16), (3, 16), (3, 16), {}),
    "one head": ((2, 40, 24), (2, 33, 24), (2, 33, 40), {"scale": 0.7}),
    "wide": ((1, 1, 9, 128), (1, 1, 65, 128), (1, 1, 65, 120), {}),
    "causal": ((1, 2, 200, 64), (1, 2, 200, 64), (1, 2, 200, 64), {"is_causal": True}),
    "causal with more rows": ((2, 150, 16), (2, 40, 16), (2, 40, 16), {"is_causal": True}),
    "causal with more keys": ((2, 40, 16), (2, 150, 16), (2, 150, 16), {"is_causal": True}),
    "shared heads": ((2, 4, 20, 16), (2, 2, 30, 16), (2, 2, 30, 8), {"enable_gqa": True}),
    "negative scale": ((2, 3, 9, 16), (2, 3, 8, 16), (2, 3, 8, 16), {"scale": -0.5}),
}


def inputs(dtype, *shapes):
    rng = np.random.default_rng(3)
    return [fb.tensor(rng.standard_normal(s)).to(getattr(fb, dtype)) for s in shapes]


def close(got, want, dtype):
    # weights and result are rounded to 16 bits
    eps = 4e-3 if dtype == "float16" else 3e-2
    np.testing.assert_allclose(got.cpu().double().numpy(), want.numpy(), rtol=eps, atol=eps / 2)


def check(dtype, qkv, mask=None, **arguments):
    on_gpu = [t.to(DEVICE) for t in qkv]
    got = attend(*on_gpu, None if mask is None else mask.to(DEVICE), **arguments)
    if mask is not None and mask.dtype != fb.bool:
        mask = mask.double()
    want = attend(*(t.double() for t in qkv), mask, **arguments)
    assert got.dtype == qkv[0].dtype and got.is_contiguous()
    close(got, want, dtype)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", CASES)
def test_value(dtype, name):
    *shapes, arguments = CASES[name]
    check(dtype, inputs(dtype, *shapes), **arguments)


@pytest.mark.parametrize("dtype", HALVES)
def test_masks(dtype):
    qkv = inputs(dtype, (2, 2, 70, 32), (2, 2, 90, 32), (2, 2, 90, 32))
    rng = np.random.default_rng(1)
    for shape in ((70, 90), (2, 1, 70, 90), (90,), (1, 2, 1, 90)):
        keep = rng.random(shape) > 0.4
        check(dtype, qkv, fb.tensor(keep))
        check(dtype, qkv, fb.tensor(rng.standard_normal(shape)).to(getattr(fb, dtype)))
    keep = np.ones((70, 90), bool)
    keep[3] = False  # attends to nothing: zeros
    check(dtype, qkv, fb.tensor(keep))
    keep[5, :80] = False  # nothing in the first step of keys
    check(dtype, qkv, fb.tensor(keep))


def test_layouts():
    q, k, v = inputs("float16", (2, 9, 3, 32), (2, 21, 3, 32), (2, 21, 3, 32))
    split = [t.transpose(1, 2) for t in (q, k, v)]  # heads behind the rows, as layers have them
    check("float16", split)
    check("float16", [t[..., 8:24] for t in split])
    check("float16", [t[..., 3:19] for t in split])  # rows off 16-byte bounds: a copy
    check("float16", [t.flip(-1).mT.contiguous().mT for t in split])


def test_large_scores_and_nan():
    q, k, v = inputs("float16", (1, 20, 16), (1, 80, 16), (1, 80, 16))
    check("float16", [q * 30, k * 30, v])
    k[0, 70, 0] = float("nan")
    assert attend(q.to(DEVICE), k.to(DEVICE), v.to(DEVICE)).isnan().cpu().all()


def test_the_kernel_is_used():
    q, k, v = (
        t.to(DEVICE) for t in inputs("bfloat16", (1, 2, 9, 16), (1, 2, 9, 16), (1, 2, 9, 16))
    )
    attend(q, k, v)
    assert any(entry == "attention" for _, entry, _ in fb._C._cuda_compiled_kernels())


@pytest.mark.parametrize("name", ["heads", "causal", "shared heads", "negative scale"])
def test_gradient(name):
    *shapes, arguments = CASES[name]
    leaves = [t.to(DEVICE).requires_grad_() for t in inputs("float16", *shapes)]
    exact = [t.detach().cpu().double().requires_grad_() for t in leaves]
    y, want = attend(*leaves, **arguments), attend(*exact, **arguments)
    (up,) = inputs("float16", y.shape)
    y.backward(up.to(DEVICE))
    want.backward(up.double())
    for a, b in zip(leaves, exact, strict=True):
        size = float(b.grad.abs().max())
        np.testing.assert_allclose(
            a.grad.cpu().double().numpy(), b.grad.numpy(), rtol=2e-2, atol=6e-3 * size
        )


def test_gradient_with_a_mask():
    leaves = [
        t.to(DEVICE).requires_grad_()
        for t in inputs("float16", (2, 9, 16), (2, 12, 16), (2, 12, 8))
    ]
    exact = [t.detach().cpu().double().requires_grad_() for t in leaves]
    keep = np.random.default_rng(1).random((9, 12)) > 0.4
    keep[2] = False
    attend(*leaves, fb.tensor(keep).to(DEVICE)).sum().backward()
    attend(*exact, fb.tensor(keep)).sum().backward()
    for a, b in zip(leaves, exact, strict=True):
        close(a.grad, b.grad, "float16")
