"""autograd.Function: operations whose forward and backward are written in Python."""

from __future__ import annotations

from .. import _C


class FunctionCtx:
    """What forward hands to backward: saved tensors, flags, and any attribute set on it."""

    _to_save = ()
    _saved = None
    _dirty = ()
    _frozen = ()
    _materialize = True
    needs_input_grad = ()

    def save_for_backward(self, *tensors):
        """Keep tensors for `saved_tensors` in backward; writes to them in between are noticed."""
        self._to_save = tensors

    def save_for_forward(self, *tensors):
        """Accepted for forward mode, which reads nothing from it."""

    def mark_dirty(self, *tensors):
        """Declare inputs that forward wrote in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors):
        """Declare outputs that have no gradient."""
        self._frozen = tensors

    def set_materialize_grads(self, value):
        """With False, backward gets None for outputs that were not used instead of zeros."""
        self._materialize = bool(value)

    @property
    def saved_tensors(self):
        """The tensors given to save_for_backward."""
        return self._to_save if self._saved is None else self._saved

    saved_variables = saved_tensors


class Function:
    """Subclass with static `forward(ctx, ...)` and `backward(ctx, *grads)`; call with `.apply`.

    `forward(*args)` without ctx together with `setup_context(ctx, inputs, output)` works too.

    >>> import flambeau as fb
    >>> class Cube(fb.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x ** 3
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         x, = ctx.saved_tensors
    ...         return grad * 3 * x ** 2
    >>> x = fb.tensor(2., requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        raise RuntimeError(
            f"{type(self)} should not be instantiated. Methods on autograd "
            "functions are all static, so you should invoke them on the class "
            "itself."
        )

    @staticmethod
    def forward(*args, **kwargs):
        """Computes the outputs; gradients are not recorded inside."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Fills ctx when forward does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """Gives the gradient of each argument of forward, None where there is none."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your "
            "custom autograd.Function to use it with backward mode AD."
        )

    @classmethod
    def apply(cls, *args, **kwargs):
        """Run forward and record it."""
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple(isinstance(a, _C.Tensor) and a.requires_grad for a in args)
        record = _C.is_grad_enabled() and any(ctx.needs_input_grad)
        separate = cls.setup_context is not Function.setup_context
        before = _C.is_grad_enabled()
        _C._set_grad_enabled(False)
        try:
            out = cls.forward(*args, **kwargs) if separate else cls.forward(ctx, *args, **kwargs)
            if separate:
                cls.setup_context(ctx, args, out)
        finally:
            _C._set_grad_enabled(before)
        if not record:
            return out
        outs = out if isinstance(out, tuple) else (out,)
        back = cls.backward
        if back is Function.backward:
            back = getattr(cls, "vjp", back)
        outs = _C._attach_function(
            ctx,
            back,
            cls.__name__ + "Backward",
            args,
            outs,
            ctx._to_save,
            ctx._dirty,
            ctx._frozen,
            ctx._materialize,
        )
        ctx._to_save = ()
        return outs if isinstance(out, tuple) else outs[0]


def once_differentiable(f):
    """Decorates a backward that cannot be differentiated again: doing so raises.

    >>> import flambeau as fb
    >>> @fb.autograd.once_differentiable
    ... def backward(ctx, g):
    ...     return g
    """
    import functools

    @functools.wraps(f)
    def wrapped(ctx, *grads):
        again = _C.is_grad_enabled() and any(
            isinstance(g, _C.Tensor) and g.requires_grad for g in grads
        )
        before = _C.is_grad_enabled()
        _C._set_grad_enabled(False)
        try:
            out = f(ctx, *grads)
        finally:
            _C._set_grad_enabled(before)
        if not again:
            return out
        outs = out if isinstance(out, tuple) else (out,)
        outs = tuple(_Once.apply(o, *grads) if isinstance(o, _C.Tensor) else o for o in outs)
        return outs if isinstance(out, tuple) else outs[0]

    return wrapped


class _Once(Function):
    """The identity on its first argument; its derivative is an error."""

    @staticmethod
    def forward(ctx, x, *grads):
        return x.clone()

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
