"""Adafactor: adaptive steps with factored second moments."""

from __future__ import annotations

import flambeau

from ._common import bump, check_lr, new_step, scalar, take
from .optimizer import Optimizer


class Adafactor(Optimizer):
    """Adafactor: the second moment of a matrix is kept as one row and one column.

    Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost" (2018);
    ``lr`` bounds the relative step and scales the decoupled weight decay; ``eps[0]`` None means
    the machine epsilon of the dtype. Raises ValueError for options out of range and
    RuntimeError for complex parameters.

    >>> import flambeau as fb
    >>> w = fb.ones(2, 2, requires_grad=True)
    >>> opt = fb.optim.Adafactor([w], lr=0.25)
    >>> w.sum().backward()
    >>> opt.step()
    >>> round(w[0, 0].item(), 4)
    0.75
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        beta2_decay=-0.8,
        eps=(None, 1e-3),
        d=1.0,
        weight_decay=0.0,
        *,
        foreach=None,
        maximize=False,
    ):
        check_lr(lr)
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    def _init_state(self, state, p, grad, group):
        if p.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        state["step"] = new_step(p, group)
        if grad.dim() > 1:
            state["row_var"] = grad.new_zeros((*grad.shape[:-1], 1))
            state["col_var"] = grad.new_zeros((*grad.shape[:-2], 1, grad.shape[-1]))
        else:
            state["variance"] = flambeau.zeros_like(grad)

    def _update(self, group, params, grads, states):
        eps1, eps2 = group["eps"]
        adafactor(
            params,
            grads,
            take(states, "row_var"),
            take(states, "col_var"),
            take(states, "variance"),
            take(states, "step"),
            d=group["d"],
            lr=group["lr"],
            beta2_decay=group["beta2_decay"],
            weight_decay=group["weight_decay"],
            eps1=eps1,
            eps2=eps2,
            maximize=group["maximize"],
        )


def adafactor(
    params,
    grads,
    row_vars,
    col_vars,
    variances,
    state_steps,
    *,
    d,
    lr,
    beta2_decay,
    weight_decay,
    eps1,
    eps2,
    maximize,
):
    """One step of Adafactor on lists of tensors, in place."""
    lr = scalar(lr)
    for p, grad, row, col, var, count in zip(
        params, grads, row_vars, col_vars, variances, state_steps
    ):
        grad = -grad if maximize else grad
        floor = flambeau.finfo(p.dtype).eps if eps1 is None else eps1
        step = bump(count)
        mix = step**beta2_decay
        rms = p.norm().item() / p.numel() ** 0.5
        alpha = max(eps2, rms) * min(lr, 1 / step**0.5)
        if weight_decay != 0:
            p.mul_(1 - lr * weight_decay)
        square = grad * grad
        if grad.dim() > 1:
            row.lerp_(square.mean(dim=-1, keepdim=True), mix)
            col.lerp_(square.mean(dim=-2, keepdim=True), mix)
            estimate = row @ col / row.mean(dim=-2, keepdim=True).clamp(min=floor)
        else:
            estimate = var.lerp_(square, mix)
        update = estimate.clamp(min=floor * floor).rsqrt_().mul_(grad)
        clip = max(1.0, update.norm().item() / (update.numel() ** 0.5 * d))
        p.add_(update, alpha=-alpha / clip)
