"""What the families of functions share: reductions, sizes, the flag handling of old names."""

from __future__ import annotations

import warnings

from flambeau import _C

REDUCTIONS = ("none", "mean", "sum")


def legacy_reduction(size_average, reduce, reduction):
    """Map PyTorch's retired ``size_average``/``reduce`` flags to a reduction name."""
    if size_average is None and reduce is None:
        return reduction
    average = True if size_average is None else size_average
    reduced = True if reduce is None else reduce
    name = "none" if not reduced else "mean" if average else "sum"
    warnings.warn(f"size_average and reduce are deprecated: use reduction='{name}'", stacklevel=3)
    return name


def reduce_loss(loss, reduction):
    """Reduce elementwise losses: 'none', 'mean' or 'sum' (ValueError otherwise)."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction: use one of {REDUCTIONS}")


def check_reduction(reduction):
    """ValueError unless ``reduction`` is 'none', 'mean' or 'sum'."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction: use one of {REDUCTIONS}")


def ntuple(value, n):
    """``value`` as a tuple of n: an int is repeated, a sequence of one too."""
    if isinstance(value, (tuple, list)):
        return tuple(value) * n if len(value) == 1 else tuple(value)
    return (value,) * n


def shape_text(t):
    """The shape of ``t`` as "[2, 3]"."""
    return str(list(t.shape))


def put_in_place(input, value):
    """Write ``value`` into ``input`` for the ``inplace=True`` forms; returns ``input``."""
    return input.copy_(value)


def vector_norm(x, p=2.0, dim=None, keepdim=False):
    """The p-norm of ``x`` along ``dim``, or of all its elements."""
    return _C.linalg_vector_norm(x, p, None if dim is None else [dim], keepdim)
