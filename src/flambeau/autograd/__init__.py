"""Automatic differentiation: backward, grad, Function, modes and numerical checks."""

from __future__ import annotations

from .. import _C
from .._C import Node
from .._modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from ._anomaly import (
    detect_anomaly,
    is_anomaly_enabled,
    set_anomaly_enabled,
    set_detect_anomaly,
)
from ._function import Function, once_differentiable

__all__ = [
    "Function",
    "Node",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_anomaly_enabled",
    "no_grad",
    "once_differentiable",
    "set_anomaly_enabled",
    "set_detect_anomaly",
    "set_grad_enabled",
]

_LAZY = {"gradcheck": "gradcheck", "gradgradcheck": "gradcheck"}
_MODULES = ("functional", "function", "graph", "forward_ad", "profiler")


def __getattr__(name):
    import importlib

    if name in _LAZY:
        value = getattr(importlib.import_module("._" + _LAZY[name], __name__), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        try:
            return importlib.import_module("." + name, __name__)
        except ModuleNotFoundError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _VariableType(type):
    def __instancecheck__(cls, x):
        return isinstance(x, _C.Tensor)


class Variable(metaclass=_VariableType):
    """Variable(data, requires_grad=False): a Tensor; the name is that of PyTorch's early days.

    >>> import flambeau as fb
    >>> from flambeau.autograd import Variable
    >>> Variable(fb.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data=None, requires_grad=False, volatile=None):
        t = _C.empty(0) if data is None else data
        if not isinstance(t, _C.Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(t).__name__}")
        r = t.detach()
        return r.requires_grad_(True) if requires_grad else r


def _listed(x):
    return (x,) if isinstance(x, _C.Tensor) else tuple(x)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the gradients of the sum of `tensors` (times `grad_tensors`) to `.grad` of the leaves.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> fb.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 2.])
    """
    tensors = _listed(tensors)
    grads = () if grad_tensors is None else _listed(grad_tensors)
    if grads and len(grads) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(grads)} gradients")
    inputs = () if inputs is None else _listed(inputs)
    keep = create_graph if retain_graph is None else retain_graph
    _C._run_backward(tensors, grads, inputs, keep, create_graph, True, True)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` stays untouched.

    Args:
        outputs: tensor(s) to differentiate; with more than one element they need grad_outputs.
        inputs: tensor(s) that require grad.
        grad_outputs: the vector(s) of the vector-Jacobian product.
        retain_graph: keep the graph for another call (default: create_graph).
        create_graph: record the computation of the gradients, for higher derivatives.
        allow_unused: give None for inputs that were not used instead of raising.
        materialize_grads: give zeros instead of None.

    >>> import flambeau as fb
    >>> x = fb.tensor(3., requires_grad=True)
    >>> g, = fb.autograd.grad(x ** 3, x, create_graph=True)
    >>> fb.autograd.grad(g, x)
    (tensor(18.),)
    """
    outs, ins = _listed(outputs), _listed(inputs)
    grads = () if grad_outputs is None else _listed(grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        n = grads[0].shape[0]
        rows = [
            _C._run_backward(
                outs, tuple(g[i] for g in grads), ins, keep or i + 1 < n, create_graph, False, True
            )
            for i in range(n)
        ]
        return tuple(
            _C.stack([r[j] for r in rows]) if rows[0][j] is not None else None
            for j in range(len(ins))
        )
    if allow_unused is None:
        allow_unused = materialize_grads
    r = _C._run_backward(outs, grads, ins, keep, create_graph, False, allow_unused)
    if materialize_grads:
        r = tuple(_C.zeros_like(i) if g is None else g for g, i in zip(r, ins, strict=True))
    return r
