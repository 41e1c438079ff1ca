"""Distance layers: PairwiseDistance and CosineSimilarity."""

from __future__ import annotations

from . import functional as F
from .module import Module

__all__ = ["PairwiseDistance", "CosineSimilarity"]


class PairwiseDistance(Module):
    """|x1 - x2 + eps|_p along the last dimension.

    >>> import flambeau as fb
    >>> fb.nn.PairwiseDistance(eps=0.0)(fb.zeros(1, 2), fb.tensor([[3.0, 4.0]])).item()
    5.0
    """

    __constants__ = ["norm", "eps", "keepdim"]

    def __init__(self, p=2.0, eps=1e-6, keepdim=False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1, x2):
        """Return the distances of the rows."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """Cosine of the angle between x1 and x2 along ``dim``."""

    __constants__ = ["dim", "eps"]

    def __init__(self, dim=1, eps=1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1, x2):
        """Return the similarities."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
