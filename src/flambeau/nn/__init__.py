"""flambeau.nn: Module, Parameter, the layers, and their functions in nn.functional."""

from __future__ import annotations

import importlib

from . import functional, init
from ._hooks import (
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from .activation import *  # noqa: F403
from .container import *  # noqa: F403
from .conv import *  # noqa: F403
from .dropout import *  # noqa: F403
from .embedding import *  # noqa: F403
from .linear import *  # noqa: F403
from .loss import *  # noqa: F403
from .module import Module
from .norm import *  # noqa: F403
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from .pooling import *  # noqa: F403

# Families that fewer scripts use are read when first asked for.
_LATER = {
    "adaptive": ["AdaptiveLogSoftmaxWithLoss"],
    "attention": ["MultiheadAttention"],
    "distance": ["PairwiseDistance", "CosineSimilarity"],
    "padding": [
        f"{kind}Pad{n}d"
        for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular")
        for n in (1, 2, 3)
    ],
    "parallel": ["DataParallel"],
    "recurrent": [
        "RNNBase", "RNN", "LSTM", "GRU", "RNNCellBase", "RNNCell", "LSTMCell", "GRUCell",
    ],
    "transformer": [
        "Transformer", "TransformerEncoder", "TransformerDecoder", "TransformerEncoderLayer",
        "TransformerDecoderLayer",
    ],
    "vision": [
        "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "PixelShuffle",
        "PixelUnshuffle", "ChannelShuffle", "Fold", "Unfold",
    ],
}  # fmt: skip
_HOME = {name: file for file, names in _LATER.items() for name in names}

_FILES = (
    "annotations importlib activation container conv dropout embedding linear loss module norm "
    "parameter pooling"
).split()
_names = [name for name in list(globals()) if name[0] != "_" and name not in _FILES]
__all__ = sorted([*_names, *_HOME, "utils", "modules", "parameter"])  # noqa: PLE0605


def __getattr__(name):
    """Read the file of a family when one of its layers is asked for."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    elif name in ("utils", "modules", "parallel", "attention"):
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return __all__


def factory_kwargs(kwargs):
    """Split a dict of device, dtype and memory_format off ``kwargs``; TypeError for others."""
    if kwargs is None:
        return {}
    simple = {"device", "dtype", "memory_format"}
    unknown = set(kwargs) - simple - {"factory_kwargs"}
    if unknown:
        raise TypeError(f"unexpected kwargs {unknown}")
    result = dict(kwargs.get("factory_kwargs", {}))
    for key in simple & set(kwargs):
        if key in result:
            raise TypeError(f"{key} specified twice, in kwargs and in factory_kwargs")
        result[key] = kwargs[key]
    return result
