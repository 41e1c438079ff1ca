"""Gradient clipping by norm and by value."""

from __future__ import annotations

import flambeau as fb
from flambeau import _C, Tensor

from ..functional._common import vector_norm


def _list(tensors):
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all ``tensors`` as if they were one vector: a 0-d tensor.

    RuntimeError for NaN or infinity if ``error_if_nonfinite``.

    >>> import flambeau as fb
    >>> fb.nn.utils.get_total_norm([fb.tensor([3.0]), fb.tensor([4.0])]).item()
    5.0
    """
    tensors, norm_type = _list(tensors), float(norm_type)
    with fb.no_grad():
        if not tensors:
            return fb.tensor(0.0)
        total = _C._list_norm(tensors) if norm_type == 2 else None
        if total is None:  # not alike
            device = tensors[0].device
            norms = [vector_norm(t, norm_type).to(device) for t in tensors]
            total = vector_norm(fb.stack(norms), norm_type)
        if error_if_nonfinite and not bool(fb.isfinite(total)):
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from `parameters` is "
                f"non-finite ({total.item()}), so it cannot be clipped. To clip anyway, set "
                "`error_if_nonfinite=False`"
            )
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scale the gradients in place by max_norm / total_norm where that is below 1."""
    _scale([p.grad for p in _list(parameters) if p.grad is not None], max_norm, total_norm)


def _scale(grads, max_norm, total_norm):
    with fb.no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        if not _C._list_scale_(grads, factor):
            for grad in grads:
                grad.mul_(factor.to(grad.device))


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale the gradients in place so that their total norm is at most ``max_norm``.

    Returns the total norm before clipping. Pascanu et al. 2012.

    >>> import flambeau as fb
    >>> p = fb.nn.Parameter(fb.zeros(2)); p.grad = fb.tensor([3.0, 4.0])
    >>> fb.nn.utils.clip_grad_norm_([p], 1.0).item()
    5.0
    """
    grads = [g for g in [p.grad for p in _list(parameters)] if g is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    _scale(grads, max_norm, total)
    return total


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Older name of ``clip_grad_norm_``."""
    import warnings

    warnings.warn("clip_grad_norm is deprecated: use clip_grad_norm_", stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Clamp the gradients in place to [-clip_value, clip_value].

    >>> import flambeau as fb
    >>> p = fb.nn.Parameter(fb.zeros(2)); p.grad = fb.tensor([3.0, -4.0])
    >>> fb.nn.utils.clip_grad_value_(p, 1.0); p.grad.tolist()
    [1.0, -1.0]
    """
    limit = float(clip_value)
    with fb.no_grad():
        for p in _list(parameters):
            if p.grad is not None:
                p.grad.clamp_(min=-limit, max=limit)
