"""Helpers around training: data loading, checkpointing of activations, hooks, logging."""

_LAZY = ("data", "checkpoint", "hooks", "tensorboard")


def __getattr__(name):
    if name in _LAZY:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_LAZY])
