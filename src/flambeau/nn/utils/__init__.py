"""flambeau.nn.utils: gradient clipping, parameter vectors, reparametrisations, sequences."""

from __future__ import annotations

import importlib

from .clip import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from .convert import parameters_to_vector, vector_to_parameters

_LATER = {
    "weight_norm": ["weight_norm", "remove_weight_norm"],
    "spectral_norm": ["spectral_norm", "remove_spectral_norm"],
    "fusion": [
        "fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval",
        "fuse_linear_bn_weights",
    ],
    "misc": [
        "skip_init", "convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format",
    ],
}  # fmt: skip
_HOME = {name: file for file, names in _LATER.items() for name in names}
_NOT_NAMES = ("annotations", "importlib", "clip", "convert")
_FILES = ("rnn", "parametrize", "parametrizations", "prune", "stateless")

_names = [name for name in list(globals()) if name[0] != "_" and name not in _NOT_NAMES]
__all__ = sorted([*_names, *_HOME, *_FILES])  # noqa: PLE0605


def __getattr__(name):
    """Read a file when one of its names is asked for."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}._{_HOME[name]}"), name)
    elif name in _FILES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
