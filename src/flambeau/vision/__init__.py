"""Pictures: datasets, transforms, and utilities; each part is loaded when it is first used."""

from __future__ import annotations

_PARTS = ("datasets", "transforms", "utils")
__all__ = list(_PARTS)


def __getattr__(name):
    if name in _PARTS:
        from importlib import import_module

        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'flambeau.vision' has no attribute {name!r}; it has {_PARTS}")


def __dir__():
    return sorted([*globals(), *_PARTS])
