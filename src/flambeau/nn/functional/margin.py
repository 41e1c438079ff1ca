"""Losses with margins: hinge, ranking, triplet and multi-label ones."""

from __future__ import annotations

import flambeau as fb
from flambeau import _C
from flambeau._autocast import in_float32

from ._common import legacy_reduction, reduce_loss, shape_text
from .distance import pairwise_distance


def _flags(size_average, reduce, reduction):
    return legacy_reduction(size_average, reduce, reduction)


@in_float32("cpu", "cuda")
def margin_ranking_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """max(0, -target (input1 - input2) + margin), reduced; target is 1 or -1.

    >>> import flambeau as fb
    >>> one = fb.ones(1)
    >>> fb.nn.functional.margin_ranking_loss(one, 3 * one, one, margin=0.5).item()
    2.5
    """
    reduction = _flags(size_average, reduce, reduction)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {shape_text(input1)}, input2: {shape_text(input2)}, "
            f"target: {shape_text(target)} "
        )
    return reduce_loss((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@in_float32("cpu", "cuda")
def hinge_embedding_loss(
    input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"
):
    """x where target is 1, max(0, margin - x) where it is -1; reduced."""
    reduction = _flags(size_average, reduce, reduction)
    zero = fb.zeros_like(input, requires_grad=False)
    near = fb.where(target == -1, zero, input)
    far = fb.where(target == 1, zero, (margin - input).clamp_min(0))
    return reduce_loss(near + far, reduction)


@in_float32("cpu", "cuda")
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-target x)), reduced; target is 1 or -1."""
    reduction = _flags(size_average, reduce, reduction)
    return reduce_loss(-_C.logsigmoid(target * input), reduction)


@in_float32("cpu", "cuda")
def cosine_embedding_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1; reduced.

    RuntimeError for ranks that do not fit.
    """
    reduction = _flags(size_average, reduce, reduction)
    if target.dim() + 1 != input1.dim() or target.dim() + 1 != input2.dim():
        shape = "1D target tensor expects 2D input tensors" if target.dim() == 1 else (
            "0D target tensor expects 1D input tensors" if target.dim() == 0 else
            "0D or 1D target tensor expected, multi-target not supported"
        )  # fmt: skip
        raise RuntimeError(f"{shape}, but found inputs with sizes {shape_text(input1)} and "
                           f"{shape_text(input2)}.")  # fmt: skip
    eps = 1e-12
    prod = (input1 * input2).sum(-1)
    cos = prod / ((input1.square().sum(-1) + eps) * (input2.square().sum(-1) + eps)).sqrt()
    zero = fb.zeros_like(cos, requires_grad=False)
    loss = fb.where(target == 1, 1 - cos, zero)
    loss = loss + fb.where(target == -1, (cos - margin).clamp_min(0), zero)
    return reduce_loss(loss, reduction)


@in_float32("cpu", "cuda")
def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None,
    reduce=None, reduction="mean",
):  # fmt: skip
    """max(0, |a - p| - |a - n| + margin), reduced; ``swap`` uses the nearer negative.

    ValueError for margin <= 0. Balntas et al. 2016.

    >>> import flambeau as fb
    >>> a = fb.zeros(1, 2)
    >>> fb.nn.functional.triplet_margin_loss(a, a, a).item()
    1.0
    """
    reduction = _flags(size_average, reduce, reduction)
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False,
    reduction="mean",
):  # fmt: skip
    """``triplet_margin_loss`` with a distance of one's own (default: Euclidean)."""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.dim()}D, positive {positive.dim()}D, and "
            f"negative {negative.dim()}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = fb.minimum(far, distance(positive, negative))
    return reduce_loss((near - far + margin).clamp_min(0), reduction)


@in_float32("cpu", "cuda")
def multi_margin_loss(
    input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None,
    reduction="mean",
):  # fmt: skip
    """mean over classes j != t of max(0, margin - x[t] + x[j])^p, for (N, C) and (N,); reduced.

    ValueError unless p is 1 or 2; ``weight`` (C,) weighs the target's class.
    """
    reduction = _flags(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    single = input.dim() == 1
    x = input.unsqueeze(0) if single else input
    t = target.reshape(-1)
    if x.dim() != 2 or t.shape[0] != x.shape[0]:
        raise RuntimeError(
            f"inconsistent target size: {shape_text(target)} for input {shape_text(input)}"
        )
    if weight is not None and weight.dim() != 1:
        raise ValueError(f"weight must be one-dimensional, got {weight.dim()} dimensions.")
    index = t.unsqueeze(1)
    loss = (margin - x.gather(1, index) + x).clamp_min(0)
    loss = loss if p == 1 else loss.square()
    if weight is not None:
        loss = loss * weight.index_select(0, t).unsqueeze(1)
    loss = loss.scatter(1, index, 0.0).sum(1) / x.shape[1]
    return reduce_loss(loss.squeeze(0) if single else loss, reduction)


@in_float32("cpu", "cuda")
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """sum over labels t and other classes j of max(0, 1 - (x[t] - x[j])) / C; reduced.

    ``target`` (N, C) lists the labels of each sample, ended by the first -1.
    """
    reduction = _flags(size_average, reduce, reduction)
    if input.shape != target.shape:
        raise RuntimeError(
            f"inconsistent target size: {shape_text(target)} for input {shape_text(input)}"
        )
    single = input.dim() < 2
    x = input.reshape(1, -1) if single else input
    t = target.reshape(1, -1) if single else target
    listed = (t < 0).long().cumsum(1) == 0  # before the first -1
    labels = fb.where(listed, t, 0)
    is_label = fb.zeros(x.shape, dtype=fb.int64, device=x.device)
    is_label = is_label.scatter_add(1, labels, listed.long()) > 0
    gap = 1 - x.gather(1, labels).unsqueeze(2) + x.unsqueeze(1)
    counts = listed.unsqueeze(2) & ~is_label.unsqueeze(1)
    loss = fb.where(counts, gap.clamp_min(0), 0.0).sum((1, 2)) / x.shape[1]
    return reduce_loss(loss.squeeze(0) if single else loss, reduction)


def multilabel_soft_margin_loss(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """Mean over classes of the binary cross entropy of sigmoid(input); reduced over samples."""
    reduction = _flags(size_average, reduce, reduction)
    loss = -(target * _C.logsigmoid(input) + (1 - target) * _C.logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss.sum(-1) / input.shape[-1], reduction)
