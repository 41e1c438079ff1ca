"""`flambeau.fft` against NumPy: values, dtypes, norms, sizes, both derivatives, errors."""

import numpy as np
import pytest

import flambeau as fb
from flambeau.autograd import gradcheck, gradgradcheck

R = np.random.RandomState(0)
REAL, CPX = R.randn(4, 5, 6), R.randn(4, 5, 6) + 1j * R.randn(4, 5, 6)
NORMS = pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])


def t(a):
    return fb.from_numpy(np.array(a))


@NORMS
@pytest.mark.parametrize("n", [None, 3, 9])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_dim(name, n, norm):
    a = REAL if name in ("rfft", "ihfft") else CPX
    for dim in (-1, 0):
        got = getattr(fb.fft, name)(t(a), n, dim, norm)
        np.testing.assert_allclose(
            got.resolve_conj().numpy(), getattr(np.fft, name)(a, n, dim, norm), atol=1e-10
        )


@NORMS
@pytest.mark.parametrize(
    "name", ["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"]
)
def test_many_dims(name, norm):
    a = REAL if name.startswith("rfft") else CPX
    for s, dim in (((3, 8), (0, 1)), ((4, 7), (-2, -1))):
        got = getattr(fb.fft, name)(t(a), s, dim, norm)
        np.testing.assert_allclose(got.numpy(), getattr(np.fft, name)(a, s, dim, norm), atol=1e-10)


@NORMS
def test_hermitian_many_dims(norm):
    x = fb.fft.ihfftn(t(REAL), norm=norm)
    np.testing.assert_allclose(fb.fft.hfftn(x, REAL.shape, norm=norm).numpy(), REAL, atol=1e-10)


@pytest.mark.parametrize(
    "name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fftn", "irfftn", "rfftn"]
)
def test_derivatives(name):
    a = (REAL if "rfft" in name and "i" not in name[:1] or name == "ihfft" else CPX)[0, :2, :4]
    x = t(a).requires_grad_()
    f = getattr(fb.fft, name)
    for norm in (None, "ortho"):
        assert gradcheck(lambda v: f(v, norm=norm), (x,))
        assert gradgradcheck(lambda v: f(v, norm=norm), (x,))
    if name in ("irfft", "hfft"):
        assert gradcheck(lambda v: f(v, 5), (x,))


# Every radix, odd ones without a butterfly of their own, large primes, lines cut in two.
SIZES = [
    *range(1, 36),
    49,
    61,
    64,
    74,
    97,
    100,
    121,
    128,
    143,
    180,
    131,
    211,
    256,
    437,
    500,
    1000,
    1024,
]
LONG = [1250, 2039, 2187, 4096, 6000, 8192, 10006]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("n", SIZES + LONG)
def test_lengths_and_layouts(n, single):
    # one line, a few, more than vectors have lanes; lines and columns
    shapes = [((n,), 0), ((3, n), 1), ((n, 2), 0)]
    if n not in LONG:
        shapes += [((19, n), 1), ((2, n, 5), 1), ((n, 19), 0), ((2, n, 16), 1)]
    kind, tol = (np.float32, 1e-6) if single else (np.float64, 4e-15)
    for shape, dim in shapes:
        x, half = R.randn(*shape).astype(kind), list(shape)
        half[dim] = n // 2 + 1
        z, h = ((R.randn(*s) + 1j * R.randn(*s)) for s in (shape, half))
        z, h = (v.astype(np.complex64 if single else np.complex128) for v in (z, h))
        for name, a, args in (
            ("fft", z, ()),
            ("ifft", z, ()),
            ("rfft", x, ()),
            ("irfft", h, (n,)),
        ):
            want = getattr(np.fft, name)(a.astype(np.result_type(a, np.float64)), *args, axis=dim)
            got = getattr(fb.fft, name)(t(a), *args, dim=dim).numpy()
            assert got.dtype.itemsize * (2 if single else 1) == want.dtype.itemsize
            np.testing.assert_allclose(got, want, atol=tol * np.abs(want).max(), rtol=0)


def test_lines_do_not_touch():
    for n in (8, 13, 64, 4096):
        a = R.randn(20, n)
        a[3, n // 2] = np.nan
        a[4] *= 1e200
        for dim, x in ((1, a), (0, a.T.copy())):
            got, want = fb.fft.rfft(t(x), dim=dim).numpy(), np.fft.rfft(x, axis=dim)
            rows = np.moveaxis(got, dim, 1)
            assert np.isnan(rows[3]).all() and np.isfinite(np.delete(rows, 3, 0)).all()
            np.testing.assert_allclose(
                np.delete(rows, (3, 4), 0), np.delete(np.moveaxis(want, dim, 1), (3, 4), 0), 1e-9
            )


def test_no_lines():
    assert fb.fft.fft(fb.ones(0, 4)).shape == (0, 4)
    assert fb.fft.irfft(fb.ones(0, 3, dtype=fb.complex64)).shape == (0, 4)
    with pytest.raises(RuntimeError, match="Invalid number of data points"):
        fb.fft.fft(fb.ones(3, 0))


def test_dtypes():
    assert fb.fft.fft(fb.ones(4)).dtype == fb.complex64
    assert fb.fft.fft(fb.ones(4, dtype=fb.float64)).dtype == fb.complex128
    assert fb.fft.fft(fb.ones(4, dtype=fb.int64)).dtype == fb.complex64
    assert fb.fft.irfft(fb.ones(4, dtype=fb.complex64)).dtype == fb.float32


def test_shifts_and_frequencies():
    for n in (4, 5):
        np.testing.assert_allclose(
            fb.fft.fftfreq(n, 0.5).numpy(), np.fft.fftfreq(n, 0.5), rtol=1e-6
        )
        np.testing.assert_allclose(
            fb.fft.rfftfreq(n, 0.5).numpy(), np.fft.rfftfreq(n, 0.5), rtol=1e-6
        )
    np.testing.assert_array_equal(fb.fft.fftshift(t(REAL)).numpy(), np.fft.fftshift(REAL))
    np.testing.assert_array_equal(fb.fft.ifftshift(t(REAL), 1).numpy(), np.fft.ifftshift(REAL, 1))


@pytest.mark.parametrize(
    "f",
    [
        lambda: fb.fft.fft(fb.ones(4), norm="big"),
        lambda: fb.fft.fft(fb.ones(4), 0),
        lambda: fb.fft.rfft(fb.ones(4, dtype=fb.complex64)),
        lambda: fb.fft.fftn(fb.ones(4, 4), dim=(0, 0)),
        lambda: fb.fft.fftn(fb.ones(4), (2, 2)),
    ],
)
def test_errors(f):
    with pytest.raises(RuntimeError):
        f()


@pytest.mark.parametrize("f", ["fft", "rfft", "irfft", "fft2", "ihfft"])
def test_transforms_of_nothing_name_no_private_function(f):
    with pytest.raises(RuntimeError, match=r"^Invalid number of data points \((0|-2)\) specified$"):
        getattr(fb.fft, f)(fb.zeros(3, 0))
    assert getattr(fb.fft, f)(fb.zeros(0, 4, 4)).shape[0] == 0
