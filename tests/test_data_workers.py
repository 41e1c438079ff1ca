"""DataLoader workers, as processes and as threads: same batches, errors, deaths, no leaks."""

import gc
import multiprocessing
import os
import pickle
import signal
import threading
import time

import pytest

import flambeau as fb
from flambeau.utils import data as D

BOTH = pytest.mark.parametrize("kind", ["process", "thread"])
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the test classes need fork"),
]


class Images(D.Dataset):
    """Samples large enough for shared memory, of several dtypes."""

    def __len__(self):
        return 21

    def __getitem__(self, i):
        return {
            "x": fb.full((80, 80), float(i)),
            "h": fb.full((3,), float(i)).bfloat16(),
            "none": fb.empty(0, 2),
            "y": i,
            "name": str(i),
        }


class Fails(D.Dataset):
    def __init__(self, error, at=5):
        self.error, self.at = error, at

    def __len__(self):
        return 12

    def __getitem__(self, i):
        if i == self.at:
            raise self.error
        return i


class Acts(D.Dataset):
    """Calls a function on the sample number."""

    def __init__(self, f, n=12):
        self.f, self.n = f, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.f(i)


class Sharded(D.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = D.get_worker_info()
        return iter(range(info.id, self.n, info.num_workers))


def plain(loader):
    return [
        (b["x"].sum(dim=(1, 2)).tolist(), b["h"].float().tolist(), b["h"].dtype,
         b["none"].shape, b["y"].tolist(), b["name"])
        for b in loader
    ]  # fmt: skip


def workers_left():
    gc.collect()
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        left = [p for p in multiprocessing.active_children() if "DataLoader" in p.name]
        left += [t for t in threading.enumerate() if "DataLoader" in t.name]
        if not left:
            return []
        time.sleep(0.01)
    return left


@pytest.fixture(autouse=True)
def no_leaks():
    yield
    assert workers_left() == []
    if os.path.isdir("/dev/shm"):
        mine = f"flambeau-{os.getpid()}-"
        assert [f for f in os.listdir("/dev/shm") if f.startswith(mine)] == []


@BOTH
def test_same_batches(kind):
    want = plain(D.DataLoader(Images(), 4))
    for n in (1, 2):
        assert plain(D.DataLoader(Images(), 4, num_workers=n, worker_type=kind)) == want
    fb.manual_seed(1)
    want = plain(D.DataLoader(Images(), 4, shuffle=True))
    fb.manual_seed(1)
    got = plain(D.DataLoader(Images(), 4, shuffle=True, num_workers=2, worker_type=kind))
    assert got == want
    data = D.TensorDataset(fb.arange(10))
    got = [b[0].tolist() for b in D.DataLoader(data, 4, num_workers=2, worker_type=kind)]
    assert got == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    one = D.DataLoader(Acts(lambda i: i), batch_size=None, num_workers=1, worker_type=kind)
    assert list(one) == list(range(12))


@BOTH
def test_persistent_workers(kind):
    def who(i):
        return os.getpid() * 1000 + D.get_worker_info().id

    loader = D.DataLoader(Acts(who), 2, num_workers=2, worker_type=kind, persistent_workers=True)
    first = {v for b in loader for v in b.tolist()}
    assert len(first) == 2
    for _ in loader:
        break  # what was loaded ahead must not show up in the next pass
    assert {v for b in loader for v in b.tolist()} == first
    assert sum(len(b) for b in loader) == 12
    images = D.DataLoader(Images(), 4, num_workers=1, worker_type=kind, persistent_workers=True)
    next(iter(images))
    assert plain(images) == plain(D.DataLoader(Images(), 4))


@BOTH
def test_streams_are_sharded(kind):
    for n in (1, 2):
        loader = D.DataLoader(Sharded(11), 2, num_workers=n, worker_type=kind)
        batches = [b.tolist() for b in loader]
        assert sorted(sum(batches, [])) == list(range(11))
    assert batches[:2] == [[0, 2], [1, 3]]
    single = D.DataLoader(Sharded(5), batch_size=None, num_workers=2, worker_type=kind)
    assert list(single) == [0, 1, 2, 3, 4]

    def shard(worker_id):
        D.get_worker_info().dataset.n = 2 + worker_id  # the worker's own copy

    loader = D.DataLoader(Sharded(9), num_workers=2, worker_type=kind, worker_init_fn=shard)
    assert sorted(int(b) for b in loader) == [0, 1]
    assert loader.dataset.n == 9


@BOTH
def test_out_of_order(kind):
    def slow_first(i):
        time.sleep(0.3 if i == 0 else 0)
        return i

    loader = D.DataLoader(Acts(slow_first), num_workers=2, worker_type=kind, in_order=False)
    got = [int(b) for b in loader]
    assert sorted(got) == list(range(12)) and got[0] != 0


def test_process_error_carries_the_traceback():
    for error in (ValueError("odd sample"), KeyError("odd sample")):
        with pytest.raises(type(error)) as caught:
            list(D.DataLoader(Fails(error), 2, num_workers=2))
        text = str(caught.value)
        assert f"Caught {type(error).__name__} in DataLoader worker process 0" in text
        assert "odd sample" in text and "raise self.error" in text and "\n" in text

    class Local(Exception):
        pass

    with pytest.raises(RuntimeError, match="odd"):
        list(D.DataLoader(Fails(Local("odd")), 2, num_workers=1))
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(D.DataLoader(Fails(StopIteration()), 2, num_workers=1))
    with pytest.raises(Exception, match="sending a batch"):
        unpicklable = D.DataLoader(Acts(lambda i: lambda: i), batch_size=None, num_workers=1)
        list(unpicklable)


def test_thread_error_is_the_original():
    error = ValueError("odd sample")
    with pytest.raises(ValueError) as caught:
        list(D.DataLoader(Fails(error), 2, num_workers=2, worker_type="thread"))
    assert caught.value is error
    assert any("raise self.error" in str(entry.statement) for entry in caught.traceback)


@BOTH
def test_error_in_worker_init(kind):
    def broken(worker_id):
        raise OSError("no licence")

    with pytest.raises(OSError, match="no licence"):
        list(D.DataLoader(Images(), num_workers=1, worker_type=kind, worker_init_fn=broken))


def test_killed_worker_is_noticed():
    def die(i):
        if i == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    with pytest.raises(RuntimeError, match=r"worker \(pid \d+\) is killed by signal: SIGKILL"):
        list(D.DataLoader(Acts(die), 2, num_workers=2))

    def leave(i):
        os._exit(3)

    with pytest.raises(RuntimeError, match=r"worker \(pid \d+\) exited .* code 3"):
        list(D.DataLoader(Acts(leave), 2, num_workers=1))


@BOTH
def test_timeout(kind):
    def sleep(i):
        time.sleep(0.7)
        return i

    with pytest.raises(RuntimeError, match="timed out after 0.1 seconds"):
        list(D.DataLoader(Acts(sleep), num_workers=1, worker_type=kind, timeout=0.1))


@BOTH
def test_leaving_a_loop_stops_the_workers(kind):
    for _ in D.DataLoader(Images(), 2, num_workers=2, worker_type=kind):
        break
    assert workers_left() == []
    iterator = iter(D.DataLoader(Images(), 2, num_workers=1, worker_type=kind))
    next(iterator)
    del iterator
    assert workers_left() == []


def test_workers_have_their_own_seeds():
    def draw(i):
        import random

        info = D.get_worker_info()
        return [fb.rand(()).item(), random.random(), info.seed % 1000003, info.id]

    def pass_with(seed):
        fb.manual_seed(seed)
        return list(D.DataLoader(Acts(draw, 4), batch_size=None, num_workers=2))

    first = pass_with(0)
    assert first == pass_with(0) and first != pass_with(1)
    assert first[0][0] != first[1][0] and first[0][1] != first[1][1]
    assert [row[3] for row in first] == [0, 1, 0, 1] and D.get_worker_info() is None


def test_a_large_task_does_not_block():
    order = [list(range(200_000)) for _ in range(8)]

    class Sums(D.Dataset):
        def __getitems__(self, indices):
            return [fb.full((100_000,), float(len(indices)))]

    loader = D.DataLoader(Sums(), batch_sampler=order, num_workers=1, prefetch_factor=4)
    assert [b[0, 0].item() for b in loader] == [200_000.0] * 8


def test_pickled_batches_without_shared_memory(monkeypatch):
    from flambeau.utils.data._utils import transport

    monkeypatch.setattr(transport, "_SHARED", "/nowhere")
    assert plain(D.DataLoader(Images(), 4, num_workers=1)) == plain(D.DataLoader(Images(), 4))


@pytest.mark.parametrize("n, kind", [(0, "process"), (1, "process"), (2, "thread")])
def test_a_pass_can_be_resumed(n, kind):
    def loader(seeded, stream=False):
        data = Numbers(14) if stream else list(range(14))
        g = None
        if seeded:
            g = fb.Generator()
            g.manual_seed(7)
        return D.DataLoader(
            data, 3, shuffle=not stream, generator=g, num_workers=n, worker_type=kind
        )

    for seeded in (True, False):
        for stop in (1, 4):
            fb.manual_seed(5)
            first = loader(seeded)
            assert len(list(first)) == 5  # a pass before the one that is interrupted
            running = iter(first)
            seen = [next(running).tolist() for _ in range(stop)]
            state = pickle.loads(pickle.dumps(first.state_dict()))
            want = [b.tolist() for b in running] + [b.tolist() for b in first]
            assert first.state_dict()["num_yielded"] == 0
            second = loader(seeded)
            second.load_state_dict(state)
            rest = [b.tolist() for b in second]
            assert rest == want[: 5 - stop]
            assert sorted(sum(seen + rest, [])) == list(range(14))
            if seeded:  # the generator goes on as well
                assert [b.tolist() for b in second] == want[5 - stop :]
    first = loader(False, stream=True)
    running = iter(first)
    next(running)
    second = loader(False, stream=True)
    second.load_state_dict(first.state_dict())
    assert [b.tolist() for b in second] == [b.tolist() for b in running]


class Numbers(D.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = D.get_worker_info()
        return iter(range(self.n) if info is None else range(info.id, self.n, info.num_workers))
