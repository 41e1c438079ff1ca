"""Padding layers: constant, zero, reflection, replication, circular."""

from __future__ import annotations

from . import functional as F
from .module import Module

__all__ = [
    "ConstantPad1d", "ConstantPad2d", "ConstantPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d",
    "ReplicationPad2d", "ReplicationPad3d", "CircularPad1d", "CircularPad2d", "CircularPad3d",
]  # fmt: skip


def _sides(padding, n):
    """``padding`` as a tuple (left, right, top, bottom, ...) for n dimensions."""
    return (padding,) * (2 * n) if isinstance(padding, int) else tuple(padding)


class _Pad(Module):
    """Padding of the last ``_n`` dimensions in one mode."""

    __constants__ = ["padding"]
    _n, _mode = 2, "constant"

    def __init__(self, padding):
        super().__init__()
        self.padding = _sides(padding, self._n)

    def forward(self, input):
        """Return the padded input."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self):
        """The padding."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Padding with a value."""

    __constants__ = ["padding", "value"]

    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        """Return the padded input."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self):
        """The padding and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pad the last dimension with ``value``: padding (left, right) or one int."""

    _n = 1


class ConstantPad2d(_ConstantPad):
    """Pad the last two dimensions with ``value``: (left, right, top, bottom) or one int."""

    _n = 2


class ConstantPad3d(_ConstantPad):
    """Pad the last three dimensions with ``value``."""

    _n = 3


class _ZeroPad(_ConstantPad):
    """Padding with zeros."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        """The padding."""
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """Pad the last dimension with zeros."""

    _n = 1


class ZeroPad2d(_ZeroPad):
    """Pad the last two dimensions with zeros.

    >>> import flambeau as fb
    >>> tuple(fb.nn.ZeroPad2d((1, 1, 2, 0))(fb.ones(1, 1, 3, 3)).shape)
    (1, 1, 5, 5)
    """

    _n = 2


class ZeroPad3d(_ZeroPad):
    """Pad the last three dimensions with zeros."""

    _n = 3


class ReflectionPad1d(_Pad):
    """Pad the last dimension with its mirror image, the edge not repeated."""

    _n, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Pad the last two dimensions with their mirror images."""

    _n, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Pad the last three dimensions with their mirror images."""

    _n, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Pad the last dimension with its edge values."""

    _n, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Pad the last two dimensions with their edge values."""

    _n, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Pad the last three dimensions with their edge values."""

    _n, _mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Pad the last dimension with its other end."""

    _n, _mode = 1, "circular"


class CircularPad2d(_Pad):
    """Pad the last two dimensions with their other ends."""

    _n, _mode = 2, "circular"


class CircularPad3d(_Pad):
    """Pad the last three dimensions with their other ends."""

    _n, _mode = 3, "circular"
