"""`flambeau.special`: special functions of mathematics, elementwise, by Chebyshev series and
recurrences over tensors (computed in float64, returned in the dtype of the argument)."""
from __future__ import annotations

import flambeau as fb

from . import _special_tables as tab
from ._composites._register import _wrap
from ._composites._util import as_inexact
from ._special_gamma import gammainc, gammaincc, polygamma, zeta  # noqa: F401
from ._special_poly import (  # noqa: F401
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
)

__all__ = [*"""airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t
chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w digamma entr erf erfc erfcx
erfinv exp2 expit expm1 gammainc gammaincc gammaln hermite_polynomial_h hermite_polynomial_he i0 i0e
i1 i1e laguerre_polynomial_l legendre_polynomial_p log1p log_ndtr log_softmax logit logsumexp
modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 multigammaln ndtr ndtri
polygamma psi round scaled_modified_bessel_k0 scaled_modified_bessel_k1
shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
shifted_chebyshev_polynomial_w sinc softmax spherical_bessel_j0 xlog1py xlogy zeta""".split()]


def _alias(name, of):
    def f(input, *args, **kw):
        return getattr(fb, of)(input, *args, **kw)
    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"See `flambeau.{of}`."
    globals()[name] = _wrap(f, True)


for _pair in """digamma=digamma psi=digamma erf=erf erfc=erfc erfinv=erfinv exp2=exp2 expit=sigmoid
expm1=expm1 gammaln=lgamma i0=i0 modified_bessel_i0=i0 log1p=log1p logit=logit logsumexp=logsumexp
multigammaln=mvlgamma round=round sinc=sinc xlogy=xlogy""".split():
    _alias(*_pair.split("="))


def softmax(input, dim, *, dtype=None):
    """See `flambeau.softmax`."""
    return fb.softmax(input, dim, dtype=dtype)


def log_softmax(input, dim, *, dtype=None):
    """See `flambeau.log_softmax`."""
    return fb.log_softmax(input, dim, dtype=dtype)


class _Unary(fb.autograd.Function):
    """A function of one tensor: `value` runs without gradients, `slope` gives the derivative."""

    @staticmethod
    def forward(ctx, x, value, slope):
        ctx.save_for_backward(x)
        ctx.slope = slope
        return value(x.to(fb.float64)).to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * ctx.slope(x), None, None


def _unary(name, value, slope, doc):
    core = getattr(fb._C, "special_" + name, None) or (
        getattr(fb._C, name, None) if name in ("i0e", "i1", "i1e") else None)

    def f(input):
        if input.is_complex():
            raise RuntimeError(f"special.{name}: not implemented for {input.dtype}")
        if core is not None:
            return core(input)
        return _Unary.apply(as_inexact(input), value, slope)
    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    globals()[name] = _wrap(f, True)


def clenshaw(c, t):
    """Sum of c[k] T_k(t) (Clenshaw 1955)."""
    t2, b, b1 = t + t, fb.zeros_like(t), fb.zeros_like(t)
    for v in reversed(c[1:]):
        b, b1 = t2 * b - b1 + v, b
    return t * b - b1 + c[0]


_AT0, _AT1 = 0.7853981633974483, 2.356194490192345


def _far(x, p, q, at, second):
    # Hankel's asymptotic form with the amplitude series of Abramowitz & Stegun 9.2
    z = 8 / x.clamp(min=8)
    t = 2 * z * z - 1
    a = x - at
    p, q = clenshaw(p, t), z * clenshaw(q, t)
    wave = p * a.sin() + q * a.cos() if second else p * a.cos() - q * a.sin()
    return wave * (2 / (fb.pi * x.clamp(min=8))).sqrt()


def _near(x):
    return x.clamp(max=8).square() / 32 - 1


def _j0(x):
    x = x.abs()
    out = fb.where(x <= 8, clenshaw(tab.J0, _near(x)), _far(x, tab.P0, tab.Q0, _AT0, False))
    return fb.where(x == fb.inf, fb.zeros_like(x), out)


def _j1(x):
    a = x.abs()
    near = a.clamp(max=8) * clenshaw(tab.J1, _near(a))
    out = fb.where(a <= 8, near, _far(a, tab.P1, tab.Q1, _AT1, False))
    return fb.where(a == fb.inf, fb.zeros_like(a), out) * fb.sign(x)


def _y(x, near, p, q, at):
    out = fb.where(x <= 8, near, _far(x, p, q, at, True))
    out = fb.where(x == fb.inf, fb.zeros_like(x), out)
    out = fb.where(x == 0, fb.full_like(x, -fb.inf), out)
    return fb.where(x < 0, fb.full_like(x, fb.nan), out)


def _y0(x):
    c = x.clamp(min=1e-300, max=8)
    near = 2 / fb.pi * (c / 2).log() * clenshaw(tab.J0, _near(c)) + clenshaw(tab.Y0, _near(c))
    return _y(x, near, tab.P0, tab.Q0, _AT0)


def _y1(x):
    c = x.clamp(min=1e-300, max=8)
    j = c * clenshaw(tab.J1, _near(c))
    near = 2 / fb.pi * ((c / 2).log() * j - 1 / c) + c * clenshaw(tab.Y1, _near(c))
    return _y(x, near, tab.P1, tab.Q1, _AT1)


def _k(order, scaled):
    near_c, far_c = (tab.K0, tab.K0_FAR) if order == 0 else (tab.K1, tab.K1_FAR)

    def value(x):
        c = x.clamp(min=1e-300, max=2)
        t = c.square() / 2 - 1
        if order == 0:
            near = clenshaw(near_c, t) - (c / 2).log() * fb.i0(c)
        else:
            near = clenshaw(near_c, t) / c + (c / 2).log() * _i1(c)
        d = x.clamp(min=2)
        far = clenshaw(far_c, 4 / d - 1) / d.sqrt()
        near, far = (near * c.exp(), far) if scaled else (near, far * (-d).exp())
        out = fb.where(x <= 2, near, far)
        out = fb.where(x == 0, fb.full_like(x, fb.inf), out)
        return fb.where(x < 0, fb.full_like(x, fb.nan), out)
    return value


def _i1(x):
    """Power series of I1 for |x| <= 8, the asymptotic one beyond (Abramowitz & Stegun 9.6, 9.7)."""
    return _i1e(x) * x.abs().exp()


def _i1e(x):
    a = x.abs()
    c = a.clamp(max=30)
    q, term = c * c / 4, c / 2
    near = term
    for k in range(1, 80):
        term = term * q / (k * (k + 1))
        near = near + term
    d = a.clamp(min=30)
    far, term = fb.ones_like(d), fb.ones_like(d)
    for k in range(1, 20):
        term = -term * (4 - (2 * k - 1) ** 2) / (8 * k * d)
        far = far + term
    out = fb.where(a <= 30, near * (-c).exp(), far / (2 * fb.pi * d).sqrt())
    return fb.where(a == fb.inf, fb.zeros_like(a), out) * fb.sign(x)


def _i0e(x):
    a = x.abs()
    c = a.clamp(max=30)
    q, term = c * c / 4, fb.ones_like(c)
    near = term
    for k in range(1, 80):
        term = term * q / (k * k)
        near = near + term
    d = a.clamp(min=30)
    far, term = fb.ones_like(d), fb.ones_like(d)
    for k in range(1, 20):
        term = term * (2 * k - 1) ** 2 / (8 * k * d)
        far = far + term
    out = fb.where(a <= 30, near * (-c).exp(), far / (2 * fb.pi * d).sqrt())
    return fb.where(a == fb.inf, fb.zeros_like(a), out)


def _over(f, x, at0):
    # f(x) / x with its limit at zero
    zero = x == 0
    safe = fb.where(zero, fb.ones_like(x), x)
    return fb.where(zero, fb.full_like(x, at0), f / safe)


def _erfcx(x):
    a = x.abs().clamp(max=1e300)
    t = (a - 3.75) / (a + 3.75)
    right = clenshaw(tab.ERFCX, t) / (1 + 2 * a)
    right = fb.where(x == fb.inf, fb.zeros_like(x), right)
    left = 2 * x.clamp(min=-30, max=0).square().exp() - right
    left = fb.where(x < -26.7, fb.full_like(x, fb.inf), left)
    return fb.where(x != x, x, fb.where(x < 0, left, right))


def _log_ndtr(x):
    low = x.clamp(max=-1)
    far = (_erfcx(-low * 0.7071067811865476) / 2).log() - low * low / 2
    near = fb.log1p(-fb.erfc(x.clamp(min=-1) * 0.7071067811865476) / 2)
    return fb.where(x < -1, far, near)


def _ndtri(p):
    # the tail by Newton's method on log Phi, the middle by erfinv
    low = fb.where(p < 0.5, p, 1 - p).clamp(min=5e-324, max=0.25)
    goal = low.log()
    y = -(-2 * goal).sqrt()
    y = y + ((-y).log() + 0.9189385332046727) / -y
    for _ in range(7):
        f = _log_ndtr(y)
        y = y - (f - goal) * (f + y * y / 2).exp() * 2.5066282746310002
    y = fb.where(p < 0.5, y, -y)
    mid = 1.4142135623730951 * fb.erfinv((2 * p - 1).clamp(-0.6, 0.6))
    out = fb.where((p - 0.5).abs() < 0.25, mid, y)
    out = fb.where(p == 0, fb.full_like(p, -fb.inf), fb.where(p == 1, fb.full_like(p, fb.inf), out))
    return fb.where((p >= 0) & (p <= 1), out, fb.full_like(p, fb.nan))


def _entr(x):
    pos = fb.where(x > 0, x, fb.ones_like(x))
    out = fb.where(x > 0, -pos * pos.log(), fb.where(x == 0, fb.zeros_like(x), -fb.inf))
    return fb.where(x != x, x, out)


def _airy(x):
    mid = clenshaw(tab.AIRY_MID, x.clamp(-6, 2) / 4 + 0.5)
    r = x.clamp(min=2)
    zeta_ = r * r.sqrt() * (2 / 3)
    right = clenshaw(tab.AIRY_RIGHT, 3.6 / zeta_ - 1) * (-zeta_).exp() / r.sqrt().sqrt()
    a = (-x).clamp(min=6)
    zeta_ = a * a.sqrt() * (2 / 3)
    t = 188 / zeta_.square() - 1
    f, g = clenshaw(tab.AIRY_F, t), clenshaw(tab.AIRY_G, t) / zeta_
    at = zeta_ - _AT0
    left = (f * at.cos() + g * at.sin()) / (fb.pi * a.sqrt()).sqrt()
    out = fb.where(x < -6, left, fb.where(x > 2, right, mid))
    return fb.where(x.abs() == fb.inf, fb.where(x > 0, 0.0, fb.nan), out)


def _sph_j0(x):
    a = x.abs()
    small = a < 0.5
    x2 = fb.where(small, x, fb.zeros_like(x)).square()
    series = 1 - x2 / 6 * (1 - x2 / 20 * (1 - x2 / 42 * (1 - x2 / 72 * (1 - x2 / 110))))
    safe = fb.where(small, fb.ones_like(x), x)
    out = fb.where(small, series, safe.sin() / safe)
    return fb.where(a == fb.inf, fb.zeros_like(x), out)


def _sph_j0_slope(x):
    series = -x / 3 * (1 - x * x / 10 * (1 - x * x / 28))
    safe = fb.where(x.abs() < 0.05, fb.ones_like(x), x)
    return fb.where(x.abs() < 0.05, series, (safe.cos() - safe.sin() / safe) / safe)


def _no_slope(x):
    raise NotImplementedError("special.airy_ai: the derivative is not written yet")


def _x(fn):
    return lambda x: globals()[fn](x)


_j0f, _j1f, _y0f, _y1f = _x("bessel_j0"), _x("bessel_j1"), _x("bessel_y0"), _x("bessel_y1")
_k0f, _k1f = _x("modified_bessel_k0"), _x("modified_bessel_k1")
_ke0, _ke1 = _x("scaled_modified_bessel_k0"), _x("scaled_modified_bessel_k1")
_i0ef, _i1f, _i1ef = _x("i0e"), _x("i1"), _x("i1e")

_unary("bessel_j0", _j0, lambda x: -_j1f(x), "Bessel function of the first kind, order 0.")
_unary("bessel_j1", _j1, lambda x: _j0f(x) - _over(_j1f(x), x, 0.5),
       "Bessel function of the first kind, order 1.")
_unary("bessel_y0", _y0, lambda x: -_y1f(x), "Bessel function of the second kind, order 0.")
_unary("bessel_y1", _y1, lambda x: _y0f(x) - _y1f(x) / x,
       "Bessel function of the second kind, order 1.")
_unary("modified_bessel_k0", _k(0, False), lambda x: -_k1f(x),
       "Modified Bessel function of the second kind, order 0.")
_unary("modified_bessel_k1", _k(1, False), lambda x: -_k0f(x) - _k1f(x) / x,
       "Modified Bessel function of the second kind, order 1.")
_unary("scaled_modified_bessel_k0", _k(0, True), lambda x: _ke0(x) - _ke1(x),
       "`exp(x) * modified_bessel_k0(x)`.")
_unary("scaled_modified_bessel_k1", _k(1, True), lambda x: _ke1(x) - _ke0(x) - _ke1(x) / x,
       "`exp(x) * modified_bessel_k1(x)`.")
_unary("i0e", _i0e, lambda x: _i1ef(x) - x.sign() * _i0ef(x), "`exp(-|x|) * i0(x)`.")
_unary("i1", _i1, lambda x: fb.i0(x) - _over(_i1f(x), x, 0.5),
       "Modified Bessel function of the first kind, order 1.")
_unary("i1e", _i1e, lambda x: _i0ef(x) - x.sign() * _i1ef(x) - _over(_i1ef(x), x, 0.5),
       "`exp(-|x|) * i1(x)`.")
_unary("modified_bessel_i1", _i1, lambda x: fb.i0(x) - _over(_i1f(x), x, 0.5),
       "Modified Bessel function of the first kind, order 1.")
_unary("erfcx", _erfcx, lambda x: 2 * x * _x("erfcx")(x) - 1.1283791670955126,
       "Scaled complementary error function `exp(x**2) * erfc(x)`.")
_unary("log_ndtr", _log_ndtr,
       lambda x: 0.7978845608028654 / _x("erfcx")(-x * 0.7071067811865476),
       "Log of the area under the standard normal density left of x.")
_unary("ndtri", _ndtri,
       lambda p: 2.5066282746310002 * (_x("ndtri")(p).square() / 2).exp(),
       "The x whose area under the standard normal density to the left is p.")
_unary("entr", _entr, lambda x: -fb.log(x) - 1, "Entropy `-x log(x)`; 0 at 0, -inf below.")
_unary("airy_ai", _airy, _no_slope, "Airy function Ai.")
_unary("spherical_bessel_j0", _sph_j0, _sph_j0_slope, "Spherical Bessel function `sin(x) / x`.")


def _ndtr(input):
    """Area under the standard normal density left of x.

    >>> import flambeau as fb
    >>> fb.special.ndtr(fb.tensor(0.0)).item()
    0.5
    """
    return fb.erfc(as_inexact(input) * -0.7071067811865476) * 0.5


_ndtr.__name__ = "ndtr"
ndtr = _wrap(_ndtr, True)


def _xlog1py(input, other):
    """`input * log1p(other)`, 0 where `input` is 0 (NaN where `other` is NaN)."""
    a, b = (v if isinstance(v, fb.Tensor) else None for v in (input, other))
    if a is None and b is None:
        raise TypeError("special.xlog1py: one of input and other must be a Tensor")
    like = a if a is not None else b
    a = a if a is not None else fb.full((), input, device=like.device, dtype=_weak(input, like))
    b = b if b is not None else fb.full((), other, device=like.device, dtype=_weak(other, like))
    a, b = as_inexact(a), as_inexact(b)
    zero = (a == 0) & (b == b)
    safe = fb.where(zero & (b <= -1), fb.zeros_like(b), b)
    return a * fb.log1p(safe)


def _weak(v, like):
    if like.is_floating_point() or not isinstance(v, float):
        return like.dtype
    return fb.get_default_dtype()


_xlog1py.__name__ = "xlog1py"
xlog1py = _wrap(_xlog1py, True)

# A kernel of the core wins over the series above.
for _n in __all__:
    _core = getattr(fb._C, "special_" + _n, None)
    if _core is not None:
        globals()[_n] = _core
