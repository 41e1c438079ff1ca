"""Adadelta: steps in the units of the parameters, without a learning rate to tune."""

from __future__ import annotations

import flambeau

from ._common import (
    add,
    check_lr,
    check_modes,
    check_nonnegative,
    each,
    fused_rule,
    new_step,
    rate,
    take,
)
from .optimizer import Optimizer


class Adadelta(Optimizer):
    """Adadelta: scale by the ratio of running root mean squares of past steps and gradients.

    Zeiler, "ADADELTA: an adaptive learning rate method" (2012).
    Raises ValueError for options out of range.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> opt = fb.optim.Adadelta([w], rho=0.75, eps=0.25)
    >>> w.sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.2929
    """

    def __init__(
        self,
        params,
        lr=1.0,
        rho=0.9,
        eps=1e-6,
        weight_decay=0,
        foreach=None,
        *,
        capturable=False,
        maximize=False,
        differentiable=False,
    ):
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho} (it must be in [0, 1])")
        check_nonnegative(epsilon=eps, weight_decay=weight_decay)
        check_modes(lr, foreach, capturable=capturable)
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _init_state(self, state, p, grad, group):
        state["step"] = new_step(p, group)
        state["square_avg"] = flambeau.zeros_like(p)
        state["acc_delta"] = flambeau.zeros_like(p)

    def _update(self, group, params, grads, states):
        adadelta(
            params,
            grads,
            take(states, "square_avg"),
            take(states, "acc_delta"),
            take(states, "step"),
            lr=group["lr"],
            rho=group["rho"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )


def adadelta(
    params, grads, square_avgs, acc_deltas, state_steps, *, lr, rho, eps, weight_decay, maximize
):
    """One step of Adadelta on lists of tensors, in place."""
    if fused_rule(
        "adadelta",
        (params, grads, square_avgs, acc_deltas),
        state_steps,
        lr,
        (rho, eps),
        weight_decay=weight_decay,
        maximize=maximize,
    ):
        return
    lr = rate(lr)
    walk = each(
        params,
        grads,
        square_avgs,
        acc_deltas,
        state_steps,
        maximize=maximize,
        weight_decay=weight_decay,
    )
    for p, grad, square_avg, acc_delta, count in walk:
        count.add_(1)
        square_avg.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = (acc_delta + eps).sqrt() / (square_avg + eps).sqrt() * grad
        acc_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        add(p, delta, -lr)
