"""GPU memory: how much tensors hold, and the cache that keeps what they gave back."""

from __future__ import annotations

from .. import _C
from ._device import index_of, require


def _stats(device):
    return _C._cuda_memory_stats(index_of(device))


def memory_allocated(device=None):
    """Bytes that tensors hold on a GPU; 0 without one.

    >>> import flambeau as fb
    >>> fb.cuda.memory_allocated() >= 0
    True
    """
    return _stats(device)["allocated"]


def max_memory_allocated(device=None):
    """The most bytes that tensors held since the start or `reset_peak_memory_stats`.

    >>> import flambeau as fb
    >>> fb.cuda.max_memory_allocated() >= fb.cuda.memory_allocated()
    True
    """
    return _stats(device)["allocated_peak"]


def memory_reserved(device=None):
    """Bytes taken from the driver: those of tensors and those that the cache keeps.

    >>> import flambeau as fb
    >>> fb.cuda.memory_reserved() >= fb.cuda.memory_allocated()
    True
    """
    return _stats(device)["reserved"]


def max_memory_reserved(device=None):
    """The most bytes taken from the driver since the start or `reset_peak_memory_stats`.

    >>> import flambeau as fb
    >>> fb.cuda.max_memory_reserved() >= fb.cuda.memory_reserved()
    True
    """
    return _stats(device)["reserved_peak"]


def reset_peak_memory_stats(device=None):
    """Start the peaks again from the present amounts.

    >>> import flambeau as fb
    >>> fb.cuda.reset_peak_memory_stats()
    """
    _C._cuda_reset_peak(index_of(device))


def memory_stats(device=None):
    """The counts of the allocator, under PyTorch's names: 'allocated_bytes.all.peak' ...

    >>> import flambeau as fb
    >>> fb.cuda.memory_stats()["num_ooms"] >= 0
    True
    """
    s = _stats(device)
    stats = {
        "allocated_bytes.all.current": s["allocated"],
        "allocated_bytes.all.peak": s["allocated_peak"],
        "active_bytes.all.current": s["allocated"],
        "active_bytes.all.peak": s["allocated_peak"],
        "reserved_bytes.all.current": s["reserved"],
        "reserved_bytes.all.peak": s["reserved_peak"],
        "active.all.current": s["active"],
        "active.all.peak": s["active_peak"],
        "allocation.all.current": s["active"],
        "allocation.all.peak": s["active_peak"],
        "allocation.all.allocated": s["allocations"],
        "allocation.all.freed": s["frees"],
        "segment.all.current": s["segments"],
        "inactive_split_bytes.all.current": s["reserved"] - s["allocated"],
        "num_alloc_retries": s["retries"],
        "num_ooms": s["out_of_memory"],
    }
    return dict(sorted(stats.items()))


def memory_summary(device=None, abbreviated=False):
    """The state of the allocator as a table to print.

    >>> import flambeau as fb
    >>> "held by tensors" in fb.cuda.memory_summary()
    True
    """
    return _C._cuda_memory_summary(index_of(device))


def mem_get_info(device=None):
    """(free, total) bytes of a GPU as the driver counts them, for all programs."""
    require()
    return _C._cuda_mem_get_info(index_of(device))


def empty_cache():
    """Give the cached memory that no tensor holds back to the driver.

    >>> import flambeau as fb
    >>> fb.cuda.empty_cache()
    """
    _C._cuda_empty_cache()


def ipc_collect():
    """Accepts PyTorch's call: no memory is shared between processes here.

    >>> import flambeau as fb
    >>> fb.cuda.ipc_collect()
    """


def get_allocator_backend():
    """The kind of allocator: 'native', Flambeau's own cache.

    >>> import flambeau as fb
    >>> fb.cuda.get_allocator_backend()
    'native'
    """
    return "native"


# PyTorch's older names
memory_cached, max_memory_cached = memory_reserved, max_memory_reserved
reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats

__all__ = [
    "empty_cache",
    "get_allocator_backend",
    "ipc_collect",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
]
