"""NVIDIA GPUs: devices, streams, events, memory and graphs, under PyTorch's names.

Importing this loads no library of NVIDIA's; the driver is loaded by the first question about a
GPU, the compiler and cuBLAS by the first work on one.
"""

from __future__ import annotations

from .._C import OutOfMemoryError
from . import graphs, memory, nvtx, random, streams
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
from .random import *
from .streams import *


def __getattr__(name):
    if name == "default_generators":
        return random.default_generators()
    if name == "amp":  # on demand: it reads flambeau.amp
        import importlib

        return importlib.import_module(".amp", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    *graphs.__all__,
    *memory.__all__,
    *random.__all__,
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
    "set_device",
    "synchronize",
]
