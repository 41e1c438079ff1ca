"""Dropout in its forms: elements, whole channels, and the self-normalising alpha kinds."""

from __future__ import annotations

import flambeau as fb

from ._common import put_in_place

# Mean and standard deviation are kept for SELU inputs: -scale * alpha of SELU.
_ALPHA_PRIME = -1.7580993408473766


def _check_p(p):
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input, p=0.5, training=True, inplace=False):
    """Zero each element with probability ``p`` and divide the rest by 1 - p (in training).

    ValueError unless 0 <= p <= 1. Hinton et al. 2012, https://arxiv.org/abs/1207.0580.

    >>> import flambeau as fb
    >>> fb.nn.functional.dropout(fb.ones(3), training=False).tolist()
    [1.0, 1.0, 1.0]
    """
    _check_p(p)
    if not training or p == 0:
        return input
    keep = fb.empty(input.shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)
    if p < 1:
        keep.div_(1 - p)
    return input.mul_(keep) if inplace else input * keep


def _channel_noise(input, p, channel_dim):
    """A mask of 0 and 1 with one draw for each (sample, channel)."""
    shape = [n if i <= channel_dim else 1 for i, n in enumerate(input.shape)]
    return fb.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)


def _drop_channels(input, p, training, inplace, channel_dim=1):
    _check_p(p)
    if not training or p == 0:
        return input
    noise = _channel_noise(input, p, channel_dim)
    noise = noise if p == 1 else noise.div_(1 - p)
    return input.mul_(noise) if inplace else input * noise


def _warn_dims(name, input, allowed):
    if input.dim() not in allowed:
        import warnings

        warnings.warn(
            f"{name}: received a {input.dim()}-D input, expected {' or '.join(map(str, allowed))} "
            "dimensions; use plain dropout for other shapes",
            stacklevel=3,
        )


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, L) or (C, L); RuntimeError for other ranks."""
    _check_p(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input"
        )
    return _drop_channels(input, p, training, inplace, 0 if input.dim() == 2 else 1)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, H, W) with probability ``p`` (Tompson et al. 2014)."""
    _check_p(p)
    _warn_dims("dropout2d", input, (3, 4))
    return _drop_channels(input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability ``p``."""
    _check_p(p)
    _warn_dims("dropout3d", input, (4, 5))
    return _drop_channels(input, p, training, inplace, 0 if input.dim() == 4 else 1)


def _alpha_drop(input, p, keep, inplace):
    """Set dropped values to the SELU limit, then shift and scale to keep mean and variance."""
    a = ((1 - p) * (1 + p * _ALPHA_PRIME**2)) ** -0.5 if p < 1 else 0.0
    value = input * keep * a + ((1 - keep) * (_ALPHA_PRIME * a) + -a * p * _ALPHA_PRIME)
    return put_in_place(input, value) if inplace else value


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps the mean and variance of SELU activations (Klambauer et al. 2017)."""
    _check_p(p)
    if not training or p == 0:
        return input
    keep = fb.empty_like(input, requires_grad=False).bernoulli_(1 - p)
    return _alpha_drop(input, p, keep, inplace)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """``alpha_dropout`` of whole channels."""
    _check_p(p)
    if not training or p == 0:
        return input
    return _alpha_drop(input, p, _channel_noise(input, p, 1), inplace)
