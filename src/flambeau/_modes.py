"""Grad modes: no_grad, enable_grad, set_grad_enabled, inference_mode: contexts and decorators."""

from __future__ import annotations

from . import _C


class _Mode:
    """A context manager that also decorates functions and generators; entering is the core's."""

    __slots__ = ()

    def __call__(self, f):
        return _decorate(self, f)

    def clone(self):
        return type(self)()


def _decorate(mode, f):
    import functools
    import inspect

    if inspect.isclass(f):
        raise TypeError(
            f"{type(mode).__name__}: decorating a class is not supported; decorate its methods"
        )
    if inspect.isgeneratorfunction(f):

        @functools.wraps(f)
        def generator(*args, **kwargs):
            gen = f(*args, **kwargs)
            send = None
            while True:
                try:
                    with mode.clone():
                        value = gen.send(send)
                except StopIteration as stop:
                    return stop.value
                send = yield value

        return generator

    @functools.wraps(f)
    def wrapped(*args, **kwargs):
        with mode.clone():
            return f(*args, **kwargs)

    return wrapped


class no_grad(_Mode, _C._NoGrad):
    """Nothing computed inside is recorded for gradients.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> with fb.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    __slots__ = ()


class enable_grad(_Mode, _C._EnableGrad):
    """Recording is on inside, also within no_grad.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> with fb.no_grad(), fb.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    __slots__ = ()


class set_grad_enabled(_Mode, _C._SetGrad):
    """Sets recording on or off: at once, and as a context until its end.

    >>> import flambeau as fb
    >>> with fb.set_grad_enabled(False):
    ...     fb.is_grad_enabled()
    False
    """

    __slots__ = ()

    def __call__(self, f):
        _C._set_grad_enabled(self._before)
        return _decorate(self, f)

    def clone(self):
        return set_grad_enabled(self.mode)


class inference_mode(_Mode, _C._Inference):
    """Like no_grad, and the tensors made inside can never join a graph.

    >>> import flambeau as fb
    >>> with fb.inference_mode():
    ...     y = fb.ones(2) * 2
    >>> y.is_inference()
    True
    """

    __slots__ = ()

    def clone(self):
        return inference_mode(self.mode)
