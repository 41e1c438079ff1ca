"""The benchmark's cases: each is the same program for Flambeau and PyTorch, some also for NumPy."""

from __future__ import annotations

from . import (  # noqa: F401 - each file adds its cases
    arrays,
    convolution,
    indexing,
    layers,
    linear,
    numpy_ground,
    optimizers,
    overhead,
    programs,
    reductions,
    sequences,
)
from .base import CASES, Case

__all__ = ["CASES", "Case"]
