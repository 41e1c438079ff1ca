"""Averaged stochastic gradient descent."""

from __future__ import annotations

import flambeau

from ._common import (
    bump,
    check_lr,
    check_modes,
    check_nonnegative,
    each,
    fused_rule,
    new_step,
    rate,
    scalar,
    take,
)
from .optimizer import Optimizer


class ASGD(Optimizer):
    """SGD with a decaying step size that also keeps, in ``state["ax"]``, the mean of its path.

    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992); averaging
    starts after ``t0`` steps. Raises ValueError for a negative ``lr`` or ``weight_decay``.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> opt = fb.optim.ASGD([w], lr=0.25)
    >>> w.sum().backward()
    >>> opt.step()
    >>> round(w.item(), 3)
    0.75
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lambd=1e-4,
        alpha=0.75,
        t0=1e6,
        weight_decay=0,
        foreach=None,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        check_lr(lr)
        check_nonnegative(weight_decay=weight_decay)
        check_modes(lr, foreach, capturable=capturable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _init_state(self, state, p, grad, group):
        state["step"] = new_step(p, group)
        state["eta"] = new_step(p, group) + scalar(group["lr"])
        state["mu"] = new_step(p, group) + 1
        state["ax"] = flambeau.zeros_like(p)

    def _update(self, group, params, grads, states):
        asgd(
            params,
            grads,
            take(states, "ax"),
            take(states, "mu"),
            take(states, "eta"),
            take(states, "step"),
            lambd=group["lambd"],
            lr=group["lr"],
            t0=group["t0"],
            alpha=group["alpha"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )


def asgd(
    params, grads, axs, mus, etas, state_steps, *, lambd, lr, t0, alpha, weight_decay, maximize
):
    """One step of averaged SGD on lists of tensors, in place."""
    if fused_rule(
        "asgd",
        (params, grads, axs),
        state_steps,
        lr,
        (lambd, t0, alpha),
        weight_decay=weight_decay,
        maximize=maximize,
        scalars=mus,
        rates=etas,
    ):
        return
    lr = rate(lr)
    walk = each(
        params, grads, axs, mus, etas, state_steps, maximize=maximize, weight_decay=weight_decay
    )
    for p, grad, ax, mu, eta, count in walk:
        step = bump(count)
        if step is count:  # on a GPU: nothing waits
            p.mul_(1 - lambd * eta)
            p.sub_(grad * eta)
            ax.copy_(flambeau.where(mu == 1, p, ax + (p - ax) * mu))
            eta.copy_(lr / (1 + lambd * lr * step) ** alpha)
            mu.copy_(1 / (step - t0).clamp(min=1))
            continue
        size = eta.item()
        p.mul_(1 - lambd * size)
        p.add_(grad, alpha=-size)
        if mu.item() == 1:
            ax.copy_(p)
        else:
            ax.add_((p - ax).mul_(mu))
        eta.fill_(lr / (1 + lambd * lr * step) ** alpha)
        mu.fill_(1 / max(1, step - t0))
