"""RAdam: Adam that waits until its variance estimate can be trusted."""

from __future__ import annotations

import flambeau

from ._common import (
    add,
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


class RAdam(Optimizer):
    """RAdam: plain momentum in the first steps, then Adam with a rectified step size.

    Liu et al., "On the variance of the adaptive learning rate and beyond" (2020), algorithm 2.
    Raises ValueError for options out of range.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> opt = fb.optim.RAdam([w], lr=0.25)
    >>> w.sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.75
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
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
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def _init_state(self, state, p, grad, group):
        state["step"] = new_step(p, group)
        state["exp_avg"] = flambeau.zeros_like(p)
        state["exp_avg_sq"] = flambeau.zeros_like(p)

    def _update(self, group, params, grads, states):
        beta1, beta2 = group["betas"]
        radam(
            params,
            grads,
            take(states, "exp_avg"),
            take(states, "exp_avg_sq"),
            take(states, "step"),
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            decoupled_weight_decay=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )


def radam(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    state_steps,
    *,
    beta1,
    beta2,
    lr,
    weight_decay,
    eps,
    decoupled_weight_decay,
    maximize,
):
    """One step of RAdam on lists of tensors, in place."""
    if fused_rule(
        "radam",
        (params, grads, exp_avgs, exp_avg_sqs),
        state_steps,
        lr,
        (beta1, beta2, eps),
        weight_decay=weight_decay,
        decoupled=decoupled_weight_decay,
        maximize=maximize,
    ):
        return
    lr = rate(lr)
    if decoupled_weight_decay and weight_decay != 0:
        for p in params:
            p.mul_(1 - lr * weight_decay)
    penalty = 0 if decoupled_weight_decay else weight_decay
    longest = 2 / (1 - beta2) - 1
    walk = each(
        params, grads, exp_avgs, exp_avg_sqs, state_steps, maximize=maximize, weight_decay=penalty
    )
    for p, grad, avg, avg_sq, count in walk:
        step = bump(count)
        avg.lerp_(grad, 1 - beta1)
        avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        size = lr / (1 - beta1**step)
        correction2 = 1 - beta2**step
        length = longest - 2 * step * beta2**step / correction2
        rectifier = (length - 4) * (length - 2) * longest
        rectifier /= (longest - 4) * (longest - 2) * length
        if step is count:  # on a GPU: both ways are taken, so that nothing waits
            root = (rectifier * correction2).clamp(min=0) ** 0.5
            denom = plus(avg_sq.sqrt(), eps)
            add(p, avg * flambeau.where(length > 5.0, root / denom, 1.0), -size)
        elif length > 5.0:
            denom = plus(avg_sq.sqrt(), eps)
            add_quotient(p, avg, denom, -size * (rectifier * correction2) ** 0.5)
        else:
            add(p, avg, -size)
