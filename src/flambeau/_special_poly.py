"""Orthogonal polynomials of integer degree by their three-term recurrences (A&S 22.7)."""
from __future__ import annotations

import flambeau as fb

from ._composites._register import _wrap


def _pair(name, x, n):
    """x and n broadcast, in float64, and the dtype of the result."""
    if not isinstance(x, fb.Tensor) and not isinstance(n, fb.Tensor):
        raise TypeError(f"special.{name}: one of the two arguments must be a Tensor")
    like = x if isinstance(x, fb.Tensor) else n
    if like.is_complex():
        raise RuntimeError(f"special.{name}: not implemented for {like.dtype}")
    dtype = like.dtype
    if isinstance(x, fb.Tensor) and isinstance(n, fb.Tensor):
        dtype = fb.promote_types(x.dtype, n.dtype)
    if not dtype.is_floating_point:
        dtype = fb.get_default_dtype()
    x, n = (v.to(fb.float64) if isinstance(v, fb.Tensor) else
            fb.full((), float(v), dtype=fb.float64, device=like.device) for v in (x, n))
    x, n = fb.broadcast_tensors(x, n)
    return x, n.detach().trunc(), dtype


def _recur(x, n, first, second, step):
    """p_0 = first, p_1 = second, p_(k+1) = step(k, p_k, p_(k-1)); 0 where n < 0."""
    out = fb.where(n == 0, first, fb.zeros_like(x))
    out = fb.where(n == 1, second, out)
    top = int(n.max()) if n.numel() else 0
    a, b = first, second
    for k in range(1, top):
        a, b = b, step(k, b, a)
        out = fb.where(n == k + 1, b, out)
    return out


def _make(name, second, step, doc, shifted=False, limit=None):
    def f(input, n):
        x, n, dtype = _pair(name, input, n)
        y = 2 * x - 1 if shifted else x
        one = fb.ones_like(y)
        out = _recur(y, n, one, second(y, one), lambda k, p, q: step(k, y, p, q))
        return out.to(dtype)
    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    globals()[name] = _wrap(f, True)


def _twice(k, x, p, q):
    return 2 * x * p - q


for _s, _t in ((False, ""), (True, "shifted_")):
    _d = "Chebyshev polynomial of the {} kind of degree `n` at `input`" + (
        " mapped from [0, 1] to [-1, 1]." if _s else ".")
    _make(_t + "chebyshev_polynomial_t", lambda x, o: x, _twice, _d.format("first"), _s)
    _make(_t + "chebyshev_polynomial_u", lambda x, o: 2 * x, _twice, _d.format("second"), _s)
    _make(_t + "chebyshev_polynomial_v", lambda x, o: 2 * x - o, _twice, _d.format("third"), _s)
    _make(_t + "chebyshev_polynomial_w", lambda x, o: 2 * x + o, _twice, _d.format("fourth"), _s)

_make("hermite_polynomial_h", lambda x, o: 2 * x, lambda k, x, p, q: 2 * x * p - 2 * k * q,
      "Physicists' Hermite polynomial of degree `n` at `input`.")
_make("hermite_polynomial_he", lambda x, o: x, lambda k, x, p, q: x * p - k * q,
      "Probabilists' Hermite polynomial of degree `n` at `input`.")
_make("laguerre_polynomial_l", lambda x, o: o - x,
      lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1),
      "Laguerre polynomial of degree `n` at `input`.")
_make("legendre_polynomial_p", lambda x, o: x,
      lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1),
      "Legendre polynomial of degree `n` at `input`.")
