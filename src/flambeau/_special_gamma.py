"""Relatives of the gamma function: Hurwitz zeta, polygamma, incomplete gammas."""
from __future__ import annotations

import flambeau as fb

from ._composites._register import _wrap
from ._composites._util import as_inexact

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510,
              43867 / 798, -174611 / 330, 854513 / 138, -236364091 / 2730)


def _hurwitz(s, q):
    """sum over k >= 0 of (q + k)^-s by Euler-Maclaurin (A&S 23.1.30), float64 tensors."""
    low = q[fb.isfinite(q)]
    least = float(low.min()) if low.numel() else 0.0
    n = 12 + (int(min(-least, 1000.0)) + 1 if least < 0 else 0)
    total = fb.zeros_like(q)
    for k in range(n):
        total = total + (q + k) ** -s
    w = q + n
    power = w ** -s
    total = total + power * w / (s - 1) + power / 2
    term = s * power / w / 2
    for j, b in enumerate(_BERNOULLI):
        total = total + term * b
        term = term * (s + 2 * j + 1) * (s + 2 * j + 2) / ((2 * j + 3) * (2 * j + 4)) / (w * w)
    return total


def _zeta_value(s, q):
    whole = q == q.floor()
    out = _hurwitz(s, q)
    out = fb.where((s == fb.inf) & (q > 1), fb.zeros_like(out), out)
    out = fb.where((q <= 0) & whole, fb.full_like(out, fb.inf), out)
    out = fb.where((q <= 0) & ~whole & (s != s.floor()), fb.full_like(out, fb.nan), out)
    out = fb.where(q == fb.inf, fb.zeros_like(out), out)
    out = fb.where(s == 1, fb.full_like(out, fb.inf), out)
    return fb.where((s < 1) | (s != s) | (q != q), fb.full_like(out, fb.nan), out)


class _Zeta(fb.autograd.Function):
    @staticmethod
    def forward(ctx, s, q):
        ctx.save_for_backward(s, q)
        return _zeta_value(s.to(fb.float64), q.to(fb.float64)).to(q.dtype)

    @staticmethod
    def backward(ctx, g):
        s, q = ctx.saved_tensors
        if ctx.needs_input_grad[0]:
            raise NotImplementedError("special.zeta: the derivative with respect to the first "
                                      "argument "
                                      "is not available")
        return None, g * -s * _Zeta.apply(s + 1, q)


def _two(name, a, b):
    if not isinstance(a, fb.Tensor) and not isinstance(b, fb.Tensor):
        raise TypeError(f"special.{name}: one of the two arguments must be a Tensor")
    like = a if isinstance(a, fb.Tensor) else b
    if like.is_complex():
        raise RuntimeError(f"special.{name}: not implemented for {like.dtype}")
    a, b = (v if isinstance(v, fb.Tensor) else
            fb.full((), float(v), dtype=as_inexact(like).dtype, device=like.device) for v in (a, b))
    dtype = fb.promote_types(a.dtype, b.dtype)
    if a.dim() == 0 < b.dim() and b.is_floating_point():
        dtype = b.dtype
    elif b.dim() == 0 < a.dim() and a.is_floating_point():
        dtype = a.dtype
    if not dtype.is_floating_point:
        dtype = fb.get_default_dtype()
    return fb.broadcast_tensors(a.to(dtype), b.to(dtype))


def zeta(input, other):
    """Hurwitz zeta function: sum over k >= 0 of `(other + k) ** -input`, for input > 1.

    >>> import flambeau as fb
    >>> round(fb.special.zeta(2.0, fb.tensor(1.0)).item(), 4)
    1.6449
    """
    return _Zeta.apply(*_two("zeta", input, other))


zeta = _wrap(zeta, True)


def _trigamma(x):
    low = x < 0.5
    y = fb.where(low, 1 - x, x)
    out = _hurwitz(fb.full_like(y, 2.0), y)
    flip = (fb.pi / (fb.pi * (x - x.round())).sin()).square() - out
    return fb.where(low, flip, out)


class _Polygamma(fb.autograd.Function):
    @staticmethod
    def forward(ctx, x, n):
        ctx.save_for_backward(x)
        ctx.n = n
        w = x.to(fb.float64)
        if n == 1:
            return _trigamma(w).to(x.dtype)
        f = 1.0
        for i in range(2, n + 1):
            f *= i
        return (_zeta_value(fb.full_like(w, n + 1.0), w) * (f if n % 2 else -f)).to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        return g * _Polygamma.apply(ctx.saved_tensors[0], ctx.n + 1), None


def polygamma(n, input):
    """The n-th derivative of digamma (A&S 6.4); n is an int >= 0.

    >>> import flambeau as fb
    >>> round(fb.special.polygamma(1, fb.tensor(1.0)).item(), 4)
    1.6449
    """
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, got {n}")
    if input.is_complex():
        raise RuntimeError(f"polygamma: not implemented for {input.dtype}")
    x = as_inexact(input)
    return fb.digamma(x) if n == 0 else _Polygamma.apply(x, n)


polygamma = _wrap(polygamma, True)


def _prefactor(a, x):
    """x^a e^-x / Gamma(a + 1) without overflow: Stirling's form about x = a for large a."""
    small = fb.exp(a * x.log() - x - fb.lgamma(a + 1))
    b = a.clamp(min=10)
    d = (x - b) / b
    stirling = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * b * b)) / (b * b)) / (b * b)) / b
    large = fb.exp(b * (fb.log1p(d) - d) - stirling) / (2 * fb.pi * b).sqrt()
    return fb.where(a > 10, large, small)


def _series(a, x):
    term = total = fb.ones_like(a)
    for k in range(1, 100_000):
        term = term * x / (a + k)
        total = total + term
        if k % 16 == 0 and not bool((term > total * 1e-16).any()):
            break
    return total


def _fraction(a, x):
    # modified Lentz (Press et al. 6.2): Gamma(a, x) = e^-x x^a * this
    tiny = 1e-300
    b = x + 1 - a
    c, d = fb.full_like(b, 1 / tiny), 1 / fb.where(b == 0, fb.full_like(b, tiny), b)
    h = d
    for k in range(1, 100_000):
        an = -k * (k - a)
        b = b + 2
        d = an * d + b
        d = 1 / fb.where(d.abs() < tiny, fb.full_like(d, tiny), d)
        c = b + an / c
        c = fb.where(c.abs() < tiny, fb.full_like(c, tiny), c)
        h = h * d * c
        if k % 16 == 0 and not bool(((d * c - 1).abs() > 5e-16).any()):
            break
    return h


def _incomplete(a, x, upper):
    bad = (a < 0) | (x < 0) | (a != a) | (x != x)
    edge = bad | (a == 0) | (x == 0) | (a == fb.inf) | (x == fb.inf)
    one = fb.ones_like(a)
    lower = (x <= a + 1) & ~edge
    above = ~lower & ~edge
    sa, sx = fb.where(lower, a, one), fb.where(lower, x, one)
    ca, cx = fb.where(above, a, one), fb.where(above, x, one * 3)
    p = _series(sa, sx) * _prefactor(sa, sx)
    q = _fraction(ca, cx) * _prefactor(ca, cx) * ca
    out = fb.where(lower, 1 - p if upper else p, q if upper else 1 - q)
    zero = (x == 0) | (a == fb.inf) & (x != fb.inf)
    edges = fb.where(zero & (a != 0), one * 0, one)
    edges = fb.where((a == fb.inf) & (x == fb.inf) | (a == 0) & (x == 0), one * fb.nan, edges)
    edges = 1 - edges if upper else edges
    return fb.where(bad, one * fb.nan, fb.where(edge, edges, out))


class _Incomplete(fb.autograd.Function):
    @staticmethod
    def forward(ctx, a, x, upper):
        ctx.save_for_backward(a, x)
        ctx.upper = upper
        return _incomplete(a.to(fb.float64), x.to(fb.float64), upper).to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        a, x = ctx.saved_tensors
        if ctx.needs_input_grad[0]:
            raise NotImplementedError("gammainc: the derivative with respect to the first "
                                      "argument is "
                                      "not available")
        slope = fb.exp((a - 1) * x.log() - x - fb.lgamma(a))
        return None, g * (-slope if ctx.upper else slope), None


def gammainc(input, other):
    """Regularised lower incomplete gamma function P(input, other) (A&S 6.5)."""
    return _Incomplete.apply(*_two("gammainc", input, other), False)


def gammaincc(input, other):
    """Regularised upper incomplete gamma function Q(input, other) = 1 - P."""
    return _Incomplete.apply(*_two("gammaincc", input, other), True)


gammainc, gammaincc = _wrap(gammainc, True), _wrap(gammaincc, True)
