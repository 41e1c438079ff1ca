"""Resizing: interpolate in all its modes, as one gather or product a dimension."""

from __future__ import annotations

import math

import flambeau as fb
from flambeau import _C
from flambeau._autocast import in_float32

_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}


def _source(out, size, scale, align_corners, dtype, device):
    """Where each output position lies in the input, as a real coordinate."""
    x = fb.arange(out, device=device).to(dtype)
    if align_corners:
        return x * ((size - 1) / (out - 1)) if out > 1 else x * 0.0
    return (x + 0.5) * scale - 0.5


def _nearest_index(out, size, scale, exact, device):
    """The input index of each output position, rounded in float32 as PyTorch does."""
    x = fb.arange(out, device=device).to(fb.float32)
    step = fb.tensor(scale, dtype=fb.float32, device=device)
    where = (x + 0.5) * step if exact else x * step
    return where.floor().long().clamp(max=size - 1)


def _shape_for(weight, ndim, dim):
    shape = [1] * ndim
    shape[dim] = weight.shape[0]
    return weight.reshape(shape)


def _linear(input, dim, out, scale, align_corners):
    """Blend the two neighbours of each position along ``dim``."""
    size = input.shape[dim]
    if out == size and (align_corners or scale == 1.0):
        return input
    real = _source(out, size, scale, align_corners, _real(input), input.device).clamp_min(0)
    low = real.floor().long().clamp(max=size - 1)
    high = (low + 1).clamp(max=size - 1)
    t = _shape_for((real - low.to(real.dtype)).clamp(0, 1).to(input.dtype), input.dim(), dim)
    a, b = input.index_select(dim, low), input.index_select(dim, high)
    return a + (b - a) * t


def _real(input):
    """The dtype of coordinates: float64 for float64 data, else float32."""
    return fb.float64 if input.dtype == fb.float64 else fb.float32


def _cubic_weight(x, a):
    """Keys' cubic convolution kernel at distance x >= 0."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return fb.where(x <= 1, near, fb.where(x < 2, far, 0.0))


def _cubic(input, dim, out, scale, align_corners):
    """Blend the four neighbours along ``dim`` with Keys' kernel, a = -0.75."""
    size = input.shape[dim]
    if out == size and (align_corners or scale == 1.0):
        return input
    real = _source(out, size, scale, align_corners, _real(input), input.device)
    base = real.floor()
    t = real - base
    total = None
    for tap in (-1, 0, 1, 2):
        index = (base.long() + tap).clamp(0, size - 1)
        weight = _cubic_weight((t - tap).abs(), -0.75).to(input.dtype)
        part = input.index_select(dim, index) * _shape_for(weight, input.dim(), dim)
        total = part if total is None else total + part
    return total


def _antialiased(input, dim, out, scale, align_corners, cubic):
    """Multiply by a resampling matrix whose filter is stretched when shrinking."""
    size = input.shape[dim]
    dtype = _real(input)
    if align_corners:
        scale = (size - 1) / (out - 1) if out > 1 else 0.0
    stretch = max(scale, 1.0)
    reach = (2.0 if cubic else 1.0) * stretch
    i = fb.arange(out, device=input.device).to(dtype)
    center = (scale * (i + 0.5)).unsqueeze(1)
    first = (center - reach + 0.5).long().clamp_min(0)
    last = (center + reach + 0.5).long().clamp(max=size)
    j = fb.arange(size, device=input.device)
    inside = (j >= first) & (j < last)
    x = ((j.to(dtype) - center + 0.5) / stretch).abs()
    weight = _cubic_weight(x, -0.5) if cubic else (1 - x).clamp_min(0)
    weight = fb.where(inside, weight, 0.0)
    weight = (weight / weight.sum(1, keepdim=True)).to(input.dtype)
    moved = input.transpose(dim, -1) @ weight.t()
    return moved.transpose(dim, -1)


def _sizes(input, size, scale_factor, recompute, n):
    """The output size and, a dimension, the ratio input / output that the coordinates use."""
    spatial = input.shape[2:]
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if size is not None:
        out = [int(s) for s in size] if isinstance(size, (tuple, list)) else [int(size)] * n
        if len(out) != n:
            raise ValueError(
                f"Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {list(spatial)} and output size of {size}."
            )
        factors = None
    else:
        many = isinstance(scale_factor, (tuple, list))
        factors = [float(f) for f in scale_factor] if many else [float(scale_factor)] * n
        if len(factors) != n:
            raise ValueError(
                f"Input and scale_factor must have the same number of spatial dimensions, but got "
                f"input with spatial dimensions of {list(spatial)} and scale_factor of shape "
                f"{scale_factor}."
            )
        out = [math.floor(float(s) * f) for s, f in zip(spatial, factors)]
    if recompute and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if min(out) <= 0:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input "
            f"{list(spatial)} and output {out}"
        )
    if factors is None or recompute:
        ratios = [s / o for s, o in zip(spatial, out)]
    else:
        ratios = [1.0 / f for f in factors]
    return out, ratios


def _check_mode(input, mode, align_corners, antialias):
    n = input.dim() - 2
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | "
                "bilinear | bicubic | trilinear"
            )
    elif mode not in (*_LINEAR, "bicubic"):
        raise NotImplementedError(
            f"interpolate: unknown mode '{mode}': use nearest, nearest-exact, linear, bilinear, "
            "bicubic, trilinear or area"
        )
    if (
        n not in (1, 2, 3)
        or (mode in _LINEAR and _LINEAR[mode] != n)
        or (mode == "bicubic" and n != 2)
    ):
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
            f"area | nearest-exact (got {mode})"
        )
    if antialias and (mode not in ("bilinear", "bicubic") or n != 2):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D "
            "tensor as input"
        )


@in_float32("cuda")
def interpolate(
    input, size=None, scale_factor=None, mode="nearest", align_corners=None,
    recompute_scale_factor=None, antialias=False,
):  # fmt: skip
    """Resize (N, C, L), (N, C, H, W) or (N, C, D, H, W) to ``size`` or by ``scale_factor``.

    Modes: 'nearest', 'nearest-exact', 'linear' (3D), 'bilinear' and 'bicubic' (4D, with
    ``antialias``), 'trilinear' (5D), 'area'. ``align_corners`` maps the corners onto each other.
    ValueError, NotImplementedError for arguments that do not go together.

    >>> import flambeau as fb
    >>> fb.nn.functional.interpolate(fb.tensor([[[1.0, 2.0]]]), scale_factor=2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]
    """
    _check_mode(input, mode, align_corners, antialias)
    n = input.dim() - 2
    out, ratios = _sizes(input, size, scale_factor, recompute_scale_factor, n)
    if mode == "area":
        pool = (_C.adaptive_avg_pool1d, _C.adaptive_avg_pool2d, _C.adaptive_avg_pool3d)[n - 1]
        return pool(input, out)
    if input.device.type == "cpu" and (input.is_floating_point() or input.dtype == fb.uint8):
        kind = mode if mode.startswith("nearest") else "cubic" if mode == "bicubic" else "linear"
        name = "smooth-" + kind if antialias else kind
        return _C._interpolate(input, out, name, bool(align_corners), *ratios)
    for i, (o, ratio) in enumerate(zip(out, ratios)):
        dim = i + 2
        if mode.startswith("nearest"):
            index = _nearest_index(o, input.shape[dim], ratio, mode != "nearest", input.device)
            input = input.index_select(dim, index)
        elif antialias:
            input = _antialiased(input, dim, o, ratio, align_corners, mode == "bicubic")
        elif mode == "bicubic":
            input = _cubic(input, dim, o, ratio, align_corners)
        else:
            input = _linear(input, dim, o, ratio, align_corners)
    return input.contiguous() if antialias else input


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """The older name of ``interpolate``."""
    _old("upsample", "interpolate")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """``interpolate`` with mode 'nearest'."""
    _old("upsample_nearest", "interpolate")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """``interpolate`` with mode 'bilinear' and aligned corners."""
    _old("upsample_bilinear", "interpolate")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _old(old, new):
    import warnings

    warnings.warn(f"{old} is deprecated: use {new}", stacklevel=3)
