"""Special functions of one tensor, and of an argument and an order."""

import numpy as np
from scipy import special as sp

from .base import REAL, S, T, U, op

KW = dict(dtypes=REAL, method=False)
ROWS = [  # name, SciPy's function, domain
    ("erfcx", sp.erfcx, (-2, 4)),
    ("ndtri", sp.ndtri, (0.05, 0.95)),
    ("log_ndtr", sp.log_ndtr, (-4, 3)),
    ("sinc", np.sinc, (-3, 3)),
    ("bessel_j0", sp.j0, (-6, 6)),
    ("bessel_j1", sp.j1, (0.2, 6)),
    ("bessel_y0", sp.y0, (0.5, 6)),
    ("bessel_y1", sp.y1, (0.5, 6)),
    ("modified_bessel_i0", sp.i0, (-4, 4)),
    ("modified_bessel_i1", sp.i1, (-4, 4)),
    ("modified_bessel_k0", sp.k0, (0.5, 4)),
    ("modified_bessel_k1", sp.k1, (0.5, 4)),
    ("scaled_modified_bessel_k0", sp.k0e, (0.5, 4)),
    ("scaled_modified_bessel_k1", sp.k1e, (0.5, 4)),
    ("airy_ai", lambda x: sp.airy(x)[0], (-4, 3)),
    ("spherical_bessel_j0", lambda x: sp.spherical_jn(0, x), (0.3, 5)),
]
for _name, _f, _domain in ROWS:
    # PyTorch has no derivative of the Airy function either
    op(
        f"special.{_name}",
        _f,
        U(),
        domain=_domain,
        tol=10,
        gtol=10,
        grad=_name != "airy_ai",
        **KW,
    )


def half_angle(part):
    """Chebyshev polynomials of the third (cosine) and fourth (sine) kind."""

    def f(n, x):
        t = np.arccos(x)
        return part((n + 0.5) * t) / part(t / 2)

    return f


POLYNOMIALS = {
    "chebyshev_polynomial_t": sp.eval_chebyt,
    "chebyshev_polynomial_u": sp.eval_chebyu,
    "chebyshev_polynomial_v": half_angle(np.cos),
    "chebyshev_polynomial_w": half_angle(np.sin),
    "hermite_polynomial_h": sp.eval_hermite,
    "hermite_polynomial_he": sp.eval_hermitenorm,
    "laguerre_polynomial_l": sp.eval_laguerre,
    "legendre_polynomial_p": sp.eval_legendre,
}


def by_order(name, f, domain):
    """A row of polynomials; the third and fourth kinds have no derivative, as in PyTorch."""
    op(
        f"special.{name}",
        lambda x, n: f(n, x),
        [S(T(3, 4), 3), S(T(3, 1), T(values=[0, 1, 2, 5], dtype="int64")), S(T(0, 2), 1)],
        domain=domain,
        tol=30,
        gtol=10,
        grad=name[-1] not in "vw",
        **KW,
    )


for _name, _f in POLYNOMIALS.items():
    by_order(_name, _f, (-0.9, 0.9))
    if _name.startswith("chebyshev"):
        by_order("shifted_" + _name, lambda n, x, f=_f: f(n, 2 * x - 1), (0.05, 0.95))

for _name, _f in (("gammainc", sp.gammainc), ("gammaincc", sp.gammaincc)):
    _samples = [S(T(3, 4, grad=False), T(3, 4)), S(T(4, grad=False), T(3, 1))]
    op(f"special.{_name}", _f, _samples, domain=(0.3, 4), tol=10, gtol=10, **KW)
    op(
        {"gammainc": "igamma", "gammaincc": "igammac"}[_name],
        _f,
        _samples,
        domain=(0.3, 4),
        tol=10,
        gtol=10,
        dtypes=REAL,
        method=True,
        inplace=True,
        out=True,
    )
op("special.zeta", sp.zeta, [S(T(3, 4), T(4))], domain=(1.5, 5), tol=10, grad=False, **KW)
op("special.xlogy", sp.xlogy, [S(T(3, 4), T(4))], domain=(0.2, 3), tol=4, **KW)
