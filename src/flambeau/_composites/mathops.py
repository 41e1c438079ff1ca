"""Elementwise composites, other names of core ops, and comparisons of whole tensors."""

from __future__ import annotations

import flambeau as fb

from ._register import composite
from ._util import as_inexact, inexact, is_tensor, named, wrap_dims


@composite(method=True, inplace="function", out=True)
def clamp_min(input, min):
    """`input` with nothing below `min` (a number or tensor)."""
    return fb.clamp(input, min=min)


@composite(method=True, inplace="function", out=True)
def clamp_max(input, max):
    """`input` with nothing above `max` (a number or tensor)."""
    return fb.clamp(input, max=max)


@composite(method=True, inplace="function", out=True)
def deg2rad(input):
    """Degrees to radians."""
    if input.is_complex():
        raise RuntimeError("deg2rad is not supported for complex tensors.")
    return as_inexact(input) * (fb.pi / 180)


@composite(method=True, inplace="function", out=True)
def rad2deg(input):
    """Radians to degrees."""
    if input.is_complex():
        raise RuntimeError("rad2deg is not supported for complex tensors.")
    return as_inexact(input) * (180 / fb.pi)


@composite(method=True)
def resolve_conj(input):
    """`input` with conjugation written out; Flambeau always does that, so `input` itself."""
    return input


@composite(method=True)
def resolve_neg(input):
    """`input` with negation written out; Flambeau always does that, so `input` itself."""
    return input


@composite(method=True, inplace=True, out=True)
def float_power(input, exponent):
    """`input ** exponent` computed in float64 (complex128 when an operand is complex).

    >>> import flambeau as fb
    >>> fb.float_power(fb.tensor([2, 3]), 2).tolist()
    [4.0, 9.0]
    """

    def is_complex(v):
        return v.is_complex() if is_tensor(v) else isinstance(v, complex)

    wide = fb.complex128 if is_complex(input) or is_complex(exponent) else fb.float64
    a, b = (v.to(wide) if is_tensor(v) else v for v in (input, exponent))
    if not is_tensor(a):
        a = fb.full((), a, dtype=wide, device=b.device)
    return fb.pow(a, b)


@composite(method=True, inplace="function", out=True)
def ldexp(input, other):
    """`input * 2 ** other`."""
    _need("ldexp", input, other)
    return fb.mul(input, fb.pow(2.0, other))


@composite(method=True, out=True)
def frexp(input):
    """Mantissa in (-1, -0.5] or [0.5, 1) and int32 exponent with `input = mantissa * 2**exponent`.

    >>> import flambeau as fb
    >>> m, e = fb.frexp(fb.tensor([8.0, 0.0]))
    >>> m.tolist(), e.tolist()
    ([0.5, 0.0], [4, 0])
    """
    if not input.is_floating_point():
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    x = input.detach()
    wide = x.to(fb.float64)
    ok = fb.isfinite(wide) & (wide != 0)
    safe = fb.where(ok, wide.abs(), fb.ones_like(wide))
    small = safe < 1e-290
    scaled = fb.where(small, safe * 2.0**100, safe)
    e = fb.floor(fb.log2(scaled)) + 1
    m = scaled / fb.exp2(e - 1) * 0.5
    up, down = m >= 1, m < 0.5
    e = e + up.to(e.dtype) - down.to(e.dtype) - 100 * small.to(e.dtype)
    e = fb.where(ok, e, fb.zeros_like(e))
    half = fb.trunc(e / 2)
    mantissa = fb.where(
        ok, input.to(fb.float64) / fb.exp2(half) / fb.exp2(e - half), input.to(fb.float64)
    ).to(input.dtype)
    return named("frexp", "mantissa exponent", mantissa, e.to(fb.int32))


@composite(method=True)
def isreal(input):
    """True where the imaginary part is zero."""
    return input.imag == 0 if input.is_complex() else fb.ones_like(input, dtype=fb.bool)


@composite(method=True)
def isclose(input, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    """True where `|input - other| <= atol + rtol * |other|`.

    >>> import flambeau as fb
    >>> fb.isclose(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 2.1])).tolist()
    [True, False]
    """
    if input.dtype != other.dtype:
        raise RuntimeError(f"{input.dtype} did not match {other.dtype}: isclose needs one dtype")
    if rtol < 0:
        raise RuntimeError(f"rtol must be greater than or equal to zero, but got {rtol}")
    if atol < 0:
        raise RuntimeError(f"atol must be greater than or equal to zero, but got {atol}")
    a, b = input.detach(), other.detach()
    close = a == b
    if equal_nan and inexact(a):
        close = close | (a != a) & (b != b)
    if rtol == 0 and atol == 0:
        return close
    if not inexact(b):
        a, b = a.to(fb.float64), b.to(fb.float64)
    allowed = atol + (rtol * b).abs()
    gap = (a - b).abs()
    return close | fb.isfinite(gap) & (gap <= allowed)


@composite(method=True)
def allclose(input, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether all elements are `isclose`, a Python bool."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@composite()
def is_same_size(input, other):
    """Whether both tensors have the same shape."""
    return tuple(input.shape) == tuple(other.shape)


@composite(method=True)
def is_nonzero(input):
    """Whether a one-element tensor is not zero, a Python bool."""
    if input.numel() != 1:
        raise RuntimeError(
            "Boolean value of Tensor with no values is ambiguous"
            if not input.numel()
            else "Boolean value of Tensor with more than one value is ambiguous"
        )
    return bool(input.item() != 0)


@composite(method=True)
def is_signed(input):
    """Whether the dtype of `input` has a sign."""
    return input.dtype not in (fb.uint8, fb.uint16, fb.uint32, fb.uint64, fb.bool)


@composite(method=True, inplace=True, out=True)
def mvlgamma(input, p):
    """Log of the multivariate gamma function of dimension `p` (input > (p - 1) / 2).

    Formula: https://en.wikipedia.org/wiki/Multivariate_gamma_function
    """
    if input.is_complex() or input.dtype == fb.bool:
        raise RuntimeError(f"mvlgamma: not implemented for {input.dtype}")
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1, got {p}")
    x = as_inexact(input)
    j = fb.arange(p, dtype=x.dtype, device=x.device) * 0.5
    return fb.lgamma(x.unsqueeze(-1) - j).sum(-1) + p * (p - 1) / 4 * 1.1447298858494002


def _need(name, *tensors):
    for i, t in enumerate(tensors):
        if not is_tensor(t):
            raise TypeError(
                f"{name}(): argument '{('input', 'other')[i]}' (position {i + 1}) "
                "must be "
                f"Tensor, not {type(t).__name__}"
            )


@composite(method=True, out=True)
def hash_tensor(input, dim=(), *, keepdim=False, mode=0):
    """XOR of the 64-bit patterns of the elements over `dim` (all by default), as uint64.

    Floating types are widened to float64 first, integers to int64, then taken as bits.
    """
    if mode != 0:
        raise RuntimeError(f"hash_tensor: Unknown mode: {mode}")
    if input.is_complex():
        raise RuntimeError(f"hash_tensor: not implemented for {input.dtype}")
    x = input.detach()
    bits = x.to(fb.float64).view(fb.int64) if x.is_floating_point() else x.to(fb.int64)
    dims = wrap_dims(dim, x.dim()) if not isinstance(dim, tuple) or dim else list(range(x.dim()))
    for d in sorted(dims, reverse=True):
        if bits.dim() == 0:
            break
        while bits.shape[d] > 1:
            n = bits.shape[d]
            h = n // 2
            head = bits.narrow(d, 0, h) ^ bits.narrow(d, h, h)
            bits = fb.cat([head, bits.narrow(d, 2 * h, 1)], d) if n % 2 else head
        if bits.shape[d] == 0:
            bits = bits.new_zeros([1 if i == d else s for i, s in enumerate(bits.shape)])
        if not keepdim:
            bits = bits.squeeze(d)
    return bits.view(fb.uint64)
