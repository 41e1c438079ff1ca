"""NVIDIA GPUs: devices, streams, events, memory and graphs, under PyTorch's names.

Importing this loads no library of NVIDIA's; the driver is loaded by the first question about a
GPU, the compiler and cuBLAS by the first work on one.
"""

from __future__ import annotations

from .._C import OutOfMemoryError
from . import graphs, memory, nvtx, streams
from ._device import (
    can_device_access_peer,
    current_device,
    device,
    device_count,
    device_of,
    get_arch_list,
    get_device_capability,
    get_device_name,
    get_device_properties,
    init,
    is_available,
    is_bf16_supported,
    is_initialized,
    is_tf32_supported,
    set_device,
    synchronize,
)
from .graphs import *
from .memory import *
from .streams import *


def _nothing(name, doc):
    def f(*args, **kwargs):
        return None

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return f


# Safe to call without a GPU: there is nothing to seed, empty or wait for.
manual_seed = _nothing("manual_seed", "Seeds the GPU's generator; there is none.")
manual_seed_all = _nothing("manual_seed_all", "Seeds all GPUs' generators; there are none.")


def __getattr__(name):
    if name == "amp":  # on demand: it reads flambeau.amp
        import importlib

        return importlib.import_module(".amp", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    *graphs.__all__,
    *memory.__all__,
    *streams.__all__,
    "OutOfMemoryError",
    "can_device_access_peer",
    "current_device",
    "device",
    "device_count",
    "device_of",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "init",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "is_tf32_supported",
    "manual_seed",
    "manual_seed_all",
    "set_device",
    "synchronize",
]
