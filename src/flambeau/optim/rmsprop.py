"""RMSprop: gradients divided by a running root mean square."""

from __future__ import annotations

import flambeau

from ._common import (
    check_lr,
    check_modes,
    check_nonnegative,
    each,
    fused,
    new_step,
    number_and_tensor,
    plus,
    rate,
    take,
)
from .optimizer import Optimizer

_fused_rmsprop = fused("_fused_rmsprop_")


class RMSprop(Optimizer):
    """RMSprop, plain, with momentum, or centred (variance instead of mean square).

    Hinton, lecture 6e of "Neural networks for machine learning" (2012); centred form from
    Graves, "Generating sequences with recurrent neural networks" (2013).
    Raises ValueError for negative options.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> opt = fb.optim.RMSprop([w], lr=0.1, alpha=0.75)
    >>> w.sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.8
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        check_lr(lr)
        check_nonnegative(epsilon=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        check_modes(lr, foreach, capturable=capturable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _init_state(self, state, p, grad, group):
        state["step"] = new_step(p, group)
        state["square_avg"] = flambeau.zeros_like(p)
        if group["momentum"] > 0:
            state["momentum_buffer"] = flambeau.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = flambeau.zeros_like(p)

    def _update(self, group, params, grads, states):
        rmsprop(
            params,
            grads,
            take(states, "square_avg"),
            take(states, "grad_avg"),
            take(states, "momentum_buffer"),
            take(states, "step"),
            lr=group["lr"],
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            centered=group["centered"],
            maximize=group["maximize"],
            differentiable=group["differentiable"],
        )


def rmsprop(
    params,
    grads,
    square_avgs,
    grad_avgs,
    momentum_buffers,
    state_steps,
    *,
    lr,
    alpha,
    eps,
    weight_decay,
    momentum,
    centered,
    maximize,
    differentiable=False,
):
    """One step of RMSprop on lists of tensors, in place."""
    lr = rate(lr)
    number, here = number_and_tensor(lr)
    if (
        _fused_rmsprop is not None
        and not differentiable
        and _fused_rmsprop(
            params,
            grads,
            square_avgs,
            grad_avgs if centered else [],
            momentum_buffers if momentum > 0 else [],
            state_steps,
            number,
            alpha,
            eps,
            weight_decay,
            momentum,
            maximize,
            here,
        )
    ):
        return
    composite_rmsprop(
        params,
        grads,
        square_avgs,
        grad_avgs,
        momentum_buffers,
        state_steps,
        lr=lr,
        alpha=alpha,
        eps=eps,
        weight_decay=weight_decay,
        momentum=momentum,
        centered=centered,
        maximize=maximize,
    )


def composite_rmsprop(
    params,
    grads,
    square_avgs,
    grad_avgs,
    momentum_buffers,
    state_steps,
    *,
    lr,
    alpha,
    eps,
    weight_decay,
    momentum,
    centered,
    maximize,
):
    """The same step written with tensor operations: any dtype and layout, differentiable."""
    walk = each(
        params,
        grads,
        square_avgs,
        grad_avgs,
        momentum_buffers,
        state_steps,
        maximize=maximize,
        weight_decay=weight_decay,
    )
    for p, grad, square_avg, grad_avg, buf, count in walk:
        count.add_(1)
        square_avg.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if centered:
            grad_avg.lerp_(grad, 1 - alpha)
            variance = square_avg.addcmul(grad_avg, grad_avg, value=-1)
        else:
            variance = square_avg
        denom = plus(variance.sqrt(), eps)
        if momentum > 0:
            buf.mul_(momentum).addcdiv_(grad, denom)
            p.add_(buf, alpha=-lr)
        else:
            p.addcdiv_(grad, denom, value=-lr)
