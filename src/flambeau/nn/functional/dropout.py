"""Dropout in its forms: elements, whole channels, and the self-normalising alpha kinds."""

from __future__ import annotations

from flambeau import _C


def _check_p(name, p):
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: dropout probability has to be between 0 and 1, but got {p}")


def dropout(input, p=0.5, training=True, inplace=False):
    """Zero each element with probability ``p`` and divide the rest by 1 - p (in training).

    ValueError unless 0 <= p <= 1. Hinton et al. 2012, https://arxiv.org/abs/1207.0580.

    >>> import flambeau as fb
    >>> fb.nn.functional.dropout(fb.ones(3), training=False).tolist()
    [1.0, 1.0, 1.0]
    """
    _check_p("dropout", p)
    if not training or p == 0:
        return input
    return _C.dropout_(input, p, True) if inplace else _C.dropout(input, p, True)


def _drop_channels(input, p, training, inplace, batched=True):
    """Drop whole channels: dimension 1, or dimension 0 where there is no batch."""
    if not training or p == 0:
        return input
    function = _C.feature_dropout_ if inplace else _C.feature_dropout
    if batched:
        return function(input, p, True)
    out = function(input.unsqueeze(0), p, True).squeeze(0)
    return input if inplace else out


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
    _check_p("dropout1d", p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input"
        )
    return _drop_channels(input, p, training, inplace, input.dim() == 3)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, H, W) with probability ``p`` (Tompson et al. 2014)."""
    _check_p("dropout2d", p)
    _warn_dims("dropout2d", input, (3, 4))
    return _drop_channels(input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability ``p``."""
    _check_p("dropout3d", p)
    _warn_dims("dropout3d", input, (4, 5))
    return _drop_channels(input, p, training, inplace, input.dim() == 5)


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps the mean and variance of SELU activations (Klambauer et al. 2017)."""
    _check_p("alpha_dropout", p)
    if not training or p == 0:
        return input
    return (_C.alpha_dropout_ if inplace else _C.alpha_dropout)(input, p, True)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """``alpha_dropout`` of whole channels."""
    _check_p("feature_alpha_dropout", p)
    if not training or p == 0:
        return input
    return (_C.feature_alpha_dropout_ if inplace else _C.feature_alpha_dropout)(input, p, True)
