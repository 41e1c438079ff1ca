"""The DataLoader: batches from a dataset, in order, with or without workers."""

from __future__ import annotations

import os
import types
import warnings
import weakref

from ._utils.collate import default_collate, default_convert
from ._utils.worker import get_worker_info
from ._utils.iterators import SingleIter, WorkerIter
from .dataset import Dataset, IterableDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = [
    "DataLoader", "Dataset", "IterableDataset", "Sampler", "default_collate", "default_convert",
    "get_worker_info",
]


class _DatasetKind:
    Map = 0
    Iterable = 1


class _Endless(Sampler):
    """The sampler of a stream, which knows no indices."""

    def __iter__(self):
        while True:
            yield None


class DataLoader:
    """Iterate over ``dataset`` in batches; each ``iter()`` is one pass.

    ``shuffle``, ``sampler`` or ``batch_sampler`` choose the order, ``generator`` (or the default
    generator) its randomness; ``batch_size=None`` gives single samples. ``collate_fn`` turns a
    list of samples into a batch. ``num_workers`` workers load ``prefetch_factor`` batches each in
    advance, as processes or, with ``worker_type="thread"``, as threads; batches come in order
    unless ``in_order=False``. Workers get the seeds ``base_seed + id`` and are stopped with the
    iterator, or kept for the next pass with ``persistent_workers``. ``pin_memory`` matters with
    a GPU only.

    Raises ValueError for options that contradict each other. While iterating, an exception in a
    worker is raised here with the worker's traceback; a dead worker, or one that takes more than
    ``timeout`` seconds, is a RuntimeError.

    >>> import flambeau as fb
    >>> data = fb.utils.data.TensorDataset(fb.arange(5), fb.arange(5) * 2)
    >>> for x, y in fb.utils.data.DataLoader(data, batch_size=2):
    ...     print(x.tolist(), y.tolist())
    [0, 1] [0, 2]
    [2, 3] [4, 6]
    [4] [8]
    """

    __class_getitem__ = classmethod(types.GenericAlias)
    _fixed = False

    def __init__(self, dataset, batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler=None, batch_sampler=None, num_workers: int = 0, collate_fn=None,
                 pin_memory: bool = False, drop_last: bool = False, timeout: float = 0,
                 worker_init_fn=None, multiprocessing_context=None, generator=None, *,
                 prefetch_factor: int | None = None, persistent_workers: bool = False,
                 pin_memory_device: str = "", in_order: bool = True,
                 worker_type: str = "process"):
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, worker_type)
        if prefetch_factor is None and num_workers > 0:
            prefetch_factor = 2
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.worker_type = worker_type
        self.generator = generator
        self.persistent_workers = persistent_workers
        is_stream = isinstance(dataset, IterableDataset)
        self._dataset_kind = _DatasetKind.Iterable if is_stream else _DatasetKind.Map
        _check_order(is_stream, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size, drop_last = None, False
        if sampler is None:
            if is_stream:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self._iterator = None  # of persistent workers
        self._latest = None  # a weak reference to the iterator last handed out
        self._resume = None  # where the next pass begins, if not at the beginning
        self._reported_length = None
        self._fixed = True
        self.check_worker_number_rationality()

    def __setattr__(self, name, value):
        if self._fixed and name in ("batch_size", "batch_sampler", "sampler", "drop_last",
                                    "dataset", "persistent_workers"):
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self):
        """How worker processes start: a context, or None for Python's default."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context):
        if context is not None:
            context = _checked_context(context, self.num_workers)
        self._context = context

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self):
        return self.batch_sampler if self._auto_collation else self.sampler

    def __iter__(self):
        if self.num_workers == 0:
            iterator = SingleIter(self)
        elif not self.persistent_workers:
            iterator = WorkerIter(self)
        elif self._iterator is None:
            iterator = self._iterator = WorkerIter(self)
        else:
            iterator = self._iterator
            iterator.restart(self)
        self._latest = weakref.ref(iterator)
        return iterator

    def state_dict(self) -> dict:
        """Return how far the running pass has come, so that another loader can go on from there.

        Between passes it says "at the beginning". Flambeau's own samplers are restored through
        the random state that the pass began with; the state of an own sampler is yours to keep.
        """
        iterator = self._latest and self._latest()
        running = iterator is not None and not iterator.finished
        return {
            "num_yielded": iterator._num_yielded if running else 0,
            "rng_at_start": iterator._rng_at_start if running else None,
        }

    def load_state_dict(self, state_dict: dict) -> None:
        """Let the next pass go on where :meth:`state_dict` was taken, with the next batch.

        >>> import flambeau as fb
        >>> loader = fb.utils.data.DataLoader(range(4))
        >>> running = iter(loader)
        >>> int(next(running))
        0
        >>> again = fb.utils.data.DataLoader(range(4))
        >>> again.load_state_dict(loader.state_dict())
        >>> [int(batch) for batch in again]
        [1, 2, 3]
        """
        self._resume = state_dict if state_dict["rng_at_start"] is not None else None

    def __len__(self) -> int:
        if self._dataset_kind == _DatasetKind.Map:
            return len(self._index_sampler)
        length = self._reported_length = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn when there are more worker processes than CPUs to run them."""
        if not self.num_workers or self.worker_type == "thread":
            return
        if hasattr(os, "sched_getaffinity"):
            cpus = len(os.sched_getaffinity(0))
        else:
            cpus = os.cpu_count()
        if cpus is not None and self.num_workers > cpus:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our "
                f"suggested max number of worker in current system is {cpus}, which is smaller "
                "than what this DataLoader is going to create. Please be aware that excessive "
                "worker creation might get DataLoader running slow or even freeze, lower the "
                "worker number to avoid potential slowness/freeze if necessary.",
                stacklevel=3,
            )


def _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, worker_type):
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            f"multiprocessing; got {num_workers}"
        )
    if timeout < 0:
        raise ValueError(f"timeout option should be non-negative, got {timeout}")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing. let num_workers "
            "> 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError(f"prefetch_factor option should be non-negative, got {prefetch_factor}")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if worker_type not in ("process", "thread"):
        raise ValueError(f"worker_type should be 'process' or 'thread', got {worker_type!r}")


def _check_order(is_stream, batch_size, shuffle, sampler, batch_sampler, drop_last) -> None:
    if is_stream:
        given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
        for name, value in given.items():
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, but "
                    f"got {name}={value}"
                )
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler or drop_last):
        raise ValueError(
            "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and "
            "drop_last"
        )
    if batch_sampler is None and batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with "
            "drop_last"
        )


def _checked_context(context, num_workers: int):
    import multiprocessing
    from multiprocessing.context import BaseContext

    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > "
            "0), but got num_workers=0"
        )
    if isinstance(context, str):
        valid = multiprocessing.get_all_start_methods()
        if context not in valid:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{valid!r}, but got multiprocessing_context={context!r}"
            )
        context = multiprocessing.get_context(context)
    if not isinstance(context, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string "
            f"specifying the start method, but got multiprocessing_context={context}"
        )
    return context
