"""Random numbers: the default generator and its state."""

from __future__ import annotations

import functools

from ._C import Generator, default_generator
from .cuda import random as _gpus

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


def manual_seed(seed):
    """Start the default generators' streams from `seed` (64 bits); returns the CPU's generator.

    The same seed gives the same numbers for any number of threads, and on a GPU.

    >>> import flambeau as fb
    >>> _ = fb.manual_seed(0)
    >>> a = fb.rand(3)
    >>> _ = fb.manual_seed(0)
    >>> fb.equal(a, fb.rand(3))
    True
    """
    seed = int(seed)
    generator = default_generator.manual_seed(seed)
    _gpus.manual_seed_all(default_generator.initial_seed())
    return generator


def seed():
    """Seed the default generators from the system's entropy; returns the seed.

    >>> import flambeau as fb
    >>> isinstance(fb.seed(), int)
    True
    """
    seed = default_generator.seed()
    _gpus.manual_seed_all(seed)
    return seed


def initial_seed():
    """The seed of the default generator.

    >>> import flambeau as fb
    >>> _ = fb.manual_seed(7)
    >>> fb.initial_seed()
    7
    """
    return default_generator.initial_seed()


def get_rng_state():
    """The default generator's state: a uint8 tensor.

    >>> import flambeau as fb
    >>> fb.get_rng_state().dtype
    flambeau.uint8
    """
    return default_generator.get_state()


def set_rng_state(new_state):
    """Restore a state that get_rng_state gave.

    >>> import flambeau as fb
    >>> state = fb.get_rng_state()
    >>> a = fb.rand(2)
    >>> fb.set_rng_state(state)
    >>> fb.equal(a, fb.rand(2))
    True
    """
    default_generator.set_state(new_state)


class fork_rng:
    """Inside, the default generators may be used freely; their states are restored at the end.

    `devices` names the GPUs whose generators are restored too; None: all of them.

    >>> import flambeau as fb
    >>> state = fb.get_rng_state()
    >>> with fb.random.fork_rng():
    ...     _ = fb.rand(10)
    >>> fb.equal(state, fb.get_rng_state())
    True
    """

    def __init__(self, devices=None, enabled=True, device_type="cuda", **_):
        self.enabled = enabled
        self.devices = None if devices is None or device_type != "cuda" else list(devices)

    def __enter__(self):
        if not self.enabled:
            return
        gpus = _gpus._all() if self.devices is None else [_gpus._generator(d) for d in self.devices]
        self.saved = [(g, g.get_state()) for g in [default_generator, *gpus]]

    def __exit__(self, *exc):
        if self.enabled:
            for generator, state in self.saved:
                generator.set_state(state)

    def __call__(self, function):
        """Wrap a function so that it runs inside."""

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with type(self)(self.devices, self.enabled):
                return function(*args, **kwargs)

        return wrapped
