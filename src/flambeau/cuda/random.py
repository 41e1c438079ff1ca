"""Random numbers on GPUs: each device's default generator and its state."""

from __future__ import annotations

from .. import _C

__all__ = [
    "get_rng_state",
    "get_rng_state_all",
    "initial_seed",
    "manual_seed",
    "manual_seed_all",
    "seed",
    "seed_all",
    "set_rng_state",
    "set_rng_state_all",
]


def _generator(device=None):
    """The default generator of a device; None: of the current one. Loads no driver for None."""
    if device is None:
        return _C._cuda_generator(_C._cuda_current_device())
    if isinstance(device, int):
        return _C._cuda_generator(device)
    device = _C.device(device)
    if device.type != "cuda":
        raise ValueError(f"expected a cuda device, but got {device}")
    return _generator(device.index)


def _all():
    """The generators of all GPUs, existing or not: seeding them needs no driver."""
    return [_C._cuda_generator(i) for i in range(64)]


def default_generators():
    """A tuple of the default generators of the GPUs of this machine."""
    return tuple(_C._cuda_generator(i) for i in range(_C._cuda_device_count()))


def get_rng_state(device="cuda"):
    """The state of a GPU's default generator: a uint8 tensor on the CPU."""
    return _generator(device).get_state()


def get_rng_state_all():
    """The states of the default generators of all GPUs.

    >>> import flambeau as fb
    >>> isinstance(fb.cuda.get_rng_state_all(), list)
    True
    """
    return [g.get_state() for g in default_generators()]


def set_rng_state(new_state, device="cuda"):
    """Restore the state of a GPU's default generator that `get_rng_state` gave."""
    _generator(device).set_state(new_state)


def set_rng_state_all(new_states):
    """Restore the states that `get_rng_state_all` gave."""
    for g, state in zip(default_generators(), new_states):
        g.set_state(state)


def manual_seed(seed):
    """Start the stream of the current GPU's default generator from `seed`.

    Safe without a GPU. A CPU seeded alike draws the same numbers.
    """
    _generator().manual_seed(int(seed))


def manual_seed_all(seed):
    """Start the streams of the default generators of all GPUs from `seed`; safe without one."""
    for g in _all():
        g.manual_seed(int(seed))


def seed():
    """Seed the current GPU's default generator from the system's entropy."""
    _generator().seed()


def seed_all():
    """Seed the default generators of all GPUs alike from the system's entropy."""
    manual_seed_all(_generator(0).seed())


def initial_seed():
    """The seed of the current GPU's default generator."""
    return _generator().initial_seed()
