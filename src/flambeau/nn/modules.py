"""PyTorch's paths ``nn.modules.<file>``: names that lead to the files of this package."""

from __future__ import annotations

import importlib
import sys

_FILES = {
    "activation": ("activation", "attention"),
    "adaptive": ("adaptive",),
    "batchnorm": ("norm",),
    "channelshuffle": ("vision",),
    "container": ("container",),
    "conv": ("conv",),
    "distance": ("distance",),
    "dropout": ("dropout",),
    "flatten": ("linear",),
    "fold": ("vision",),
    "instancenorm": ("norm",),
    "lazy": ("_lazy",),
    "linear": ("linear",),
    "loss": ("loss",),
    "module": ("module", "_hooks"),
    "normalization": ("norm",),
    "padding": ("padding",),
    "pixelshuffle": ("vision",),
    "pooling": ("pooling",),
    "rnn": ("recurrent",),
    "sparse": ("embedding",),
    "transformer": ("transformer",),
    "upsampling": ("vision",),
    "utils": ("_modules_utils",),
}

__path__ = []  # lets `import flambeau.nn.modules.conv` find the entries made below


class _Path(type(sys)):
    """A module that looks its names up in the files it stands for."""

    def __getattr__(self, name):
        for file in _FILES[self.__name__.rpartition(".")[2]]:
            module = importlib.import_module(f"{__package__}.{file}")
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


for _name in _FILES:
    _path = _Path(f"{__name__}.{_name}", f"Stands for {', '.join(_FILES[_name])} of flambeau.nn.")
    sys.modules[_path.__name__] = globals()[_name] = _path
del _name, _path


def __getattr__(name):
    nn = importlib.import_module(__package__)
    if name in nn.__all__:
        return getattr(nn, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
