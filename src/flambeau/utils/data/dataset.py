"""Datasets: by index or as a stream, and ways to join and split them."""

from __future__ import annotations

import bisect
import math
import types
import warnings
from itertools import accumulate

import flambeau


class Dataset:
    """A collection with ``__getitem__(index)`` and, usually, ``__len__()``; ``a + b`` joins two.

    A dataset may also offer ``__getitems__(indices)``, which returns the samples of a whole
    batch: a list, or a :class:`Gathered`, which needs no collating.

    >>> import flambeau as fb
    >>> class Squares(fb.utils.data.Dataset):
    ...     def __len__(self): return 4
    ...     def __getitem__(self, i): return i * i
    >>> len(Squares() + Squares()), (Squares() + Squares())[5]
    (8, 1)
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    def __getitem__(self, index):
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """A stream of samples with ``__iter__()``.

    Each loader worker iterates over its own copy, so the stream must be divided with
    :func:`get_worker_info`, or every sample comes once from each worker.

    >>> import flambeau as fb
    >>> class Count(fb.utils.data.IterableDataset):
    ...     def __iter__(self): return iter(range(3))
    >>> [int(batch) for batch in fb.utils.data.DataLoader(Count())]
    [0, 1, 2]
    """

    def __iter__(self):
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other) -> ChainDataset:
        return ChainDataset([self, other])


class Gathered:
    """The samples of a batch, already stacked: a sequence of samples that needs no collating.

    ``tensors`` hold the batch in their first dimension; sample i is the tuple of their i-th
    entries.

    >>> import flambeau as fb
    >>> batch = fb.utils.data.Gathered([fb.arange(3), fb.ones(3)])
    >>> len(batch), [t.tolist() for t in batch[2]]
    (3, [2, 1.0])
    """

    __slots__ = ("tensors",)

    def __init__(self, tensors):
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index):
        return tuple(t[index] for t in self.tensors)

    def __iter__(self):
        return zip(*(t.unbind(0) for t in self.tensors))


class TensorDataset(Dataset):
    """Samples are the entries of ``tensors`` along their first dimension, which must agree.

    Raises AssertionError on different lengths.

    >>> import flambeau as fb
    >>> data = fb.utils.data.TensorDataset(fb.arange(4), fb.arange(4) * 10)
    >>> [t.item() for t in data[3]]
    [3, 30]
    """

    def __init__(self, *tensors):
        if not tensors:
            raise IndexError("TensorDataset needs at least one tensor")
        if any(len(tensors[0]) != len(t) for t in tensors):
            sizes = ", ".join(str(tuple(t.shape)) for t in tensors)
            raise AssertionError(
                f"Size mismatch between tensors: first dimensions differ in shapes {sizes}"
            )
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(t[index] for t in self.tensors)

    # The loader may hand over index tensors and ranges, which are quicker than lists.
    _compact_indices = True

    def __getitems__(self, indices) -> Gathered:
        if isinstance(indices, range) and indices.step == 1:
            start, size = indices.start, len(indices)
            return Gathered([t.narrow(0, start, size).clone() for t in self.tensors])
        if not isinstance(indices, flambeau.Tensor):
            indices = flambeau.tensor(indices, dtype=flambeau.int64)
        return Gathered([t.index_select(0, indices.to(t.device)) for t in self.tensors])

    def __len__(self) -> int:
        return len(self.tensors[0])


class StackDataset(Dataset):
    """Several datasets side by side: a sample is a tuple (or, by keywords, a dict) of theirs.

    Raises ValueError for no datasets, for both kinds at once and for different lengths.

    >>> import flambeau as fb
    >>> fb.utils.data.StackDataset(x=[1, 2], y=[3, 4])[1]
    {'x': 2, 'y': 4}
    """

    def __init__(self, *args, **kwargs):
        if args and kwargs:
            raise ValueError(
                "StackDataset takes datasets by position (tuple samples) or by keyword (dict "
                "samples), but both were given"
            )
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets = args or kwargs
        lengths = [len(d) for d in (args or kwargs.values())]
        if len(set(lengths)) != 1:
            raise ValueError(f"Size mismatch between datasets: lengths {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index):
        if isinstance(self.datasets, dict):
            return {key: d[index] for key, d in self.datasets.items()}
        return tuple(d[index] for d in self.datasets)

    def __getitems__(self, indices) -> list:
        if isinstance(self.datasets, dict):
            columns = [samples_of(d, indices) for d in self.datasets.values()]
            return [dict(zip(self.datasets, row)) for row in zip(*columns)]
        return list(zip(*(samples_of(d, indices) for d in self.datasets)))

    def __len__(self) -> int:
        return self._length


def batch_getter(dataset):
    """Return ``dataset.__getitems__``, or None where samples have to be fetched one by one.

    A subclass that overrides ``__getitem__`` alone means its override to be used.
    """
    for cls in type(dataset).__mro__:
        if "__getitems__" in cls.__dict__:
            return dataset.__getitems__
        if "__getitem__" in cls.__dict__ and cls is not Dataset:
            return None
    return getattr(dataset, "__getitems__", None)


def samples_of(dataset, indices):
    """Return the samples at ``indices``, all at once where the dataset can do that."""
    getter = batch_getter(dataset)
    if getter is None:
        return [dataset[i] for i in indices]
    samples = getter(indices)
    if len(samples) != len(indices):
        raise ValueError(
            "Nested dataset's output size mismatch: __getitems__ of "
            f"{type(dataset).__name__} was given {len(indices)} indices and returned "
            f"{len(samples)} samples"
        )
    return samples


class ConcatDataset(Dataset):
    """Datasets one after another.

    Raises AssertionError for an empty list and for an IterableDataset.

    >>> import flambeau as fb
    >>> fb.utils.data.ConcatDataset([[1, 2], [3]])[2]
    3
    """

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset; use ChainDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence) -> list[int]:
        """Return the running total of the lengths."""
        return list(accumulate(len(d) for d in sequence))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx):
        if idx < 0:
            if -idx > len(self):
                raise ValueError(
                    "absolute value of index should not exceed dataset length: index is "
                    f"{idx}, length {len(self)}"
                )
            idx += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        return self.datasets[which][idx - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset):
    """Streams one after another. AssertionError, when read, for what is not an IterableDataset."""

    def __init__(self, datasets):
        self.datasets = datasets

    def _parts(self):
        for d in self.datasets:
            if not isinstance(d, IterableDataset):
                raise AssertionError(
                    f"ChainDataset only supports IterableDataset, but got {type(d).__name__}"
                )
            yield d

    def __iter__(self):
        for d in self._parts():
            yield from d

    def __len__(self) -> int:
        return sum(len(d) for d in self._parts())


class Subset(Dataset):
    """The samples of ``dataset`` at ``indices``.

    >>> import flambeau as fb
    >>> list(fb.utils.data.Subset([10, 20, 30], [2, 0]))
    [30, 10]
    """

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices
        cls = type(self)
        if cls.__getitem__ is not Subset.__getitem__ and cls.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{cls.__name__} overrides __getitem__ but not __getitems__, which the DataLoader "
                "calls. Add, for instance:\n"
                "    def __getitems__(self, indices):\n"
                "        return [self[i] for i in indices]"
            )

    def __getitem__(self, idx):
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices):
        own = self.indices
        chosen = [own[i] for i in indices]
        getter = batch_getter(self.dataset)
        return [self.dataset[i] for i in chosen] if getter is None else getter(chosen)

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset, lengths, generator=None) -> list[Subset]:
    """Split at random into subsets of the given lengths, or fractions that add up to 1.

    Raises ValueError when the lengths do not add up to that of ``dataset``.

    >>> import flambeau as fb
    >>> [len(part) for part in fb.utils.data.random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        fractions, lengths = lengths, []
        for i, fraction in enumerate(fractions):
            if not 0 <= fraction <= 1:
                raise ValueError(f"Fraction at index {i} is not between 0 and 1")
            lengths.append(math.floor(total * fraction))
        for i in range(total - sum(lengths)):
            lengths[i % len(lengths)] += 1
        for i, length in enumerate(lengths):
            if length == 0:
                warnings.warn(
                    f"Length of split at index {i} is 0. This might result in an empty dataset.",
                    stacklevel=2,
                )
    if sum(lengths) != total:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"{sum(lengths)} against {total}"
        )
    order = flambeau.randperm(total, generator=generator, device="cpu").tolist()
    return [
        Subset(dataset, order[end - length : end])
        for end, length in zip(accumulate(lengths), lengths)
    ]
