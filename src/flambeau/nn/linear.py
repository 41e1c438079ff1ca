"""Linear layers: Identity, Linear, Bilinear, and Flatten/Unflatten around them."""

from __future__ import annotations

import math

import flambeau as fb

from . import functional as F
from . import init
from ._lazy import LazyModuleMixin
from .module import Module
from .parameter import Parameter, UninitializedParameter

__all__ = ["Identity", "Linear", "Bilinear", "LazyLinear", "Flatten", "Unflatten"]


class Identity(Module):
    """Returns its input; any constructor arguments are ignored."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        """Return ``input``."""
        return input


class Linear(Module):
    """x W^T + b: (*, in_features) to (*, out_features).

    ``weight`` (out, in) and ``bias`` (out,) start from U(-k, k), k = 1 / sqrt(in_features).

    >>> import flambeau as fb
    >>> tuple(fb.nn.Linear(20, 30)(fb.ones(128, 20)).shape)
    (128, 30)
    """

    __constants__ = ["in_features", "out_features"]

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        make = dict(device=device, dtype=dtype)
        self.weight = Parameter(fb.empty((out_features, in_features), **make))
        if bias:
            self.bias = Parameter(fb.empty(out_features, **make))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias afresh."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight.shape[1]) if self.weight.shape[1] else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        """Return ``input @ weight.T + bias``."""
        return F.linear(input, *self._weight_and_bias())

    def extra_repr(self):
        """The sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class NonDynamicallyQuantizableLinear(Linear):
    """The output projection of MultiheadAttention; a Linear under PyTorch's name."""


class LazyLinear(LazyModuleMixin, Linear):
    """A Linear that takes ``in_features`` from its first input.

    >>> import flambeau as fb
    >>> layer = fb.nn.LazyLinear(3)
    >>> y = layer(fb.ones(2, 5)); layer
    Linear(in_features=5, out_features=3, bias=True)
    """

    cls_to_become = Linear

    def __init__(self, out_features, bias=True, device=None, dtype=None):
        make = dict(device=device, dtype=dtype)
        super().__init__(0, 0, False, **make)
        self.out_features = out_features
        self.weight = UninitializedParameter(**make)
        if bias:
            self.bias = UninitializedParameter(**make)

    def reset_parameters(self):
        """Draw weight and bias afresh, once they have a shape."""
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input):
        """Take the shapes from ``input``."""
        if self.has_uninitialized_params():
            with fb.no_grad():
                self.in_features = input.shape[-1]
                self.weight.materialize((self.out_features, self.in_features))
                if self.bias is not None:
                    self.bias.materialize((self.out_features,))
                self.reset_parameters()
        if self.in_features == 0:
            self.in_features = self.weight.shape[-1]


class Bilinear(Module):
    """x1^T A x2 + b: (*, in1) and (*, in2) to (*, out)."""

    __constants__ = ["in1_features", "in2_features", "out_features"]

    def __init__(
        self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None
    ):
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        make = dict(device=device, dtype=dtype)
        self.weight = Parameter(fb.empty((out_features, in1_features, in2_features), **make))
        if bias:
            self.bias = Parameter(fb.empty(out_features, **make))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias from U(-k, k), k = 1 / sqrt(in1_features)."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1, input2):
        """Return the bilinear map of the two inputs."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self):
        """The sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Flatten(Module):
    """Flatten the dimensions ``start_dim`` to ``end_dim`` into one.

    >>> import flambeau as fb
    >>> tuple(fb.nn.Flatten()(fb.ones(2, 3, 4)).shape)
    (2, 12)
    """

    __constants__ = ["start_dim", "end_dim"]

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        """Return the flattened input."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self):
        """The dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split dimension ``dim`` into ``unflattened_size``; TypeError for a wrong kind of size."""

    __constants__ = ["dim", "unflattened_size"]

    def __init__(self, dim, unflattened_size):
        super().__init__()
        if isinstance(dim, int):
            if not isinstance(unflattened_size, (tuple, list)):
                raise TypeError(
                    "unflattened_size must be a tuple of ints, but found type "
                    f"{type(unflattened_size).__name__}"
                )
            for i, n in enumerate(unflattened_size):
                if not isinstance(n, int):
                    raise TypeError(
                        "unflattened_size must be tuple of ints, but found element of type "
                        f"{type(n).__name__} at pos {i}"
                    )
        elif not isinstance(dim, str):
            raise TypeError(f"dim must be an int, but found {type(dim).__name__}")
        else:
            raise TypeError("named dimensions are not supported: give dim as an int")
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input):
        """Return the input with its dimension split."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self):
        """The dimension and sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
