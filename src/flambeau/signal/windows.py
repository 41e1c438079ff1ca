"""`flambeau.signal.windows`: symmetric (`sym=True`) and periodic windows of M points."""

from __future__ import annotations

import flambeau as fb

__all__ = [
    *"""bartlett blackman cosine exponential gaussian general_cosine general_hamming hamming
hann kaiser nuttall""".split()
]


def _setup(name, M, dtype, layout, device):
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not None and "strided" not in str(layout):
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    dtype = dtype or fb.get_default_dtype()
    if dtype not in (fb.float32, fb.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return dtype


def _points(M, sym, device):
    """0..M-1 and the length of one period, float64."""
    return fb.arange(M, dtype=fb.float64, device=device), max(M - 1 if sym else M, 1)


def _done(w, dtype, requires_grad):
    w = w.to(dtype)
    return w.requires_grad_() if requires_grad else w


def _one(M, dtype, device, requires_grad):
    return _done(fb.ones(M, device=device), dtype, requires_grad) if M <= 1 else None


def exponential(
    M, *, center=None, tau=1.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False
):
    """`exp(-|k - center| / tau)`; the centre is the middle unless given (then `sym=False`)."""
    dtype = _setup("exponential", M, dtype, layout, device)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    if M == 0:
        return _one(M, dtype, device, requires_grad)
    k, n = _points(M, sym, device)
    center = (n if M > 1 else 0) / 2 if center is None else center
    return _done((-(k - center).abs() / tau).exp(), dtype, requires_grad)


def cosine(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Half a sine: `sin(pi (k + 0.5) / M)`.

    >>> import flambeau as fb
    >>> fb.signal.windows.cosine(1).tolist()
    [1.0]
    """
    dtype = _setup("cosine", M, dtype, layout, device)
    k, _ = _points(M, sym, device)
    return _done((fb.pi * (k + 0.5) / (M if sym or M <= 1 else M + 1)).sin(), dtype, requires_grad)


def gaussian(M, *, std=1.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """`exp(-(k - middle)^2 / (2 std^2))`."""
    dtype = _setup("gaussian", M, dtype, layout, device)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    k, _ = _points(M, sym, device)
    z = (k - (M - 1 if sym or M <= 1 else M) / 2) / std
    return _done((-z * z / 2).exp(), dtype, requires_grad)


def kaiser(M, *, beta=12.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """`I0(beta sqrt(1 - ((k - a) / a)^2)) / I0(beta)` with a the middle."""
    dtype = _setup("kaiser", M, dtype, layout, device)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    if M <= 1:
        return _one(M, dtype, device, requires_grad)
    k, n = _points(M, sym, device)
    z = 2 * k / n - 1
    w = fb.i0(beta * (1 - z * z).clamp(min=0).sqrt())
    return _done(
        w / fb.i0(fb.full((), beta, dtype=fb.float64, device=device)), dtype, requires_grad
    )


def general_cosine(M, *, a, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """`sum_j (-1)^j a[j] cos(2 pi j k / n)`."""
    return _cosines("general_cosine", M, a, sym, dtype, layout, device, requires_grad)


def _cosines(name, M, a, sym, dtype, layout, device, requires_grad):
    dtype = _setup(name, M, dtype, layout, device)
    if not isinstance(a, (list, tuple)):
        a = list(a)
    if not a:
        raise ValueError("Coefficients cannot be empty")
    if M <= 1:
        return _one(M, dtype, device, requires_grad)
    k, n = _points(M, sym, device)
    w = fb.zeros(M, dtype=fb.float64, device=device)
    for j, c in enumerate(a):
        w = w + (-1) ** j * c * (2 * fb.pi * j / n * k).cos()
    return _done(w, dtype, requires_grad)


def general_hamming(
    M, *, alpha=0.54, sym=True, dtype=None, layout=None, device=None, requires_grad=False
):
    """`alpha - (1 - alpha) cos(2 pi k / n)`."""
    return _cosines(
        "general_hamming", M, (alpha, 1 - alpha), sym, dtype, layout, device, requires_grad
    )


def hamming(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """`0.54 - 0.46 cos(2 pi k / n)`."""
    return _cosines("hamming", M, (0.54, 0.46), sym, dtype, layout, device, requires_grad)


def hann(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """`0.5 - 0.5 cos(2 pi k / n)`.

    >>> import flambeau as fb
    >>> fb.signal.windows.hann(3).tolist()
    [0.0, 1.0, 0.0]
    """
    return _cosines("hann", M, (0.5, 0.5), sym, dtype, layout, device, requires_grad)


def blackman(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """`0.42 - 0.5 cos(2 pi k / n) + 0.08 cos(4 pi k / n)`."""
    return _cosines("blackman", M, (0.42, 0.5, 0.08), sym, dtype, layout, device, requires_grad)


def nuttall(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Nuttall's minimum four-term Blackman-Harris window (Nuttall 1981)."""
    return _cosines(
        "nuttall",
        M,
        (0.3635819, 0.4891775, 0.1365995, 0.0106411),
        sym,
        dtype,
        layout,
        device,
        requires_grad,
    )


def bartlett(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Triangle with zero ends: `1 - |2 k / n - 1|`."""
    dtype = _setup("bartlett", M, dtype, layout, device)
    if M <= 1:
        return _one(M, dtype, device, requires_grad)
    k, n = _points(M, sym, device)
    return _done(1 - (2 * k / n - 1).abs(), dtype, requires_grad)
