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
