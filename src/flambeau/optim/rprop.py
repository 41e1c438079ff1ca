"""Resilient backpropagation: only the sign of a gradient counts."""

from __future__ import annotations

import flambeau

from ._common import check_lr, check_modes, each, fused_rule, new_step, scalar, take
from .optimizer import Optimizer


class Rprop(Optimizer):
    """Rprop: step sizes grow while a gradient keeps its sign and shrink when it flips.

    Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning" (1993).
    For full batches. ``etas`` are the factors of shrinking and growth, ``step_sizes`` the bounds.
    Raises ValueError for options out of range.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> opt = fb.optim.Rprop([w], lr=0.25)
    >>> (100 * w).sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.75
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        etas=(0.5, 1.2),
        step_sizes=(1e-6, 50),
        *,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]} (0 < first < 1 < second)")
        check_modes(lr, foreach, capturable=capturable)
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _init_state(self, state, p, grad, group):
        lr = scalar(group["lr"])
        state["step"] = new_step(p, group)
        state["prev"] = flambeau.zeros_like(p)
        state["step_size"] = flambeau.full_like(grad, complex(lr, lr) if p.is_complex() else lr)

    def _update(self, group, params, grads, states):
        shrink, grow = group["etas"]
        smallest, largest = group["step_sizes"]
        rprop(
            params,
            grads,
            take(states, "prev"),
            take(states, "step_size"),
            take(states, "step"),
            step_size_min=smallest,
            step_size_max=largest,
            etaminus=shrink,
            etaplus=grow,
            maximize=group["maximize"],
        )


def rprop(
    params,
    grads,
    prevs,
    step_sizes,
    state_steps,
    *,
    step_size_min,
    step_size_max,
    etaminus,
    etaplus,
    maximize,
):
    """One step of Rprop on lists of tensors, in place."""
    if fused_rule(
        "rprop",
        (params, grads, prevs, step_sizes),
        state_steps,
        0.0,
        (etaminus, etaplus, step_size_min, step_size_max),
        maximize=maximize,
    ):
        return
    for p, grad, prev, size, count in each(
        params, grads, prevs, step_sizes, state_steps, maximize=maximize
    ):
        count.add_(1)
        agreement = grad * prev
        flipped = agreement < 0
        factor = flambeau.ones_like(size).masked_fill_(agreement > 0, etaplus)
        size.mul_(factor.masked_fill_(flipped, etaminus)).clamp_(step_size_min, step_size_max)
        grad = grad.masked_fill(flipped, 0)
        p.addcmul_(grad.sign(), size, value=-1)
        prev.copy_(grad)
