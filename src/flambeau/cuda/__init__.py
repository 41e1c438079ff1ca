"""The CUDA slot: tells that this build has no GPU backend, and answers what scripts ask."""

from __future__ import annotations

from .. import _C

_MISSING = (
    "this build of Flambeau has no CUDA backend; run on the CPU "
    "(flambeau.cuda.is_available() is False)"
)


def is_available():
    """Whether tensors can live on a GPU; never raises, and loads nothing but the driver.

    >>> import flambeau as fb
    >>> fb.cuda.is_available() in (True, False)
    True
    """
    return _C._cuda_device_count() > 0


def is_bf16_supported(including_emulation=True):
    """Whether a GPU computes in bfloat16: False without one."""
    return False


def is_initialized():
    """Whether the CUDA context exists: False."""
    return False


def is_current_stream_capturing():
    """Whether a CUDA graph is being captured: False."""
    return False


def device_count():
    """The number of GPUs: 0.

    >>> import flambeau as fb
    >>> fb.cuda.device_count()
    0
    """
    return 0


def _nothing(name, doc):
    def f(*args, **kwargs):
        return None

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return f


# Safe to call without a GPU: there is nothing to seed, empty or wait for.
manual_seed = _nothing("manual_seed", "Seeds the GPU's generator; there is none.")
manual_seed_all = _nothing("manual_seed_all", "Seeds all GPUs' generators; there are none.")
empty_cache = _nothing("empty_cache", "Frees cached GPU memory; there is none.")
synchronize = _nothing("synchronize", "Waits for the GPU; there is none.")
reset_peak_memory_stats = _nothing("reset_peak_memory_stats", "Resets GPU statistics; none exist.")
set_device = _nothing("set_device", "Selects a GPU; there is none.")


def memory_allocated(device=None):
    """Bytes of GPU memory in use: 0."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def __getattr__(name):
    if name in ("amp",):
        import importlib

        return importlib.import_module("..amp", __name__)
    if name.startswith("_") or name in ("random", "nvtx"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def missing(*args, **kwargs):
        raise RuntimeError(f"flambeau.cuda.{name}: {_MISSING}")

    missing.__name__ = name
    return missing


__all__ = [
    "device_count",
    "empty_cache",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "set_device",
    "synchronize",
]
