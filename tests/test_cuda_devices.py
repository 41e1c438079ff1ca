"""Work on two GPUs: training on the one that is not current, copies, streams and events."""

import numpy as np
import pytest

from cuda_support import exact_products, needs_cuda  # noqa: F401
from under_test import fb

pytestmark = [
    needs_cuda,
    pytest.mark.skipif(
        not fb.cuda.is_available() or fb.cuda.device_count() < 2, reason="needs two GPUs"
    ),
]
FIRST, SECOND = "cuda:0", "cuda:1"


def train(device):
    """Two steps of a small net of many kinds of layers; its losses and what it learned."""
    fb.manual_seed(3)
    nn = fb.nn
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(36, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3),
    ).to(device)  # fmt: skip
    words = nn.Embedding(5, 36).to(device)
    parameters = [*net.parameters(), *words.parameters()]
    opt = fb.optim.AdamW(parameters, lr=0.01)
    x, label = fb.randn(4, 1, 8, 8).to(device), fb.tensor([0, 2, 1, 2], device=device)
    losses = []
    for _ in range(2):
        opt.zero_grad()
        extra = words(label).view(4, 1, 6, 6)
        loss = nn.functional.cross_entropy(net(x + nn.functional.pad(extra, (1, 1, 1, 1))), label)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        opt.step()
        losses.append(loss.item())
    assert {str(p.grad.device) for p in parameters} == {device}
    return losses, [p.detach().cpu().numpy() for p in parameters]


@pytest.mark.usefixtures("exact_products")
def test_training_on_the_device_that_is_not_current():
    before = fb.cuda.memory_allocated(0)
    losses, learned = train(SECOND)
    assert fb.cuda.current_device() == 0 and fb.cuda.memory_allocated(0) == before
    expected_losses, expected = train("cpu")
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    for got, want in zip(learned, expected):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_indices_sorts_and_random_numbers():
    x = fb.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]], device=SECOND)
    assert x.sort().indices.tolist() == [[1, 2, 0], [0, 2, 1]]
    assert x[x > 2].tolist() == [3, 5, 4] and x.nonzero().device.index == 1
    assert x[:, fb.tensor([0, 2])].tolist() == [[3, 2], [0, 4]]
    assert x.cumsum(1).tolist() == [[3, 4, 6], [0, 5, 9]]
    x[0, 1] = 7
    assert (x @ x.T).tolist() == [[62, 43], [43, 41]] and x.amax().item() == 7
    fb.cuda.manual_seed_all(5)
    a, b = fb.rand(100, device=FIRST), fb.rand(100, device=SECOND)
    assert a.tolist() == b.tolist(), "equal seeds, equal numbers"
    with pytest.raises(IndexError, match="cuda:1"):
        x[fb.tensor([9], device=SECOND)].cpu()
        fb.cuda.synchronize(1)
    assert x.sum().item() == 21


@pytest.mark.parametrize("there, back", [(FIRST, SECOND), (SECOND, FIRST)])
def test_copies_between_devices(there, back):
    x = fb.arange(24.0, device=there).view(4, 6)
    for way in (x, x.T, x[::2, 1:4], x[:0]):
        y = way.to(back)
        assert str(y.device) == back and y.tolist() == way.tolist()
        z = fb.zeros(way.shape, dtype=fb.float64, device=back)
        assert z.copy_(way).tolist() == way.tolist()
        z.T.copy_(way.T + 1)
        assert z.tolist() == (way + 1).tolist()
    w = x.clone().requires_grad_()
    w.to(back).mul(3).sum().backward()
    assert str(w.grad.device) == there and w.grad.unique().tolist() == [3]
    # the copy comes after what the source's stream still computes, and before what overwrites it
    big = fb.zeros(1 << 16, device=there)
    for i in range(4):
        big.fill_(i)
        copy = big.to(back, non_blocking=True)
        big.fill_(-1)
        assert copy.unique().tolist() == [i]


def test_mixed_devices_are_refused():
    a, b = fb.ones(2, 2, device=FIRST), fb.ones(2, 2, device=SECOND)
    for call in (
        lambda: a + b,
        lambda: a @ b,
        lambda: fb.cat([a, b]),
        lambda: a.add_(b),
        lambda: fb.where(a > 0, a, b),
        lambda: a.gather(0, b.long()),
        lambda: fb.nn.functional.linear(a, b),
    ):
        with pytest.raises(RuntimeError, match="cuda:1.*cuda:0|cuda:0.*cuda:1"):
            call()
    assert (a + b.sum().cpu()).tolist() == [[5, 5], [5, 5]], "a number on the CPU goes everywhere"


def test_the_current_device_is_set():
    fb.cuda.set_device(1)
    try:
        assert fb.zeros(1, device="cuda").device == fb.device(SECOND) == fb.zeros(1).cuda().device
        with fb.cuda.device(FIRST):
            assert fb.zeros(1).cuda().device.index == 0
            x = fb.ones(3, device=SECOND)
            assert (x + 1).device == x.device and fb.cuda.current_device() == 0
        assert fb.cuda.current_device() == 1
        fb.cuda.empty_cache()
        assert fb.cuda.current_device() == 1 and (x * 2).tolist() == [2, 2, 2]
    finally:
        fb.cuda.set_device(0)


def test_streams_and_events_of_both():
    other = fb.cuda.Stream(SECOND)
    assert other.device.index == 1 and fb.cuda.current_stream(1) != other
    first = fb.cuda.current_stream(0)
    with fb.cuda.stream(other):
        assert fb.cuda.current_device() == 1 and fb.cuda.current_stream(1) == other
        x = fb.ones(1 << 16, device="cuda")
        for _ in range(5):
            x = x * 2
        done = other.record_event()
    assert fb.cuda.current_device() == 0 and fb.cuda.current_stream(0) == first
    first.wait_event(done)  # an event of the other GPU
    fb.cuda.current_stream(1).wait_event(done)
    y = x.to(FIRST)
    assert y.unique().tolist() == [32]
    start, end = (fb.cuda.Event(enable_timing=True) for _ in range(2))
    start.record(other)
    with fb.cuda.stream(other):
        x.add_(1)
    end.record(other)
    end.synchronize()
    assert start.query() and start.elapsed_time(end) >= 0
    fb.cuda.synchronize(1)
    assert x.unique().tolist() == [33]


def test_a_graph_on_the_second_device():
    x = fb.ones(100, device=SECOND)
    x.mul(2).add(1)
    with fb.cuda.device(1):
        g = fb.cuda.CUDAGraph()
        with fb.cuda.graph(g):
            y = x.mul(2).add(1)
    x.fill_(4)
    g.replay()
    assert y.unique().tolist() == [9]
