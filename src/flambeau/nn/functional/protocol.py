"""The __torch_function__ protocol's helpers, and two small ones that old code imports."""

from __future__ import annotations

from flambeau import Tensor


def has_torch_function(relevant_args):
    """Whether one of the arguments overrides functions by ``__torch_function__``."""
    return any(
        type(a) is not Tensor
        and getattr(type(a), "__torch_function__", None) is not None
        and getattr(type(a), "__torch_function__", None)
        is not getattr(Tensor, "__torch_function__", None)
        for a in relevant_args
    )


def has_torch_function_unary(arg):
    """``has_torch_function`` for one argument."""
    return has_torch_function((arg,))


def has_torch_function_variadic(*args):
    """``has_torch_function`` for separate arguments."""
    return has_torch_function(args)


def handle_torch_function(public_api, relevant_args, *args, **kwargs):
    """Call the first override that answers; TypeError if none does."""
    types = tuple({type(a): None for a in relevant_args if has_torch_function_unary(a)})
    for kind in types:
        result = kind.__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    raise TypeError(
        f"no implementation found for '{public_api.__name__}' on types that implement "
        f"__torch_function__: {[t.__name__ for t in types]}"
    )


def boolean_dispatch(arg_name, arg_index, default, if_true, if_false, module_name, func_name):
    """A function that calls ``if_true`` or ``if_false`` by the value of one of its arguments."""

    def dispatch(*args, **kwargs):
        chosen = default
        if arg_name in kwargs:
            chosen = kwargs[arg_name]
        elif arg_index < len(args):
            chosen = args[arg_index]
        return (if_true if chosen else if_false)(*args, **kwargs)

    dispatch.__name__, dispatch.__module__ = func_name, module_name
    dispatch.__doc__ = if_true.__doc__
    return dispatch


def assert_int_or_pair(arg, arg_name, message):
    """AssertionError with ``message`` (formatted with the name) unless an int or a pair."""
    if not (isinstance(arg, int) or len(arg) == 2):
        raise AssertionError(message.format(arg_name))
