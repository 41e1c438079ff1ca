"""`flambeau.special` against SciPy over the whole range, and derivatives."""

import numpy as np
import pytest
import scipy.special as sp

import flambeau as fb
from flambeau.autograd import gradcheck, gradgradcheck

POS = np.concatenate([[0.0, 1e-12], np.linspace(0.01, 60, 701), [1e3, 1e5]])
ALL = np.concatenate([-np.linspace(0.01, 30, 401), POS])
UNIT = np.concatenate([[0.0, 1.0, 1e-300, 1e-12, 1 - 1e-12], np.linspace(0.001, 0.999, 301)])

UNARY = [  # name, SciPy's function, points, relative and absolute tolerance
    ("bessel_j0", sp.j0, ALL, 1e-10, 1e-13),
    ("bessel_j1", sp.j1, ALL, 1e-10, 1e-13),
    ("bessel_y0", sp.y0, POS, 1e-10, 1e-13),
    ("bessel_y1", sp.y1, POS, 1e-10, 1e-13),
    ("modified_bessel_i0", sp.i0, ALL[ALL < 100], 1e-13, 0),
    ("modified_bessel_i1", sp.i1, ALL[ALL < 100], 1e-13, 0),
    ("i0e", sp.i0e, ALL, 1e-13, 0),
    ("i1e", sp.i1e, ALL, 1e-13, 0),
    ("i1", sp.i1, ALL[ALL < 100], 1e-13, 0),
    ("modified_bessel_k0", sp.k0, POS, 1e-13, 0),
    ("modified_bessel_k1", sp.k1, POS, 1e-13, 0),
    ("scaled_modified_bessel_k0", sp.k0e, POS, 1e-13, 0),
    ("scaled_modified_bessel_k1", sp.k1e, POS, 1e-13, 0),
    ("erfcx", sp.erfcx, ALL[ALL > -26], 1e-12, 0),
    ("log_ndtr", sp.log_ndtr, ALL, 1e-12, 1e-300),
    ("ndtr", sp.ndtr, ALL[ALL > -25], 1e-11, 1e-300),
    ("ndtri", sp.ndtri, UNIT, 1e-12, 1e-15),
    ("entr", sp.entr, ALL, 1e-13, 0),
    ("airy_ai", lambda x: sp.airy(x)[0], ALL[ALL < 25], 1e-9, 1e-12),
    ("spherical_bessel_j0", lambda x: sp.spherical_jn(0, x), ALL, 1e-10, 1e-14),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name,ref,x,rtol,atol", UNARY, ids=[u[0] for u in UNARY])
def test_matches_scipy(name, ref, x, rtol, atol):
    f = getattr(fb.special, name)
    np.testing.assert_allclose(f(fb.from_numpy(x)).numpy(), ref(x), rtol=rtol, atol=atol)
    low = x[np.abs(x) < 50].astype(np.float32)
    got = f(fb.from_numpy(low))
    assert got.dtype == fb.float32
    want = ref(low.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-6)
    assert np.isnan(f(fb.tensor(float("nan"))).item())


SLOPES = [
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "modified_bessel_k0",
    "erfcx",
    "modified_bessel_k1",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "i0e",
    "i1",
    "i1e",
    "log_ndtr",
    "entr",
    "spherical_bessel_j0",
    "ndtr",
]


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives(name):
    x = fb.tensor([0.3, 1.7, 2.5, 9.0], dtype=fb.float64, requires_grad=True)
    f = getattr(fb.special, name)
    assert gradcheck(f, (x,)) and gradgradcheck(f, (x,))


def test_ndtri_derivatives():
    x = fb.tensor([0.01, 0.4, 0.9], dtype=fb.float64, requires_grad=True)
    assert gradcheck(fb.special.ndtri, (x,)) and gradgradcheck(fb.special.ndtri, (x,))


R = np.random.RandomState(0)
A, X = 10 ** R.uniform(-1, 4, 500), 10 ** R.uniform(-1, 4, 500)
NEAR = A * R.uniform(0.9, 1.1, 500)


@pytest.mark.parametrize("x", [X, NEAR], ids=["anywhere", "transition"])
def test_incomplete_gamma(x):
    a, b = fb.from_numpy(A), fb.from_numpy(x)
    low, up = fb.special.gammainc(a, b).numpy(), fb.special.gammaincc(a, b).numpy()
    np.testing.assert_allclose(low, sp.gammainc(A, x), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(up, sp.gammaincc(A, x), rtol=1e-8, atol=1e-15)
    b = b[:20].requires_grad_()
    assert gradcheck(lambda v: fb.special.gammaincc(a[:20].clamp(max=20), v.clamp(max=20)), (b,))


def test_zeta_and_polygamma():
    s, q = 1.01 + A * 1e-2, X
    np.testing.assert_allclose(
        fb.special.zeta(fb.from_numpy(s), fb.from_numpy(q)).numpy(), sp.zeta(s, q), rtol=1e-13
    )
    x = np.concatenate([np.linspace(-5.3, 30, 97), [1e3]])
    for n in (1, 2, 5):
        want = sp.polygamma(n, x) if n > 1 else None
        got = fb.special.polygamma(n, fb.from_numpy(x)).numpy()
        if want is None:
            np.testing.assert_allclose(got[x > 0], sp.polygamma(1, x[x > 0]), rtol=1e-12)
        else:
            np.testing.assert_allclose(got, want, rtol=1e-12)
    v = fb.tensor([0.4, 2.0, 7.5], dtype=fb.float64, requires_grad=True)
    assert gradgradcheck(lambda x: fb.special.polygamma(1, x), (v,))


POLYS = [
    ("chebyshev_polynomial_t", sp.eval_chebyt),
    ("chebyshev_polynomial_u", sp.eval_chebyu),
    ("shifted_chebyshev_polynomial_t", sp.eval_sh_chebyt),
    ("shifted_chebyshev_polynomial_u", sp.eval_sh_chebyu),
    ("hermite_polynomial_h", sp.eval_hermite),
    ("hermite_polynomial_he", sp.eval_hermitenorm),
    ("laguerre_polynomial_l", sp.eval_laguerre),
    ("legendre_polynomial_p", sp.eval_legendre),
]


@pytest.mark.parametrize("name,ref", POLYS, ids=[p[0] for p in POLYS])
def test_polynomials(name, ref):
    x, n = np.linspace(-1.5, 1.5, 31)[:, None], np.arange(12)[None]
    got = getattr(fb.special, name)(fb.from_numpy(x), fb.from_numpy(n))
    np.testing.assert_allclose(got.numpy(), ref(n, x), rtol=1e-10, atol=1e-12)
    v = fb.from_numpy(x[:5]).requires_grad_()
    assert gradcheck(lambda v: getattr(fb.special, name)(v, 4), (v,))


def test_xlog1py():
    x = np.array([0.0, 0.0, 1.0, 2.0]), np.array([-1.0, np.nan, 3.0, -0.5])
    np.testing.assert_allclose(fb.special.xlog1py(*map(fb.from_numpy, x)).numpy(), sp.xlog1py(*x))
