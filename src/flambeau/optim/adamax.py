"""Adamax: Adam with the infinity norm."""

from __future__ import annotations

import flambeau

from ._common import (
    add_quotient,
    bump,
    check_betas,
    check_lr,
    check_modes,
    check_nonnegative,
    each,
    fused_rule,
    new_step,
    plus,
    rate,
    take,
)
from .optimizer import Optimizer


class Adamax(Optimizer):
    """Adamax: Adam whose second moment is a decaying maximum of absolute gradients.

    Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 2.
    Raises ValueError for options out of range.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> opt = fb.optim.Adamax([w], lr=0.25)
    >>> w.sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.75
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        check_lr(lr)
        check_nonnegative(epsilon=eps)
        check_betas(betas)
        check_nonnegative(weight_decay=weight_decay)
        check_modes(lr, foreach, capturable=capturable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _init_state(self, state, p, grad, group):
        state["step"] = new_step(p, group)
        state["exp_avg"] = flambeau.zeros_like(p)
        state["exp_inf"] = flambeau.zeros_like(p)

    def _update(self, group, params, grads, states):
        beta1, beta2 = group["betas"]
        adamax(
            params,
            grads,
            take(states, "exp_avg"),
            take(states, "exp_inf"),
            take(states, "step"),
            eps=group["eps"],
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )


def adamax(
    params, grads, exp_avgs, exp_infs, state_steps, *, eps, beta1, beta2, lr, weight_decay, maximize
):
    """One step of Adamax on lists of tensors, in place."""
    if fused_rule(
        "adamax",
        (params, grads, exp_avgs, exp_infs),
        state_steps,
        lr,
        (beta1, beta2, eps),
        weight_decay=weight_decay,
        maximize=maximize,
    ):
        return
    lr = rate(lr)
    walk = each(
        params, grads, exp_avgs, exp_infs, state_steps, maximize=maximize, weight_decay=weight_decay
    )
    for p, grad, avg, inf, count in walk:
        step = bump(count)
        avg.lerp_(grad, 1 - beta1)
        inf.copy_(flambeau.maximum(inf * beta2, plus(grad.abs(), eps)))
        add_quotient(p, avg, inf, -lr / (1 - beta1**step))
