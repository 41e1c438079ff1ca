"""Samplers: the order in which a dataset is read."""

from __future__ import annotations

import types
from itertools import islice

import flambeau


def draw_seed(generator=None) -> int:
    """Draw a 63-bit seed from ``generator``, or from the default one."""
    seed = flambeau.empty((), dtype=flambeau.int64, device="cpu")
    return seed.random_(generator=generator).item()


class Sampler:
    """Base class: an iterable over indices, usually with a length.

    >>> import flambeau as fb
    >>> class Backwards(fb.utils.data.Sampler):
    ...     def __init__(self, data): self.data = data
    ...     def __iter__(self): return iter(range(len(self.data) - 1, -1, -1))
    >>> [int(x) for x in fb.utils.data.DataLoader([1, 2, 3], sampler=Backwards([1, 2, 3]))]
    [3, 2, 1]
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(self, data_source=None):
        pass

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")


class SequentialSampler(Sampler):
    """0, 1, 2, ... up to the length of ``data_source``.

    >>> import flambeau as fb
    >>> list(fb.utils.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """A random order, or ``num_samples`` draws with ``replacement``.

    The order depends on ``generator``, or on a seed from the default generator, alone.
    Raises TypeError or ValueError for options of the wrong kind.

    >>> import flambeau as fb
    >>> sorted(fb.utils.data.RandomSampler(range(4)))
    [0, 1, 2, 3]
    """

    def __init__(self, data_source, replacement: bool = False, num_samples: int | None = None,
                 generator=None):
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        _check_positive("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices one pass gives; the length of the data unless it was set."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _chunks(self):
        """Yield index tensors whose concatenation is the pass."""
        n, left, generator = len(self.data_source), self.num_samples, self.generator
        if generator is None:
            generator = flambeau.Generator()
            generator.manual_seed(draw_seed())
        while left > 0:
            if self.replacement:
                size = min(left, 1024)
                chunk = flambeau.randint(0, n, (size,), generator=generator, device="cpu")
            else:
                chunk = flambeau.randperm(n, generator=generator, device="cpu")[:left]
            yield chunk
            left -= len(chunk)

    def __iter__(self):
        for chunk in self._chunks():
            yield from chunk.tolist()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in random order.

    >>> import flambeau as fb
    >>> sorted(fb.utils.data.SubsetRandomSampler([7, 3]))
    [3, 7]
    """

    def __init__(self, indices, generator=None):
        self.indices = indices
        self.generator = generator

    def __iter__(self):
        n = len(self.indices)
        for i in flambeau.randperm(n, generator=self.generator, device="cpu").tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """``num_samples`` indices drawn with probabilities in proportion to ``weights`` (1-d).

    Raises ValueError for options of the wrong kind.

    >>> import flambeau as fb
    >>> list(fb.utils.data.WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(self, weights, num_samples: int, replacement: bool = True, generator=None):
        _check_positive("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.weights = flambeau.as_tensor(weights, dtype=flambeau.float64, device="cpu")
        if self.weights.dim() != 1:
            raise ValueError(
                "weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self):
        drawn = flambeau.multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of ``batch_size`` indices from another sampler; ``drop_last`` drops a short one.

    Raises ValueError for options of the wrong kind.

    >>> import flambeau as fb
    >>> list(fb.utils.data.BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler, batch_size: int, drop_last: bool):
        _check_positive("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self):
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def _compact(self):
        """Yield the same batches as ranges or index tensors, or return None if that can't be."""
        if type(self) is not BatchSampler:
            return None
        if type(self.sampler) is SequentialSampler:
            return self._cut(range(len(self.sampler)))
        if type(self.sampler) is RandomSampler:
            return self._cut_random()
        return None

    def _cut(self, indices):
        size = self.batch_size
        end = len(indices) - (len(indices) % size if self.drop_last else 0)
        for start in range(0, end, size):
            yield indices[start : start + size]

    def _cut_random(self):
        chunks = list(self.sampler._chunks())
        if chunks:
            yield from self._cut(chunks[0] if len(chunks) == 1 else flambeau.cat(chunks))

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


def _check_positive(name: str, value) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")
