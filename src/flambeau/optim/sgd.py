"""Stochastic gradient descent with momentum."""

from __future__ import annotations

import flambeau

from ._common import (
    add,
    check_lr,
    check_modes,
    check_nonnegative,
    each,
    fused,
    number_and_tensor,
    rate,
    scalar,
)
from .optimizer import Optimizer, _refuse_sparse

_fused_sgd = fused("_fused_sgd_")


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with (Nesterov) momentum and L2 penalty.

    Momentum follows Sutskever et al., "On the importance of initialization and momentum in deep
    learning" (2013), with the velocity not scaled by the learning rate.
    Raises ValueError for negative ``lr``, ``momentum`` or ``weight_decay`` and for ``nesterov``
    without momentum or with dampening.

    >>> import flambeau as fb
    >>> w = fb.tensor([2.0], requires_grad=True)
    >>> opt = fb.optim.SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     opt.zero_grad(); (w * w).sum().backward(); opt.step()
    >>> round(w.item(), 4)
    0.92
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
    ):
        check_lr(lr)
        check_nonnegative(momentum=momentum, weight_decay=weight_decay)
        check_modes(None, foreach, fused, differentiable)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _step_group(self, group):
        # Without momentum no state is made, so that the state dict stays empty as in PyTorch.
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        grads = [p.grad for p in params]
        if group["momentum"] != 0:
            states = [self.state[p] for p in params]
            bufs = [state.get("momentum_buffer") for state in states]
            for buf, grad in zip(bufs, grads):
                if buf is None:
                    _refuse_sparse(self, grad)
        else:
            states, bufs = None, [None] * len(params)
        sgd(
            params,
            grads,
            bufs,
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            differentiable=group["differentiable"],
        )
        if states is not None:
            for state, buf in zip(states, bufs):
                state["momentum_buffer"] = buf


def sgd(
    params,
    grads,
    momentum_buffers,
    *,
    lr,
    momentum,
    dampening=0,
    weight_decay=0,
    nesterov=False,
    maximize=False,
    differentiable=False,
):
    """One step of SGD on lists of tensors, in place.

    A None in ``momentum_buffers`` is replaced, in the list, by a copy of the gradient.
    """
    if _fused_sgd is not None and not differentiable:
        number, here = number_and_tensor(rate(lr))
        buffers = momentum_buffers if momentum != 0 else []
        # The first step, which makes the buffers, is the composite's.
        if all(b is not None for b in buffers) and _fused_sgd(
            params,
            grads,
            buffers,
            number,
            momentum,
            dampening,
            scalar(weight_decay),
            nesterov,
            maximize,
            here,
        ):
            return
    with flambeau.set_grad_enabled(differentiable):
        composite_sgd(
            params,
            grads,
            momentum_buffers,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )


def composite_sgd(
    params, grads, momentum_buffers, *, lr, momentum, dampening, weight_decay, nesterov, maximize
):
    """The same step written with tensor operations: any dtype and layout, differentiable."""
    lr = rate(lr)
    walk = zip(params, each(params, grads, maximize=maximize, weight_decay=weight_decay))
    for i, (param, (p, grad)) in enumerate(walk):
        if momentum != 0:
            buf = momentum_buffers[i]
            if buf is None:
                buf = grad.detach().clone()
                momentum_buffers[i] = flambeau.view_as_complex(buf) if p is not param else buf
            else:
                buf = flambeau.view_as_real(buf) if p is not param else buf
                buf.mul_(momentum).add_(grad, alpha=1 - dampening)
            grad = grad.add(buf, alpha=momentum) if nesterov else buf
        add(p, grad, -lr)
