"""Special functions of mathematics, elementwise; the kernels and formulas live in the core.

>>> import flambeau as fb
>>> fb.special.expit(fb.tensor(0.)).item(), fb.special.ndtr(fb.tensor(0.)).item()
(0.5, 0.5)
>>> fb.special.gammaln(fb.tensor(5.)).exp().round().item()
24.0
"""

from __future__ import annotations

import flambeau as fb

# names that the core has as special_<name>
_CORE = """airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t
chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w entr erfcx gammainc gammaincc
hermite_polynomial_h hermite_polynomial_he i0 i0e i1 i1e laguerre_polynomial_l
legendre_polynomial_p log_ndtr modified_bessel_i0 modified_bessel_i1 modified_bessel_k0
modified_bessel_k1 ndtr ndtri scaled_modified_bessel_k0 scaled_modified_bessel_k1
shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
shifted_chebyshev_polynomial_w sinc spherical_bessel_j0 xlog1py xlogy zeta""".split()
# functions of the main namespace under their own or another name
_SAME = {**{n: n for n in """digamma erf erfc erfinv exp2 expm1 log1p log_softmax logit logsumexp
polygamma round softmax""".split()},
    "expit": "sigmoid", "gammaln": "lgamma", "multigammaln": "mvlgamma",
    "psi": "digamma"}  # fmt: skip

__all__ = sorted([*_CORE, *_SAME])

globals().update({n: getattr(fb._C, "special_" + n) for n in _CORE})
globals().update({n: getattr(fb, of) for n, of in _SAME.items()})
