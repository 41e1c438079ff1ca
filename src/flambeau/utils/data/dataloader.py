"""The DataLoader: batches from a dataset, in order, with or without workers."""

from __future__ import annotations

import os
import types
import warnings
import weakref

import flambeau

from ._utils.collate import default_collate, default_convert
from ._utils.worker import Fetcher, get_worker_info
from .dataset import Dataset, IterableDataset, batch_getter
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

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
        self._iterator = None
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
            return _SingleIter(self)
        if not self.persistent_workers:
            return _WorkerIter(self)
        if self._iterator is None:
            self._iterator = _WorkerIter(self)
        else:
            self._iterator.restart()
        return self._iterator

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


class _BaseIter:
    """What one pass needs, whoever loads the batches."""

    def __init__(self, loader):
        # Not the loader itself: it may hold this iterator, and a cycle would keep workers alive.
        self._index_sampler = loader._index_sampler
        self._is_stream = loader._dataset_kind == _DatasetKind.Iterable
        self._promised = loader._reported_length and len(loader)
        self._fetcher_args = (
            self._is_stream, loader._auto_collation, loader.collate_fn, loader.drop_last,
        )
        self._pin = bool(loader.pin_memory) and flambeau.cuda.is_available()
        self._num_yielded = 0

    def __iter__(self):
        return self

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self):
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")

    def _note_stream(self, batch):
        """Warn when a stream gives more batches than its length promised."""
        self._num_yielded += 1
        if self._promised is not None and self._num_yielded > self._promised:
            warnings.warn(
                f"Length of IterableDataset was reported to be {self._promised} batches (when "
                f"accessing len(dataloader)), but {self._num_yielded} have been fetched. With "
                "workers, divide the stream among them with get_worker_info().",
                stacklevel=3,
            )
        return batch


class _SingleIter(_BaseIter):
    """Loads batches in the thread that asks for them."""

    def __init__(self, loader):
        super().__init__(loader)
        indices = None
        if getattr(loader.dataset, "_compact_indices", False) and loader._auto_collation:
            batches = loader.batch_sampler
            if isinstance(batches, BatchSampler) and batch_getter(loader.dataset) is not None:
                indices = batches._compact()
        self._indices = iter(loader._index_sampler) if indices is None else indices
        draw_seed(loader.generator)  # as with workers, so that the random stream is the same
        self._fetch = Fetcher(loader.dataset, *self._fetcher_args)

    def __next__(self):
        batch = self._fetch(next(self._indices))
        if self._pin:
            batch = pin_memory(batch)
        return self._note_stream(batch) if self._is_stream else batch


class _WorkerIter(_BaseIter):
    """Hands indices to workers in turn and returns their batches in order."""

    def __init__(self, loader):
        super().__init__(loader)
        from ._utils.crew import ProcessCrew, ThreadCrew

        self._count = loader.num_workers
        self._ahead = loader.prefetch_factor * self._count
        self._in_order, self._timeout = loader.in_order, loader.timeout
        self._generator = loader.generator
        self._keeper = weakref.ref(loader) if loader.persistent_workers else None
        self._epoch = 0
        self._indices = iter(loader._index_sampler)
        seed = draw_seed(loader.generator)
        crew = ThreadCrew if loader.worker_type == "thread" else ProcessCrew
        self._crew = crew(loader, seed, self._fetcher_args)
        self._begin()

    def restart(self) -> None:
        """Begin another pass with the same workers."""
        self._indices = iter(self._index_sampler)
        draw_seed(self._generator)
        self._begin()

    def _begin(self) -> None:
        self._epoch += 1
        self._num_yielded = 0
        self._sent = self._next = 0
        self._turn = 0
        self._arrived: dict = {}
        self._owner: dict = {}
        self._active = [True] * self._count
        self._load = [0] * self._count
        for worker in range(self._count):
            self._crew.send(worker, ("start", self._epoch))
        for _ in range(self._ahead):
            self._dispatch()

    def _dispatch(self) -> None:
        """Send one more batch of indices to the worker whose turn it is."""
        if not any(self._active):
            return
        if self._in_order:
            while not self._active[self._turn]:
                self._turn = (self._turn + 1) % self._count
            worker = self._turn
            self._turn = (self._turn + 1) % self._count
        else:
            candidates = [w for w in range(self._count) if self._active[w]]
            worker = min(candidates, key=self._load.__getitem__)
        try:
            index = next(self._indices)
        except StopIteration:
            self._active = [False] * self._count
            return
        self._owner[self._sent] = worker
        self._load[worker] += 1
        self._crew.send(worker, (self._epoch, self._sent, index))
        self._sent += 1

    def _receive(self) -> None:
        for epoch, number, kind, value in self._crew.receive(self._timeout):
            if epoch == self._epoch:
                self._load[self._owner[number]] -= 1
                self._arrived[number] = (kind, value)

    def _next_answer(self):
        if not self._owner and self._ahead == 0:
            self._dispatch()
        while self._owner:
            if self._in_order:
                number = self._next if self._next in self._arrived else None
            else:
                number = next(iter(self._arrived), None)
            if number is None:
                self._receive()
                continue
            self._next += 1
            return self._owner.pop(number), *self._arrived.pop(number)
        return None

    def __next__(self):
        try:
            while (answer := self._next_answer()) is not None:
                worker, kind, value = answer
                if kind == "end":
                    self._active[worker] = False
                    self._dispatch()
                    continue
                if kind == "error":
                    value.reraise()
                self._dispatch()
                if self._pin:
                    value = pin_memory(value)
                return self._note_stream(value) if self._is_stream else value
        except BaseException:
            self._stop()
            raise
        if self._keeper is None:
            self._crew.close()
        raise StopIteration

    def _stop(self) -> None:
        """End the workers after trouble; a persistent loader will start new ones."""
        self._owner.clear()
        self._active = [False] * self._count
        keeper = self._keeper and self._keeper()
        if keeper is not None and keeper._iterator is self:
            keeper._iterator = None
        self._crew.close()


def pin_memory(data):
    """Copy the tensors inside ``data`` to page-locked memory, from which a GPU copies faster."""
    if isinstance(data, flambeau.Tensor) or hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, dict):
        return {key: pin_memory(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(pin_memory, data))
    if isinstance(data, (list, tuple)):
        return type(data)(map(pin_memory, data))
    return data
