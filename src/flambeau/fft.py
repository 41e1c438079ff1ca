"""`flambeau.fft`: discrete Fourier transforms by NumPy's pocketfft, differentiable to any order."""

from __future__ import annotations

import numpy as np

import flambeau as fb

from ._composites._register import _wrap
from ._composites._util import complex_dtype, wrap_dim
from ._linalg_seam import to_numpy, to_tensor

__all__ = [
    *"""fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 hfft2 ihfft2 fftn ifftn rfftn
irfftn hfftn ihfftn fftfreq rfftfreq fftshift ifftshift""".split()
]


def _public(f):
    return _wrap(f, True)


# The three primitives carry an explicit scale; the adjoint of an FFT is an FFT of the same scale.


def _cast(a, x):
    single = x.dtype in (fb.float32, fb.complex64)
    if np.iscomplexobj(a):
        return a.astype(np.complex64 if single else np.complex128, copy=False)
    return a.astype(np.float32 if single else np.float64, copy=False)


def _run(f, x, dims, scale, n_scale):
    a = f(to_numpy(x))
    if scale != n_scale:
        a = a * (scale / n_scale)
    return to_tensor(_cast(a, x), x)


def _count(shape, dims):
    n = 1
    for d in dims:
        n *= shape[d]
    return n


class _C2C(fb.autograd.Function):
    """Complex to complex, `inverse` turns the sign of the exponent."""

    @staticmethod
    def forward(ctx, x, dims, inverse, scale):
        ctx.dims, ctx.inverse, ctx.scale = dims, inverse, scale
        f = np.fft.ifftn if inverse else np.fft.fftn
        norm = "forward" if inverse else "backward"
        return _run(lambda a: f(a, axes=dims, norm=norm), x, dims, scale, 1)

    @staticmethod
    def backward(ctx, g):
        return _C2C.apply(g, ctx.dims, not ctx.inverse, ctx.scale), None, None, None


class _R2C(fb.autograd.Function):
    """Real to the non-negative half of the complex spectrum (last of `dims`), forward sign."""

    @staticmethod
    def forward(ctx, x, dims, scale):
        ctx.dims, ctx.scale, ctx.n = dims, scale, x.shape[dims[-1]]
        return _run(lambda a: np.fft.rfftn(a, axes=dims), x, dims, scale, 1)

    @staticmethod
    def backward(ctx, g):
        last = ctx.dims[-1]
        full = _resize(g, last, ctx.n)
        return _C2C.apply(full, ctx.dims, True, ctx.scale).real, None, None


class _C2R(fb.autograd.Function):
    """Half spectrum of length n // 2 + 1 (last of `dims`) to n real values, inverse sign."""

    @staticmethod
    def forward(ctx, x, dims, n, scale):
        ctx.dims, ctx.scale, ctx.n = dims, scale, n
        shape = [x.shape[d] for d in dims[:-1]] + [n]
        return _run(lambda a: np.fft.irfftn(a, shape, axes=dims, norm="forward"), x, dims, scale, 1)

    @staticmethod
    def backward(ctx, g):
        last, n = ctx.dims[-1], ctx.n
        out = _R2C.apply(g, ctx.dims, ctx.scale)
        # every bin but the first and (n even) the last stands for two of the full spectrum
        w = np.full(n // 2 + 1, 2.0)
        w[0] = 1
        if n % 2 == 0:
            w[-1] = 1
        shape = [-1 if i == last else 1 for i in range(out.dim())]
        return out * to_tensor(w, g, g.dtype).reshape(shape), None, None, None


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
    if norm not in (None, "backward", "ortho", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    norm = norm or "backward"
    if norm == "ortho":
        return n**-0.5
    return 1.0 / n if (norm == "forward") != inverse else 1.0


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


def _sizes(name, x, s, dim):
    """Transformed dims and their sizes: `dim` defaults to all, or the last len(s)."""
    if isinstance(s, int):
        s = (s,)
    if isinstance(dim, int):
        dim = (dim,)
    if dim is not None:
        dims = [wrap_dim(d, x.dim()) for d in dim]
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > x.dim():
            raise RuntimeError(
                f"Got shape with {len(s)} values but input tensor only has {x.dim()} dimensions."
            )
        dims = list(range(x.dim() - len(s), x.dim()))
    else:
        dims = list(range(x.dim()))
    sizes = [
        x.shape[d] if n == -1 else n for d, n in zip(dims, s if s is not None else [-1] * len(dims))
    ]
    return dims, sizes


def _check(sizes):
    for n in sizes:
        if n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")


def _c2c(name, x, s, dim, norm, inverse):
    dims, sizes = _sizes(name, x, s, dim)
    x = _complex(name, x)
    if not dims:
        return x.clone()
    _check(sizes)
    for d, n in zip(dims, sizes):
        x = _resize(x, d, n)
    return _C2C.apply(x, tuple(dims), inverse, _scale(norm, _count(x.shape, dims), inverse))


def _r2c(name, x, s, dim, norm, inverse):
    dims, sizes = _sizes(name, x, s, dim)
    x = _real(name, x)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    _check(sizes)
    for d, n in zip(dims, sizes):
        x = _resize(x, d, n)
    out = _R2C.apply(x, tuple(dims), _scale(norm, _count(x.shape, dims), inverse))
    return out.conj() if inverse else out


def _c2r(name, x, s, dim, norm, inverse):
    dims, sizes = _sizes(name, x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    x = _complex(name, x)
    if s is None or (s if isinstance(s, int) else s[-1]) == -1:
        sizes[-1] = 2 * (x.shape[dims[-1]] - 1)
    _check(sizes)
    for d, n in zip(dims[:-1], sizes):
        x = _resize(x, d, n)
    x = _resize(x, dims[-1], sizes[-1] // 2 + 1)
    total = sizes[-1] * _count(x.shape, dims[:-1])
    x = x if inverse else x.conj()
    return _C2R.apply(x, tuple(dims), sizes[-1], _scale(norm, total, inverse))


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
