"""Adam, AdamW and their shared update."""

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
    fused,
    new_step,
    number_and_tensor,
    plus,
    rate,
    scalar,
)
from .optimizer import Optimizer

_fused_adam = fused("_fused_adam_")


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1;
    ``amsgrad`` keeps the largest second moment (Reddi et al. 2018); ``weight_decay`` is an L2
    penalty on the gradient, or is decoupled from it with ``decoupled_weight_decay``.
    Raises ValueError for options out of range.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0, -3.0], requires_grad=True)
    >>> opt = fb.optim.Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> [round(v, 4) for v in w.tolist()]
    [0.5, -2.5]
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        check_lr(lr)
        check_nonnegative(epsilon=eps)
        check_betas(betas)
        check_nonnegative(weight_decay=weight_decay)
        check_modes(lr, foreach, fused, differentiable, capturable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _init_state(self, state, p, grad, group):
        state["step"] = new_step(p, group)
        state["exp_avg"] = flambeau.zeros_like(p)
        state["exp_avg_sq"] = flambeau.zeros_like(p)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = flambeau.zeros_like(p)

    def _step_group(self, group):
        params, grads, states = self._gather(group)
        if not params:
            return
        beta1, beta2 = group["betas"]
        amsgrad = group["amsgrad"]
        adam(
            params,
            grads,
            [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states],
            [s["max_exp_avg_sq"] for s in states] if amsgrad else [],
            [s["step"] for s in states],
            amsgrad=amsgrad,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=group["maximize"],
            decoupled_weight_decay=group["decoupled_weight_decay"],
            differentiable=group["differentiable"],
        )


class AdamW(Adam):
    """Adam with weight decay decoupled from the gradient.

    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019).

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> opt = fb.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> w.sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.85
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
        foreach=None,
        capturable=False,
        differentiable=False,
        fused=None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


def adam(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    max_exp_avg_sqs,
    state_steps,
    *,
    amsgrad,
    beta1,
    beta2,
    lr,
    weight_decay,
    eps,
    maximize,
    decoupled_weight_decay=False,
    differentiable=False,
):
    """One step of Adam on lists of tensors, in place; ``state_steps`` are counted up."""
    if not differentiable:
        number, here = number_and_tensor(rate(lr))
        if _fused_adam is not None and _fused_adam(
            params,
            grads,
            exp_avgs,
            exp_avg_sqs,
            max_exp_avg_sqs if amsgrad else [],
            state_steps,
            number,
            scalar(beta1),
            scalar(beta2),
            eps,
            weight_decay,
            amsgrad,
            maximize,
            decoupled_weight_decay,
            here,
        ):
            return
    with flambeau.set_grad_enabled(differentiable):
        composite_adam(
            params,
            grads,
            exp_avgs,
            exp_avg_sqs,
            max_exp_avg_sqs,
            state_steps,
            amsgrad=amsgrad,
            beta1=beta1,
            beta2=beta2,
            lr=lr,
            weight_decay=weight_decay,
            eps=eps,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )


def composite_adam(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    max_exp_avg_sqs,
    state_steps,
    *,
    amsgrad,
    beta1,
    beta2,
    lr,
    weight_decay,
    eps,
    maximize,
    decoupled_weight_decay,
):
    """The same step written with tensor operations: any dtype and layout, differentiable."""
    lr, beta1, beta2 = rate(lr), scalar(beta1), scalar(beta2)
    maxima = max_exp_avg_sqs if amsgrad else [None] * len(params)
    if decoupled_weight_decay and weight_decay != 0:
        for p in params:
            p.mul_(1 - lr * weight_decay)
    penalty = 0 if decoupled_weight_decay else weight_decay
    walk = each(
        params,
        grads,
        exp_avgs,
        exp_avg_sqs,
        maxima,
        state_steps,
        maximize=maximize,
        weight_decay=penalty,
    )
    for p, grad, avg, avg_sq, largest, count in walk:
        step = bump(count)
        avg.lerp_(grad, 1 - beta1)
        avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if amsgrad:
            largest.copy_(flambeau.maximum(largest, avg_sq))
        root = (largest if amsgrad else avg_sq).sqrt()
        denom = plus(root / (1 - beta2**step) ** 0.5, eps)
        add_quotient(p, avg, denom, -lr / (1 - beta1**step))
