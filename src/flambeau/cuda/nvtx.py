"""Marks for NVIDIA's profilers: accepted, and without effect in this build."""

from __future__ import annotations

import contextlib
import threading

_depth = threading.local()


def range_push(msg):
    """Begin a nested range; returns how deep it lies, from 0.

    >>> import flambeau as fb
    >>> fb.cuda.nvtx.range_push("step"), fb.cuda.nvtx.range_pop()
    (0, 0)
    """
    depth = getattr(_depth, "value", 0)
    _depth.value = depth + 1
    return depth


def range_pop():
    """End the innermost range; returns how deep it lay, -1 if there was none.

    >>> import flambeau as fb
    >>> fb.cuda.nvtx.range_pop()
    -1
    """
    depth = getattr(_depth, "value", 0) - 1
    _depth.value = max(depth, 0)
    return depth


def range_start(msg):
    """Begin a range that may end in another thread; returns its number.

    >>> import flambeau as fb
    >>> fb.cuda.nvtx.range_end(fb.cuda.nvtx.range_start("copy"))
    """
    return 0


def range_end(range_id):
    """End a range that `range_start` began."""


def mark(msg):
    """Mark a moment.

    >>> import flambeau as fb
    >>> fb.cuda.nvtx.mark("epoch")
    """


@contextlib.contextmanager
def range(msg, *args, **kwargs):  # noqa: A001
    """Context and decorator around a range.

    >>> import flambeau as fb
    >>> with fb.cuda.nvtx.range("forward"):
    ...     pass
    """
    range_push(msg.format(*args, **kwargs) if args or kwargs else msg)
    try:
        yield
    finally:
        range_pop()


__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]
