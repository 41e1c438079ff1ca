"""`flambeau.masked`: reductions and normalisations over the elements where a bool mask is true."""

from __future__ import annotations

import flambeau as fb

__all__ = [
    *"""amax amin argmax argmin cumprod cumsum log_softmax logaddexp logsumexp mean median
norm normalize prod softmax softmin std sum var""".split()
]


def _dims(x, dim):
    if dim is None or dim == ():
        return list(range(x.dim()))
    return [d % max(x.dim(), 1) for d in ((dim,) if isinstance(dim, int) else dim)]


def _mask(x, mask):
    if mask is None:
        return fb.ones_like(x, dtype=fb.bool)
    if mask.dtype != fb.bool:
        raise RuntimeError(f"masked: mask must be a bool tensor, got {mask.dtype}")
    return mask.expand(x.shape) if mask.dim() <= x.dim() else mask


def _fill(x, mask, value):
    return x if mask is None else fb.where(_mask(x, mask), x, fb.full_like(x, value))


def _cast(x, dtype):
    return x if dtype is None else x.to(dtype)


def _ends(dtype):
    if dtype.is_floating_point:
        return -fb.inf, fb.inf
    info = fb.iinfo(dtype)
    return info.min, info.max


def _widen(x, dtype):
    if dtype is None and not (x.is_floating_point() or x.is_complex()):
        dtype = fb.int64
    return _cast(x, dtype)


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Sum of the unmasked elements; 0 where all are masked.

    >>> import flambeau as fb
    >>> fb.masked.sum(fb.tensor([1., 2.]), mask=fb.tensor([True, False])).item()
    1.0
    """
    x = _fill(_widen(input, dtype), mask, 0)
    d = _dims(x, dim)
    return fb.sum(x, d, keepdim=keepdim) if d else x.clone()


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Product of the unmasked elements; 1 where all are masked."""
    x = _fill(_widen(input, dtype), mask, 1)
    for d in sorted(_dims(x, dim), reverse=True) if x.dim() else ():
        x = fb.prod(x, d, keepdim=keepdim)
    return x


def cumsum(input, dim, *, dtype=None, mask=None):
    """Running sum, masked elements count as 0."""
    return fb.cumsum(_fill(_widen(input, dtype), mask, 0), dim)


def cumprod(input, dim, *, dtype=None, mask=None):
    """Running product, masked elements count as 1."""
    return fb.cumprod(_fill(_widen(input, dtype), mask, 1), dim)


def _extreme(f, end, input, dim, keepdim, dtype, mask):
    x = _cast(input, dtype)
    x = _fill(x, mask, _ends(x.dtype)[end]) if mask is not None else x
    d = _dims(x, dim)
    return f(x, d, keepdim) if d else x.clone()


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Largest unmasked element; the type's least value where all are masked."""
    return _extreme(fb.amax, 0, input, dim, keepdim, dtype, mask)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Smallest unmasked element; the type's greatest value where all are masked."""
    return _extreme(fb.amin, 1, input, dim, keepdim, dtype, mask)


def argmax(input, dim=None, *, dtype=None, keepdim=False, mask=None):
    """Index of the largest unmasked element."""
    x = _cast(input, dtype)
    # PyTorch returns the index in the dtype of the input
    return fb.argmax(_fill(x, mask, _ends(x.dtype)[0]), dim, keepdim=keepdim).to(x.dtype)


def argmin(input, dim=None, *, dtype=None, keepdim=False, mask=None):
    """Index of the smallest unmasked element."""
    x = _cast(input, dtype)
    # PyTorch returns the index in the dtype of the input
    return fb.argmin(_fill(x, mask, _ends(x.dtype)[1]), dim, keepdim=keepdim).to(x.dtype)


def _count(x, dim, keepdim, mask):
    m = _mask(x, mask).to(fb.int64)
    d = _dims(x, dim)
    return fb.sum(m, d, keepdim=keepdim) if d else m


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Mean of the unmasked elements; NaN where all are masked."""
    x = _cast(input, dtype)
    if not (x.is_floating_point() or x.is_complex()):
        raise ValueError(f"masked.mean: input must be floating point or complex, got {x.dtype}")
    return sum(x, dim, keepdim=keepdim, mask=mask) / _count(x, dim, keepdim, mask)


def var(input, dim=None, unbiased=True, *, keepdim=False, dtype=None, mask=None, correction=None):
    """Variance of the unmasked elements, divided by their number minus `unbiased` (a bool)."""
    x = _cast(input, dtype)
    if not (x.is_floating_point() or x.is_complex()):
        x = x.to(fb.get_default_dtype())
    n = _count(x, dim, True, mask)
    m = sum(x, dim, keepdim=True, mask=mask) / n
    gap = x - m
    square = (gap * gap.conj()).real if x.is_complex() else gap * gap
    total = sum(square, dim, keepdim=keepdim, mask=mask)
    n = n if keepdim else n.reshape(total.shape)
    less = int(unbiased) if correction is None else correction
    return (total / (n - less).clamp(min=0)).to(x.dtype)


def std(input, dim=None, unbiased=True, *, keepdim=False, dtype=None, mask=None, correction=None):
    """Square root of `var`."""
    return fb.sqrt(
        var(input, dim, unbiased, keepdim=keepdim, dtype=dtype, mask=mask, correction=correction)
    )


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """Lower median of the unmasked elements along `dim`; NaN where all are masked."""
    x = _fill(_cast(input, dtype), mask, fb.nan)
    return fb.nanmedian(x, dim, keepdim)[0]


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Vector norm of the unmasked elements."""
    x = _fill(_cast(input, dtype), mask, fb.inf if ord == -fb.inf else 0)
    return fb.linalg.vector_norm(x, ord, _dims(x, dim), keepdim)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """`input / max(norm, eps)` along `dim`, masked elements 0."""
    x = _fill(_cast(input, dtype), mask, 0)
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return x / size.clamp(min=eps)


def softmax(input, dim, *, dtype=None, mask=None):
    """Softmax over the unmasked elements; masked ones get 0, NaN where all are masked."""
    return fb.softmax(_fill(_cast(input, dtype), mask, -fb.inf), dim)


def softmin(input, dim, *, dtype=None, mask=None):
    """Softmax of the negated unmasked elements."""
    return fb.softmax(-_fill(_cast(input, dtype), mask, fb.inf), dim)


def log_softmax(input, dim, *, dtype=None, mask=None):
    """Log of `softmax`; masked elements get -inf."""
    return fb.log_softmax(_fill(_cast(input, dtype), mask, -fb.inf), dim)


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Log of the summed exponentials of the unmasked elements."""
    x = _cast(input, dtype)
    back = x.dtype
    if not (x.is_floating_point() or x.is_complex()):
        x = x.to(fb.get_default_dtype())
    x = _fill(x, mask, -fb.inf)
    return fb.logsumexp(x, _dims(x, dim), keepdim=keepdim).to(back)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """`log(exp(input) + exp(other))`, masked elements count as -inf."""
    return fb.logaddexp(
        _fill(_cast(input, dtype), input_mask, -fb.inf),
        _fill(_cast(other, dtype), other_mask, -fb.inf),
    )
