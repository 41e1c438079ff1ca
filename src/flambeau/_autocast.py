"""Autocast for functions written in Python: the whole of one runs in the type it asks for."""

from __future__ import annotations

import functools

from . import _C

_FLOATS = (_C.float16, _C.bfloat16, _C.float32)  # what is cast; float64 is left alone


def in_float32(*devices):
    """Under autocast for one of `devices`, run the function in float32, with autocast off inside.

    For functions of which the parts alone would not: losses end in means, distances begin with
    differences.
    """
    return functools.partial(_decorate, devices, "float32")


def in_widest(*devices):
    """The same in the widest type among the arguments, for functions that take no mixture."""
    return functools.partial(_decorate, devices, "widest")


def in_narrow(*devices):
    """The same in the narrow type of the context."""
    return functools.partial(_decorate, devices, "narrow")


def _decorate(devices, kind, function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        if not _C._autocast_on():
            return function(*args, **kwargs)
        return _run(devices, kind, function, args, kwargs)

    return wrapper


def _tensors(values):
    for v in values:
        if isinstance(v, _C.Tensor):
            yield v
        elif type(v) in (list, tuple):
            yield from _tensors(v)


def _is_cast(t, on):
    return t.device.type in on and t.dtype in _FLOATS


def _run(devices, kind, function, args, kwargs):
    before = {d: _C._get_autocast(d) for d in devices if _C._get_autocast(d)[0]}
    floats = [t for t in _tensors([*args, *kwargs.values()]) if _is_cast(t, before)]
    if not floats:
        return function(*args, **kwargs)
    widest = _C.float32 if any(t.dtype is _C.float32 for t in floats) else floats[0].dtype

    def convert(v):
        if isinstance(v, _C.Tensor):
            if not _is_cast(v, before):
                return v
            narrow = before[v.device.type][1]
            return v.to({"float32": _C.float32, "widest": widest, "narrow": narrow}[kind])
        return type(v)(map(convert, v)) if type(v) in (list, tuple) else v

    for d, (_, dtype, cached) in before.items():
        _C._set_autocast(d, False, dtype, cached)
    try:
        return function(*map(convert, args), **{k: convert(v) for k, v in kwargs.items()})
    finally:
        for d, state in before.items():
            _C._set_autocast(d, *state)
