"""Random numbers: the default generator and its state."""

from __future__ import annotations

from ._C import Generator, default_generator

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
    """Start the default generator's stream from `seed` (64 bits); returns the generator.

    The same seed gives the same numbers for any number of threads.

    >>> import flambeau as fb
    >>> _ = fb.manual_seed(0)
    >>> a = fb.rand(3)
    >>> _ = fb.manual_seed(0)
    >>> fb.equal(a, fb.rand(3))
    True
    """
    return default_generator.manual_seed(int(seed))


def seed():
    """Seed the default generator from the system's entropy; returns the seed.

    >>> import flambeau as fb
    >>> isinstance(fb.seed(), int)
    True
    """
    return default_generator.seed()


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
    """Inside, the default generator may be used freely; its state is restored at the end.

    >>> import flambeau as fb
    >>> state = fb.get_rng_state()
    >>> with fb.random.fork_rng():
    ...     _ = fb.rand(10)
    >>> fb.equal(state, fb.get_rng_state())
    True
    """

    def __init__(self, devices=None, enabled=True, **_):
        self.enabled = enabled

    def __enter__(self):
        self.state = get_rng_state()

    def __exit__(self, *exc):
        if self.enabled:
            set_rng_state(self.state)
