"""Parameter and Buffer: the tensors that a Module owns, and their not-yet-shaped forms."""

from __future__ import annotations

import flambeau as fb
from flambeau import Tensor

__all__ = [
    "Parameter",
    "Buffer",
    "UninitializedParameter",
    "UninitializedBuffer",
    "is_lazy",
]


def _rebuild_parameter(data, requires_grad, backward_hooks=None):
    """Make a Parameter from its pickled parts (tensor, bool)."""
    return Parameter(data, requires_grad)


class Parameter(Tensor):
    """A tensor that, set as an attribute of a Module, is one of its parameters.

    ``data`` is a tensor of any shape (default: empty); ``requires_grad`` needs a floating or
    complex dtype.

    >>> import flambeau as fb
    >>> p = fb.nn.Parameter(fb.zeros(2, 3))
    >>> p.requires_grad, p.is_leaf
    (True, True)
    """

    __torch_function__ = None  # the result of an operation is a plain tensor

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = fb.empty(0)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            data = self.detach().clone(memory_format=fb.preserve_format)
            memo[id(self)] = type(self)(data, self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return _rebuild_parameter, (self.detach(), self.requires_grad, None)

    def __repr__(self, **_):
        return "Parameter containing:\n" + Tensor.__repr__(self)


class Buffer(Tensor):
    """A tensor that, set as an attribute of a Module, becomes one of its buffers.

    ``persistent=False`` keeps it out of the ``state_dict``.

    >>> import flambeau as fb
    >>> m = fb.nn.Module()
    >>> m.mean = fb.nn.Buffer(fb.zeros(3))
    >>> list(m.state_dict())
    ['mean']
    """

    __torch_function__ = None  # the result of an operation is a plain tensor

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = fb.empty(0)
        buffer = Tensor._make_subclass(cls, data.detach(), data.requires_grad)
        buffer.persistent = persistent
        return buffer

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copy = type(self)(self.detach().clone(memory_format=fb.preserve_format))
            copy.persistent = getattr(self, "persistent", True)
            memo[id(self)] = copy
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return _rebuild_buffer, (self.detach(), getattr(self, "persistent", True))


def _rebuild_buffer(data, persistent):
    """Make a Buffer from its pickled parts (tensor, bool)."""
    return Buffer(data, persistent=persistent)


class _Uninitialized:
    """Mixin: a tensor whose shape is learnt from the first batch (see LazyLinear)."""

    _becomes = Tensor

    def materialize(self, shape, device=None, dtype=None):
        """Take ``shape`` (device and dtype default to the present ones); values are undefined."""
        self.data = fb.empty(
            shape, device=device or self.data.device, dtype=dtype or self.data.dtype
        )
        self.__class__ = self._becomes

    @property
    def shape(self):
        """Raises RuntimeError: there is no shape before the first forward pass."""
        raise RuntimeError(
            "an uninitialised parameter has no shape yet: run the module once on a batch "
            "(a dry run), and the lazy layers take their shapes from it"
        )

    def share_memory_(self):
        """Raises RuntimeError: there is nothing to share before the first forward pass."""
        raise RuntimeError("an uninitialised parameter has no memory yet: run the module once")

    def __repr__(self, **_):
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol):
        return type(self), (self.requires_grad,)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.device, self.dtype)
        return memo[id(self)]


class UninitializedParameter(_Uninitialized, Parameter):
    """A Parameter without a shape; ``materialize(shape)`` turns it into a Parameter.

    >>> import flambeau as fb
    >>> p = fb.nn.UninitializedParameter()
    >>> p.materialize((2, 3)); type(p).__name__, tuple(p.shape)
    ('Parameter', (2, 3))
    """

    _becomes = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        data = fb.empty(0, device=device, dtype=dtype)
        return Tensor._make_subclass(cls, data, requires_grad)


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer without a shape; ``materialize(shape)`` turns it into a Buffer."""

    _becomes = Buffer

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        data = fb.empty(0, device=device, dtype=dtype)
        buffer = Tensor._make_subclass(cls, data, requires_grad)
        buffer.persistent = persistent
        return buffer


def is_lazy(value):
    """Whether ``value`` is a parameter or buffer that has no shape yet."""
    return isinstance(value, _Uninitialized)
