"""Flambeau: tensors, automatic differentiation and deep learning with PyTorch's API."""

from __future__ import annotations

from . import (  # noqa: F401
    _C,
    _tensor,
    functional,  # noqa: F401
)
from ._C import *  # noqa: F403
from ._C import Size, Tensor, device, dtype  # noqa: F401
from ._constants import *  # noqa: F403
from ._modes import enable_grad, inference_mode, no_grad, set_grad_enabled  # noqa: F401
from .functional import *  # noqa: F403
from .random import (  # noqa: F401
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

__version__ = "0.1.0"

_LAZY_MODULES = frozenset(
    (
        "accelerator",
        "amp",
        "autograd",
        "backends",
        "compiler",
        "cuda",
        "distributed",
        "distributions",
        "fft",
        "func",
        "jit",
        "linalg",
        "masked",
        "multiprocessing",
        "nn",
        "optim",
        "overrides",
        "random",
        "serialization",
        "signal",
        "special",
        "testing",
        "types",
        "utils",
        "version",
        "vision",
    )
)
_LAZY_NAMES = {
    "save": "serialization",
    "load": "serialization",
    "set_printoptions": "_display",
    "get_printoptions": "_display",
    "printoptions": "_display",
    "finfo": "_info",
    "iinfo": "_info",
    "autocast": "amp",
    "get_autocast_dtype": "amp",
    "is_autocast_cache_enabled": "amp",
    "is_autocast_enabled": "amp",
    "set_autocast_dtype": "amp",
    "set_autocast_enabled": "amp",
    "compile": "compiler",
    "set_anomaly_enabled": "autograd",
    "is_anomaly_enabled": "autograd",
}


def __getattr__(name):
    import importlib

    if name in _LAZY_MODULES:
        return importlib.import_module("." + name, __name__)
    home = _LAZY_NAMES.get(name)
    if home:
        value = getattr(importlib.import_module("." + home, __name__), name)
        globals()[name] = value
        return value
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import difflib

    close = difflib.get_close_matches(name, __dir__(), n=3)
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__():
    return sorted({*globals(), *_LAZY_MODULES, *_LAZY_NAMES})
