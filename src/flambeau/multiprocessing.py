"""Python's multiprocessing under PyTorch's name; tensors travel by pickling."""

from __future__ import annotations

from multiprocessing import *  # noqa: F403
from multiprocessing import (
    get_context,  # noqa: F401
    set_start_method,  # noqa: F401
)


def get_all_sharing_strategies():
    """The ways in which tensors can be shared: through files of shared memory.

    >>> import flambeau as fb
    >>> fb.multiprocessing.get_all_sharing_strategies()
    {'file_system'}
    """
    return {"file_system"}


def get_sharing_strategy():
    """The way in use."""
    return "file_system"


def set_sharing_strategy(new_strategy):
    """Accepts the one strategy there is; raises ValueError for others."""
    if new_strategy not in get_all_sharing_strategies():
        raise ValueError(f"unknown sharing strategy {new_strategy!r}; only 'file_system' exists")
