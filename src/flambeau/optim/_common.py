"""What the update rules share: argument checks, scalars, and the walk over lists of tensors."""

from __future__ import annotations

import flambeau
from flambeau import _C


def fused(name: str):
    """Return the one-pass C++ update ``name``, or None where the core has none.

    A fused update returns False, touching nothing, for tensors it cannot take.
    """
    return getattr(_C, name, None)


_fused_rule = fused("_fused_rule_")
_RULES = ("adadelta", "adamax", "nadam", "radam", "asgd", "rprop")  # in the order of OptimRule


def fused_rule(
    name,
    lists,
    steps,
    lr,
    numbers,
    *,
    weight_decay=0,
    decoupled=False,
    maximize=False,
    scalars=(),
    rates=(),
):
    """Run one step of rule ``name`` in the core; False, with nothing touched, where it cannot.

    ``lists`` are the parameters, gradients and states; ``numbers`` the rule's constants.
    """
    number, here = number_and_tensor(rate(lr))
    if here is not None or _fused_rule is None or _C.is_grad_enabled():
        return False
    numbers = (*numbers, 0.0, 0.0, 0.0, 0.0)[:4]
    params, grads, first, second = (*lists, ())[:4]
    return _fused_rule(
        _RULES.index(name),
        params,
        grads,
        first,
        second,
        steps,
        scalars,
        rates,
        number,
        *map(scalar, numbers),
        scalar(weight_decay),
        decoupled,
        maximize,
    )


def scalar(value):
    """Return a Python number for a number or a one-element Tensor."""
    return value.item() if isinstance(value, flambeau.Tensor) else value


def rate(value):
    """Return a learning rate as a number, or as it is when it is on a GPU: nothing waits for it."""
    return value if isinstance(value, flambeau.Tensor) and value.is_cuda else scalar(value)


def number_and_tensor(lr):
    """Return a `rate` as a fused update takes it: a number, and the tensor that counts instead."""
    return (0.0, lr) if isinstance(lr, flambeau.Tensor) else (lr, None)


def new_step(p, group):
    """Return the 0-d float tensor in which the state of ``p`` counts its steps.

    It is on the CPU, where reading it is free, unless ``capturable`` or ``fused`` asks for ``p``'s
    device: then steps can be recorded in a CUDA graph.
    """
    wide = flambeau.get_default_dtype() == flambeau.float64
    there = group.get("capturable") or group.get("fused")
    return flambeau.zeros(
        (),
        dtype=flambeau.float64 if wide else flambeau.float32,
        device=p.device if there else "cpu",
    )


def bump(step):
    """Add one to a step counter; return it as a number, or on a GPU the counter, not waiting."""
    step.add_(1)
    return step if step.is_cuda else step.item()


def add(p, direction, size) -> None:
    """Add ``size * direction`` to ``p``; the size is a number or a 0-d tensor."""
    if isinstance(size, flambeau.Tensor):
        p.add_(direction * size)
    else:
        p.add_(direction, alpha=size)


def add_quotient(p, a, b, size) -> None:
    """Add ``size * a / b`` to ``p``; the size is a number or a 0-d tensor."""
    if isinstance(size, flambeau.Tensor):
        p.add_(a * size / b)
    else:
        p.addcdiv_(a, b, value=size)


def each(params, grads, *states, maximize=False, weight_decay=0):
    """Yield ``(param, grad, *state)``: sign and L2 penalty applied, complex seen as real pairs."""
    for p, grad, *own in zip(params, grads, *states):
        if maximize:
            grad = -grad
        if weight_decay != 0:
            grad = grad.add(p, alpha=weight_decay)
        if p.is_complex():
            p, grad = flambeau.view_as_real(p), flambeau.view_as_real(grad)
            own = [as_real(t) for t in own]
        yield (p, grad, *own)


def as_real(t):
    """See a complex tensor as pairs of reals; leave anything else (None too) alone."""
    return flambeau.view_as_real(t) if t is not None and t.is_complex() else t


def plus(t, eps):
    """Add ``eps`` to a fresh tensor: in place unless autograd still needs it."""
    return t + eps if t.requires_grad else t.add_(eps)


def take(states, key) -> list:
    """Return ``[state[key] for state in states]``, with None where a state lacks it."""
    return [state.get(key) for state in states]


def check_lr(lr) -> None:
    """Refuse a negative learning rate (ValueError), and a Tensor with more than one element."""
    if isinstance(lr, flambeau.Tensor) and lr.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, but it has shape {tuple(lr.shape)}")
    if not 0.0 <= lr:
        raise ValueError(f"Invalid learning rate: {lr} (it must be >= 0)")


def check_nonnegative(**values) -> None:
    """Refuse negative or NaN values (ValueError); the keyword is the name in the message."""
    for name, value in values.items():
        if not 0.0 <= value:
            raise ValueError(f"Invalid {name} value: {value} (it must be >= 0)")


def check_betas(betas) -> None:
    """Refuse decay rates outside [0, 1) (ValueError)."""
    for i, beta in enumerate(betas[:2]):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta} (it must be in [0, 1))")


def check_modes(lr, foreach, fused=None, differentiable=False, capturable=False) -> None:
    """Refuse combinations of the speed switches that contradict each other.

    Flambeau chooses the fastest way itself; the switches are checked and kept, not needed.
    """
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if isinstance(lr, flambeau.Tensor) and foreach and not capturable:
        raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
