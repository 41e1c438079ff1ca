"""Activation layers: each calls its function of the same name."""

from __future__ import annotations

import flambeau as fb

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

__all__ = [
    "ReLU", "ReLU6", "ELU", "SELU", "CELU", "GELU", "GLU", "SiLU", "Mish", "Hardtanh",
    "Hardsigmoid", "Hardswish", "LeakyReLU", "PReLU", "RReLU", "Threshold", "Sigmoid", "Tanh",
    "LogSigmoid", "Softplus", "Softshrink", "Hardshrink", "Softsign", "Tanhshrink", "Softmax",
    "Softmin", "LogSoftmax", "Softmax2d",
]  # fmt: skip


class _InPlace(Module):
    """An activation whose one option is to work in place."""

    __constants__ = ["inplace"]
    _function = None

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def forward(self, input):
        """Apply the function, elementwise."""
        return type(self)._function(input, inplace=self.inplace)

    def extra_repr(self):
        """Whether it works in place."""
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """max(0, x), elementwise.

    >>> import flambeau as fb
    >>> fb.nn.ReLU()(fb.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    _function = staticmethod(F.relu)


class SELU(_InPlace):
    """Scaled ELU (Klambauer et al. 2017, https://arxiv.org/abs/1706.02515)."""

    _function = staticmethod(F.selu)


class SiLU(_InPlace):
    """x sigmoid(x), elementwise."""

    _function = staticmethod(F.silu)


class Mish(_InPlace):
    """x tanh(softplus(x)), elementwise."""

    _function = staticmethod(F.mish)


class Hardsigmoid(_InPlace):
    """clamp(x / 6 + 1 / 2, 0, 1), elementwise."""

    _function = staticmethod(F.hardsigmoid)

    def extra_repr(self):
        """Nothing."""
        return ""


class Hardswish(Hardsigmoid):
    """x hardsigmoid(x), elementwise."""

    _function = staticmethod(F.hardswish)


class _Alpha(Module):
    """An exponential unit with the constant ``alpha``."""

    __constants__ = ["alpha", "inplace"]
    _function = None

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input):
        """Apply the function, elementwise."""
        return type(self)._function(input, self.alpha, self.inplace)

    def extra_repr(self):
        """alpha, and whether it works in place."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class ELU(_Alpha):
    """x where x > 0, else alpha (exp(x) - 1) (Clevert et al. 2015)."""

    _function = staticmethod(F.elu)


class CELU(_Alpha):
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1)) (Barron 2017)."""

    _function = staticmethod(F.celu)


class GELU(Module):
    """x Phi(x), Phi the normal distribution; ``approximate='tanh'`` for its tanh form."""

    __constants__ = ["approximate"]

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        """Apply GELU, elementwise."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self):
        """The form."""
        return f"approximate={self.approximate!r}"


class GLU(Module):
    """a sigmoid(b) of the two halves of the input along ``dim``."""

    __constants__ = ["dim"]

    def __init__(self, dim=-1):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        """Return a tensor of half the size along ``dim``."""
        return F.glu(input, self.dim)

    def extra_repr(self):
        """The dimension."""
        return f"dim={self.dim}"


class Hardtanh(Module):
    """x clamped to [min_val, max_val]."""

    __constants__ = ["min_val", "max_val", "inplace"]

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None):
        super().__init__()
        if min_value is not None or max_value is not None:
            import warnings

            warnings.warn(
                "min_value and max_value are deprecated: use min_val and max_val", stacklevel=2
            )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(
                f"max_val must be larger than min_val, got {self.max_val} and {self.min_val}"
            )

    def forward(self, input):
        """Clamp, elementwise."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self):
        """The bounds."""
        text = f"min_val={self.min_val}, max_val={self.max_val}"
        return text + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """min(max(0, x), 6), elementwise."""

    def __init__(self, inplace=False):
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self):
        """Whether it works in place."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """x where x > 0, else negative_slope x."""

    __constants__ = ["inplace", "negative_slope"]

    def __init__(self, negative_slope=1e-2, inplace=False):
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input):
        """Apply it, elementwise."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self):
        """The slope."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class RReLU(Module):
    """Leaky ReLU with a random slope in [lower, upper] in training, their mean otherwise."""

    __constants__ = ["lower", "upper", "inplace"]

    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False):
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input):
        """Apply it, elementwise."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self):
        """The bounds of the slope."""
        return f"lower={self.lower}, upper={self.upper}" + (
            ", inplace=True" if self.inplace else ""
        )


class PReLU(Module):
    """Leaky ReLU whose slope ``weight`` (num_parameters,) is learnt, one for all or a channel."""

    __constants__ = ["num_parameters"]

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(fb.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self):
        """Set the slopes to their initial value."""
        init.constant_(self.weight, self.init)

    def forward(self, input):
        """Apply it, elementwise; channels are dimension 1."""
        return F.prelu(input, self.weight)

    def extra_repr(self):
        """How many slopes."""
        return f"num_parameters={self.num_parameters}"


class Threshold(Module):
    """x where x > threshold, else ``value``."""

    __constants__ = ["threshold", "value", "inplace"]

    def __init__(self, threshold, value, inplace=False):
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input):
        """Apply it, elementwise."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self):
        """The threshold and value."""
        text = f"threshold={self.threshold}, value={self.value}"
        return text + (", inplace=True" if self.inplace else "")


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise."""

    def forward(self, input):
        """Apply it, elementwise."""
        return fb.sigmoid(input)


class Tanh(Module):
    """tanh(x), elementwise."""

    def forward(self, input):
        """Apply it, elementwise."""
        return fb.tanh(input)


class LogSigmoid(Module):
    """log(sigmoid(x)), elementwise, without overflow."""

    def forward(self, input):
        """Apply it, elementwise."""
        return F.logsigmoid(input)


class Softsign(Module):
    """x / (1 + |x|), elementwise."""

    def forward(self, input):
        """Apply it, elementwise."""
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x), elementwise."""

    def forward(self, input):
        """Apply it, elementwise."""
        return F.tanhshrink(input)


class Softplus(Module):
    """log(1 + exp(beta x)) / beta, linear where beta x > threshold."""

    __constants__ = ["beta", "threshold"]

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input):
        """Apply it, elementwise."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        """The constants."""
        return f"beta={self.beta}, threshold={self.threshold}"


class _Shrink(Module):
    """A shrinkage with the bound ``lambd``."""

    __constants__ = ["lambd"]
    _function = None

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        """Apply it, elementwise."""
        return type(self)._function(input, self.lambd)

    def extra_repr(self):
        """The bound."""
        return str(self.lambd)


class Softshrink(_Shrink):
    """x moved towards 0 by lambd, 0 within it."""

    _function = staticmethod(F.softshrink)


class Hardshrink(_Shrink):
    """x where |x| > lambd, else 0."""

    _function = staticmethod(F.hardshrink)


class _OverDim(Module):
    """A function along one dimension."""

    __constants__ = ["dim"]
    _function = None

    def __init__(self, dim=None):
        super().__init__()
        self.dim = dim

    def __setstate__(self, state):
        super().__setstate__(state)
        self.__dict__.setdefault("dim", None)

    def forward(self, input):
        """Apply it along ``dim``."""
        return type(self)._function(input, self.dim)

    def extra_repr(self):
        """The dimension."""
        return f"dim={self.dim}"


class Softmax(_OverDim):
    """exp(x) / sum(exp(x)) along ``dim``.

    >>> import flambeau as fb
    >>> fb.nn.Softmax(dim=0)(fb.zeros(2)).tolist()
    [0.5, 0.5]
    """

    _function = staticmethod(F.softmax)


class LogSoftmax(_OverDim):
    """log(softmax(x)) along ``dim``."""

    _function = staticmethod(F.log_softmax)


class Softmin(_OverDim):
    """softmax(-x) along ``dim``."""

    _function = staticmethod(F.softmin)


class Softmax2d(Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W); ValueError for another rank."""

    def forward(self, input):
        """Apply it over the channels."""
        if input.dim() not in (3, 4):
            raise ValueError(
                f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead"
            )
        return F.softmax(input, -3)
