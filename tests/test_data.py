"""Datasets, samplers, collating and the DataLoader without workers."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import flambeau as fb
from flambeau.utils import data as D


class Squares(D.Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        return i * i


class Stream(D.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def generator(seed):
    g = fb.Generator()
    g.manual_seed(seed)
    return g


def lists(loader):
    return [b.tolist() for b in loader]


# ---- datasets


def test_tensor_dataset():
    x, y = fb.arange(12).reshape(6, 2), fb.arange(6)
    data = D.TensorDataset(x, y)
    assert len(data) == 6 and [t.tolist() for t in data[2]] == [[4, 5], 2]
    batch = data.__getitems__([5, 0])
    assert [t.tolist() for t in batch.tensors] == [[[10, 11], [0, 1]], [5, 0]]
    assert len(batch) == 2 and [t.tolist() for t in list(batch)[1]] == [[0, 1], 0]
    with pytest.raises(AssertionError, match="Size mismatch"):
        D.TensorDataset(x, fb.arange(5))


def test_batches_do_not_share_memory_with_the_dataset():
    x = fb.zeros(4)
    for shuffle in (False, True):
        for (batch,) in D.DataLoader(D.TensorDataset(x), 2, shuffle=shuffle):
            batch.add_(1)
    assert x.tolist() == [0.0] * 4


def test_a_subclass_that_overrides_getitem_is_asked():
    class Doubled(D.TensorDataset):
        def __getitem__(self, i):
            return tuple(2 * t for t in super().__getitem__(i))

    for data in (Doubled(fb.arange(4)), D.Subset(Doubled(fb.arange(4)), [0, 1, 2, 3])):
        assert [b[0].tolist() for b in D.DataLoader(data, 2)] == [[0, 2], [4, 6]]


def test_concat_chain_stack_subset():
    both = Squares(3) + Squares(2)
    assert [both[i] for i in range(5)] == [0, 1, 4, 0, 1] and both[-1] == 1
    assert both.cumulative_sizes == [3, 5]
    with pytest.raises(ValueError, match="should not exceed"):
        both[-6]
    with pytest.raises(AssertionError):
        D.ConcatDataset([])
    with pytest.raises(AssertionError, match="IterableDataset"):
        D.ConcatDataset([Stream(1)])
    chain = Stream(2) + Stream(3)
    assert list(chain) == [0, 1, 0, 1, 2] and len(chain) == 5
    with pytest.raises(AssertionError, match="IterableDataset"):
        list(D.ChainDataset([Squares(2)]))
    stack = D.StackDataset(Squares(3), D.TensorDataset(fb.arange(3)))
    assert stack[2][0] == 4
    assert [b[0].tolist() for b in D.DataLoader(stack, 2)] == [[0, 1], [4]]
    named = D.StackDataset(a=Squares(3), b=Squares(3))
    assert named[1] == {"a": 1, "b": 1}
    assert named.__getitems__([2, 0]) == [{"a": 4, "b": 4}, {"a": 0, "b": 0}]
    with pytest.raises(ValueError, match="Size mismatch"):
        D.StackDataset(Squares(2), Squares(3))
    with pytest.raises(ValueError, match="both"):
        D.StackDataset(Squares(2), b=Squares(2))
    subset = D.Subset(Squares(5), [4, 2])
    assert list(subset) == [16, 4] and len(subset) == 2
    with pytest.raises(NotImplementedError, match="__getitems__"):
        type("Own", (D.Subset,), {"__getitem__": lambda self, i: i})(Squares(2), [0])


def test_random_split():
    parts = D.random_split(Squares(10), [7, 3], generator(0))
    assert sorted(parts[0].indices + parts[1].indices) == list(range(10))
    same = D.random_split(Squares(10), [7, 3], generator(0))
    assert same[0].indices == parts[0].indices
    assert [len(p) for p in D.random_split(Squares(10), [0.55, 0.45])] == [6, 4]
    with pytest.raises(ValueError, match="Sum of input lengths"):
        D.random_split(Squares(10), [7, 4])
    with pytest.raises(ValueError, match="Fraction"):
        D.random_split(Squares(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="is 0"):
        D.random_split(Squares(1), [0.5, 0.5])


# ---- samplers


def test_samplers():
    assert list(D.SequentialSampler(Squares(3))) == [0, 1, 2]
    random = D.RandomSampler(Squares(50), generator=generator(1))
    order = list(random)
    assert sorted(order) == list(range(50)) and order != list(range(50)) and len(random) == 50
    assert order == list(D.RandomSampler(Squares(50), generator=generator(1)))
    assert list(random) != order  # the next pass goes on in the generator's stream
    more = list(D.RandomSampler(Squares(4), num_samples=10, generator=generator(0)))
    assert sorted(more[:4]) == sorted(more[4:8]) == [0, 1, 2, 3] and len(more) == 10
    drawn = list(D.RandomSampler(Squares(3), replacement=True, num_samples=2000))
    assert set(drawn) == {0, 1, 2} and len(drawn) == 2000
    assert sorted(D.SubsetRandomSampler([4, 9, 7])) == [4, 7, 9]
    weighted = list(D.WeightedRandomSampler([0.0, 3.0, 1.0], 4000, generator=generator(0)))
    assert 0 not in weighted and weighted.count(1) == pytest.approx(3000, abs=150)
    assert sorted(D.WeightedRandomSampler([0.1, 0.9, 0.5], 3, replacement=False)) == [0, 1, 2]
    assert list(D.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert [len(D.BatchSampler(range(5), 2, drop)) for drop in (True, False)] == [2, 3]


def test_sampler_errors():
    with pytest.raises(TypeError, match="replacement"):
        D.RandomSampler(Squares(3), replacement=1)
    with pytest.raises(ValueError, match="num_samples"):
        D.RandomSampler(Squares(0))
    with pytest.raises(ValueError, match="num_samples"):
        D.WeightedRandomSampler([1.0], 0)
    with pytest.raises(ValueError, match="1d"):
        D.WeightedRandomSampler([[1.0]], 1)
    with pytest.raises(ValueError, match="batch_size"):
        D.BatchSampler(range(3), 0, False)
    with pytest.raises(ValueError, match="drop_last"):
        D.BatchSampler(range(3), 1, None)


def test_distributed_sampler():
    def shares(n, world, **options):
        return [list(D.DistributedSampler(range(n), world, r, **options)) for r in range(world)]

    assert shares(5, 2, shuffle=False) == [[0, 2, 4], [1, 3, 0]]
    assert shares(5, 2, shuffle=False, drop_last=True) == [[0, 2], [1, 3]]
    assert shares(1, 3, shuffle=False) == [[0], [0], [0]]
    mixed = shares(8, 2)
    assert sorted(mixed[0] + mixed[1]) == list(range(8)) and mixed == shares(8, 2)
    sampler = D.DistributedSampler(range(64), 2, 0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first and len(sampler) == 32
    with pytest.raises(ValueError, match="rank"):
        D.DistributedSampler(range(4), 2, 2)


# ---- collating


def test_default_collate():
    Point = namedtuple("Point", "x y")
    sample = {
        "t": fb.ones(2),
        "a": np.zeros(3, dtype=np.float32),
        "s": np.float32(1.5),
        "f": 0.5,
        "i": 3,
        "b": True,
        "text": "hi",
        "p": Point(1, 2.0),
        "tuple": (1, "x"),
        "list": [1, [2.0]],
    }
    batch = D.default_collate([sample, sample])
    assert batch["t"].shape == (2, 2) and batch["a"].shape == (2, 3)
    assert batch["a"].dtype == fb.float32 and batch["s"].dtype == fb.float32
    assert batch["f"].dtype == fb.float64 and batch["i"].dtype == fb.int64
    assert batch["b"].dtype == fb.bool and batch["text"] == ["hi", "hi"]
    assert type(batch["p"]) is Point and batch["p"].y.tolist() == [2.0, 2.0]
    assert batch["tuple"][0].tolist() == [1, 1] and list(batch["tuple"][1]) == ["x", "x"]
    assert batch["list"][1][0].tolist() == [2.0, 2.0]
    assert type(D.default_collate([OrderedDict(a=1)])) is OrderedDict


def test_collate_errors():
    with pytest.raises(RuntimeError, match="equal size"):
        D.default_collate([[1, 2], [1]])
    with pytest.raises(TypeError, match="object"):
        D.default_collate([object()])
    with pytest.raises(TypeError, match="<U1"):
        D.default_collate([np.array(["a"])])
    with pytest.raises(RuntimeError, match="collate_fn"):
        D.default_collate([fb.zeros(2), fb.zeros(3)])


def test_default_convert():
    out = D.default_convert({"a": np.arange(2), "b": (1, np.float64(2)), "c": "x"})
    assert out["a"].tolist() == [0, 1] and out["b"][0] == 1 and out["c"] == "x"
    assert isinstance(out["b"], list) and out["b"][1].item() == 2.0


# ---- the loader


def test_order_and_drop_last():
    assert lists(D.DataLoader(Squares(5), 2)) == [[0, 1], [4, 9], [16]]
    assert lists(D.DataLoader(Squares(5), 2, drop_last=True)) == [[0, 1], [4, 9]]
    assert [len(D.DataLoader(Squares(5), 2, drop_last=d)) for d in (False, True)] == [3, 2]
    assert list(D.DataLoader(Squares(3), batch_size=None)) == [0, 1, 4]
    assert lists(D.DataLoader(Squares(4), sampler=[3, 0])) == [[9], [0]]
    assert lists(D.DataLoader(Squares(4), batch_sampler=[[3], [0, 1]])) == [[9], [0, 1]]
    assert lists(D.DataLoader([7, 8])) == [[7], [8]]
    assert list(D.DataLoader(Squares(3), 2, collate_fn=tuple)) == [(0, 1), (4,)]


def test_tensor_dataset_gives_the_same_batches_by_every_way():
    x = fb.arange(23)
    for shuffle in (False, True):
        for drop_last in (False, True):
            options = {"batch_size": 4, "shuffle": shuffle, "drop_last": drop_last}
            quick = D.DataLoader(D.TensorDataset(x), generator=generator(5), **options)
            slow = D.DataLoader(list(range(23)), generator=generator(5), **options)
            for _ in range(2):
                assert [b[0].tolist() for b in quick] == lists(slow)
    subset = D.Subset(D.TensorDataset(x), [9, 7, 5])
    assert [b[0].tolist() for b in D.DataLoader(subset, 2)] == [[9, 7], [5]]
    samples = next(iter(D.DataLoader(D.TensorDataset(x), 3, collate_fn=lambda b: b)))
    assert [s[0].item() for s in samples] == [0, 1, 2] and isinstance(samples, list)


def test_shuffle_is_reproducible():
    first = lists(D.DataLoader(Squares(20), 3, shuffle=True, generator=generator(4)))
    assert first == lists(D.DataLoader(Squares(20), 3, shuffle=True, generator=generator(4)))
    assert sorted(sum(first, [])) == [i * i for i in range(20)]
    fb.manual_seed(3)
    first = lists(D.DataLoader(Squares(20), 3, shuffle=True))
    fb.manual_seed(3)
    loader = D.DataLoader(Squares(20), 3, shuffle=True)
    assert lists(loader) == first and lists(loader) != first


def test_streams():
    assert lists(D.DataLoader(Stream(5), 2)) == [[0, 1], [2, 3], [4]]
    assert lists(D.DataLoader(Stream(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert list(D.DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    assert len(D.DataLoader(Stream(5), 2)) == 3

    class Liar(Stream):
        def __len__(self):
            return 2

    loader = D.DataLoader(Liar(4))
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="reported to be 2"):
        list(loader)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"num_workers": -1}, "num_workers"),
        ({"timeout": -1}, "timeout"),
        ({"prefetch_factor": 2}, "prefetch_factor"),
        ({"persistent_workers": True}, "persistent_workers"),
        ({"sampler": [0], "shuffle": True}, "sampler option"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler option"),
        ({"batch_size": None, "drop_last": True}, "drop_last"),
        ({"batch_size": 0}, "batch_size"),
        ({"worker_type": "fibre"}, "worker_type"),
        ({"multiprocessing_context": "fork"}, "multiprocessing_context"),
        ({"num_workers": 1, "multiprocessing_context": "clone"}, "multiprocessing_context"),
    ],
)
def test_option_errors(options, text):
    with pytest.raises(ValueError, match=text):
        D.DataLoader(Squares(3), **options)


def test_more_errors():
    for option in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}):
        with pytest.raises(ValueError, match="IterableDataset"):
            D.DataLoader(Stream(3), **option)
    loader = D.DataLoader(Squares(3))
    with pytest.raises(ValueError, match="should not be set"):
        loader.batch_size = 4
    with pytest.raises(NotImplementedError):
        D.Dataset()[0]
    assert D.DataLoader[int] is not None and D.Dataset[int] is not None
