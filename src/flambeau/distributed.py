"""Answers to what single-process scripts ask of torch.distributed."""

from __future__ import annotations


def is_available():
    """Whether processes can be joined into a group: False in this build.

    >>> import flambeau as fb
    >>> fb.distributed.is_available()
    False
    """
    return False


def is_initialized():
    """Whether a process group exists: False.

    >>> import flambeau as fb
    >>> fb.distributed.is_initialized()
    False
    """
    return False


is_torchelastic_launched = is_initialized


def get_rank(group=None):
    """This process's number: 0.

    >>> import flambeau as fb
    >>> fb.distributed.get_rank()
    0
    """
    return 0


def get_world_size(group=None):
    """The number of processes: 1.

    >>> import flambeau as fb
    >>> fb.distributed.get_world_size()
    1
    """
    return 1


def barrier(*args, **kwargs):
    """Waits for the other processes; there are none.

    >>> import flambeau as fb
    >>> fb.distributed.barrier()
    """


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def missing(*args, **kwargs):
        raise NotImplementedError(
            f"flambeau.distributed.{name}: training on several processes is not supported"
        )

    missing.__name__ = name
    return missing
