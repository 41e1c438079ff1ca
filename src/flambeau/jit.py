"""jit names of PyTorch scripts: the identity, since everything runs eagerly."""

from __future__ import annotations


def script(obj=None, *args, **kwargs):
    """Returns the function or module itself.

    >>> import flambeau as fb
    >>> fb.jit.script(abs)(-1)
    1
    """
    return obj


def ignore(fn=None, **kwargs):
    """Returns the function itself; also a decorator with arguments.

    >>> import flambeau as fb
    >>> fb.jit.ignore(abs)(-1)
    1
    """
    return (lambda f: f) if fn is None or isinstance(fn, bool) else fn


unused = export = script_if_tracing = ignore


def is_scripting():
    """Whether code is being scripted: False.

    >>> import flambeau as fb
    >>> fb.jit.is_scripting()
    False
    """
    return False


is_tracing = is_scripting


def trace(func, example_inputs=None, *args, **kwargs):
    """Returns the function or module itself.

    >>> import flambeau as fb
    >>> fb.jit.trace(abs, -1)(-2)
    2
    """
    return func


def annotate(the_type, the_value):
    """Returns the value.

    >>> import flambeau as fb
    >>> fb.jit.annotate(int, 3)
    3
    """
    return the_value
