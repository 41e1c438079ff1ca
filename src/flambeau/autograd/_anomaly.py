"""Anomaly mode: backward stops at the first NaN and tells where its forward op was called."""

from __future__ import annotations

from .. import _C


class set_detect_anomaly:
    """Sets anomaly mode; as a context, until its end.

    >>> import flambeau as fb
    >>> with fb.autograd.set_detect_anomaly(True):
    ...     pass
    """

    def __init__(self, mode, check_nan=True):
        self.before = _C._anomaly()
        _C._set_anomaly(bool(mode), bool(check_nan))

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        _C._set_anomaly(*self.before)


class detect_anomaly(set_detect_anomaly):
    """Inside, backward raises at the first NaN gradient, with the forward op's lines.

    >>> import flambeau as fb
    >>> x = fb.tensor(0., requires_grad=True)
    >>> with fb.autograd.detect_anomaly():
    ...     (x * 2).backward()
    """

    def __init__(self, check_nan=True):
        super().__init__(True, check_nan)


def set_anomaly_enabled(enabled, check_nan=True):
    """Turns anomaly mode on or off.

    >>> import flambeau as fb
    >>> fb.autograd.set_anomaly_enabled(False)
    """
    _C._set_anomaly(bool(enabled), bool(check_nan))


def is_anomaly_enabled():
    """Whether anomaly mode is on.

    >>> import flambeau as fb
    >>> fb.autograd.is_anomaly_enabled()
    False
    """
    return _C._anomaly()[0]
