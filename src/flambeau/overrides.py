"""The protocol by which Tensor subclasses intercept functions."""

from __future__ import annotations

from . import _C


def has_torch_function(args):
    """Whether an argument overrides __torch_function__.

    >>> import flambeau as fb
    >>> fb.overrides.has_torch_function((fb.ones(1),))
    False
    """
    return bool(_overloaded(args))


def has_torch_function_unary(x):
    """has_torch_function of one argument."""
    return has_torch_function((x,))


def has_torch_function_variadic(*args):
    """has_torch_function of the arguments given."""
    return has_torch_function(args)


def _overloaded(args):
    base = _C.Tensor.__torch_function__.__func__
    found = []
    for a in args:
        f = getattr(type(a), "__torch_function__", None)
        if f is None or f is _C._disabled_torch_function_impl:
            continue
        if getattr(f, "__func__", f) is not base and type(a) not in [type(x) for x in found]:
            found.append(a)
    return found


def handle_torch_function(public_api, relevant_args, *args, **kwargs):
    """Call the __torch_function__ of the first argument that answers.

    Raises TypeError when every one returns NotImplemented.
    """
    for a in _overloaded(relevant_args):
        kinds = tuple(type(x) for x in relevant_args)
        r = type(a).__torch_function__(public_api, kinds, args, kwargs)
        if r is not NotImplemented:
            return r
    raise TypeError(
        f"no implementation found for {public_api!r} on types that implement "
        f"__torch_function__: {[type(a) for a in relevant_args]}"
    )


def is_tensor_like(x):
    """Whether x is a tensor or acts as one.

    >>> import flambeau as fb
    >>> fb.overrides.is_tensor_like(fb.ones(1)), fb.overrides.is_tensor_like(1)
    (True, False)
    """
    return isinstance(x, _C.Tensor) or hasattr(type(x), "__torch_function__")
