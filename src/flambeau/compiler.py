"""compile() and its helpers: eager execution under PyTorch's names."""

from __future__ import annotations


def compile(
    model=None,
    *,
    fullgraph=False,
    dynamic=None,
    backend=None,
    mode=None,
    options=None,
    disable=False,
):
    """Returns the function or module itself: everything runs eagerly. Also a decorator.

    >>> import flambeau as fb
    >>> fb.compile(lambda x: x * 2)(fb.ones(2))
    tensor([2., 2.])
    """
    if model is None:
        return lambda m: m
    return model


def is_compiling():
    """Whether code is being traced for compilation: False.

    >>> import flambeau as fb
    >>> fb.compiler.is_compiling()
    False
    """
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn=None, recursive=True, *, reason=None):
    """Returns the function itself.

    >>> import flambeau as fb
    >>> fb.compiler.disable(abs)(-1)
    1
    """
    return (lambda f: f) if fn is None else fn


def reset():
    """Forgets compiled code; there is none.

    >>> import flambeau as fb
    >>> fb.compiler.reset()
    """
