"""One row per op; importing the package fills REGISTRY from every family's file."""

import importlib
import pkgutil

from .base import REGISTRY, OpSpec, S, T, fb

_TOOLS = ("base", "check", "gradients", "reference")

for _m in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    if _m not in _TOOLS:
        _before = set(REGISTRY)
        importlib.import_module(f"{__name__}.{_m}")
        for _key in set(REGISTRY) - _before:
            REGISTRY[_key].family = _m

__all__ = ["REGISTRY", "OpSpec", "S", "T", "fb"]
