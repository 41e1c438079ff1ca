"""SparseAdam, kept for its name: Flambeau's gradients are dense."""

from __future__ import annotations

from ._common import check_betas, check_lr
from .optimizer import Optimizer


class SparseAdam(Optimizer):
    """Adam for sparse gradients; dense ones are refused with the advice to use Adam.

    Flambeau has no sparse layout yet, so :meth:`step` raises RuntimeError for every gradient.
    Raises ValueError for options out of range.

    >>> import flambeau as fb
    >>> fb.optim.SparseAdam([fb.ones(2, requires_grad=True)]).defaults["lr"]
    0.001
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False):
        check_lr(lr)
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps} (it must be > 0)")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def _gather(self, group):
        if any(p.grad is not None for p in group["params"]):
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        return [], [], []
