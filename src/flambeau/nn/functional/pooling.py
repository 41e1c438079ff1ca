"""Pooling: max, average, adaptive, power-average, fractional, and unpooling."""

from __future__ import annotations

import math

import flambeau as fb
from flambeau import _C

from ._common import ntuple

avg_pool1d = _C.avg_pool1d
avg_pool2d = _C.avg_pool2d
avg_pool3d = _C.avg_pool3d
adaptive_avg_pool1d = _C.adaptive_avg_pool1d


def _fill_sizes(output_size, input, n):
    """The adaptive output size with None replaced by the input's size."""
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(sizes) != n:
        raise RuntimeError(f"output_size must have {n} entries, but got {tuple(sizes)}")
    return [input.shape[i - n] if s is None else s for i, s in enumerate(sizes)]


def adaptive_avg_pool2d(input, output_size):
    """Average-pool (N, C, H, W) to (N, C, *output_size); None keeps a size.

    >>> import flambeau as fb
    >>> fb.nn.functional.adaptive_avg_pool2d(fb.ones(1, 2, 7, 5), 1).shape[2:].numel()
    1
    """
    return _C.adaptive_avg_pool2d(input, _fill_sizes(output_size, input, 2))


def adaptive_avg_pool3d(input, output_size):
    """Average-pool (N, C, D, H, W) to (N, C, *output_size); None keeps a size."""
    return _C.adaptive_avg_pool3d(input, _fill_sizes(output_size, input, 3))


def _max_pool(n):
    """The two forms of max pooling in ``n`` dimensions."""

    def with_indices(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
        return_indices=False,
    ):  # fmt: skip
        kernel = getattr(_C, f"max_pool{n}d_with_indices")
        stride = kernel_size if stride is None or stride == [] else stride
        return kernel(input, kernel_size, stride, padding, dilation, ceil_mode)

    def pool(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
        return_indices=False,
    ):  # fmt: skip
        if return_indices:
            return with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
        kernel = getattr(_C, f"max_pool{n}d")
        stride = kernel_size if stride is None or stride == [] else stride
        return kernel(input, kernel_size, stride, padding, dilation, ceil_mode)

    shape = ("(N, C, L)", "(N, C, H, W)", "(N, C, D, H, W)")[n - 1]
    pool.__doc__ = (
        f"Maximum of each window of {shape}; with ``return_indices`` also the flat int64 index "
        "of each\n    maximum in its plane, as ``max_unpool`` takes them. ``ceil_mode`` keeps a "
        "last partial window."
    )
    with_indices.__doc__ = f"Max pooling of {shape}, returning (values, indices)."
    for f, name in ((pool, f"max_pool{n}d"), (with_indices, f"max_pool{n}d_with_indices")):
        f.__name__ = f.__qualname__ = name
    return pool, with_indices


max_pool1d, max_pool1d_with_indices = _max_pool(1)
max_pool2d, max_pool2d_with_indices = _max_pool(2)
max_pool3d, max_pool3d_with_indices = _max_pool(3)


def _adaptive_max_pool(n):
    """The two forms of adaptive max pooling in ``n`` dimensions."""

    def with_indices(input, output_size, return_indices=False):
        kernel = getattr(_C, f"adaptive_max_pool{n}d")
        return kernel(input, _fill_sizes(output_size, input, n))

    def pool(input, output_size, return_indices=False):
        values, indices = with_indices(input, output_size)
        return (values, indices) if return_indices else values

    pool.__doc__ = (
        f"Max-pool the last {n} dimensions to ``output_size`` (None keeps a size); with "
        "``return_indices``\n    also the flat index of each maximum."
    )
    with_indices.__doc__ = f"Adaptive max pooling in {n} dimensions, as (values, indices)."
    for f, name in (
        (pool, f"adaptive_max_pool{n}d"),
        (with_indices, f"adaptive_max_pool{n}d_with_indices"),
    ):
        f.__name__ = f.__qualname__ = name
    return pool, with_indices


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max_pool(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max_pool(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max_pool(3)


def _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, n):
    kernel = ntuple(kernel_size, n)
    pool = (avg_pool1d, avg_pool2d, avg_pool3d)[n - 1]
    stride = kernel_size if stride is None else stride
    out = pool(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    out = out.sign() * out.abs().relu()
    return (out * math.prod(kernel)).pow(1.0 / norm_type)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(sum of x^p over each window)^(1/p), p = ``norm_type``, in one dimension.

    >>> import flambeau as fb
    >>> fb.nn.functional.lp_pool1d(fb.tensor([[[3.0, 4.0]]]), 2, 2).item()
    5.0
    """
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(sum of x^p over each window)^(1/p), p = ``norm_type``, in two dimensions."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """(sum of x^p over each window)^(1/p), p = ``norm_type``, in three dimensions."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 3)


def _unpool_size(input, kernel, stride, padding, output_size, n):
    """The size before pooling; a given one must lie within one stride of the default."""
    default = [(input.shape[i - n] - 1) * stride[i] + kernel[i] - 2 * padding[i] for i in range(n)]
    if output_size is None:
        return default
    size = list(output_size)
    if len(size) == n + 2:
        size = size[2:]
    if len(size) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a "
            f"length of '{len(output_size)}'"
        )
    for i in range(n):
        low, high = default[i] - stride[i], default[i] + stride[i]
        if not low < size[i] < high:
            raise ValueError(
                f"invalid output_size {size} (dim {i} must be between {low} and {high})"
            )
    return size


def _max_unpool(input, indices, kernel_size, stride, padding, output_size, n):
    kernel, pad = ntuple(kernel_size, n), ntuple(padding, n)
    step = kernel if stride is None else ntuple(stride, n)
    if indices.shape != input.shape:
        raise RuntimeError(
            f"max_unpool{n}d: expected indices of the input's shape {list(input.shape)}, but got "
            f"{list(indices.shape)}"
        )
    size = _unpool_size(input, kernel, step, pad, output_size, n)
    total = math.prod(size)
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < total:
        raise RuntimeError(
            f"Found an invalid max index: {int(indices.max())} (output volumes are of size {size})"
        )
    lead = input.shape[: input.dim() - n]
    plane = fb.zeros((*lead, total), dtype=input.dtype, device=input.device)
    out = plane.scatter(-1, indices.reshape(*lead, -1), input.reshape(*lead, -1))
    return out.reshape(*lead, *size)


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put maxima back at their ``indices``, zeros elsewhere: (N, C, L) to (N, C, output).

    >>> import flambeau as fb
    >>> x = fb.tensor([[[1.0, 3.0, 2.0, 0.0]]])
    >>> y, i = fb.nn.functional.max_pool1d(x, 2, return_indices=True)
    >>> fb.nn.functional.max_unpool1d(y, i, 2).tolist()
    [[[0.0, 3.0, 2.0, 0.0]]]
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put maxima back at their ``indices``, zeros elsewhere, in two dimensions."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Put maxima back at their ``indices``, zeros elsewhere, in three dimensions."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 3)


def _starts(sample, size, out, kernel):
    """Start of each pseudo-random window: (N, C) samples to (N, C, out) int64 (Graham 2014)."""
    last = fb.full((*sample.shape, 1), size - kernel, dtype=fb.int64, device=sample.device)
    if out == 1:
        return last
    alpha = (size - kernel) / (out - 1)
    u = sample.unsqueeze(-1)
    i = fb.arange(out - 1, device=sample.device).to(u.dtype)
    return fb.cat([((i + u) * alpha).long() - (u * alpha).long(), last], -1)


def _fractional_max_pool(input, kernel_size, output_size, output_ratio, samples, n):
    if output_size is None and output_ratio is None:
        raise ValueError(f"fractional_max_pool{n}d requires specifying either an output_size or "
                         "an output_ratio")  # fmt: skip
    kernel = ntuple(kernel_size, n)
    size = input.shape[-n:]
    if output_size is None:
        ratio = ntuple(output_ratio, n)
        output_size = [int(s * r) for s, r in zip(size, ratio)]
    out = ntuple(output_size, n)
    for i in range(n):
        if out[i] + kernel[i] - 1 > size[i]:
            raise RuntimeError(
                f"fractional_max_pool{n}d: a kernel of {kernel[i]} and an output of {out[i]} need "
                f"more than the {size[i]} values of dimension {i} (input {list(input.shape)})"
            )
    batch = input if input.dim() == n + 2 else input.unsqueeze(0)
    lead = batch.shape[:2]
    if samples is None:
        samples = fb.rand((*lead, n), dtype=batch.dtype, device=batch.device)
    order = (1, 0) if n == 2 else (0, 1, 2)  # PyTorch draws the width first in 2D
    index = fb.zeros((*lead,) + (1,) * (2 * n), dtype=fb.int64, device=batch.device)
    for i in range(n):
        start = _starts(samples[..., order[i]], size[i], out[i], kernel[i])
        reach = start.unsqueeze(-1) + fb.arange(kernel[i], device=batch.device)
        shape = [1] * (2 * n)
        shape[i], shape[n + i] = out[i], kernel[i]
        index = index * size[i] + reach.reshape(*lead, *shape)
    flat = index.reshape(*lead, -1)
    windows = batch.reshape(*lead, -1).gather(-1, flat).reshape(*lead, *out, -1)
    values, place = windows.max(-1)
    where = flat.reshape(*lead, *out, -1).gather(-1, place.unsqueeze(-1)).squeeze(-1)
    if input.dim() == n + 1:
        values, where = values.squeeze(0), where.squeeze(0)
    return values, where


def _fractional(n):
    def with_indices(
        input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
        _random_samples=None,
    ):  # fmt: skip
        return _fractional_max_pool(
            input, kernel_size, output_size, output_ratio, _random_samples, n
        )

    def pool(
        input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
        _random_samples=None,
    ):  # fmt: skip
        values, where = with_indices(
            input, kernel_size, output_size, output_ratio, True, _random_samples
        )
        return (values, where) if return_indices else values

    pool.__doc__ = (
        f"Max pooling in {n} dimensions with windows at pseudo-random places, to "
        "``output_size`` or a ratio\n    of the input's size. Graham 2014, "
        "https://arxiv.org/abs/1412.6071."
    )
    with_indices.__doc__ = f"Fractional max pooling in {n} dimensions, as (values, indices)."
    for f, name in (
        (pool, f"fractional_max_pool{n}d"),
        (with_indices, f"fractional_max_pool{n}d_with_indices"),
    ):
        f.__name__ = f.__qualname__ = name
    return pool, with_indices


fractional_max_pool2d, fractional_max_pool2d_with_indices = _fractional(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _fractional(3)
