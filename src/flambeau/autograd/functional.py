"""Jacobians, Hessians and their products with vectors, built from `autograd.grad`."""

from __future__ import annotations

from .. import _C
from .._modes import enable_grad
from . import grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(x, what, name):
    """(tensors, whether x was a tuple); TypeError for anything but tensors."""
    many = isinstance(x, (tuple, list))
    for i, t in enumerate(x if many else (x,)):
        if not isinstance(t, _C.Tensor):
            where = f" at index {i}" if many else ""
            raise TypeError(
                f"{name}: the {what} must be a Tensor or a tuple of Tensors, but got "
                f"{type(t).__name__}{where}"
            )
    return (tuple(x) if many else (x,)), many


def _ready(inputs, create_graph):
    """Inputs to differentiate by: tied to the caller's graph only where one is wanted."""
    return tuple(
        t.view_as(t) if create_graph and t.requires_grad else t.detach().requires_grad_()
        for t in inputs
    )


def _run(func, inputs, name, create_graph):
    """(inputs, outputs, inputs were a tuple, outputs were a tuple) of one recorded call."""
    inputs, many_in = _tuple(inputs, "inputs given", name)
    inputs = _ready(inputs, create_graph)
    outputs, many_out = _tuple(func(*inputs), "outputs of the function", name)
    return inputs, outputs, many_in, many_out


def _scalar(outputs, many, name):
    if many or outputs[0].numel() != 1:
        raise RuntimeError(
            f"{name}: The Tensor returned by the function given to {name} should "
            f"contain a single element, but it returned "
            f"{[list(o.shape) for o in outputs]}"
        )


def _vector(v, like, name, what):
    """The vector as a tuple of tensors shaped like `like`; ones for a single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"{name}: The vector v can only be None if the {what} is a single "
                f"Tensor with a single element; pass v of shape "
                f"{[list(t.shape) for t in like]}"
            )
        return (_C.ones_like(like[0]),)
    v, _ = _tuple(v, "vector v", name)
    if len(v) != len(like):
        raise RuntimeError(
            f"{name}: v is a tuple of invalid length: should be {len(like)} but got {len(v)}."
        )
    for a, b in zip(v, like):
        if a.shape != b.shape:
            raise RuntimeError(
                f"{name}: v has invalid size: should be {list(b.shape)} but got {list(a.shape)}."
            )
    return v


def _grad(name, outputs, inputs, vectors, create_graph, strict, keep=True):
    """`grad` with zeros where nothing depends on an input; an error there if strict."""
    pairs = [(o, v) for o, v in zip(outputs, vectors) if o.requires_grad]
    if strict and len(pairs) < len(outputs):
        raise RuntimeError(
            f"{name}: an output of the function does not require gradients: it must "
            "be computed in a differentiable manner from the input when running "
            "in strict mode."
        )
    if not pairs:
        return tuple(_C.zeros_like(i) for i in inputs)
    out, vec = zip(*pairs)
    found = grad(out, inputs, vec, retain_graph=keep, create_graph=create_graph, allow_unused=True)
    if strict and any(g is None for g in found):
        raise RuntimeError(
            f"{name}: the output of the function is independent of input "
            f"{[g is None for g in found].index(True)}. This is not allowed in "
            "strict mode."
        )
    return tuple(_C.zeros_like(i) if g is None else g for g, i in zip(found, inputs))


def _result(tensors, many, create_graph):
    tensors = tuple(tensors) if create_graph else tuple(t.detach() for t in tensors)
    return tensors if many else tensors[0]


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v^T J): the product of a vector with the Jacobian.

    Args:
        func: takes the tensors of `inputs`, returns a tensor or a tuple of tensors.
        inputs: tensor or tuple of tensors, of any shape and floating dtype.
        v: shaped like the outputs; may be left out for a single number.
        create_graph: make the result differentiable.
        strict: RuntimeError, instead of zeros, for an output that depends on no input.

    >>> import flambeau as fb
    >>> from flambeau.autograd.functional import vjp
    >>> vjp(lambda x: x * x, fb.tensor([1., 2.]), fb.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        inputs, outputs, many_in, many_out = _run(func, inputs, "vjp", create_graph)
        v = _vector(v, outputs, "vjp", "function's output")
        found = _grad("vjp", outputs, inputs, v, create_graph, strict)
    return _result(outputs, many_out, create_graph), _result(found, many_in, create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), J v): the product of the Jacobian with a vector shaped like the inputs.

    Computed as the derivative of v^T J with respect to v (two backward passes). The other
    arguments are those of `vjp`.

    >>> import flambeau as fb
    >>> from flambeau.autograd.functional import jvp
    >>> jvp(lambda x: x * x, fb.tensor([1., 2.]), fb.tensor([1., 10.]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        inputs, outputs, _, many_out = _run(func, inputs, "jvp", create_graph)
        v = _vector(v, inputs, "jvp", "input of the function")
        seeds = tuple(_C.zeros_like(o).requires_grad_() for o in outputs)
        rows = _grad("jvp", outputs, inputs, seeds, True, strict)
        found = _grad("jvp", rows, seeds, v, create_graph, False)
    return _result(outputs, many_out, create_graph), _result(found, many_out, create_graph)


def jacobian(
    func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"
):
    """The Jacobian: for output y and input x a tensor of shape y.shape + x.shape.

    A tuple for several inputs, a tuple of tuples [output][input] for several of both.
    `vectorize` and `strategy` are accepted and change nothing. Other arguments: see `vjp`.

    >>> import flambeau as fb
    >>> from flambeau.autograd.functional import jacobian
    >>> jacobian(lambda x: x * x, fb.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(
            f"jacobian: strategy must be 'reverse-mode' or 'forward-mode', but got {strategy!r}"
        )
    with enable_grad():
        inputs, outputs, many_in, many_out = _run(func, inputs, "jacobian", create_graph)
        table = []
        for out in outputs:
            rows = []
            for i in range(out.numel()):
                unit = _C.zeros_like(out).contiguous()
                unit.view(-1)[i] = 1
                rows.append(_grad("jacobian", (out,), inputs, (unit,), create_graph, strict))
            table.append(
                tuple(
                    _C.stack([r[k] for r in rows]).reshape(*out.shape, *x.shape)
                    if rows
                    else _C.zeros_like(x).new_zeros(*out.shape, *x.shape)
                    for k, x in enumerate(inputs)
                )
            )
    table = tuple(_result(row, many_in, create_graph) for row in table)
    return table if many_out else table[0]


def hessian(
    func,
    inputs,
    create_graph=False,
    strict=False,
    vectorize=False,
    outer_jacobian_strategy="reverse-mode",
):
    """The Hessian of a function of one value: shape x.shape + x.shape, or a tuple of tuples.

    RuntimeError if the function returns more than one element.

    >>> import flambeau as fb
    >>> from flambeau.autograd.functional import hessian
    >>> hessian(lambda x: (x ** 3).sum(), fb.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    inputs, many = _tuple(inputs, "inputs given", "hessian")

    def gradient(*xs):
        outputs, several = _tuple(func(*xs), "outputs of the function", "hessian")
        _scalar(outputs, several, "hessian")
        return _grad("hessian", outputs, xs, (_C.ones_like(outputs[0]),), True, strict)

    table = jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return table if many else table[0][0]


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v^T H): the product of a vector with the Hessian of a one-valued function.

    >>> import flambeau as fb
    >>> from flambeau.autograd.functional import vhp
    >>> vhp(lambda x: (x ** 3).sum(), fb.tensor([1., 2.]), fb.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _vhp("vhp", func, inputs, v, create_graph, strict)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), H v); the Hessian is symmetric, so this is `vhp` and costs the same.

    >>> import flambeau as fb
    >>> from flambeau.autograd.functional import hvp
    >>> hvp(lambda x: (x ** 3).sum(), fb.tensor([1., 2.]), fb.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _vhp("hvp", func, inputs, v, create_graph, strict)


def _vhp(name, func, inputs, v, create_graph, strict):
    with enable_grad():
        inputs, outputs, many_in, many_out = _run(func, inputs, name, create_graph)
        _scalar(outputs, many_out, name)
        v = _vector(v, inputs, name, "input of the function")
        slopes = _grad(name, outputs, inputs, (_C.ones_like(outputs[0]),), True, strict)
        found = _grad(name, slopes, inputs, v, create_graph, strict)
    return _result(outputs, False, create_graph), _result(found, many_in, create_graph)
