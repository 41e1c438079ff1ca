"""Functions that transform functions: gradients, Jacobians and products, freely nested.

>>> import flambeau as fb
>>> cube = lambda x: x ** 3
>>> fb.func.grad(fb.func.grad(cube))(fb.tensor(2.))
tensor(12.)
"""

from __future__ import annotations

import threading

from . import _C, autograd
from ._modes import enable_grad
from ._tree import leaves, rebuild

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "vjp",
    "vmap",
]

_level = threading.local()


class _Level:
    """One transform in progress; nested ones keep the graph for those around them."""

    def __init__(self, args):
        self.outer = getattr(_level, "depth", 0)
        self.graph = self.outer > 0 or any(
            isinstance(t, _C.Tensor) and t.requires_grad for t in leaves(args)
        )

    def __enter__(self):
        _level.depth = self.outer + 1
        self.mode = enable_grad()
        self.mode.__enter__()
        return self

    def __exit__(self, *error):
        _level.depth = self.outer
        self.mode.__exit__(*error)

    def inputs(self, tree, name):
        """The nest with its tensors ready to differentiate by."""
        found = leaves(tree)
        for t in found:
            if not isinstance(t, _C.Tensor):
                raise TypeError(
                    f"{name}: can only differentiate by Tensors (or nests of them), "
                    f"but an argument holds a {type(t).__name__}"
                )
        return rebuild(
            tree, [t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in found]
        )

    def result(self, tree):
        """The nest, cut from the graph unless something around it may need that."""
        if self.graph:
            return tree
        return rebuild(tree, [t.detach() if isinstance(t, _C.Tensor) else t for t in leaves(tree)])


def _products(outputs, inputs, vectors, graph):
    """Vector-Jacobian products as a nest like `inputs`, zeros where nothing depends on one."""
    xs = leaves(inputs)
    pairs = [(o, v) for o, v in zip(leaves(outputs), leaves(vectors)) if o.requires_grad]
    if not pairs:
        return rebuild(inputs, [_C.zeros_like(x) for x in xs])
    outs, vecs = zip(*pairs)
    found = autograd.grad(outs, xs, vecs, retain_graph=True, create_graph=graph, allow_unused=True)
    return rebuild(inputs, [_C.zeros_like(x) if g is None else g for g, x in zip(found, xs)])


def _chosen(args, argnums, level, name):
    """(arguments with the chosen ones ready, the chosen ones)."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    args = list(args)
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise RuntimeError(
                f"{name}: argnums is {argnums}, but the function was called with "
                f"{len(args)} positional arguments"
            )
        args[n] = level.inputs(args[n], name)
    picked = tuple(args[n] for n in numbers)
    return args, picked[0] if isinstance(argnums, int) else picked


def _split(result, has_aux, name):
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(f"{name}: with has_aux=True the function must return (output, aux)")
    return result


def grad_and_value(func, argnums=0, has_aux=False):
    """A function that gives (gradient, value) of `func`, which returns one number.

    `argnums` (int or tuple) names the arguments to differentiate by: tensors or nests of them.
    With `has_aux` func returns (value, aux), and the result is (gradient, (value, aux)).
    At the outermost level the result is differentiable if an argument required grad.

    >>> import flambeau as fb
    >>> fb.func.grad_and_value(lambda x: (x * x).sum())(fb.tensor([1., 2.]))
    (tensor([2., 4.]), tensor(5.))
    """

    def call(*args, **kw):
        with _Level((args, kw)) as level:
            args, picked = _chosen(args, argnums, level, "grad")
            value, aux = _split(func(*args, **kw), has_aux, "grad")
            if not isinstance(value, _C.Tensor) or value.dim():
                what = (
                    f"a tensor with {value.dim()} dims"
                    if isinstance(value, _C.Tensor)
                    else type(value).__name__
                )
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a "
                    f"scalar Tensor, got {what}: use vjp or jacrev"
                )
            g = _products(value, picked, _C.ones_like(value), level.graph)
            g, value, aux = level.result(g), level.result(value), level.result(aux)
        return (g, (value, aux)) if has_aux else (g, value)

    return call


def grad(func, argnums=0, has_aux=False):
    """A function that gives the gradient of `func`; arguments as for `grad_and_value`.

    >>> import flambeau as fb
    >>> fb.func.grad(lambda w, x: w["a"] * x)({"a": fb.tensor(2.)}, fb.tensor(3.))
    {'a': tensor(3.)}
    """
    both = grad_and_value(func, argnums, has_aux)

    def call(*args, **kw):
        g, value = both(*args, **kw)
        return (g, value[1]) if has_aux else g

    return call


def vjp(func, *primals, has_aux=False):
    """(func(*primals), a function from a vector to its product with the Jacobian)[, aux].

    The function returns a tuple with one entry for each primal.

    >>> import flambeau as fb
    >>> y, pull = fb.func.vjp(fb.exp, fb.zeros(2))
    >>> pull(fb.tensor([1., 3.]))
    (tensor([1., 3.]),)
    """
    with _Level(primals) as level:
        inputs = tuple(level.inputs(p, "vjp") for p in primals)
        outputs, aux = _split(func(*inputs), has_aux, "vjp")

    def pull(cotangents, retain_graph=True, create_graph=None):
        graph = level.graph if create_graph is None else create_graph
        found = _products(outputs, inputs, cotangents, graph)
        return found if graph else level.result(found)

    value = level.result(outputs)
    return (value, pull, level.result(aux)) if has_aux else (value, pull)


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """(func(*primals), the product of its Jacobian with `tangents`)[, aux].

    `primals` and `tangents` are tuples alike. Computed by two backward passes. `strict` makes an
    output that depends on no primal a RuntimeError; its tangent is zero otherwise.

    >>> import flambeau as fb
    >>> fb.func.jvp(fb.square, (fb.tensor([1., 2.]),), (fb.tensor([1., 10.]),))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError(
            "jvp: primals and tangents must be tuples, but got "
            f"{type(primals).__name__} and {type(tangents).__name__}"
        )
    with _Level((primals, tangents)) as level:
        inputs = level.inputs(primals, "jvp")
        outputs, aux = _split(func(*inputs), has_aux, "jvp")
        if strict and not all(o.requires_grad for o in leaves(outputs)):
            raise RuntimeError("jvp: with strict=True every output must depend on a primal")
        seeds = rebuild(outputs, [_C.zeros_like(o).requires_grad_() for o in leaves(outputs)])
        rows = _products(outputs, inputs, seeds, True)
        tangent = level.result(_products(rows, seeds, tangents, level.graph))
        value = level.result(outputs)
    return (value, tangent, level.result(aux)) if has_aux else (value, tangent)


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None):
    """A function that gives the Jacobian of `func`: shape output.shape + input.shape.

    For nests of outputs, a nest of those with nests like the inputs inside. `chunk_size` is
    accepted: rows are computed one at a time.

    >>> import flambeau as fb
    >>> fb.func.jacrev(fb.square)(fb.tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def call(*args, **kw):
        with _Level((args, kw)) as level:
            args, picked = _chosen(args, argnums, level, "jacrev")
            outputs, aux = _split(func(*args, **kw), has_aux, "jacrev")
            found = [_rows(o, picked, level.graph) for o in leaves(outputs)]
            table = level.result(rebuild(outputs, found))
        return (table, level.result(aux)) if has_aux else table

    return call


def _rows(out, inputs, graph):
    """The Jacobian of one output tensor, as a nest like the inputs."""
    rows = []
    for i in range(out.numel()):
        unit = _C.zeros(out.numel(), dtype=out.dtype, device=out.device)
        unit[i] = 1
        rows.append(leaves(_products(out, inputs, unit.reshape(out.shape), graph)))
    xs = leaves(inputs)
    return rebuild(
        inputs,
        [
            _C.stack([r[k] for r in rows]).reshape(*out.shape, *x.shape)
            if rows
            else x.new_zeros(*out.shape, *x.shape)
            for k, x in enumerate(xs)
        ],
    )


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """The Jacobian as `jacrev` gives it (computed in reverse mode here too).

    >>> import flambeau as fb
    >>> fb.func.jacfwd(fb.square)(fb.tensor([3.]))
    tensor([[6.]])
    """
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func, argnums=0):
    """A function that gives the Hessian of `func`: the Jacobian of its Jacobian.

    >>> import flambeau as fb
    >>> fb.func.hessian(lambda x: (x ** 3).sum())(fb.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)


def functional_call(
    module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """Call `module` with the parameters and buffers of a dict (or several) in place of its own.

    >>> import flambeau as fb
    >>> layer = fb.nn.Linear(1, 1, bias=False)
    >>> fb.func.functional_call(layer, {"weight": fb.tensor([[3.]])}, fb.tensor([[2.]]))
    tensor([[6.]])
    """
    from .nn.utils import stateless

    return stateless.functional_call(
        module, parameter_and_buffer_dicts, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """Not implemented: NotImplementedError says what to do instead.

    >>> import flambeau as fb
    >>> fb.func.vmap(fb.sin)
    Traceback (most recent call last):
    NotImplementedError: vmap is not implemented: write the function for a batch ...
    """
    raise NotImplementedError(
        "vmap is not implemented: write the function for a batch (ops broadcast over leading "
        "dimensions), or stack the results of a loop"
    )
