"""Activation functions, softmax and its relatives, and normalize."""

from __future__ import annotations

import flambeau as fb
from flambeau import _C
from flambeau._autocast import in_narrow

from ._common import put_in_place, vector_norm

# These take PyTorch's arguments in the core already.
sigmoid = fb.sigmoid
tanh = fb.tanh
hardshrink = fb.hardshrink
gelu = _C.gelu
softplus = _C.softplus
softshrink = _C.softshrink
logsigmoid = _C.logsigmoid

# SELU's constants, for which mean 0 and variance 1 are a fixed point of the layer's map.
_SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


@in_narrow("cpu", "cuda")
def prelu(input, weight):
    """x where x > 0, else weight x; ``weight`` has one value, or one for each channel (dim 1).

    RuntimeError when the number of weights fits neither.

    >>> import flambeau as fb
    >>> fb.nn.functional.prelu(fb.tensor([-2.0, 3.0]), fb.tensor([0.5])).tolist()
    [-1.0, 3.0]
    """
    if weight.numel() != 1:
        channels = input.shape[1] if input.dim() > 1 else 1
        if weight.dim() != 1 or weight.shape[0] != channels:
            raise RuntimeError(
                f"prelu: Mismatch of parameter numbers and input channel size. Found parameter "
                f"numbers = {weight.numel()} and channel size = {channels} (input shape "
                f"{list(input.shape)}, weight shape {list(weight.shape)})"
            )
        weight = weight.reshape(-1, *(1,) * (input.dim() - 2))
    elif weight.dim():
        weight = weight.reshape(())
    return fb.where(input > 0, input, input * weight)


def relu(input, inplace=False):
    """max(0, x), elementwise; same shape and dtype. ``inplace`` writes into ``input``.

    >>> import flambeau as fb
    >>> fb.nn.functional.relu(fb.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return fb.relu_(input) if inplace else fb.relu(input)


def relu_(input):
    """In-place ``relu``."""
    return fb.relu_(input)


def _maybe_in_place(name, input, inplace, *args):
    """Call the core's ``name`` on ``input``, or its in-place form ``name_``."""
    return getattr(_C, name + "_" if inplace else name)(input, *args)


def relu6(input, inplace=False):
    """min(max(0, x), 6), elementwise."""
    return _maybe_in_place("relu6", input, inplace)


def elu(input, alpha=1.0, inplace=False):
    """x where x > 0, else alpha (exp(x) - 1), elementwise (Clevert et al. 2015).

    >>> import flambeau as fb
    >>> fb.nn.functional.elu(fb.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return _maybe_in_place("elu", input, inplace, alpha)


def elu_(input, alpha=1.0):
    """In-place ``elu``."""
    return _maybe_in_place("elu", input, True, alpha)


def selu(input, inplace=False):
    """Scaled ELU with the self-normalising constants (Klambauer et al. 2017)."""
    return _maybe_in_place("elu", input, inplace, *_SELU)


def selu_(input):
    """In-place ``selu``."""
    return selu(input, inplace=True)


def celu(input, alpha=1.0, inplace=False):
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1)), elementwise (Barron 2017)."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _maybe_in_place("elu", input, inplace, alpha, 1.0, 1.0 / alpha)


def celu_(input, alpha=1.0):
    """In-place ``celu``."""
    return celu(input, alpha, inplace=True)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where x > 0, else negative_slope x, elementwise."""
    return _maybe_in_place("leaky_relu", input, inplace, negative_slope)


def leaky_relu_(input, negative_slope=0.01):
    """In-place ``leaky_relu``."""
    return _maybe_in_place("leaky_relu", input, True, negative_slope)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x clamped to [min_val, max_val]; ValueError if min_val > max_val."""
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val: got {min_val} > {max_val}")
    return _maybe_in_place("hardtanh", input, inplace, min_val, max_val)


def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """In-place ``hardtanh``."""
    return hardtanh(input, min_val, max_val, inplace=True)


def hardsigmoid(input, inplace=False):
    """clamp(x / 6 + 1 / 2, 0, 1), elementwise."""
    return _maybe_in_place("hardsigmoid", input, inplace)


def hardswish(input, inplace=False):
    """x hardsigmoid(x), elementwise (Howard et al. 2019)."""
    return _maybe_in_place("hardswish", input, inplace)


def silu(input, inplace=False):
    """x sigmoid(x), elementwise (also called swish)."""
    return _maybe_in_place("silu", input, inplace)


def mish(input, inplace=False):
    """x tanh(softplus(x)), elementwise (Misra 2019)."""
    return _maybe_in_place("mish", input, inplace)


def threshold(input, threshold, value, inplace=False):
    """x where x > threshold, else ``value``."""
    return _maybe_in_place("threshold", input, inplace, threshold, value)


def threshold_(input, threshold, value):
    """In-place ``threshold``."""
    return _maybe_in_place("threshold", input, True, threshold, value)


def softsign(input):
    """x / (1 + |x|), elementwise."""
    return input / (input.abs() + 1)


def tanhshrink(input):
    """x - tanh(x), elementwise."""
    return input - input.tanh()


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """Leaky ReLU whose slope is random in [lower, upper] in training, their mean otherwise.

    Xu et al. 2015, https://arxiv.org/abs/1505.00853.
    """
    if lower > upper:
        raise ValueError(f"lower bound must be at most the upper bound: got {lower} > {upper}")
    if training:
        slope = fb.empty_like(input, requires_grad=False).uniform_(lower, upper)
    else:
        slope = (lower + upper) / 2
    result = fb.where(input > 0, input, input * slope)
    return put_in_place(input, result) if inplace else result


def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """In-place ``rrelu``."""
    return rrelu(input, lower, upper, training, inplace=True)


def glu(input, dim=-1):
    """a * sigmoid(b), where a and b are the halves of ``input`` along ``dim``.

    RuntimeError for a 0-d tensor or an odd size. Dauphin et al. 2016.

    >>> import flambeau as fb
    >>> fb.nn.functional.glu(fb.tensor([3.0, 0.0])).item()
    1.5
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if input.shape[dim] % 2:
        raise RuntimeError(
            f"glu: dimension {dim} must have an even size to be halved, but it is "
            f"{input.shape[dim]} (input shape {list(input.shape)})"
        )
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def _default_dim(name, ndim):
    """The axis PyTorch chose before ``dim`` was asked for, with its warning."""
    import warnings

    warnings.warn(f"{name} without dim is deprecated: write {name}(x, dim=...)", stacklevel=4)
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """exp(x) / sum(exp(x)) along ``dim``; ``dtype`` casts the input first.

    >>> import flambeau as fb
    >>> fb.nn.functional.softmax(fb.zeros(4), dim=0).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if dim is None:
        dim = _default_dim("softmax", input.dim())
    return fb.softmax(input, dim) if dtype is None else fb.softmax(input, dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """log(softmax(x)) along ``dim``, computed without overflow."""
    if dim is None:
        dim = _default_dim("log_softmax", input.dim())
    if dtype is None:
        return fb.log_softmax(input, dim)
    return fb.log_softmax(input, dim, dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """softmax(-x) along ``dim``."""
    if dim is None:
        dim = _default_dim("softmin", input.dim())
    return softmax(-input, dim, dtype=dtype)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """Sample from the Gumbel-softmax distribution of ``logits`` along ``dim``.

    ``hard`` returns one-hot samples whose gradient is that of the soft ones. Jang et al. 2016,
    https://arxiv.org/abs/1611.01144.

    >>> import flambeau as fb
    >>> y = fb.nn.functional.gumbel_softmax(fb.zeros(2, 5), hard=True)
    >>> y.sum(-1).tolist()
    [1.0, 1.0]
    """
    noise = -fb.empty_like(logits, requires_grad=False).exponential_().log()
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one = fb.zeros_like(logits, requires_grad=False).scatter_(dim, index, 1.0)
    return one - soft.detach() + soft


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """x / max(|x|_p, eps) with the p-norm along ``dim``; same shape.

    >>> import flambeau as fb
    >>> fb.nn.functional.normalize(fb.tensor([[0.0, 2.0]])).tolist()
    [[0.0, 1.0]]
    """
    norm = vector_norm(input, p, dim, True).clamp_min(eps)
    if out is not None:
        return fb.div(input, norm, out=out)
    return input / norm
