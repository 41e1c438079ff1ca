"""The accelerator of this machine, whatever it is: here NVIDIA's GPUs or none."""

from __future__ import annotations

from . import _C, cuda
from .cuda import current_device as current_device_index
from .cuda import (
    current_stream,
    device_count,
    empty_cache,
    is_available,
    max_memory_allocated,
    max_memory_reserved,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_peak_memory_stats,
    set_stream,
    synchronize,
)
from .cuda import device as device_index
from .cuda import set_device as set_device_index


def current_accelerator(check_available=False):
    """The device type 'cuda', or None where there is no GPU.

    >>> import flambeau as fb
    >>> fb.accelerator.current_accelerator() in (fb.device("cuda"), None)
    True
    """
    return _C.device("cuda") if cuda.is_available() else None


__all__ = [
    "current_accelerator",
    "current_device_index",
    "current_stream",
    "device_count",
    "device_index",
    "empty_cache",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "set_device_index",
    "set_stream",
    "synchronize",
]
