"""Composites that make tensors: index lists, windows, grids of numbers."""

from __future__ import annotations

from builtins import range as _range

import flambeau as fb

from ._register import composite


def _tri(name, row, col, offset, dtype, layout, device, keep):
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}: row and col must be non-negative, got row={row}, col={col}")
    if layout is not None and "strided" not in str(layout):
        raise RuntimeError(f"only support layout=torch.strided, got {layout}")
    r = fb.arange(row, device=device).reshape(row, 1).expand(row, col)
    c = fb.arange(col, device=device).expand(row, col)
    m = keep(c, r + offset)
    dtype = dtype or fb.int64
    return fb.stack([r.masked_select(m), c.masked_select(m)]).to(dtype)


@composite()
def tril_indices(row, col, offset=0, *, dtype=None, device=None, layout=None, pin_memory=False):
    """Row and column indices `(2, n)` of the lower triangle of a `row` x `col` matrix.

    >>> import flambeau as fb
    >>> fb.tril_indices(2, 2).tolist()
    [[0, 1, 1], [0, 0, 1]]
    """
    return _tri("tril_indices", row, col, offset, dtype, layout, device, lambda c, r: c <= r)


@composite()
def triu_indices(row, col, offset=0, *, dtype=None, device=None, layout=None, pin_memory=False):
    """Row and column indices `(2, n)` of the upper triangle of a `row` x `col` matrix."""
    return _tri("triu_indices", row, col, offset, dtype, layout, device, lambda c, r: c >= r)


@composite(out=True)
def range(start=0, end=None, step=1, *, dtype=None, device=None, layout=None, requires_grad=False):
    """Numbers from `start` to `end` INCLUSIVE; kept for old scripts, use `arange`."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) / step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    n = int((end - start) / step + 1e-9) + 1
    out = fb.arange(n, device=device, dtype=fb.float64) * step + start
    out = out.to(dtype or fb.get_default_dtype())
    return out.requires_grad_() if requires_grad else out


@composite(out=True)
def vander(x, N=None, increasing=False):
    """Vandermonde matrix `(n, N)` of a 1-d tensor: columns are powers of `x`.

    >>> import flambeau as fb
    >>> fb.vander(fb.tensor([2, 3]), increasing=True, N=3).tolist()
    [[1, 2, 4], [1, 3, 9]]
    """
    if x.dim() != 1:
        raise RuntimeError(f"x must be a one-dimensional tensor, got {x.dim()} dims")
    n = x.numel() if N is None else N
    if n < 0:
        raise RuntimeError(f"N must be non-negative, got {n}")
    if x.dtype == fb.bool or not (x.is_floating_point() or x.is_complex()):
        x = x.to(fb.int64)
    out = x.new_ones(x.numel(), n)
    if n > 1:
        out = fb.cat([out[:, :1], x.unsqueeze(1).expand(x.numel(), n - 1).cumprod(1)], 1)
    return out if increasing else out.flip(1)


@composite()
def empty_permuted(
    size,
    physical_layout,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    pin_memory=False,
):
    """Uninitialised tensor whose dims lie in memory in the order `physical_layout`."""
    if len(size) != len(physical_layout) or sorted(physical_layout) != list(_range(len(size))):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_"
            f"layout; i.e. len(size) = {len(size)} is not equal to "
            f"len(physical_layout) = {len(physical_layout)}, or duplicates in it"
        )
    stride, step = [0] * len(size), 1
    for d in reversed(physical_layout):
        stride[d] = step
        step *= max(size[d], 1)
    return fb.empty_strided(size, stride, dtype=dtype, device=device, requires_grad=requires_grad)


def cosine_sum(name, n, coefficients, periodic, dtype, device, requires_grad):
    """Window w[k] = sum_j c_j (-1)^j cos(2 pi j k / (n-1)), or /n when periodic."""
    dtype = dtype or fb.get_default_dtype()
    if n < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={n}")
    if not dtype.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    if n <= 1:
        out = fb.ones(n, dtype=dtype, device=device)
    else:
        k = fb.arange(n, dtype=fb.float64, device=device) * (2 * fb.pi / (n if periodic else n - 1))
        out = fb.zeros(n, dtype=fb.float64, device=device)
        for j, c in enumerate(coefficients):
            out = out + (-1) ** j * c * fb.cos(k * j)
        out = out.to(dtype)
    return out.requires_grad_() if requires_grad else out


@composite()
def hann_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """Hann window `0.5 - 0.5 cos(2 pi k / n)` of `window_length` points.

    >>> import flambeau as fb
    >>> fb.hann_window(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    return cosine_sum(
        "hann_window", window_length, (0.5, 0.5), periodic, dtype, device, requires_grad
    )


@composite()
def hamming_window(
    window_length,
    periodic=True,
    alpha=0.54,
    beta=0.46,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """Hamming window `alpha - beta cos(2 pi k / n)` of `window_length` points."""
    return cosine_sum(
        "hamming_window", window_length, (alpha, beta), periodic, dtype, device, requires_grad
    )


@composite()
def blackman_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """Blackman window `0.42 - 0.5 cos(2 pi k / n) + 0.08 cos(4 pi k / n)`."""
    return cosine_sum(
        "blackman_window", window_length, (0.42, 0.5, 0.08), periodic, dtype, device, requires_grad
    )


@composite()
def bartlett_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """Triangular window with zero ends."""
    cosine_sum(
        "bartlett_window",
        window_length if window_length < 0 else 0,
        (),
        periodic,
        dtype,
        device,
        False,
    )
    n = window_length
    k = fb.arange(n, dtype=fb.float64, device=device)
    half = max((n if periodic else n - 1) / 2, 0.5)
    out = fb.ones(1, device=device) if n == 1 else 1 - ((k - half) / half).abs()
    out = out.to(dtype or fb.get_default_dtype())
    return out.requires_grad_() if requires_grad else out


@composite()
def kaiser_window(
    window_length,
    periodic=True,
    beta=12.0,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """Kaiser window `I0(beta sqrt(1 - ((k - a) / a)^2)) / I0(beta)`, a = (n - 1) / 2."""
    cosine_sum(
        "kaiser_window",
        window_length if window_length < 0 else 0,
        (),
        periodic,
        dtype,
        device,
        False,
    )
    n = window_length
    a = max((n if periodic else n - 1) / 2, 0.5)
    k = fb.arange(n, dtype=fb.float64, device=device)
    top = fb.i0(beta * (1 - ((k - a) / a) ** 2).clamp(min=0).sqrt())
    out = fb.ones(1, device=device) if n == 1 else top / fb.i0(fb.full((), beta, dtype=fb.float64))
    out = out.to(dtype or fb.get_default_dtype())
    return out.requires_grad_() if requires_grad else out
