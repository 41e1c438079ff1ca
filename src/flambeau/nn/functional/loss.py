"""Losses for regression and classification."""

from __future__ import annotations

import math

import flambeau as fb
from flambeau import _C
from flambeau._autocast import in_float32

from ._common import check_reduction, legacy_reduction, reduce_loss, shape_text


def _pair(name, input, target):
    """Broadcast the two; warn when their shapes differ, since that is rarely meant."""
    if input.shape == target.shape:
        return input, target
    import warnings

    cure = ""
    for a, b, which in ((input, target, "input"), (target, input, "target")):
        if a.dim() == b.dim() + 1 and a.shape[-1] == 1:
            cure = f" Did you mean {which}.squeeze(-1)?"
    warnings.warn(
        f"{name}: using a target size ({shape_text(target)}) that is different to the input size "
        f"({shape_text(input)}): they broadcast to each other, and the result is likely wrong."
        f"{cure}",
        UserWarning,
        stacklevel=3,
    )
    try:
        return fb.broadcast_tensors(input, target)
    except RuntimeError:
        raise RuntimeError(
            f"{name}: the target shape {shape_text(target)} does not broadcast with the input "
            f"shape {shape_text(input)}: give both the same shape"
        ) from None


def _weighted(loss, weight, reduction):
    """Weigh elementwise losses; the mean divides by the sum of the weights."""
    if weight is None:
        return reduce_loss(loss, reduction)
    if weight.shape != loss.shape:
        raise ValueError("Weights and input must have the same size.")
    check_reduction(reduction)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.sum()
    return reduce_loss(loss, reduction)


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """(input - target)^2, reduced ('none', 'mean', 'sum'); ``weight`` weighs the elements.

    Warns (UserWarning) when the shapes differ and would broadcast.

    >>> import flambeau as fb
    >>> fb.nn.functional.mse_loss(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 4.0])).item()
    2.0
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    input, target = _pair("mse_loss", input, target)
    if weight is None:
        check_reduction(reduction)
        return _C.mse_loss(input, target, reduction)
    return _weighted((input - target).square(), weight, reduction)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """|input - target|, reduced.

    >>> import flambeau as fb
    >>> fb.nn.functional.l1_loss(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 4.0])).item()
    1.0
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    input, target = _pair("l1_loss", input, target)
    if weight is None:
        check_reduction(reduction)
        return _C.l1_loss(input, target, reduction)
    return _weighted((input - target).abs(), weight, reduction)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; reduced (Girshick 2015)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    input, target = _pair("smooth_l1_loss", input, target)
    check_reduction(reduction)
    if beta == 0:
        return _C.l1_loss(input, target, reduction)
    return _C.smooth_l1_loss(input, target, reduction, beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); reduced (Huber 1964)."""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    input, target = _pair("huber_loss", input, target)
    check_reduction(reduction)
    if weight is None:
        return _C.huber_loss(input, target, reduction, delta)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    loss = _C.huber_loss(input, target, "none", delta) * weight
    return reduce_loss(loss, reduction)  # PyTorch's mean counts elements here, not weights


@in_float32("cpu", "cuda")
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """target (log target - input), with log-probabilities as ``input``; reduced.

    'batchmean' divides the sum by the batch size, as the divergence is defined.

    >>> import flambeau as fb
    >>> p = fb.tensor([[0.5, 0.5]])
    >>> fb.nn.functional.kl_div(p.log(), p, reduction="batchmean").item()
    0.0
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    kind = "kl_log" if log_target else "kl"
    if reduction == "batchmean":
        loss = _C._pair_loss(input, target, kind, "sum")
        return loss / input.shape[0] if input.dim() else loss
    if reduction == "mean" and (size_average, reduce) == (None, None):
        import warnings

        warnings.warn(
            "reduction='mean' averages over all elements: use 'batchmean' for the divergence",
            stacklevel=3,
        )
    check_reduction(reduction)
    return _C._pair_loss(input, target, kind, reduction)


@in_float32("cpu")
def binary_cross_entropy(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """-(t log p + (1 - t) log(1 - p)) for probabilities p = ``input``; reduced.

    The logarithms are cut off at -100. ValueError for different shapes, RuntimeError for
    values outside [0, 1].

    >>> import flambeau as fb
    >>> fb.nn.functional.binary_cross_entropy(fb.tensor([1.0]), fb.tensor([1.0])).item()
    0.0
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if _C._autocast_on() and input.is_cuda and _C._get_autocast("cuda")[0]:
        raise RuntimeError(
            "binary_cross_entropy and BCELoss are unsafe to autocast: probabilities in float16 "
            "have lost what the logarithm needs. Leave out the sigmoid and use "
            "binary_cross_entropy_with_logits or BCEWithLogitsLoss"
        )
    if target.shape != input.shape:
        raise ValueError(
            f"binary_cross_entropy: Using a target size ({shape_text(target)}) that is different "
            f"to the input size ({shape_text(input)}) is deprecated. Please ensure they "
            "have the same size."
        )
    if weight is None and not input.is_cuda:
        return _C._pair_loss(input, target, "bce", reduction)
    low, high = 1.0, 0.0
    if input.device.type == "meta":
        low, high = 0.0, 1.0
    elif input.numel():
        low, high = float(input.detach().min()), float(input.detach().max())
        if low < 0 or high > 1:
            raise RuntimeError(
                f"binary_cross_entropy: all elements of input should be between 0 and 1, but "
                f"they range from {low:g} to {high:g}: apply a sigmoid first, or use "
                "binary_cross_entropy_with_logits"
            )
    yes, no = _log_cut(input, low), _log_cut(1 - input, 1 - high)
    loss = -(yes * target + no * (1 - target))
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss, reduction)


def _log_cut(p, least):
    """log(p), at least -100; below 1e-12 its slope is 1e12 (``least`` is the least p)."""
    if least > 1e-12:
        return p.log()
    fine = p > 1e-12
    value = p.detach().log().clamp_min(-100)
    return fb.where(fine, fb.where(fine, p, 1.0).log(), value + (p - p.detach()) * 1e12)


@in_float32("cpu", "cuda")
def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Binary cross entropy of sigmoid(input), computed without overflow; reduced.

    ``pos_weight`` weighs the positive targets. ValueError for different shapes.

    >>> import flambeau as fb
    >>> fb.nn.functional.binary_cross_entropy_with_logits(fb.zeros(2), fb.ones(2)).exp().item()
    2.0
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"binary_cross_entropy_with_logits: Target size ({shape_text(target)}) must be the "
            f"same as input size ({shape_text(input)})"
        )
    if weight is None and pos_weight is None:
        check_reduction(reduction)
        return _C._pair_loss(input, target, "logits", reduction)
    log_sigmoid = _C.logsigmoid(input)
    if pos_weight is not None:
        scale = (pos_weight - 1) * target + 1
        loss = (1 - target) * input - scale * log_sigmoid
    else:
        loss = (1 - target) * input - log_sigmoid
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss, reduction)


def nll_loss(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None,
    reduction="mean",
):  # fmt: skip
    """-input[n, target[n]] for log-probabilities (N, C, *) and int64 classes (N, *); reduced.

    ``weight`` (C,) weighs the classes; ``ignore_index`` marks targets that do not count.
    IndexError for a class out of range.

    >>> import flambeau as fb
    >>> fb.nn.functional.nll_loss(fb.tensor([[-1.0, -2.0]]), fb.tensor([1])).item()
    2.0
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    return _C.nll_loss(input, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None,
    reduction="mean", label_smoothing=0.0,
):  # fmt: skip
    """Cross entropy of logits (N, C, *) with classes (N, *) int64, or probabilities (N, C, *).

    Reduced; ``label_smoothing`` in [0, 1] blends the target with the uniform distribution
    (Szegedy et al. 2016).

    >>> import flambeau as fb
    >>> fb.nn.functional.cross_entropy(fb.zeros(3, 4), fb.tensor([0, 1, 2])).exp().item()
    4.0
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    return _C.cross_entropy(
        input, target, weight=weight, ignore_index=ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip


def linear_cross_entropy(
    input, linear_weight, target, *, linear_bias=None, weight=None, reduction="mean",
    ignore_index=None, label_smoothing=0.0, options=None,
):  # fmt: skip
    """``cross_entropy(linear(input, linear_weight), target)``.

    ``linear_weight`` is (C, in) or (C, d1, ..., in), whose logits then are (N, C, d1, ...).

    >>> import flambeau as fb
    >>> x, w = fb.ones(2, 3), fb.zeros(5, 3)
    >>> fb.nn.functional.linear_cross_entropy(x, w, fb.tensor([0, 1])).exp().item()
    5.0
    """
    extra = linear_weight.shape[1:-1]
    flat = linear_weight.reshape(-1, linear_weight.shape[-1])
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = _C.linear(input, flat, bias)
    if len(extra):
        logits = logits.reshape(*input.shape[:-1], *linear_weight.shape[:-1])
    ignore = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        logits, target, weight, ignore_index=ignore, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip


@in_float32("cpu", "cuda")
def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None,
    reduction="mean",
):  # fmt: skip
    """Negative log-likelihood of counts under a Poisson of rate ``input`` (or its log).

    ``full`` adds Stirling's approximation of log(target!) where target > 1.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduce_loss(loss, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """(log var + (input - target)^2 / var) / 2, reduced; ``var`` is at least ``eps``.

    ``var`` has the shape of ``input``, or one value for its last dimension, or is a float.
    ValueError for another shape or a negative variance. Nix and Weigend 1994.

    >>> import flambeau as fb
    >>> fb.nn.functional.gaussian_nll_loss(fb.zeros(2), fb.ones(2) * 2, fb.ones(2)).item()
    2.0
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = fb.full_like(input, var, requires_grad=False)
    elif (var < 0).any():
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.shape[:-1] == var.shape[:-1] and var.shape[-1] == 1):
            raise ValueError(
                f"var is of incorrect size: {shape_text(var)} for input {shape_text(input)}"
            )
    check_reduction(reduction)
    var = var + (var.detach().clamp_min(eps) - var.detach())
    loss = 0.5 * (var.log() + (input - target).square() / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce_loss(loss, reduction)
