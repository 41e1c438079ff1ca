"""Normalisation functions."""

from __future__ import annotations

import flambeau as fb
from flambeau import _C


def _check_batch(input):
    """ValueError when a channel has one value only: its variance is nothing to divide by."""
    size = input.numel() // input.shape[1] if input.shape[1] else 0
    if size == 1:
        raise ValueError(
            "batch_norm: Expected more than 1 value per channel when training, got input size "
            f"{list(input.shape)}: use a larger batch, or call eval()"
        )


def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1,
    eps=1e-5,
):  # fmt: skip
    """Normalise each channel of (N, C, *) over the others; in training with its own statistics.

    ``running_mean``/``running_var`` (C,) are updated in training, used otherwise. Ioffe and
    Szegedy 2015, https://arxiv.org/abs/1502.03167.

    >>> import flambeau as fb
    >>> x = fb.tensor([[0.0], [2.0]])
    >>> y = fb.nn.functional.batch_norm(x, None, None, training=True, eps=0.0)
    >>> y.flatten().tolist()
    [-1.0, 1.0]
    """
    if training:
        _check_batch(input)
    return _C.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True,
    momentum=0.1, eps=1e-5,
):  # fmt: skip
    """Normalise each (sample, channel) plane of (N, C, *). Ulyanov et al. 2016.

    ValueError when a plane has one element only.
    """
    if use_input_stats and input[0, 0].numel() == 1:
        raise ValueError(
            "instance_norm: Expected more than 1 spatial element when training, got input size "
            f"{list(input.shape)}"
        )
    return _C.instance_norm(
        input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps
    )


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalise over the last dimensions, which must equal ``normalized_shape``.

    RuntimeError when they do not. Ba et al. 2016, https://arxiv.org/abs/1607.06450.

    >>> import flambeau as fb
    >>> fb.nn.functional.layer_norm(fb.tensor([1.0, 3.0]), (2,), eps=0.0).tolist()
    [-1.0, 1.0]
    """
    return _C.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """x / sqrt(mean(x^2) + eps) over the last dimensions (Zhang and Sennrich 2019)."""
    return _C.rms_norm(input, normalized_shape, weight, eps)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalise (N, C, *) within each of ``num_groups`` groups of channels (Wu and He 2018).

    RuntimeError when C is not divisible by the number of groups.
    """
    if input.dim() < 2:
        raise RuntimeError(
            f"group_norm: expected at least 2 dimensions (N, C, *), got {list(input.shape)}"
        )
    if input.shape[0] * input.shape[1] // num_groups * input[0, 0].numel() == 1:
        raise ValueError(
            "group_norm: Expected more than 1 value per channel when training, got input size "
            f"{list(input.shape)}"
        )
    return _C.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """x / (k + alpha mean of x^2 over ``size`` neighbouring channels)^beta (Krizhevsky 2012).

    >>> import flambeau as fb
    >>> fb.nn.functional.local_response_norm(fb.ones(1, 1, 2), 1, 1.0, 1.0).tolist()
    [[[0.5, 0.5]]]
    """
    if input.dim() < 3:
        raise ValueError(
            "local_response_norm: Expected 3D or higher dimensionality input "
            f"(got {input.dim()} dims)"
        )
    if input.numel() == 0:
        return input
    square = input.square()
    channels = square.shape[1]
    lead = fb.zeros_like(square[:, :1])
    padded = fb.cat(
        [lead] * (size // 2) + [square] + [lead] * ((size - 1) // 2), 1
    ) if size > 1 else square  # fmt: skip
    total = padded[:, :channels]
    for i in range(1, size):
        total = total + padded[:, i : i + channels]
    return input / (total * (alpha / size) + k).pow(beta)
