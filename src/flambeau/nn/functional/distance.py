"""Distances and similarities between vectors."""

from __future__ import annotations

import flambeau as fb
from flambeau._autocast import in_float32

from ._common import vector_norm


@in_float32("cuda")
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along ``dim``; the inputs broadcast.

    >>> import flambeau as fb
    >>> fb.nn.functional.cosine_similarity(fb.tensor([1.0, 0.0]), fb.tensor([2.0, 0.0]), 0).item()
    1.0
    """
    if not (x1.is_floating_point() and x2.is_floating_point()):
        kind = x1 if not x1.is_floating_point() else x2
        raise RuntimeError(f"expected common dtype to be floating point, yet it is {kind.dtype}")
    a = x1 / vector_norm(x1, 2, dim, True).clamp_min(eps)
    b = x2 / vector_norm(x2, 2, dim, True).clamp_min(eps)
    return (a * b).sum(dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """|x1 - x2 + eps|_p along the last dimension.

    >>> import flambeau as fb
    >>> fb.nn.functional.pairwise_distance(fb.zeros(2), fb.tensor([3.0, 4.0]), eps=0.0).item()
    5.0
    """
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


@in_float32("cuda")
def pdist(input, p=2.0):
    """The p-distances of all pairs of rows i < j of (N, M): N (N - 1) / 2 values.

    RuntimeError unless ``input`` is 2D and ``p`` non-negative.

    >>> import flambeau as fb
    >>> fb.nn.functional.pdist(fb.tensor([[0.0], [3.0], [1.0]])).tolist()
    [3.0, 1.0, 2.0]
    """
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    return fb.pdist(input, p)
