"""The iterators of the loader: one pass over a dataset, with or without workers."""

from __future__ import annotations

import warnings
import weakref
from itertools import chain, islice

import flambeau

from ..dataset import IterableDataset, batch_getter
from ..sampler import BatchSampler, draw_seed
from .worker import Fetcher


def _rng_state(generator):
    return flambeau.get_rng_state() if generator is None else generator.get_state()


def _set_rng_state(generator, state) -> None:
    if generator is None:
        flambeau.set_rng_state(state)
    else:
        generator.set_state(state)


class _BaseIter:
    """What one pass needs, whoever loads the batches."""

    def __init__(self, loader):
        # Not the loader itself: it may hold this iterator, and a cycle would keep workers alive.
        self._index_sampler = loader._index_sampler
        self._is_stream = isinstance(loader.dataset, IterableDataset)
        self._promised = loader._reported_length and len(loader)
        self._fetcher_args = (
            self._is_stream, loader._auto_collation, loader.collate_fn, loader.drop_last,
        )
        self._pin = bool(loader.pin_memory) and flambeau.cuda.is_available()
        self._to_skip = 0
        self.finished = False

    def _start_pass(self, loader, indices) -> int:
        """Set ``_indices`` and return the base seed; go on in mid-pass if the loader was told to.

        ``indices`` draws random numbers when it is first asked; they come from the state that
        the interrupted pass began with, and the default generator is left as it was.
        """
        resume, loader._resume = loader._resume, None
        self._indices, self._num_yielded, self.finished = indices, 0, False
        if resume is None:
            self._rng_at_start = _rng_state(loader.generator)
            return draw_seed(loader.generator)
        outside = flambeau.get_rng_state() if loader.generator is None else None
        self._rng_at_start = resume["rng_at_start"]
        _set_rng_state(loader.generator, self._rng_at_start)
        try:
            seed = draw_seed(loader.generator)
            if not self._is_stream:
                self._num_yielded = resume["num_yielded"]
                rest = islice(indices, self._num_yielded, None)
                self._indices = chain(list(islice(rest, 1)), rest)
        finally:
            if outside is not None:
                flambeau.set_rng_state(outside)
        self._to_skip = resume["num_yielded"] - self._num_yielded
        return seed

    def _skip(self) -> None:
        """Read and drop what an interrupted pass over a stream had given already."""
        skip, self._to_skip = self._to_skip, 0
        for _ in range(skip):
            next(self)

    def __iter__(self):
        return self

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self):
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")

    def _note_stream(self, batch):
        """Warn when a stream gives more batches than its length promised."""
        if self._promised is not None and self._num_yielded > self._promised:
            warnings.warn(
                f"Length of IterableDataset was reported to be {self._promised} batches (when "
                f"accessing len(dataloader)), but {self._num_yielded} have been fetched. With "
                "workers, divide the stream among them with get_worker_info().",
                stacklevel=3,
            )
        return batch


class SingleIter(_BaseIter):
    """Loads batches in the thread that asks for them."""

    def __init__(self, loader):
        super().__init__(loader)
        indices = None
        if getattr(loader.dataset, "_compact_indices", False) and loader._auto_collation:
            batches = loader.batch_sampler
            if isinstance(batches, BatchSampler) and batch_getter(loader.dataset) is not None:
                indices = batches._compact()
        self._start_pass(loader, iter(loader._index_sampler) if indices is None else indices)
        self._fetch = Fetcher(loader.dataset, *self._fetcher_args)
        self._skip()

    def __next__(self):
        try:
            batch = self._fetch(next(self._indices))
        except StopIteration:
            self.finished = True
            raise
        self._num_yielded += 1
        if self._pin:
            batch = pin_memory(batch)
        return self._note_stream(batch) if self._is_stream else batch


class WorkerIter(_BaseIter):
    """Hands indices to workers in turn and returns their batches in order."""

    def __init__(self, loader):
        super().__init__(loader)
        from .crew import ProcessCrew, ThreadCrew

        self._count = loader.num_workers
        self._ahead = loader.prefetch_factor * self._count
        self._in_order, self._timeout = loader.in_order, loader.timeout
        self._keeper = weakref.ref(loader) if loader.persistent_workers else None
        self._epoch = 0
        seed = self._start_pass(loader, iter(loader._index_sampler))
        crew = ThreadCrew if loader.worker_type == "thread" else ProcessCrew
        self._crew = crew(loader, seed, self._fetcher_args)
        self._begin()

    def restart(self, loader) -> None:
        """Begin another pass with the same workers."""
        self._start_pass(loader, iter(loader._index_sampler))
        self._begin()

    def _begin(self) -> None:
        self._epoch += 1
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
        self._skip()

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
                self._num_yielded += 1
                self._dispatch()
                if self._pin:
                    value = pin_memory(value)
                return self._note_stream(value) if self._is_stream else value
        except BaseException:
            self._stop()
            raise
        self.finished = True
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
