"""NAdam: Adam with Nesterov momentum."""

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


class NAdam(Optimizer):
    """NAdam: Adam that looks one momentum step ahead, with a schedule of the momentum.

    Dozat, "Incorporating Nesterov momentum into Adam" (2016).
    Raises ValueError for options out of range.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> opt = fb.optim.NAdam([w], lr=0.1)
    >>> w.sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.8944
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        momentum_decay=4e-3,
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
        check_nonnegative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_modes(lr, foreach, capturable=capturable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _init_state(self, state, p, grad, group):
        state["step"] = new_step(p, group)
        state["mu_product"] = new_step(p, group) + 1
        state["exp_avg"] = flambeau.zeros_like(p)
        state["exp_avg_sq"] = flambeau.zeros_like(p)

    def _update(self, group, params, grads, states):
        beta1, beta2 = group["betas"]
        nadam(
            params,
            grads,
            take(states, "exp_avg"),
            take(states, "exp_avg_sq"),
            take(states, "mu_product"),
            take(states, "step"),
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            momentum_decay=group["momentum_decay"],
            eps=group["eps"],
            decoupled_weight_decay=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )


def nadam(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    mu_products,
    state_steps,
    *,
    beta1,
    beta2,
    lr,
    weight_decay,
    momentum_decay,
    eps,
    decoupled_weight_decay,
    maximize,
):
    """One step of NAdam on lists of tensors, in place."""
    if fused_rule(
        "nadam",
        (params, grads, exp_avgs, exp_avg_sqs),
        state_steps,
        lr,
        (beta1, beta2, eps, momentum_decay),
        weight_decay=weight_decay,
        decoupled=decoupled_weight_decay,
        maximize=maximize,
        scalars=mu_products,
    ):
        return
    lr = rate(lr)
    if decoupled_weight_decay and weight_decay != 0:
        for p in params:
            p.mul_(1 - lr * weight_decay)
    penalty = 0 if decoupled_weight_decay else weight_decay
    walk = each(
        params,
        grads,
        exp_avgs,
        exp_avg_sqs,
        mu_products,
        state_steps,
        maximize=maximize,
        weight_decay=penalty,
    )
    for p, grad, avg, avg_sq, product, count in walk:
        step = bump(count)
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
        so_far = product.mul_(mu)
        if not so_far.is_cuda:
            so_far = so_far.item()
        avg.lerp_(grad, 1 - beta1)
        avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        denom = plus((avg_sq / (1 - beta2**step)).sqrt(), eps)
        add_quotient(p, grad, denom, -lr * (1 - mu) / (1 - so_far))
        add_quotient(p, avg, denom, -lr * mu_next / (1 - so_far * mu_next))
