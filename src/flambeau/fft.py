"""`flambeau.fft`: discrete Fourier transforms differentiable to any order."""

from __future__ import annotations

import flambeau as fb

from ._composites._register import _wrap
from ._composites._util import complex_dtype, wrap_dim

__all__ = [
    *"""fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 hfft2 ihfft2 fftn ifftn rfftn
irfftn hfftn ihfftn fftfreq rfftfreq fftshift ifftshift""".split()
]


def _public(f):
    return _wrap(f, True)


# The core's three primitives carry an explicit scale, and their derivatives.


def _count(shape, dims):
    n = 1
    for d in dims:
        n *= shape[d]
    return n


def _resize(x, dim, n):
    """Cut or zero-pad `dim` to n."""
    have = x.shape[dim]
    if have == n:
        return x
    if have > n:
        return x.narrow(dim, 0, n)
    pad = list(x.shape)
    pad[dim] = n - have
    return fb.cat([x, x.new_zeros(pad)], dim)


def _scale(norm, n, inverse):
    norm = norm or "backward"
    if norm not in ("backward", "ortho", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return n**-0.5
    return 1.0 / max(n, 1) if (norm == "forward") != inverse else 1.0


def _complex(name, x):
    if not (x.is_floating_point() or x.is_complex()):
        x = x.to(fb.get_default_dtype())
    if x.dtype in (fb.float16, fb.bfloat16):
        raise RuntimeError(f"{name}: Unsupported dtype {x.dtype}; use float32 or float64")
    return x if x.is_complex() else x.to(complex_dtype(x.dtype))


def _real(name, x):
    if x.is_complex():
        raise RuntimeError(f"{name} expects a real input tensor, but got {x.dtype}")
    if not x.is_floating_point():
        x = x.to(fb.get_default_dtype())
    if x.dtype in (fb.float16, fb.bfloat16):
        raise RuntimeError(f"{name}: Unsupported dtype {x.dtype}; use float32 or float64")
    return x


def _dims(x, s, dim):
    """The transformed dims: `dim` defaults to all, or the last len(s)."""
    if dim is not None:
        dims = [wrap_dim(d, x.dim()) for d in ((dim,) if isinstance(dim, int) else dim)]
        if len(dims) > 1 and len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
        return dims
    if s is not None and len(s) > x.dim():
        raise RuntimeError(
            f"Got shape with {len(s)} values but input tensor only has {x.dim()} dimensions."
        )
    return list(range(x.dim() - len(s) if s is not None else 0, x.dim()))


def _resized(x, dims, sizes):
    for d, n in zip(dims, sizes):
        if n < 1 and n != -1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
        if n != -1:
            x = _resize(x, d, n)
    return x


def _check(x, dims, n=1):
    """Nothing cannot be transformed; n: the numbers that come out, where they are others."""
    if x.numel() and n > 0:
        return
    for size in (n, *(x.shape[d] for d in dims)):
        if size < 1:
            raise RuntimeError(f"Invalid number of data points ({size}) specified")


def _c2c(name, x, s, dim, norm, inverse):
    s = (s,) if isinstance(s, int) else s
    dims, x = _dims(x, s, dim), _complex(name, x)
    if not dims:
        return x.clone()
    if s is not None:
        x = _resized(x, dims, s)
    _check(x, dims)
    return fb._C._fft_c2c(x, dims, inverse, _scale(norm, _count(x.shape, dims), inverse))


def _r2c(name, x, s, dim, norm, inverse):
    s = (s,) if isinstance(s, int) else s
    dims, x = _dims(x, s, dim), _real(name, x)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    if s is not None:
        x = _resized(x, dims, s)
    _check(x, dims)
    out = fb._C._fft_r2c(x, dims, _scale(norm, _count(x.shape, dims), inverse))
    return out.conj() if inverse else out


def _c2r(name, x, s, dim, norm, inverse):
    s = (s,) if isinstance(s, int) else s
    dims, x = _dims(x, s, dim), _complex(name, x)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    n = 2 * (x.shape[dims[-1]] - 1) if s is None or s[-1] == -1 else s[-1]
    if s is not None:
        x = _resized(x, dims, (*s[:-1], n // 2 + 1))
    _check(x, dims, n)
    x = x if inverse else x.conj()
    scale = _scale(norm, n * _count(x.shape, dims[:-1]), inverse)
    return fb._C._fft_c2r(x, dims, n, scale)


_DOCS = {
    "fft": "{} discrete Fourier transform over {}; complex result.",
    "ifft": "{} inverse discrete Fourier transform over {}; complex result.",
    "rfft": "{} Fourier transform of real input over {}: the non-redundant half of the last dim.",
    "irfft": "{} inverse of `rfft` over {}; real result, of length 2 (n - 1) unless told.",
    "hfft": "{} Fourier transform of a half Hermitian signal over {}; real result.",
    "ihfft": "{} inverse of `hfft` over {}: half of a Hermitian signal from real input.",
}
_KINDS = {
    "fft": (_c2c, False),
    "ifft": (_c2c, True),
    "rfft": (_r2c, False),
    "irfft": (_c2r, True),
    "hfft": (_c2r, False),
    "ihfft": (_r2c, True),
}


def _make(kind, suffix):
    run, inverse = _KINDS[kind]
    name = kind + suffix
    if suffix == "":

        def f(input, n=None, dim=-1, norm=None):
            return run("fft_" + name, input, None if n is None else (n,), (dim,), norm, inverse)
    elif suffix == "2":

        def f(input, s=None, dim=(-2, -1), norm=None):
            return run("fft_" + name, input, s, dim, norm, inverse)
    else:

        def f(input, s=None, dim=None, norm=None):
            return run("fft_" + name, input, s, dim, norm, inverse)

    f.__name__ = f.__qualname__ = name
    how = {
        "": ("One-dimensional", "`dim`, cut or zero-padded to `n`"),
        "2": ("Two-dimensional", "two dims, cut or zero-padded to `s`"),
        "n": ("N-dimensional", "`dim` (default all), cut or zero-padded to `s`"),
    }[suffix]
    f.__doc__ = _DOCS[kind].format(*how) + (
        '\n\n    `norm` is "backward" (default: the inverse divides by n), "ortho" or "forward".'
    )
    globals()[name] = _public(f)


for _s in ("", "2", "n"):
    for _k in _KINDS:
        _make(_k, _s)


def _freq(count, n, d, scale, dtype, device, requires_grad):
    out = count.to(fb.float64) / (n * d)
    out = out.to(dtype or fb.get_default_dtype())
    if device is not None:
        out = out.to(device)
    return out.requires_grad_() if requires_grad else out


@_public
def fftfreq(n, d=1.0, *, dtype=None, layout=None, device=None, requires_grad=False):
    """Frequencies of the bins of `fft` of n samples spaced `d`, negative ones last.

    >>> import flambeau as fb
    >>> fb.fft.fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    count = fb.cat([fb.arange(0, (n + 1) // 2), fb.arange(-(n // 2), 0)])
    return _freq(count, n, d, 1, dtype, device, requires_grad)


@_public
def rfftfreq(n, d=1.0, *, dtype=None, layout=None, device=None, requires_grad=False):
    """Frequencies of the bins of `rfft` of n samples spaced `d`."""
    return _freq(fb.arange(0, n // 2 + 1), n, d, 1, dtype, device, requires_grad)


def _shift_dims(x, dim):
    return list(range(x.dim())) if dim is None else [dim] if isinstance(dim, int) else list(dim)


def fftshift(input, dim=None):
    """`input` with the zero frequency moved to the middle of `dim` (default all)."""
    dims = _shift_dims(input, dim)
    return fb.roll(input, [input.shape[d] // 2 for d in dims], dims) if dims else input.clone()


def ifftshift(input, dim=None):
    """The inverse of `fftshift`."""
    dims = _shift_dims(input, dim)
    steps = [(input.shape[d] + 1) // 2 for d in dims]
    return fb.roll(input, steps, dims) if dims else input.clone()
