"""Functions composed of core ops; the families live in `_composites/`, this file collects them."""

from __future__ import annotations

from ._composites import (  # noqa: F401
    copies,
    creation,
    decomp,
    einsum,
    indexing,
    joining,
    mathops,
    products,
    shapes,
    signalops,
    splitting,
    stats,
)
from ._composites._register import OVERLAPS, collect  # noqa: F401

__all__ = [*collect(globals())]
