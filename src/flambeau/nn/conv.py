"""Convolution layers in one, two and three dimensions, their transposes and lazy forms."""

from __future__ import annotations

import math

import flambeau as fb

from . import functional as F
from . import init
from ._lazy import LazyModuleMixin
from .functional._common import ntuple
from .module import Module
from .parameter import Parameter, UninitializedParameter

__all__ = [
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
    "LazyConv1d", "LazyConv2d", "LazyConv3d", "LazyConvTranspose1d", "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]  # fmt: skip

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share: arguments, weight, bias, their initialisation and repr."""

    __constants__ = [
        "stride", "padding", "dilation", "groups", "padding_mode", "output_padding",
        "in_channels", "out_channels", "kernel_size",
    ]  # fmt: skip

    def __init__(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, transposed,
        output_padding, groups, bias, padding_mode, device=None, dtype=None,
    ):  # fmt: skip
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"Invalid padding string {padding!r}, should be one of {{'same', 'valid'}}"
                )
            if padding == "same" and any(s != 1 for s in stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {_PADDING_MODES}, but got padding_mode="
                f"'{padding_mode}'"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.transposed, self.output_padding = dilation, transposed, output_padding
        self.groups, self.padding_mode = groups, padding_mode
        self._reversed_padding_repeated_twice = self._edges()
        make = dict(device=device, dtype=dtype)
        self.weight = Parameter(fb.empty(self._weight_shape(), **make))
        if bias:
            self.bias = Parameter(fb.empty(out_channels, **make))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _weight_shape(self):
        if self.transposed:
            return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def _edges(self):
        """The padding as ``F.pad`` takes it: last dimension first, both sides."""
        if self.padding == "valid":
            return [0, 0] * len(self.kernel_size)
        edges = []
        for i in reversed(range(len(self.kernel_size))):
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                edges += [total // 2, total - total // 2]
            else:
                edges += [self.padding[i]] * 2
        return edges

    def reset_parameters(self):
        """Draw weight and bias from U(-k, k), k = 1 / sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self):
        """The channels, kernel, stride, and whatever is not the default."""
        n = len(self.kernel_size)
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0,) * n:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * n:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * n:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text

    def __setstate__(self, state):
        super().__setstate__(state)
        self.__dict__.setdefault("padding_mode", "zeros")


class _Conv(_ConvNd):
    """A convolution in ``_n`` dimensions."""

    _n = 2

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1,
        bias=True, padding_mode="zeros", device=None, dtype=None,
    ):  # fmt: skip
        n = self._n
        padding = padding if isinstance(padding, str) else ntuple(padding, n)
        super().__init__(
            in_channels, out_channels, ntuple(kernel_size, n), ntuple(stride, n), padding,
            ntuple(dilation, n), False, (0,) * n, groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _conv_forward(self, input, weight, bias):
        conv = (F.conv1d, F.conv2d, F.conv3d)[self._n - 1]
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = (0,) * self._n
        return conv(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input):
        """Convolve ``input``: (N, C_in, *) or (C_in, *)."""
        return self._conv_forward(input, *self._weight_and_bias())


class Conv1d(_Conv):
    """Convolution of (N, C_in, L) to (N, C_out, L_out); ``weight`` (C_out, C_in / groups, k).

    ``padding`` may be 'same' or 'valid'; ``padding_mode`` 'zeros', 'reflect', 'replicate' or
    'circular'. ValueError for arguments that do not fit.
    """

    _n = 1


class Conv2d(_Conv):
    """Convolution of (N, C_in, H, W) to (N, C_out, H_out, W_out), as Conv1d.

    >>> import flambeau as fb
    >>> tuple(fb.nn.Conv2d(3, 8, 3, padding=1, stride=2)(fb.ones(2, 3, 32, 32)).shape)
    (2, 8, 16, 16)
    """

    _n = 2


class Conv3d(_Conv):
    """Convolution of (N, C_in, D, H, W) to (N, C_out, D_out, H_out, W_out), as Conv1d."""

    _n = 3


class _ConvTransposeNd(_ConvNd):
    """A transposed convolution in ``_n`` dimensions."""

    _n = 2

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0,
        groups=1, bias=True, dilation=1, padding_mode="zeros", device=None, dtype=None,
    ):  # fmt: skip
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        n = self._n
        super().__init__(
            in_channels, out_channels, ntuple(kernel_size, n), ntuple(stride, n),
            ntuple(padding, n), ntuple(dilation, n), True, ntuple(output_padding, n), groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _output_padding(self, input, output_size):
        """The output padding that gives ``output_size``; ValueError if none does."""
        n = self._n
        if output_size is None:
            return self.output_padding
        lead = input.dim() - n
        size = list(output_size)
        size = size[lead:] if len(size) == input.dim() else size
        if len(size) != n:
            raise ValueError(
                f"ConvTranspose{n}D: for {input.dim()}D input, output_size must have {n} or "
                f"{lead + n} elements (got {len(output_size)})"
            )
        least = [
            (input.shape[lead + i] - 1) * self.stride[i] - 2 * self.padding[i]
            + self.dilation[i] * (self.kernel_size[i] - 1) + 1
            for i in range(n)
        ]  # fmt: skip
        most = [m + s - 1 for m, s in zip(least, self.stride)]
        for s, low, high in zip(size, least, most):
            if not low <= s <= high:
                raise ValueError(
                    f"requested an output size of {size}, but valid sizes range from {least} to "
                    f"{most} (for an input of {list(input.shape[lead:])})"
                )
        return tuple(s - low for s, low in zip(size, least))

    def forward(self, input, output_size=None):
        """Convolve back ``input``: (N, C_in, *) or (C_in, *); ``output_size`` settles the size."""
        conv = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self._n - 1]
        extra = self._output_padding(input, output_size)
        return conv(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
            self.dilation,
        )  # fmt: skip


class ConvTranspose1d(_ConvTransposeNd):
    """The transpose of Conv1d; ``weight`` (C_in, C_out / groups, k)."""

    _n = 1


class ConvTranspose2d(_ConvTransposeNd):
    """The transpose of Conv2d, which grows images.

    >>> import flambeau as fb
    >>> tuple(fb.nn.ConvTranspose2d(4, 2, 2, stride=2)(fb.ones(1, 4, 5, 5)).shape)
    (1, 2, 10, 10)
    """

    _n = 2


class ConvTranspose3d(_ConvTransposeNd):
    """The transpose of Conv3d."""

    _n = 3


class _LazyConv(LazyModuleMixin):
    """A convolution that takes ``in_channels`` from its first input."""

    def __init__(self, out_channels, kernel_size, *args, bias=True, device=None, dtype=None, **kw):
        args, bias, device, dtype = self._positional(args, kw, bias, device, dtype)
        make = dict(device=device, dtype=dtype)
        super().__init__(0, 0, kernel_size, bias=False, **make, **kw)
        self.out_channels = out_channels
        self.weight = UninitializedParameter(**make)
        if bias:
            self.bias = UninitializedParameter(**make)

    @classmethod
    def _positional(cls, args, kw, bias, device, dtype):
        """Name the arguments after ``kernel_size`` that came by position."""
        if issubclass(cls, _ConvTransposeNd):
            order = "stride padding output_padding groups bias dilation padding_mode"
        else:
            order = "stride padding dilation groups bias padding_mode"
        names = [*order.split(), "device", "dtype"]
        kw.update(zip(names, args))
        return (
            (),
            kw.pop("bias", bias),
            kw.pop("device", device),
            kw.pop("dtype", dtype),
        )

    def reset_parameters(self):
        """Draw weight and bias afresh, once they have a shape."""
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()

    def initialize_parameters(self, input, *args, **kwargs):
        """Take the channels from ``input``; RuntimeError for a wrong rank, ValueError if they
        are not divisible by the groups."""
        if not self.has_uninitialized_params():
            return
        n = self._n
        if input.dim() not in (n + 1, n + 2):
            raise RuntimeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {list(input.shape)}"
            )
        self.in_channels = input.shape[-n - 1]
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        self.weight.materialize(self._weight_shape())
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


def _lazy(base):
    doc = f"A {base.__name__} that takes ``in_channels`` from its first input."
    body = {"cls_to_become": base, "__doc__": doc, "__module__": __name__}
    return type("Lazy" + base.__name__, (_LazyConv, base), body)


LazyConv1d = _lazy(Conv1d)
LazyConv2d = _lazy(Conv2d)
LazyConv3d = _lazy(Conv3d)
LazyConvTranspose1d = _lazy(ConvTranspose1d)
LazyConvTranspose2d = _lazy(ConvTranspose2d)
LazyConvTranspose3d = _lazy(ConvTranspose3d)
