"""Grad modes: no_grad, enable_grad, set_grad_enabled, inference_mode: contexts and decorators."""

from __future__ import annotations

from . import _C


class _Mode:
    """A context manager that also decorates functions and generators."""

    def __call__(self, f):
        return _decorate(self, f)

    def clone(self):
        return type(self)()

    def __new__(cls, f=None, *args, **kwargs):
        self = object.__new__(cls)
        if callable(f) and not isinstance(f, bool):  # @no_grad without parentheses
            self.__init__()
            return _decorate(self, f)
        return self


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


class no_grad(_Mode):
    """Nothing computed inside is recorded for gradients.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> with fb.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __init__(self, f=None):
        pass

    def __enter__(self):
        self.before = _C.is_grad_enabled()
        _C._set_grad_enabled(False)

    def __exit__(self, *exc):
        _C._set_grad_enabled(self.before)


class enable_grad(_Mode):
    """Recording is on inside, also within no_grad.

    >>> import flambeau as fb
    >>> x = fb.ones(2, requires_grad=True)
    >>> with fb.no_grad(), fb.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    def __init__(self, f=None):
        pass

    def __enter__(self):
        self.before = _C.is_grad_enabled()
        _C._set_grad_enabled(True)

    def __exit__(self, *exc):
        _C._set_grad_enabled(self.before)


class set_grad_enabled(_Mode):
    """Sets recording on or off: at once, and as a context until its end.

    >>> import flambeau as fb
    >>> with fb.set_grad_enabled(False):
    ...     fb.is_grad_enabled()
    False
    """

    def __new__(cls, mode):
        return object.__new__(cls)

    def __init__(self, mode):
        self.before = _C.is_grad_enabled()
        self.mode = bool(mode)
        _C._set_grad_enabled(self.mode)

    def __call__(self, f):
        _C._set_grad_enabled(self.before)
        return _decorate(self, f)

    def clone(self):
        return set_grad_enabled(self.mode)

    def __enter__(self):
        _C._set_grad_enabled(self.mode)

    def __exit__(self, *exc):
        _C._set_grad_enabled(self.before)


class inference_mode(_Mode):
    """Like no_grad, and the tensors made inside can never join a graph.

    >>> import flambeau as fb
    >>> with fb.inference_mode():
    ...     y = fb.ones(2) * 2
    >>> y.is_inference()
    True
    """

    def __new__(cls, mode=True):
        self = object.__new__(cls)
        if callable(mode) and not isinstance(mode, bool):
            self.__init__()
            return _decorate(self, mode)
        return self

    def __init__(self, mode=True):
        self.mode = bool(mode)

    def clone(self):
        return inference_mode(self.mode)

    def __enter__(self):
        self.before = _C.is_grad_enabled(), _C.is_inference_mode_enabled()
        if self.mode:
            _C._set_grad_enabled(False)
        _C._set_inference_enabled(self.mode)

    def __exit__(self, *exc):
        _C._set_grad_enabled(self.before[0])
        _C._set_inference_enabled(self.before[1])
