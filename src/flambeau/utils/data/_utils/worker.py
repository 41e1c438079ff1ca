"""What runs in a worker: fetching batches, and reporting what went wrong."""

from __future__ import annotations

import sys
import threading
import traceback
from itertools import islice

from ..dataset import Gathered, batch_getter
from .collate import default_collate

_thread = threading.local()
_process_info: WorkerInfo | None = None


class WorkerInfo:
    """A worker as it sees itself: ``id``, ``num_workers``, ``seed`` and its own ``dataset``."""

    def __init__(self, id: int, num_workers: int, seed: int, dataset):
        self.id, self.num_workers, self.seed, self.dataset = id, num_workers, seed, dataset

    def __repr__(self) -> str:
        return (
            f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed}, "
            f"dataset={self.dataset})"
        )


def get_worker_info() -> WorkerInfo | None:
    """Return who this worker is, or None outside of loader workers.

    >>> import flambeau as fb
    >>> fb.utils.data.get_worker_info() is None
    True
    """
    return getattr(_thread, "info", None) or _process_info


class Fetcher:
    """Calls turn an index (or a batch of them) into a batch; StopIteration ends a stream."""

    def __init__(self, dataset, is_stream: bool, auto_collate: bool, collate_fn, drop_last: bool):
        self.dataset, self.collate_fn, self.drop_last = dataset, collate_fn, drop_last
        if is_stream:
            self.stream = iter(dataset)
            self._load = self._from_stream if auto_collate else self._next_of_stream
        elif not auto_collate:
            self._load = dataset.__getitem__
        else:
            self.getter = batch_getter(dataset)
            self._load = self._one_by_one if self.getter is None else self._at_once

    def __call__(self, index):
        return self.collate_fn(self._load(index))

    def _at_once(self, indices):
        samples = self.getter(indices)
        if type(samples) is Gathered and self.collate_fn is not default_collate:
            return list(samples)
        return samples

    def _one_by_one(self, indices):
        samples, dataset, i = [], self.dataset, None
        try:
            for i in indices:
                samples.append(dataset[i])
        except Exception as error:
            if hasattr(error, "add_note"):
                error.add_note(f"(while loading sample {i!r} of {type(dataset).__name__})")
            raise
        return samples

    def _from_stream(self, indices):
        batch = list(islice(self.stream, len(indices)))
        if not batch or (self.drop_last and len(batch) < len(indices)):
            raise StopIteration
        return batch

    def _next_of_stream(self, _):
        return next(self.stream)


class Failure:
    """An exception on its way from a worker process: its type and the text of its traceback."""

    def __init__(self, error: BaseException, where: str):
        self.where = where
        self.type = type(error)
        self.text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._make_portable()

    def _make_portable(self) -> None:
        import pickle

        try:
            pickle.loads(pickle.dumps(self.type))
        except Exception:
            # A class that the parent cannot import, say one made in a function.
            self.type = RuntimeError

    def reraise(self):
        """Raise an exception of the original type that carries the worker's traceback."""
        name = self.type.__name__
        message = f"Caught {name} in {self.where}.\nOriginal {self.text}"
        if issubclass(self.type, StopIteration):
            # Raised as it is, it would end the loop over the batches in silence.
            raise RuntimeError(message)
        if issubclass(self.type, KeyError):
            raise self.type(_Verbatim(message))
        try:
            error = self.type(message)
        except Exception:
            raise RuntimeError(message) from None
        raise error


class ThreadFailure:
    """An exception on its way from a worker thread: it is raised as it is."""

    def __init__(self, error: BaseException, where: str):
        self.error, self.where = error, where

    def reraise(self):
        """Raise the original exception, traceback and all."""
        if isinstance(self.error, StopIteration):
            raise RuntimeError(f"Caught StopIteration in {self.where}") from self.error
        raise self.error


class _Verbatim(str):
    """Text that KeyError shows as it is, with its line breaks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def work(info: WorkerInfo, fetcher_args: tuple, init_fn, where: str, failure, receive, send):
    """Answer tasks until ``receive()`` returns None.

    A task is ``("start", epoch)`` or ``(epoch, number, index)``; an answer is
    ``(epoch, number, kind, value)`` with the kinds ``data``, ``error`` and ``end`` (of a stream).
    """
    trouble, fetch, current, over = None, None, None, False
    if init_fn is not None:
        try:
            init_fn(info.id)
        except Exception as error:
            trouble = failure(error, where)
    while (task := receive()) is not None:
        if task[0] == "start":
            current, over = task[1], False
            try:
                if trouble is None:
                    fetch = Fetcher(info.dataset, *fetcher_args)
            except Exception as error:
                trouble = failure(error, where)
            continue
        epoch, number, index = task
        if epoch != current:
            continue
        if trouble is not None:
            send((epoch, number, "error", trouble))
            continue
        if over:
            send((epoch, number, "end", None))
            continue
        try:
            answer = (epoch, number, "data", fetch(index))
        except Exception as error:
            over = isinstance(error, StopIteration) and fetcher_args[0]
            answer = (epoch, number, "error", failure(error, where))
            if over:
                answer = (epoch, number, "end", None)
        send(answer)
        del answer


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and Flambeau in a worker process, each worker differently."""
    import random

    import flambeau

    random.seed(seed)
    flambeau.manual_seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)


def set_thread_info(info: WorkerInfo) -> None:
    """Make ``info`` the answer of :func:`get_worker_info` in this thread."""
    _thread.info = info


def set_process_info(info: WorkerInfo) -> None:
    """Make ``info`` the answer of :func:`get_worker_info` in this process."""
    global _process_info
    _process_info = info
