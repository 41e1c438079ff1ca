"""assert_close and make_tensor: what they accept, refuse and say."""

import numpy as np
import pytest

from under_test import fb, submodule

testing = submodule("testing")
close = testing.assert_close


@pytest.mark.parametrize(
    "dtype,within,beyond",
    [("float32", 1e-5, 1e-3), ("float64", 1e-8, 1e-5), ("float16", 5e-3, 0.1),
     ("bfloat16", 0.1, 0.5), ("complex64", 1e-5, 1e-3), ("int64", 0, 1)],
)  # fmt: skip
def test_default_tolerances(dtype, within, beyond):
    dtype = getattr(fb, dtype)
    b = fb.tensor([8], dtype=dtype)
    close(fb.tensor([8 + within], dtype=dtype), b)
    with pytest.raises(AssertionError, match="not close|not equal"):
        close(fb.tensor([8 + beyond], dtype=dtype), b)


@pytest.mark.parametrize(
    "actual,expected,word",
    [
        (lambda: fb.ones(3), lambda: fb.ones(2), "shape"),
        (lambda: fb.ones(3), lambda: fb.ones(3).double(), "dtype"),
        (lambda: fb.tensor([1, 2]), lambda: fb.tensor([1, 3]), "not equal"),
        (lambda: fb.ones(2) * float("nan"), lambda: fb.ones(2) * float("nan"), "not close"),
        (lambda: fb.tensor(float("inf")), lambda: fb.tensor(1.0), "not close"),
        (lambda: [fb.ones(1)], lambda: [fb.ones(1)] * 2, "length"),
        (lambda: {"a": 1}, lambda: {"b": 1}, "Missing keys"),
        (lambda: [1, {"k": 2}], lambda: [1, {"k": 3}], r"item \[1\]\['k'\]"),
        (lambda: 1, lambda: 1.0, "types"),
        (lambda: 1.0, lambda: 1.1, "Expected 1.1 but got 1.0"),
        (lambda: True, lambda: False, "True is not False"),
        (lambda: np.ones(2), lambda: np.zeros(2), "100.0%"),
    ],
)
def test_differences_raise(actual, expected, word):
    with pytest.raises(AssertionError, match=word):
        close(actual(), expected())


def test_what_agrees():
    nan = fb.tensor([float("nan"), 1.0])
    close(nan, nan, equal_nan=True)
    close(fb.ones(2), fb.ones(2).double(), check_dtype=False)
    close([1, (2.0, None)], [1, (2.0 + 1e-9, None)])
    close(fb.tensor(float("inf")), fb.tensor(float("inf")))
    close(fb.zeros(0, 3), fb.zeros(0, 3))
    close(fb.ones(2), fb.ones(2) + 0.05, rtol=0, atol=0.1)
    close(np.ones(2), np.ones(2))


def test_bad_calls_and_own_messages():
    with pytest.raises(ValueError, match="atol"):
        close(1.0, 1.0, rtol=0.1)
    with pytest.raises(TypeError, match="list"):
        close(fb.ones(2), [1, 1])
    with pytest.raises(AssertionError, match="^mine$"):
        close(1, 2, msg="mine")
    with pytest.raises(AssertionError, match="^see: Scalars"):
        close(1, 2, msg=lambda text: "see: " + text)


def test_the_place_of_the_greatest_difference():
    a, b = fb.zeros(2, 3), fb.zeros(2, 3)
    a[1, 2], a[0, 1] = 5, 1
    with pytest.raises(AssertionError, match=r"(?s)2 / 6.*5.0 at index \(1, 2\)"):
        close(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool", "complex64"])
def test_make_tensor(dtype):
    dtype = getattr(fb, dtype)
    x = testing.make_tensor(4, 5, dtype=dtype, device="cpu", noncontiguous=True)
    assert x.shape == (4, 5) and x.dtype == dtype and not x.is_contiguous()
    y = testing.make_tensor((50,), dtype=dtype, device="cpu", exclude_zero=True)
    assert bool((y != 0).all())
    if dtype.is_floating_point:
        z = testing.make_tensor(99, dtype=dtype, device="cpu", low=2, high=3, requires_grad=True)
        assert z.requires_grad and 2 <= z.min().item() and z.max().item() <= 3
    elif not dtype.is_complex:
        with pytest.raises(ValueError):
            testing.make_tensor(2, dtype=dtype, device="cpu", requires_grad=True)
