"""Adagrad: steps shrink with the sum of squared gradients."""

from __future__ import annotations

import flambeau

from ._common import (
    add_quotient,
    bump,
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

_fused_adagrad = fused("_fused_adagrad_")


class Adagrad(Optimizer):
    """Adagrad: divide each gradient by the root of the sum of its squares so far.

    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization" (2011). The state exists from the start, filled with
    ``initial_accumulator_value``. Raises ValueError for negative options.

    >>> import flambeau as fb
    >>> w = fb.tensor([1.0], requires_grad=True)
    >>> opt = fb.optim.Adagrad([w], lr=0.25)
    >>> (3 * w).sum().backward()
    >>> opt.step()
    >>> round(w.item(), 4)
    0.75
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        fused=None,
    ):
        check_lr(lr)
        check_nonnegative(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=eps,
        )
        check_modes(None, foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:
            for p in group["params"]:
                self._init_state(self.state[p], p, None, group)

    def _init_state(self, state, p, grad, group):
        value = group["initial_accumulator_value"]
        state["step"] = new_step(p, group)
        state["sum"] = flambeau.full_like(p, complex(value, value) if p.is_complex() else value)

    def share_memory(self) -> None:
        """Move the state to shared memory, for training by several processes."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def _update(self, group, params, grads, states):
        adagrad(
            params,
            grads,
            take(states, "sum"),
            take(states, "step"),
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            lr_decay=group["lr_decay"],
            eps=group["eps"],
            maximize=group["maximize"],
            differentiable=group["differentiable"],
        )


def adagrad(
    params,
    grads,
    state_sums,
    state_steps,
    *,
    lr,
    weight_decay,
    lr_decay,
    eps,
    maximize,
    differentiable=False,
):
    """One step of Adagrad on lists of tensors, in place."""
    lr = rate(lr)
    number, here = number_and_tensor(lr)
    if (
        _fused_adagrad is not None
        and not differentiable
        and _fused_adagrad(
            params,
            grads,
            state_sums,
            state_steps,
            number,
            lr_decay,
            weight_decay,
            eps,
            maximize,
            here,
        )
    ):
        return
    composite_adagrad(
        params,
        grads,
        state_sums,
        state_steps,
        lr=lr,
        weight_decay=weight_decay,
        lr_decay=lr_decay,
        eps=eps,
        maximize=maximize,
    )


def composite_adagrad(
    params, grads, state_sums, state_steps, *, lr, weight_decay, lr_decay, eps, maximize
):
    """The same step written with tensor operations: any dtype and layout, differentiable."""
    walk = each(
        params, grads, state_sums, state_steps, maximize=maximize, weight_decay=weight_decay
    )
    for p, grad, total, count in walk:
        step = bump(count)
        total.addcmul_(grad, grad)
        add_quotient(p, grad, plus(total.sqrt(), eps), -lr / (1 + (step - 1) * lr_decay))
