"""Muon: momentum made orthogonal, for the matrices of hidden layers."""

from __future__ import annotations

import math

import flambeau

from ._common import check_lr, scalar, take
from .optimizer import Optimizer


class Muon(Optimizer):
    """Muon: replace the momentum of a matrix by the nearest orthogonal matrix, then step.

    Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024);
    ``adjust_lr_fn="match_rms_adamw"`` from Liu et al., "Muon is scalable for LLM training"
    (2025). Only 2-d parameters: give biases and embeddings to AdamW.
    Raises ValueError for options out of range and for parameters that are not matrices.

    >>> import flambeau as fb
    >>> w = fb.eye(2, requires_grad=True)
    >>> opt = fb.optim.Muon([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> bool(w[0, 0] < 1)
    True
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        weight_decay=0.1,
        momentum=0.95,
        nesterov=True,
        ns_coefficients=(3.4445, -4.775, 2.0315),
        eps=1e-7,
        ns_steps=5,
        adjust_lr_fn=None,
    ):
        check_lr(lr)
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                f"Adjust learning rate function {adjust_lr_fn} is not supported; "
                "use 'original' or 'match_rms_adamw'"
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {tuple(p.shape)}; give it to AdamW instead"
                    )

    def _init_state(self, state, p, grad, group):
        if p.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        state["momentum_buffer"] = flambeau.zeros_like(grad)

    def _update(self, group, params, grads, states):
        muon(
            params,
            grads,
            take(states, "momentum_buffer"),
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            nesterov=group["nesterov"],
            ns_coefficients=group["ns_coefficients"],
            ns_steps=group["ns_steps"],
            eps=group["eps"],
            adjust_lr_fn=group["adjust_lr_fn"],
        )


def muon(
    params,
    grads,
    momentum_buffers,
    *,
    lr,
    weight_decay,
    momentum,
    nesterov,
    ns_coefficients,
    ns_steps,
    eps,
    adjust_lr_fn,
):
    """One step of Muon on lists of matrices, in place."""
    lr = scalar(lr)
    for p, grad, buf in zip(params, grads, momentum_buffers):
        buf.lerp_(grad, 1 - momentum)
        update = grad.lerp(buf, momentum) if nesterov else buf
        update = _orthogonalised(update, ns_coefficients, ns_steps, eps)
        p.mul_(1 - lr * weight_decay)
        p.add_(update.to(p.dtype), alpha=-lr * _lr_ratio(adjust_lr_fn, p.shape))


def _orthogonalised(matrix, coefficients, steps: int, eps: float):
    """Newton-Schulz iteration in bfloat16, which only has to be roughly right."""
    if steps >= 100:
        raise ValueError(
            f"Number of steps must be less than 100 for computational efficiency, got {steps}"
        )
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.bfloat16()
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = flambeau.addmm(x, flambeau.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def _lr_ratio(adjust_lr_fn, shape) -> float:
    rows, cols = shape[:2]
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, cols))
    return math.sqrt(max(1, rows / cols))
